"""Compare two service maps by what they mean, not by how their branches are cut.

For each hook and concrete destination, the space of sources is cut at every border that either map mentions (networks
and links); in each piece the first branch that matches is taken from both maps, and what they do must be the same.
Rules, counters and names are no part of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

import msgspec

from netinspect.analyze.service_map.branch_difference import find_differing
from netinspect.analyze.service_map.source_regions import SourceRegion, branch_in, cut_sources
from netinspect.models.address import Address, address_key
from netinspect.models.service_map import Branch, Destination, Hook, MapEntry, Outcome, ServiceMap
from netinspect.models.service_map_difference import MapDifference

_NOTHING = Branch(outcome=Outcome.NONE)
_HOOKS = tuple(Hook)


class _Port(msgspec.Struct, frozen=True):
    hook: Hook
    protocol: str
    port: int


class _Entries:
    """A map's entries by hook and port, as they are looked up by a concrete address."""

    def __init__(self, entries: Iterable[MapEntry]) -> None:
        self.at: dict[_Port, dict[Address, MapEntry]] = defaultdict(dict)
        self.anywhere: dict[_Port, list[MapEntry]] = defaultdict(list)
        for entry in entries:
            to = entry.destination
            key = _Port(entry.hook, to.protocol, to.port)
            if to.address is None:
                self.anywhere[key].append(entry)
            else:
                self.at[key][to.address] = entry
        for found in self.anywhere.values():
            found.sort(key=lambda entry: -len(entry.destination.except_))

    def find(self, key: _Port, address: Address, *, is_local: bool) -> MapEntry | None:
        """Return the entry for an address: its own one before one for any local address."""
        own = self.at[key].get(address) if key in self.at else None
        if own is not None or not is_local or key not in self.anywhere:
            return own
        for entry in self.anywhere[key]:
            if not any(address in _network(each) for each in entry.destination.except_):
                return entry
        return None

    def exceptions(self, key: _Port) -> frozenset[str]:
        """Return all networks that entries for any local address leave out."""
        found = self.anywhere.get(key, ())
        return frozenset(each for entry in found for each in entry.destination.except_)


class _LocalAddresses:
    """A node's addresses, parted by the networks that hold them: there are few such partings and many node ports."""

    def __init__(self, addresses: Iterable[Address], family: int) -> None:
        self.addresses = {each for each in addresses if each.version == family}
        self._parts: dict[frozenset[str], tuple[tuple[Address, ...], ...]] = {}

    def part(self, networks: frozenset[str]) -> tuple[tuple[Address, ...], ...]:
        """Return the addresses, each with those that are in the same of the networks."""
        if networks not in self._parts:
            found: dict[tuple[bool, ...], list[Address]] = defaultdict(list)
            for address in sorted(self.addresses, key=address_key):
                found[tuple(address in _network(each) for each in sorted(networks))].append(address)
            self._parts[networks] = tuple(map(tuple, found.values()))
        return self._parts[networks]


def compare_maps(
    expected: ServiceMap, seen: ServiceMap, local_addresses: Iterable[Address]
) -> tuple[MapDifference, ...]:
    """Return every kind of packet that the two maps treat differently; empty where they mean the same.

    Args:
        expected: what should be, or any map.
        seen: another one of the same node and family.
        local_addresses: the node's own, over which destinations without an address are spread. Those of another
            family are left aside.

    Raises:
        ValueError: the maps are of two families, or a destination has no address and the node has none either.
    """
    if expected.family != seen.family:
        raise ValueError(f"one map is of IPv{expected.family}, the other of IPv{seen.family}")
    left, right = _Entries(expected.entries), _Entries(seen.entries)
    local = _LocalAddresses(local_addresses, seen.family)
    if not local.addresses and (left.anywhere or right.anywhere):
        raise ValueError("node ports cannot be compared: no local address of the node is known")
    found = [
        difference
        for key in sorted(_keys(left, right), key=_order)
        for group in _groups(key, left, right, local)
        for difference in _compare(key, group, seen.family)
    ]
    return tuple(found)


class _Group(msgspec.Struct, frozen=True):
    """Addresses that meet the same pair of entries."""

    addresses: tuple[Address, ...]
    expected: MapEntry | None
    seen: MapEntry | None


def _keys(*maps: _Entries) -> set[_Port]:
    return {key for each in maps for key in (*each.at, *each.anywhere)}


def _order(key: _Port) -> tuple[int, str, int]:
    return _HOOKS.index(key.hook), key.protocol, key.port


def _groups(key: _Port, left: _Entries, right: _Entries, local: _LocalAddresses) -> Iterator[_Group]:
    named = {*left.at.get(key, ()), *right.at.get(key, ())}
    exceptions = left.exceptions(key) | right.exceptions(key)
    parts = local.part(exceptions) if key in left.anywhere or key in right.anywhere else ()
    for part in parts:
        addresses = tuple(each for each in part if each not in named) if named else part
        if addresses:
            yield _Group(addresses, *(side.find(key, addresses[0], is_local=True) for side in (left, right)))
    for address in sorted(named, key=address_key):
        is_local = bool(parts) and address in local.addresses
        yield _Group((address,), *(side.find(key, address, is_local=is_local) for side in (left, right)))


def _compare(key: _Port, group: _Group, family: int) -> Iterator[MapDifference]:
    left = group.expected.branches if group.expected else ()
    right = group.seen.branches if group.seen else ()
    if _is_same(left, right):
        return
    reported: set[tuple[int, int]] = set()
    for region in cut_sources((*left, *right), family, has_link=key.hook is not Hook.OUTPUT):
        expected = branch_in(region, left) or _NOTHING
        seen = branch_in(region, right) or _NOTHING
        pair = id(expected), id(seen)
        if pair in reported:
            continue
        differs = find_differing(expected, seen, region)
        if differs:
            reported.add(pair)
            yield _build(key, group, region, differs, (expected, seen))


def _is_same(left: Sequence[Branch], right: Sequence[Branch]) -> bool:
    """Whether two lists of branches are equal but for their rules: most are, and need not be cut up."""
    return len(left) == len(right) and all(map(_is_same_branch, left, right))


def _is_same_branch(left: Branch, right: Branch) -> bool:
    return left.when == right.when and left.outcome == right.outcome and not find_differing(left, right, None)


def _build(
    key: _Port,
    group: _Group,
    region: SourceRegion,
    differs: tuple[str, ...],
    branches: tuple[Branch, Branch],
) -> MapDifference:
    services = (each.service for each in (group.expected, group.seen) if each and each.service)
    return MapDifference(
        hook=key.hook,
        destination=Destination(address=group.addresses[0], protocol=key.protocol, port=key.port),
        also_at=group.addresses[1:],
        source=region.example,
        link=region.link,
        differs=differs,
        expected=branches[0],
        seen=branches[1],
        service=next(services, ""),
    )


@lru_cache(maxsize=4096)
def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text)
