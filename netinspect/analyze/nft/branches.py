"""The branches of a service map from the ways of a walk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import TypeVar

from netinspect.analyze.nft.masquerade import Masquerade, Masquerading
from netinspect.analyze.nft.packet import Packet
from netinspect.analyze.nft.ways import Leaf, Way
from netinspect.models.address import address_key, parse_address
from netinspect.models.service_map import Backend, Branch, Outcome

_NEGLIGIBLE = 1e-9
_MOST_KEPT = 1_000
"""Lists of backends that are kept at a time: branches that share one come one soon after the other."""

T = TypeVar("T")


class BranchBuilder:
    """Makes branches. Backends that several branches share are made once."""

    def __init__(self, masquerading: Masquerading) -> None:
        self._masquerading = masquerading
        self._backends: dict[tuple[object, ...], tuple[object, tuple[Backend, ...]]] = {}

    def build(self, ways: Sequence[Way], packet: Packet) -> tuple[Branch, ...]:
        """Return the branches; none where nothing happens to packets of any source."""
        return _tidy([branch for way in ways for branch in self._branches(way, packet)])

    def _branches(self, way: Way, packet: Packet) -> Iterator[Branch]:
        translated = [each for each in way.leaves if each.outcome is Outcome.BACKENDS]
        if not translated:
            yield _untranslated(way)
            return
        backends = self._backends_of(way, translated, packet)
        lost = 1 - sum(each.share for each in translated)
        on_the_way = (*way.undecided, *(text for leaf in way.leaves for text in leaf.undecided))
        for masquerade in self._masquerades(way, translated, packet):
            yield Branch(
                when=_unique((*way.when, *masquerade.when)),
                outcome=Outcome.BACKENDS,
                backends=backends,
                lost=lost if lost > _NEGLIGIBLE else 0.0,
                masquerade=masquerade.does,
                undecided=_unique((*on_the_way, *masquerade.undecided)),
                rules=way.trail + masquerade.rules,
            )

    def _masquerades(self, way: Way, leaves: Sequence[Leaf], packet: Packet) -> tuple[Masquerade, ...]:
        """Return for which sources packets are masqueraded, to whichever backend they go."""
        ways = (self._masquerading.of(leaf, packet, way.path) for leaf in leaves)
        found = _unique({id(each): each for each in ways}.values())
        if len(found) == 1:
            return found[0]
        return tuple(map(_joined, product(*found)))

    def _backends_of(self, way: Way, leaves: Sequence[Leaf], packet: Packet) -> tuple[Backend, ...]:
        own_port = packet.port if any(each.port is None for each in leaves) else None
        key = id(way.leaves), way.lookups, own_port
        if key not in self._backends:
            if len(self._backends) >= _MOST_KEPT:
                self._backends.clear()
            merged: dict[tuple[str, int | None], list[Leaf]] = {}
            for leaf in leaves:
                merged.setdefault((leaf.address, leaf.port), []).append(leaf)
            backends = [self._backend(each, way.lookups, packet) for each in merged.values()]
            backends.sort(
                key=lambda each: (address_key(each.address), -1 if each.port is None else each.port)
            )
            self._backends[key] = way.leaves, tuple(backends)
        return self._backends[key][1]

    def _backend(self, leaves: Sequence[Leaf], lookups: Iterable[tuple[str, str]], packet: Packet) -> Backend:
        first = leaves[0]
        return Backend(
            address=parse_address(first.address),
            port=first.port,
            share=sum(each.share for each in leaves),
            affinity_s=_affinity_s(first, lookups),
            masqueraded_from=self._masquerading.hosts(first, packet),
            rules=first.trail,
        )


def _affinity_s(leaf: Leaf, lookups: Iterable[tuple[str, str]]) -> int | None:
    """Return for how long a client comes to a backend again: its set is filled there, and asked before."""
    asked = set(lookups)
    return next((seconds for name, seconds, chain in leaf.updates if (name, chain) in asked), None)


def _untranslated(way: Way) -> Branch:
    """Return the branch of packets that go nowhere else: refused, or left alone."""
    first = next((each for each in way.leaves if each.outcome is not Outcome.NONE), way.leaves[0])
    outcome = first.outcome or Outcome.NONE
    share = sum(each.share for each in way.leaves if each.outcome is first.outcome)
    by_chance = () if share > 1 - _NEGLIGIBLE else (f"only {share:.6g} of packets: {outcome}",)
    texts = (text for leaf in way.leaves for text in leaf.undecided)
    return Branch(
        when=way.when,
        outcome=outcome,
        undecided=_unique((*way.undecided, *texts, *by_chance)),
        rules=way.trail + first.trail if outcome is not Outcome.NONE else (),
    )


def _joined(parts: Sequence[Masquerade]) -> Masquerade:
    does = all(each.does for each in parts)
    differs = any(each.does for each in parts) and not does
    texts = (text for each in parts for text in each.undecided)
    return Masquerade(
        when=_unique(condition for each in parts for condition in each.when),
        does=does,
        rules=parts[0].rules if does else (),
        undecided=_unique(
            (*texts, *(["packets to some of the backends only are masqueraded"] if differs else []))
        ),
    )


def _tidy(branches: list[Branch]) -> tuple[Branch, ...]:
    """Drop branches that the next one repeats for more sources, and the rest at the end where nothing happens."""
    kept: list[Branch] = []
    for branch in reversed(branches):
        if kept and set(kept[-1].when) <= set(branch.when) and _is_same(branch, kept[-1]):
            continue
        if not kept and _is_nothing(branch):
            continue
        kept.append(branch)
    return tuple(reversed(kept))


def _is_nothing(branch: Branch) -> bool:
    return branch.outcome is Outcome.NONE and not branch.undecided


def _is_same(one: Branch, other: Branch) -> bool:
    return (
        one.outcome is other.outcome
        and one.masquerade == other.masquerade
        and one.lost == other.lost
        and one.undecided == other.undecided
        and (one.backends is other.backends or _meaning(one) == _meaning(other))
    )


def _meaning(branch: Branch) -> list[tuple[object, ...]]:
    return [
        (each.address, each.port, each.share, each.affinity_s, each.masqueraded_from)
        for each in branch.backends
    ]


def _unique(items: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(items))
