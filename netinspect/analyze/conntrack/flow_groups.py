"""From what was counted in a node's listings to the groups that are listed: the largest, or those that grew most."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import msgspec

from netinspect.analyze.address_book import AddressBook
from netinspect.models.address import parse_address
from netinspect.models.address_owner import AddressOwner, OwnerKind
from netinspect.models.bounded_counts import ZERO, Bounds
from netinspect.models.fact import Known
from netinspect.models.flow_counts import (
    FlowGroup,
    FlowSample,
    FlowTally,
    GroupBy,
    GroupsShown,
    Kind,
    NodeCounts,
    NodeFlowCounts,
    ObjectName,
    TopOptions,
)

_Key: TypeAlias = Any
"""What names a group of its kind: an `ObjectName`, an address, protocol and state, or family and protocol."""


_NAMED = frozenset((OwnerKind.POD, OwnerKind.SERVICE, OwnerKind.NODE))


class _Groups(NamedTuple):
    """All groups of one kind in one listing.

    Attributes:
        counts: by key.
        folded: entries that a key which is not there has at most.
    """

    counts: Mapping[_Key, Bounds]
    folded: int = 0

    def bounds(self, key: _Key) -> Bounds:
        """Return what is known of a group's count."""
        return self.counts.get(key, Bounds(0, self.folded))


class _Scale(NamedTuple):
    """What counts are set against: the table, its limit, and the time between two listings; None: not known."""

    table: int | None
    max: int | None
    seconds: float | None


def list_groups(
    counts: NodeCounts, book: AddressBook, options: TopOptions, later: AddressBook | None = None
) -> NodeFlowCounts:
    """List the groups of a node's last listing, and how they grew since the first.

    Args:
        counts: what was counted.
        book: names the peers: what turns out to be somebody's address is no peer.
        options: which groups.
        later: what the API said after the table was read: a peer that it knows is shown with that name.
    """
    last = counts.samples[-1]
    first = _earlier(counts.samples)
    size = counts.size.value if isinstance(counts.size, Known) else None
    scale = _Scale(
        table=_add_known(tally.shown for tally in last.tallies) if _is_complete(last) else None,
        max=size.max if size else None,
        seconds=last.start_s - first.start_s if first else None,
    )
    entries = sum(tally.counted for tally in last.tallies)
    before = sum(tally.counted for tally in first.tallies) if first else None
    lists = [_list_kind(by, last, first, scale, book, options) for by in options.by]
    groups = (group for each, _ in lists for group in each)
    return NodeFlowCounts(
        node=counts.node,
        entries=entries,
        table=scale.table,
        max=scale.max,
        seconds=None if scale.seconds is None else round(scale.seconds, 2),
        change=None if before is None else entries - before,
        groups=tuple(groups if later is None else (_name_later(group, later) for group in groups)),
        listed=tuple(shown for _, shown in lists),
    )


def _earlier(samples: tuple[FlowSample, ...]) -> FlowSample | None:
    """Return the first listing, if it can be compared with the last: both know the same families."""
    first, last = samples[0], samples[-1]
    is_comparable = len(samples) > 1 and all(
        isinstance(before[1], Known) == isinstance(now[1], Known)
        for before, now in zip(first.facts, last.facts, strict=True)
    )
    return first if is_comparable and last.start_s > first.start_s else None


def _is_complete(sample: FlowSample) -> bool:
    return len(sample.tallies) == len(sample.facts)


def _add_known(numbers: Iterable[int | None]) -> int | None:
    values = tuple(numbers)
    return None if None in values else sum(value or 0 for value in values)


def _list_kind(
    by: GroupBy,
    last: FlowSample,
    first: FlowSample | None,
    scale: _Scale,
    book: AddressBook,
    options: TopOptions,
) -> tuple[list[FlowGroup], GroupsShown]:
    now = _group(by, last.tallies, book)
    before = _group(by, first.tallies, book) if first else None

    def change(key: _Key) -> int:
        return now.bounds(key).least - before.bounds(key).least if before else 0

    def rank(key: _Key) -> tuple[Any, ...]:
        least = now.bounds(key).least
        return (-change(key) if options.by_growth else 0, -least, key)

    chosen = heapq.nsmallest(options.limit, now.counts, rank)
    groups = [
        msgspec.structs.replace(
            _describe(by, key, last.tallies, book),
            **_numbers(now.bounds(key), before.bounds(key) if before else None, scale),
        )
        for key in chosen
    ]
    shown = GroupsShown(by=by, shown=len(groups), kept=len(now.counts), folded=now.folded or None)
    return groups, shown


