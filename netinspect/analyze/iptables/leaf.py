"""What comes out of walking a chain: for which sources, with which parts, to which ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec
from msgspec.structs import replace

from netinspect.analyze.iptables.effect import Verdict
from netinspect.analyze.service_map.packet_mark import UNTOUCHED, Marking
from netinspect.analyze.service_map.source_conditions import decide
from netinspect.models.address import Address
from netinspect.models.service_map import RuleRef, SourceCondition


class Doubt(msgspec.Struct, frozen=True, gc=False):
    """A rule that may or may not match, and is taken as not matching.

    Attributes:
        text: what cannot be judged, and the rule.
        target: what the rule would do.
    """

    text: str
    target: str


class End(msgspec.Struct, frozen=True, gc=False):
    """How a part of the packets leaves a chain.

    Attributes:
        verdict: how.
        share: the part, of those that came in and have the leaf's source.
        mark: what happens to their mark behind what the leaf says.
        address: where they are translated to; None leaves the address.
        port: likewise.
        affinity_s: for so long the same source comes here again.
        recorded: lists of `recent` that the source was put on, and that nothing looked at yet.
        hosts: sources whose mark is changed on top, and how (hairpin).
        rules: what says so.
        is_chosen: whether the rule that chose it among others is in `rules`.
    """

    verdict: Verdict
    share: float = 1.0
    mark: Marking = UNTOUCHED
    address: Address | None = None
    port: int | None = None
    affinity_s: int | None = None
    recorded: tuple[str, ...] = ()
    hosts: tuple[tuple[Address, Marking], ...] = ()
    rules: tuple[RuleRef, ...] = ()
    is_chosen: bool = False


class Leaf(msgspec.Struct, frozen=True, gc=False):
    """What happens to packets of some sources. The leaves of a walk are in order and together hold every source.

    Attributes:
        conditions: what holds for its sources, negations of what earlier leaves asked too.
        when: those of the conditions that are no such negations.
        mark: what happens to the mark before all the ends.
        rules: the rules that lead there.
        ends: the parts; their shares add up to 1.
        doubts: what could not be judged.
    """

    conditions: tuple[SourceCondition, ...] = ()
    when: tuple[SourceCondition, ...] = ()
    mark: Marking = UNTOUCHED
    rules: tuple[RuleRef, ...] = ()
    ends: tuple[End, ...] = ()
    doubts: tuple[Doubt, ...] = ()

    @property
    def is_settled(self) -> bool:
        """Whether all has left for good, and all that was translated is chosen: callers have nothing to add."""
        for end in self.ends:
            if end.verdict is Verdict.RETURN or (end.verdict is Verdict.TRANSLATE and not end.is_chosen):
                return False
        return True

    @property
    def end(self) -> End | None:
        """Its only end; None where the packets are parted."""
        return self.ends[0] if len(self.ends) == 1 else None


def turn_over(condition: SourceCondition) -> SourceCondition:
    """Return the condition that holds where this one does not."""
    return SourceCondition(kind=condition.kind, values=condition.values, negated=not condition.negated)


def narrow(
    path: tuple[SourceCondition, ...], wanted: Sequence[SourceCondition]
) -> tuple[SourceCondition, ...] | None:
    """Return what of some conditions is still open on a path; None where they cannot all hold there."""
    still_open: list[SourceCondition] = []
    for condition in wanted:
        holds = decide((*path, *still_open), condition)
        if holds is False:
            return None
        if holds is None:
            still_open.append(condition)
    return tuple(still_open)


def put_behind(before: Leaf, leaf: Leaf) -> Leaf | None:
    """Return a leaf as it is for those that come out of another one; None where none of them has its sources."""
    still_open = narrow(before.conditions, leaf.conditions)
    if still_open is None:
        return None
    mark = before.mark if before.end is None else before.mark.then(before.end.mark)
    return replace(
        leaf,
        conditions=(*before.conditions, *still_open),
        when=(*before.when, *(each for each in leaf.when if each in still_open)),
        mark=mark.then(leaf.mark),
        rules=(*before.rules, *leaf.rules),
        doubts=join_doubts(before.doubts, leaf.doubts),
    )


def marking_of(leaves: Sequence[Leaf]) -> Marking | None:
    """Return what a chain does to the mark, if it does nothing else; None where it does."""
    end = leaves[0].end
    if len(leaves) > 1 or end is None or end.verdict is not Verdict.RETURN or leaves[0].doubts:
        return None
    return leaves[0].mark.then(end.mark)


def join_doubts(first: tuple[Doubt, ...], second: tuple[Doubt, ...]) -> tuple[Doubt, ...]:
    """Return both, each once."""
    return tuple(dict.fromkeys((*first, *second))) if second else first


def merge_leaves(leaves: Iterable[Leaf]) -> tuple[Leaf, ...]:
    """Return the leaves without splits that make no difference."""
    merged: list[Leaf] = []
    for leaf in leaves:
        merged.append(leaf)
        while (
            len(merged) > 1 and _do_the_same(merged[-2], merged[-1]) and _are_halves(merged[-2], merged[-1])
        ):
            last = merged.pop()
            merged[-1] = replace(last, conditions=last.conditions[:-1])
    return _share_ends(merged)


def _share_ends(leaves: list[Leaf]) -> tuple[Leaf, ...]:
    """Let leaves with the same ends hold the same object: most that differ do so by their mark only."""
    for number, (one, other) in enumerate(pairwise(leaves), start=1):
        if one.ends == other.ends and one.ends is not other.ends:
            leaves[number] = replace(other, ends=one.ends)
    return tuple(leaves)


def _are_halves(one: Leaf, other: Leaf) -> bool:
    """Whether two leaves came from one by splitting it: they differ in their last condition, which is turned over."""
    left, right = one.conditions, other.conditions
    return (
        len(left) == len(right) > 0
        and left[:-1] == right[:-1]
        and left[-1].negated != right[-1].negated
        and turn_over(left[-1]) == right[-1]
    )


def _do_the_same(one: Leaf, other: Leaf) -> bool:
    """Whether two leaves do the same, whatever the rules that say so."""
    return (
        one.mark == other.mark
        and one.doubts == other.doubts
        and [*map(_without_rules, one.ends)] == [*map(_without_rules, other.ends)]
    )


def _without_rules(end: End) -> End:
    return replace(end, rules=())
