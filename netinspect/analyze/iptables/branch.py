"""One branch of a walk while it goes through the rules of a chain: what is still on its way, and what has left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from netinspect.analyze.iptables.effect import Effect, Verdict
from netinspect.analyze.iptables.leaf import Doubt, End, Leaf, join_doubts, narrow, turn_over
from netinspect.analyze.iptables.residue import RecentCheck
from netinspect.analyze.service_map.packet_mark import UNTOUCHED, Marking
from netinspect.analyze.service_map.source_conditions import decide
from netinspect.models.address import Address
from netinspect.models.service_map import RuleRef, SourceCondition


class _Affinity(msgspec.Struct, frozen=True):
    """A rule that sends a source where it was lately.

    Attributes:
        seconds: how lately.
        places: where it sends it.
        ref: the rule.
    """

    seconds: int
    places: frozenset[tuple[Address | None, int | None]]
    ref: RuleRef


class Branch:
    """Packets of some sources on their way through a chain.

    Attributes:
        conditions: what holds for their sources.
        share: the part that is still on its way, 0 to 1.
    """

    __slots__ = (
        "_affinities",
        "_after",
        "_doubts",
        "_ends",
        "_hosts",
        "_mark",
        "_rules",
        "_when",
        "conditions",
        "share",
    )

    def __init__(self) -> None:
        self.conditions: tuple[SourceCondition, ...] = ()
        self.share = 1.0
        self._when: tuple[SourceCondition, ...] = ()
        self._mark = UNTOUCHED
        self._after = UNTOUCHED  # what happened to the mark since a part has left
        self._rules: tuple[RuleRef, ...] = ()
        self._ends: tuple[End, ...] = ()
        self._doubts: tuple[Doubt, ...] = ()
        self._affinities: dict[str, _Affinity] = {}
        self._hosts: tuple[tuple[Address, Marking, RuleRef], ...] = ()

    @property
    def marking(self) -> Marking:
        """What has happened to the mark of what is still on its way."""
        return self._mark.then(self._after)

    @property
    def is_untouched(self) -> bool:
        """Whether nothing at all has happened to it yet."""
        return (
            not (self.conditions or self._ends or self._doubts or self._hosts or self._affinities)
            and self._mark is UNTOUCHED
            and not self._rules
        )

    @property
    def has_open_hosts(self) -> bool:
        """Whether hosts were noted whose packets then were not translated in the same chain, all of them."""
        return bool(self._hosts) and (self.share > 0 or any(not end.hosts for end in self._ends))

    @property
    def can_settle(self) -> bool:
        """Whether all of it is still on its way, or nothing, and nothing waits for what it comes to."""
        return not self.share or (self.share == 1 and not self._ends and not self._affinities)

    def settle(self, ends: tuple[End, ...]) -> None:
        """Let all that is still on its way leave by some ends, which are chosen."""
        if self.share:
            self._ends, self.share = ends, 0.0

    def doubt(self, text: str, target: str) -> None:
        """Note a rule that may match, and does not count."""
        self._doubts = join_doubts(self._doubts, (Doubt(text, target),))

    def split(self, conditions: Sequence[SourceCondition]) -> Iterator[tuple[Branch, bool]]:
        """Yield this branch, or what it falls into, in order; each with whether all the conditions hold for it."""
        refused: list[Branch] = []
        branch = self
        for condition in conditions:
            holds = decide(branch.conditions, condition)
            if holds is False:
                yield branch, False
                break
            if holds is None:
                refused.append(branch._with(turn_over(condition)))
                branch = branch._with(condition)
                branch._when = (*branch._when, condition)
        else:
            yield branch, True
        for each in reversed(refused):
            yield each, False

    def copy(self) -> Branch:
        """Return another one that is alike so far."""
        other = Branch.__new__(Branch)
        other.conditions, other.share = self.conditions, self.share
        other._when, other._mark, other._after = self._when, self._mark, self._after
        other._rules, other._ends, other._doubts = self._rules, self._ends, self._doubts
        other._hosts, other._affinities = self._hosts, dict(self._affinities)
        return other

    def is_like(self, other: Branch) -> bool:
        """Whether another one is in the same state, whatever its sources and the rules that led there."""
        return (
            self.share == other.share
            and self._ends == other._ends
            and self.marking == other.marking
            and self._doubts == other._doubts
            and self._hosts == other._hosts
            and self._affinities == other._affinities
        )

    def remember(self, check: RecentCheck, leaves: Sequence[Leaf], ref: RuleRef) -> None:
        """Note that a source which is on a list is sent to where some leaves lead."""
        places = frozenset((end.address, end.port) for leaf in leaves for end in leaf.ends)
        self._affinities.setdefault(check.name, _Affinity(check.seconds, places, ref))

    def note_host(self, host: Address, marking: Marking, ref: RuleRef) -> None:
        """Note what happens to the mark of one source, without a branch of its own."""
        self._hosts = (*self._hosts, (host, marking, ref))

    def remark(self, marking: Marking, ref: RuleRef, part: float = 1.0) -> None:
        """Change the mark of a part of what is on its way."""
        if marking is UNTOUCHED:
            return
        changed = self._after.then(marking)
        self._after = changed if part == 1 else self._after.join(changed)
        self._rules = (*self._rules, ref)
        self._settle()

    def translate(self, effect: Effect, recorded: Sequence[str], ref: RuleRef, part: float = 1.0) -> None:
        """Let a part leave for another destination."""
        hosts = tuple((host, marking) for host, marking, _ in self._hosts)
        end = End(
            Verdict.TRANSLATE,
            self.share * part,
            self._after,
            effect.address,
            effect.port,
            recorded=tuple(recorded),
            hosts=hosts,
            rules=(*(each for _, _, each in self._hosts), ref),
        )
        self._ends = (*self._ends, self._follow_up(end) if self._affinities else end)
        self._take(part)

    def leave(self, verdict: Verdict, ref: RuleRef, part: float = 1.0) -> None:
        """Let a part leave with a verdict."""
        self._ends = (*self._ends, End(verdict, self.share * part, self._after))
        self._rules = (*self._rules, ref)
        self._take(part)

    def enter(
        self, leaves: Sequence[Leaf], ref: RuleRef, part: float = 1.0, *, is_goto: bool
    ) -> Sequence[Branch]:
        """Go through another chain, of which the leaves are known; return this branch, or what it falls into."""
        if len(leaves) == 1:
            self._absorb(leaves[0], ref, part, is_goto=is_goto)
            return (self,)
        parts = []
        for leaf in leaves:
            still_open = narrow(self.conditions, leaf.conditions)
            if still_open is not None:
                branch = self.copy()
                branch.conditions = (*self.conditions, *still_open)
                branch._when = (*self._when, *(each for each in leaf.when if each in still_open))
                branch._absorb(leaf, ref, part, is_goto=is_goto)
                parts.append(branch)
        return parts

    def finish(self) -> Leaf:
        """Return what has become of it at the chain's end."""
        ends = self._ends
        if self.share:
            ends = (*ends, End(Verdict.RETURN, self.share, self._after))
        return Leaf(self.conditions, self._when, self._mark, self._rules, ends, self._doubts)

    def _with(self, condition: SourceCondition) -> Branch:
        other = self.copy()
        other.conditions = (*self.conditions, condition)
        return other

    def _take(self, part: float) -> None:
        self.share = 0.0 if part == 1 else self.share * (1 - part)

    def _settle(self) -> None:
        """As long as nothing has left, what happens to the mark happens to all."""
        if not self._ends:
            self._mark, self._after = self._mark.then(self._after), UNTOUCHED

    def _absorb(self, leaf: Leaf, ref: RuleRef, part: float, *, is_goto: bool) -> None:
        self._doubts = join_doubts(self._doubts, leaf.doubts)
        end = leaf.end
        if part == 1 and end is not None and end.verdict is Verdict.RETURN and not is_goto:
            change = leaf.mark.then(end.mark)
            if change is not UNTOUCHED:
                self._after = self._after.then(change)
                self._rules = (*self._rules, ref, *leaf.rules)
                self._settle()
        elif part == 1 and not self._ends and not self._affinities and leaf.is_settled:
            self._mark = self._mark.then(leaf.mark)
            self._rules = (*self._rules, ref, *leaf.rules)
            self._ends, self.share = leaf.ends, 0.0
        else:
            self._take_in(leaf, ref, part, is_goto=is_goto)

    def _take_in(self, leaf: Leaf, ref: RuleRef, part: float, *, is_goto: bool) -> None:
        taken, back = self.share * part, 0.0
        marks: list[Marking] = []
        ends = list(self._ends)
        for end in leaf.ends:
            mark = self._after.then(leaf.mark).then(end.mark)
            if end.verdict is Verdict.RETURN and not is_goto:
                back += end.share * taken
                marks.append(mark)
                continue
            rules = (ref, *leaf.rules, *end.rules)
            chosen = replace(end, share=end.share * taken, mark=mark, rules=rules, is_chosen=True)
            ends.append(self._follow_up(chosen) if self._affinities and chosen.recorded else chosen)
        rest = 0.0 if part == 1 else self.share - taken
        marks = [*marks, self._after] if rest else marks
        for number, mark in enumerate(marks):
            self._after = mark if number == 0 else self._after.join(mark)
        self._ends, self.share = tuple(ends), rest + back

    def _follow_up(self, end: End) -> End:
        """Say of an end that its sources come again, if the rules that looked at its list send them there."""
        for name in end.recorded:
            affinity = self._affinities.get(name)
            if affinity is None:
                continue
            if affinity.places == {(end.address, end.port)}:
                return replace(end, affinity_s=affinity.seconds, rules=(affinity.ref, *end.rules))
            self.doubt(f"recent list {name}: the rule that looks at it leads elsewhere", "")
        return end
