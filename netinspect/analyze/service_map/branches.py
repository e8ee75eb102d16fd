"""Leaves of a walk through iptables -> branches of a service map: backends, shares, masquerade."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from netinspect.analyze.iptables.effect import Verdict
from netinspect.analyze.iptables.hooks import NO_MARK, HookWalker
from netinspect.analyze.iptables.leaf import Doubt, End, Leaf, join_doubts, narrow
from netinspect.analyze.iptables.packet import Asked, Packet, PacketView
from netinspect.analyze.service_map.packet_mark import Mark
from netinspect.analyze.service_map.source_conditions import decide, holds_for_network
from netinspect.models.address import Address, address_key
from netinspect.models.service_map import Backend, Branch, Hook, Outcome, SourceCondition, SourceKind

_OUTCOMES = {Verdict.DROP: Outcome.DROP, Verdict.REJECT: Outcome.REJECT}
_REWRITES = frozenset(("MASQUERADE", "SNAT"))
_ON_DESTINATION = Asked.ADDRESS | Asked.PORT | Asked.LOCAL | Asked.PROTOCOL
_MOST_KEPT = 512
_NOTHING_LOST = 1e-12
"""Less than this is no part of the packets but what floating point leaves of products of probabilities."""


class BranchBuilder:
    """Turns what walks give into branches."""

    def __init__(self, hooks: HookWalker, local: frozenset[int]) -> None:
        self._hooks = hooks
        self._local = local
        self._backends: dict[int, tuple[tuple[End, ...], tuple[Backend, ...]]] = {}
        self._leaving: dict[tuple[bool, Mark], tuple[Leaf, ...]] = {}

    def build(self, leaves: Iterable[Leaf], packet: Packet, *, is_refused: bool) -> tuple[Branch, ...]:
        """Return the branches of one entry, without such as make no difference; empty where nothing happens.

        Args:
            leaves: what happens to the packet.
            packet: it.
            is_refused: whether a rule of kube-proxy in filter names it. Where none does, DROP and REJECT in filter
                are some firewall's, and no part of the map, unless a mark of nat leads there.
        """
        return _tidy(
            [each for leaf in leaves for each in self._branches_of(leaf, packet, is_refused=is_refused)]
        )

    def _branches_of(self, leaf: Leaf, packet: Packet, *, is_refused: bool) -> Iterator[Branch]:
        translated = [end for end in leaf.ends if end.verdict is Verdict.TRANSLATE]
        if not translated:
            outcome = _outcome_of(leaf, packet, is_refused=is_refused)
            yield Branch(when=leaf.when, outcome=outcome, rules=leaf.rules, undecided=_texts(leaf.doubts))
            return
        lost = sum(end.share for end in leaf.ends if end.verdict is not Verdict.TRANSLATE)
        for part, is_masqueraded, doubts in self._leave(leaf, translated, packet):
            yield Branch(
                when=part.when,
                outcome=Outcome.BACKENDS,
                backends=self._backends_of(leaf.ends, packet),
                lost=lost if lost > _NOTHING_LOST else 0.0,
                masquerade=is_masqueraded,
                undecided=_texts(join_doubts(leaf.doubts, doubts)),
                rules=leaf.rules,
            )

    def _backends_of(self, ends: tuple[End, ...], packet: Packet) -> tuple[Backend, ...]:
        known = self._backends.get(id(ends))
        if known is not None and known[0] is ends:
            return known[1]
        backends: dict[tuple[Address, int | None], Backend] = {}
        for end in ends:
            if end.verdict is Verdict.TRANSLATE:
                _add(backends, self._backend_of(end, packet))
        found = tuple(sorted(backends.values(), key=_place))
        if len(self._backends) >= _MOST_KEPT:
            self._backends.clear()
        self._backends[id(ends)] = ends, found
        return found

    def _backend_of(self, end: End, packet: Packet) -> Backend:
        address = end.address or packet.address
        assert address is not None  # the walk gives no other
        hosts = {
            host
            for host, marking in end.hosts
            if self._is_host_masqueraded(host, marking.apply(end.mark.apply(NO_MARK)), end, packet)
        }
        return Backend(
            address=address,
            port=end.port,
            share=end.share,
            affinity_s=end.affinity_s,
            masqueraded_from=tuple(sorted(hosts, key=address_key)),
            rules=end.rules,
        )

    def _is_host_masqueraded(self, host: Address, mark: Mark, end: End, packet: Packet) -> bool:
        """Whether packets of one source leave with another: it is a pod, so none of the node's own."""
        for leaf in self._leaving_of(mark, end, replace(packet, hook=Hook.PREROUTING)):
            if all(
                each.kind is SourceKind.NETWORK and holds_for_network(each, host) for each in leaf.conditions
            ):
                return _is_masqueraded(leaf)
        return False

    def _leave(
        self, leaf: Leaf, translated: Sequence[End], packet: Packet
    ) -> Iterator[tuple[Leaf, bool, tuple[Doubt, ...]]]:
        """Yield what a leaf falls into when its packets leave the node: whether they are masqueraded."""
        mark = leaf.mark.then(translated[0].mark).apply(NO_MARK)
        first = self._leaving_of(mark, translated[0], packet)
        is_for_all = mark == NO_MARK or (packet.hook is Hook.OUTPUT, mark) in self._leaving
        others = [
            end
            for end in translated[1:]
            if not (is_for_all and end.mark is translated[0].mark)
            and self._leaving_of(leaf.mark.then(end.mark).apply(NO_MARK), end, packet) != first
        ]
        if len(first) == 1 and not first[0].doubts and not others:
            yield leaf, _is_masqueraded(first[0]), ()
            return
        for out in first:
            still_open = narrow(leaf.conditions, out.conditions)
            if still_open is None:
                continue
            part = replace(
                leaf,
                conditions=(*leaf.conditions, *still_open),
                when=(*leaf.when, *(each for each in out.when if each in still_open)),
            )
            is_masqueraded = _is_masqueraded(out) and not others
            doubts = tuple(each for each in out.doubts if not is_masqueraded or each.target not in _REWRITES)
            if others:
                doubts = (*doubts, Doubt("not all backends are masqueraded alike", ""))
            yield part, is_masqueraded, doubts

    def _leaving_of(self, mark: Mark, end: End, packet: Packet) -> tuple[Leaf, ...]:
        """Return what POSTROUTING does to translated packets with a mark. Without one it is none of Services' business.

        Most rules there do not look at the destination: then one walk serves all.
        """
        if mark == NO_MARK:
            return _NOT_MASQUERADED
        key = packet.hook is Hook.OUTPUT, mark
        known = self._leaving.get(key)
        if known is not None:
            return known
        address = end.address or packet.address
        port = packet.port if end.port is None else end.port
        is_local = packet.is_local if address is None else int(address) in self._local
        view = PacketView(replace(packet, address=address, port=port, is_local=is_local, is_translated=True))
        leaves = self._hooks.leave(view, mark)
        if not any(map(_is_masqueraded, leaves)) and leaves == self._hooks.leave(view, NO_MARK):
            leaves = _NOT_MASQUERADED  # it is not this mark that POSTROUTING asks for
        if not view.asked & _ON_DESTINATION:
            self._leaving[key] = leaves
        return leaves


