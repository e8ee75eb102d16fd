"""What POSTROUTING does to the source of packets that were translated.

Only the base chains of the table that translated them are walked: what masquerades is what its mark, or its hairpin
set, says. Other owners' masquerading of all that leaves the node is no trait of a Service.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from netinspect.analyze.nft.hooks import POSTROUTING, asks_origin, base_chains
from netinspect.analyze.nft.kit import WalkKit
from netinspect.analyze.nft.packet import Packet, State
from netinspect.analyze.nft.walk import Walker
from netinspect.analyze.nft.ways import Conditions, Leaf, Way
from netinspect.models.address import Address, address_key, parse_address
from netinspect.models.nft import NftTable
from netinspect.models.service_map import RuleRef, SourceCondition, SourceKind


class Masquerade(msgspec.Struct, frozen=True):
    """Whether packets of some sources are masqueraded.

    Attributes:
        when: what holds for the sources, beside what was known before; the first that matches counts.
        does: whether they are.
        rules: what says so.
        undecided: what could not be judged.
    """

    when: Conditions
    does: bool
    rules: tuple[RuleRef, ...] = ()
    undecided: tuple[str, ...] = ()


_MOST_KEPT = 1_000
_Walked = tuple[list[Way], frozenset[str]]


class Masquerading:
    """Walks POSTROUTING for translated packets. What does not depend on the backend is walked once."""

    def __init__(self, tables: Sequence[NftTable], family: int, kit: WalkKit) -> None:
        self._family = family
        self._kit = kit
        self._bases = {
            (table.family, table.name): [
                each for each in base_chains([table], POSTROUTING) if each.type == "nat"
            ]
            for table in tables
        }
        self._asking_origin = {(each.family, each.name) for each in tables if asks_origin(each)}
        self._general: dict[tuple[object, ...], _Walked] = {}
        self._special: dict[tuple[object, ...], _Walked] = {}
        self._read: dict[int, tuple[list[Way], tuple[Masquerade, ...]]] = {}

    def of(self, leaf: Leaf, packet: Packet, path: Conditions) -> tuple[Masquerade, ...]:
        """Return what happens to packets to one backend, those of single hosts (hairpin) aside."""
        ways = self._walk(leaf, leaf.mark, packet, ())[0]
        if path and any(each.when and not _is_of_hosts(each) for each in ways):
            ways = self._walk(leaf, leaf.mark, packet, path)[0]
        if id(ways) not in self._read:
            self._read[id(ways)] = ways, tuple(_read(each) for each in ways if not _is_of_hosts(each))
        return self._read[id(ways)][1]

    def hosts(self, leaf: Leaf, packet: Packet) -> tuple[Address, ...]:
        """Return the hosts whose packets to a backend are masqueraded, whatever is done to others."""
        ways, hosts = self._walk(leaf, 0, packet, ())
        found = set(hosts)
        for way in ways:
            if _is_of_hosts(way):
                found.update(value.rpartition("/")[0] for each in way.when for value in each.values)
        for host, mark in leaf.host_marks:
            if _is_masqueraded(self._walk(leaf, mark, packet, ())[0][-1]):
                found.add(host)
        return tuple(sorted(map(parse_address, found), key=address_key))

    def _walk(
        self, leaf: Leaf, mark: int | None, packet: Packet, path: Conditions
    ) -> tuple[list[Way], frozenset[str]]:
        port = packet.port if leaf.port is None else leaf.port
        origin = packet.origin if leaf.table in self._asking_origin else None
        general = leaf.table, mark, leaf.ct_mark, packet.protocol, origin, path
        special = *general, leaf.address, port
        found = self._general.get(general) or self._special.get(special)
        if found is not None:
            return found
        moved = Packet(
            family=self._family,
            origin=packet.origin,
            protocol=packet.protocol,
            port=port,
            addresses=(leaf.address,),
            is_translated=True,
        )
        walker = Walker(self._bases.get(leaf.table, ()), moved, self._kit)
        found = walker.walk(State(mark=mark, ct_mark=leaf.ct_mark), path), frozenset(walker.hosts)
        if moved.reads:
            self._forget()
            self._special[special] = found
        else:
            self._general[general] = found
        return found

    def _forget(self) -> None:
        """Let go of single backends' walks: a Service's come one soon after the other, and there may be 100,000s."""
        if len(self._special) >= _MOST_KEPT:
            self._special.clear()
            self._read.clear()


def _read(way: Way) -> Masquerade:
    does = _is_masqueraded(way)
    return Masquerade(way.when, does, way.trail + way.leaves[0].trail if does else (), way.undecided)


def _is_masqueraded(way: Way) -> bool:
    """Whether a way's packets are masqueraded: nobody leaves that to chance."""
    return sum(each.share for each in way.leaves if each.masquerades) > 0.5


def _is_of_hosts(way: Way) -> bool:
    """Whether a way is that of single hosts whose packets are masqueraded: a trait of the backend (hairpin)."""
    return bool(way.when) and _is_masqueraded(way) and all(map(_is_hosts, way.when))


def _is_hosts(condition: SourceCondition) -> bool:
    return (
        condition.kind is SourceKind.NETWORK
        and not condition.negated
        and all(map(_is_host, condition.values))
    )


def _is_host(value: str) -> bool:
    return value.endswith("/128" if ":" in value else "/32")