def _group(by: GroupBy, tallies: Iterable[FlowTally], book: AddressBook) -> _Groups:
    """Put the counts of both families together."""
    if by is GroupBy.PEER:
        return _group_peers(tallies, book)
    counts: defaultdict[_Key, Bounds] = defaultdict(lambda: ZERO)
    for tally in tallies:
        for key, bounds in _KEYS[by](tally):
            counts[key] += bounds
    if by in (GroupBy.POD, GroupBy.SERVICE):
        return _Groups(counts)
    lost = sum(tally.counted - sum(each.least for _, each in tally.kinds.items()) for tally in tallies)
    return _Groups({key: Bounds(each.least, each.least + lost) for key, each in counts.items()}, lost)


def _group_peers(tallies: Iterable[FlowTally], book: AddressBook) -> _Groups:
    # While the counting went on, the links of this node alone were known.
    known = {str(address).encode() for each in (book.pods, book.nodes, book.services) for address in each}
    counts = {peer: bounds for tally in tallies for peer, bounds in tally.peers.items() if peer not in known}
    return _Groups(counts, max((tally.peers.folded for tally in tallies), default=0))


def _pod_counts(tally: FlowTally) -> Iterator[tuple[_Key, Bounds]]:
    return ((pod, Bounds(count.entries, count.entries)) for pod, count in tally.pods.items())


def _service_counts(tally: FlowTally) -> Iterator[tuple[_Key, Bounds]]:
    return ((service, Bounds(count, count)) for service, count in tally.services.items())


def _state_counts(tally: FlowTally) -> Iterator[tuple[_Key, Bounds]]:
    return (((_protocol(kind), kind.state, kind.unreplied), each) for kind, each in tally.kinds.items())


def _protocol_counts(tally: FlowTally) -> Iterator[tuple[_Key, Bounds]]:
    return (((kind.family, _protocol(kind)), each) for kind, each in tally.kinds.items())


_KEYS: dict[GroupBy, Callable[[FlowTally], Iterator[tuple[_Key, Bounds]]]] = {
    GroupBy.POD: _pod_counts,
    GroupBy.SERVICE: _service_counts,
    GroupBy.STATE: _state_counts,
    GroupBy.PROTOCOL: _protocol_counts,
}


def _protocol(kind: Kind) -> str:
    """Return a protocol's name; its number where the tool knows none."""
    return f"protocol {kind.number.decode()}" if kind.protocol == b"unknown" else kind.protocol.decode()


def _describe(by: GroupBy, key: _Key, tallies: Iterable[FlowTally], book: AddressBook) -> FlowGroup:
    """Return a group without its numbers."""
    if by is GroupBy.POD:
        return _describe_pod(key, tallies)
    if by is GroupBy.SERVICE:
        owner = AddressOwner(kind=OwnerKind.SERVICE, namespace=key[0], name=key[1])
        return FlowGroup(by=by, name="/".join(key), entries=0, owner=owner)
    if by is GroupBy.PEER:
        address = parse_address(key.decode())
        owner = book.owner(address)
        return FlowGroup(by=by, name=str(address), entries=0, owner=owner, address=address)
    if by is GroupBy.STATE:
        protocol, state, unreplied = key[0], key[1].decode(), bool(key[2])
        words = (protocol, state, "[UNREPLIED]" if unreplied else "")
        name = " ".join(word for word in words if word)
        return FlowGroup(by=by, name=name, entries=0, protocol=protocol, state=state, unreplied=unreplied)
    family, protocol = key
    return FlowGroup(by=by, name=f"ipv{family} {protocol}", entries=0, family=family, protocol=protocol)


def _name_later(group: FlowGroup, later: AddressBook) -> FlowGroup:
    """Name a peer for whom the API knows by now: it may have come while the table was read."""
    if group.address is None:
        return group
    owner = later.owner(group.address)
    return msgspec.structs.replace(group, owner=owner) if owner.kind in _NAMED else group


def _describe_pod(pod: ObjectName, tallies: Iterable[FlowTally]) -> FlowGroup:
    roles = [count for tally in tallies if (count := tally.pods.get(pod)) is not None]
    return FlowGroup(
        by=GroupBy.POD,
        name="/".join(pod),
        entries=0,
        as_client=sum(each.as_client for each in roles),
        as_backend=sum(each.as_backend for each in roles),
        owner=AddressOwner(kind=OwnerKind.POD, namespace=pod[0], name=pod[1]),
    )


def _numbers(now: Bounds, before: Bounds | None, scale: _Scale) -> dict[str, Any]:
    numbers: dict[str, Any] = {
        "entries": now.least,
        "entries_at_most": now.most if now.most > now.least else None,
        "percent_of_table": _percent(now.least, scale.table),
        "percent_of_max": _percent(now.least, scale.max),
    }
    if before is not None and scale.seconds:
        change = now.least - before.least
        error = max(now.most - now.least, before.most - before.least)
        numbers |= {
            "change": change,
            "change_error": error or None,
            "per_second": round(change / scale.seconds, 2),
        }
    return numbers


def _percent(part: int, whole: int | None) -> float | None:
    return round(100 * part / whole, 2) if whole else None