def _is_masqueraded(leaf: Leaf) -> bool:
    end = leaf.end
    return end is not None and end.verdict is Verdict.MASQUERADE


_NOT_MASQUERADED = (Leaf(ends=(End(Verdict.RETURN),)),)


def _outcome_of(leaf: Leaf, packet: Packet, *, is_refused: bool) -> Outcome:
    end = leaf.end
    if end is None:
        return Outcome.NONE
    if packet.hook is Hook.INPUT and end.verdict is Verdict.ACCEPT:
        return Outcome.ACCEPT
    outcome = _OUTCOMES.get(end.verdict, Outcome.NONE)
    if outcome is not Outcome.NONE and not is_refused and _is_by_filter(leaf):
        return Outcome.NONE
    return outcome


def _is_by_filter(leaf: Leaf) -> bool:
    """Whether a rule in filter ended it, and no mark led there."""
    return bool(leaf.rules) and leaf.rules[-1].where.startswith("filter ") and leaf.mark.flip == 0


def _add(backends: dict[tuple[Address, int | None], Backend], backend: Backend) -> None:
    """Add a backend; one that is reached by several rules is one with all their shares."""
    place = backend.address, backend.port
    known = backends.get(place)
    if known is None:
        backends[place] = backend
        return
    hosts = sorted({*known.masqueraded_from, *backend.masqueraded_from}, key=address_key)
    backends[place] = replace(
        known,
        share=known.share + backend.share,
        affinity_s=known.affinity_s if known.affinity_s == backend.affinity_s else None,
        masqueraded_from=tuple(hosts),
        rules=tuple(dict.fromkeys((*known.rules, *backend.rules))),
    )


def _place(backend: Backend) -> tuple[int, int]:
    return int(backend.address), -1 if backend.port is None else backend.port


def _texts(doubts: Iterable[Doubt]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.text for each in doubts))


def _tidy(branches: Sequence[Branch]) -> tuple[Branch, ...]:
    """Return branches without those that a later one repeats, and without what means nothing at the end."""
    kept: list[Branch] = []
    for branch in reversed(_without_idle_halves(branches)):
        if kept and is_same(branch, kept[-1]) and _is_inside(branch.when, kept[-1].when):
            continue
        if not kept and branch.outcome is Outcome.NONE and not branch.undecided:
            continue
        kept.append(replace(branch, when=_shortest(branch.when)) if len(branch.when) > 1 else branch)
    return tuple(reversed(kept))


def _without_idle_halves(branches: Sequence[Branch]) -> Sequence[Branch]:
    """Leave out the branches under a first condition, if all the rest does the same without it."""
    while branches and branches[0].when:
        first = branches[0].when[0]
        half = [each for each in branches if each.when[:1] == (first,)]
        rest = branches[len(half) :]
        pairs = zip(half, rest, strict=False)
        if len(half) != len(rest) or not all(
            one.when[1:] == other.when and is_same(one, other) for one, other in pairs
        ):
            break
        branches = rest
    return branches


def _is_inside(some: Sequence[SourceCondition], others: Sequence[SourceCondition]) -> bool:
    """Whether every source of which some conditions hold is one of which the others hold."""
    return all(decide(some, each) is True for each in others)


def is_same(one: Branch, other: Branch) -> bool:
    """Whether two branches do the same, whatever their sources and the rules that say so."""
    return (
        one.outcome == other.outcome
        and one.masquerade == other.masquerade
        and one.lost == other.lost
        and one.undecided == other.undecided
        and (one.backends is other.backends or [*map(_bare, one.backends)] == [*map(_bare, other.backends)])
    )


def _bare(backend: Backend) -> Backend:
    return replace(backend, rules=())


def _shortest(when: tuple[SourceCondition, ...]) -> tuple[SourceCondition, ...]:
    """Leave out what follows from the other conditions."""
    kept = list(when)
    for each in when:
        others = [other for other in kept if other is not each]
        if decide(others, each) is True:
            kept = others
    return tuple(kept)
