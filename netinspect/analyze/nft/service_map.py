"""The service map of a node whose kube-proxy writes nftables: read by walking from the base chains of all tables.

kube-proxy's table is not looked for by name: a chain that nothing jumps to, or a table that is gone, is no part of the
map, and other owners' tables count where they translate, drop or refuse. Traffic to ClusterIPs at ports that no rule
names (`cluster-ips-check`) has no entry: it is no destination with a port of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from netinspect.analyze.nft.branches import BranchBuilder
from netinspect.analyze.nft.candidates import Candidate, Collector
from netinspect.analyze.nft.hooks import (
    FORWARD,
    INPUT,
    OUTPUT,
    POSTROUTING,
    PREROUTING,
    BaseChain,
    base_chains,
    doubt_gaps,
    hook_gaps,
    tables_of,
)
from netinspect.analyze.nft.kit import WalkKit
from netinspect.analyze.nft.layout import TABLE, name_layout
from netinspect.analyze.nft.masquerade import Masquerading
from netinspect.analyze.nft.packet import Packet, SplitError, State
from netinspect.analyze.nft.walk import Walker
from netinspect.analyze.nft.where import Outcomes, entries_for_any
from netinspect.models.address import Address, address_key, parse_address
from netinspect.models.nft import NftRuleset, NftTable
from netinspect.models.service_map import Branch, Destination, Hook, MapEntry, Mode, Outcome, ServiceMap

_HOOKS = (Hook.PREROUTING, Hook.OUTPUT)
LOOPBACK = "lo"


def read_nft_map(
    node: str, family: int, ruleset: NftRuleset, local_addresses: Sequence[Address]
) -> ServiceMap:
    """Return what a node's nft rules do with packets to Services.

    Args:
        node: the node's name.
        family: 4 or 6.
        ruleset: the whole of `nft -j list ruleset`, or at least kube-proxy's table.
        local_addresses: the node's own; those of the other family are left aside. Without any, node ports are read as
            they are for an address that no rule names.
    """
    tables = tables_of(ruleset, family)
    local = tuple(
        str(each) for each in sorted(set(local_addresses), key=address_key) if each.version == family
    )
    # What the reader keeps is let go before entries are put in order: both at once are the most memory.
    reader = _Reader(tables, family, local)
    entries = list(reader.entries())
    unsaid = reader.unsaid()
    del reader
    entries.sort(key=_order)
    own = ruleset.table("ip" if family == 4 else "ip6", TABLE)
    return ServiceMap(
        node=node,
        family=family,
        mode=Mode.NFTABLES,
        layout=name_layout(own),
        entries=tuple(entries),
        gaps=(*hook_gaps(ruleset, tables, node), *doubt_gaps(unsaid, node)),
    )


def read_nft_destinations(
    family: int,
    ruleset: NftRuleset,
    local_addresses: Sequence[Address],
    destinations: Iterable[Destination],
) -> tuple[MapEntry, ...]:
    """Return what happens to packets for destinations that no rule needs to name: by rules for whole ranges.

    Args:
        family: as for `read_nft_map`, like the next two.
        ruleset: likewise.
        local_addresses: likewise.
        destinations: with addresses of the family. Those to which nothing happens, for sure, have no entry.
    """
    local = tuple(str(each) for each in local_addresses if each.version == family)
    reader = _Reader(tables_of(ruleset, family), family, local)
    candidates = [
        Candidate(address=str(each.address), protocol=each.protocol, port=each.port) for each in destinations
    ]
    return tuple(reader.entries_of(candidates))


class _Reader:
    """Reads one family of one ruleset."""

    def __init__(self, tables: Sequence[NftTable], family: int, local: tuple[str, ...]) -> None:
        self._tables = tables
        self._family = family
        self._local = local
        self._own = frozenset(local)
        self._kit = WalkKit()
        self._doubts: dict[str, None] = {}
        self._said: set[str] = set()
        self._branches = BranchBuilder(Masquerading(tables, family, self._kit))
        before, after = base_chains(tables, PREROUTING), base_chains(tables, OUTPUT)
        # What the node sends to itself comes in again by `lo`; nat has been asked already then.
        again = (*_filters(tables, PREROUTING), *_filters(tables, INPUT))
        last = _filters(tables, POSTROUTING)
        self._bases: dict[tuple[Hook, bool], tuple[BaseChain, ...]] = {
            (Hook.PREROUTING, True): before + _filters(tables, INPUT),
            (Hook.PREROUTING, False): before + _filters(tables, FORWARD) + last,
            (Hook.OUTPUT, True): after + last + tuple(replace(each, link=LOOPBACK) for each in again),
            (Hook.OUTPUT, False): after + last,
        }

    def entries(self) -> Iterator[MapEntry]:
        collector = Collector(self._family)
        collector.add_tables(self._tables)
        yield from filter(_does_something, self.entries_of(collector.found))

    def unsaid(self) -> list[str]:
        """Return what could not be judged and is in no entry: that of packets to which nothing else happens."""
        return [each for each in self._doubts if each not in self._said]

    def entries_of(self, candidates: Iterable[Candidate]) -> Iterator[MapEntry]:
        for candidate in candidates:
            for hook in _HOOKS:
                yield from self._entries(candidate, hook)

    def _entries(self, candidate: Candidate, hook: Hook) -> Iterator[MapEntry]:
        if candidate.address is None:
            outcomes = list(self._outcomes(candidate, hook, self._local))
            for to, (branches, service) in entries_for_any(candidate, outcomes):
                yield from _entry(hook, to, branches, service)
        elif (address := _address(candidate.address, self._family)) is not None:
            packet = self._packet(candidate, hook, (candidate.address,), is_any=False)
            to = Destination(address=address, protocol=candidate.protocol, port=candidate.port)
            yield from _entry(hook, to, *self._walk(packet))

    def _outcomes(self, candidate: Candidate, hook: Hook, addresses: tuple[str, ...]) -> Iterator[Outcomes]:
        """Return what happens at which local addresses."""
        packet = self._packet(candidate, hook, addresses, is_any=len(addresses) != 1)
        try:
            branches, service = self._walk(packet)
        except SplitError as error:
            for part in error.parts:
                yield from self._outcomes(candidate, hook, part)
            return
        yield Outcomes(addresses, branches, service, frozenset(packet.excepted))

    def _packet(
        self, candidate: Candidate, hook: Hook, addresses: tuple[str, ...], *, is_any: bool
    ) -> Packet:
        return Packet(
            family=self._family,
            origin=hook,
            protocol=candidate.protocol,
            port=candidate.port,
            addresses=addresses,
            is_any=is_any,
            is_local=candidate.address is None or addresses[0] in self._own or _is_loopback(addresses[0]),
        )

    def _walk(self, packet: Packet) -> tuple[tuple[Branch, ...], str]:
        ways = Walker(self._bases[packet.origin, packet.is_local], packet, self._kit).walk(State())
        service = next((each.service for each in ways if each.service), "")
        branches = self._branches.build(ways, packet)
        texts = [text for each in branches for text in each.undecided]
        if all(each.outcome is Outcome.NONE for each in branches):
            self._doubts.update(dict.fromkeys(texts))
        else:
            self._said.update(texts)
        return branches, service


def _filters(tables: Sequence[NftTable], hook: str) -> tuple[BaseChain, ...]:
    """Return what a packet meets behind PREROUTING; nat chains there rewrite sources only."""
    return tuple(each for each in base_chains(tables, hook) if each.type == "filter")


def _entry(hook: Hook, to: Destination, branches: Sequence[Branch], service: str) -> Iterator[MapEntry]:
    if branches:
        yield MapEntry(hook=hook, destination=to, branches=tuple(branches), service=service)


def _does_something(entry: MapEntry) -> bool:
    return any(each.outcome is not Outcome.NONE for each in entry.branches)


def _is_loopback(text: str) -> bool:
    return text.startswith("127.") or text == "::1"


def _address(text: str, family: int) -> Address | None:
    try:
        address = parse_address(text)
    except ValueError:
        return None
    return address if address.version == family else None


def _order(entry: MapEntry) -> tuple[bool, int, str, int, tuple[str, ...], int]:
    to = entry.destination
    number = 0 if to.address is None else int(to.address)
    return to.address is None, number, to.protocol, to.port, to.except_, _HOOKS.index(entry.hook)
