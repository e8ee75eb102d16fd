"""Walk a packet through the base chains of nft as the kernel does, for all sources at once.

Where a rule asks for the packet's source the walk splits: first what happens where it holds, then the rest. What is
left to chance becomes shares. What cannot be judged is taken as not matching, and is noted where it would have
mattered.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from netinspect.analyze.nft_answers import (
    Answer,
    Chance,
    Final,
    Fork,
    Picked,
    Translate,
    answer,
    change,
    reads_destination,
)
from netinspect.analyze.nft_evidence import Evidence
from netinspect.analyze.nft_hooks import BaseChain
from netinspect.analyze.nft_influence import Influence
from netinspect.analyze.nft_lookup import SetReader
from netinspect.analyze.nft_marking import Marking
from netinspect.analyze.nft_match import Odds
from netinspect.analyze.nft_names import service_in_chain, service_in_comment
from netinspect.analyze.nft_packet import Packet, State
from netinspect.analyze.nft_spot import (
    Choice,
    Forked,
    Move,
    Query,
    Spot,
    Step,
    end,
    forgotten,
    next_rule,
    root,
)
from netinspect.analyze.nft_text import statement_text
from netinspect.analyze.nft_values import Unclear
from netinspect.analyze.nft_ways import Conditions, Leaf, Way, combine, under
from netinspect.analyze.source_conditions import decide
from netinspect.models.nft_expression import Accept, Drop, Goto, Jump, Return, Verdict
from netinspect.models.service_map import Outcome, RuleRef, SourceCondition

_DEEPEST = 16
"""So many jumps inside one another the kernel allows."""
_DEEPEST_SPLIT = 40
_MOST_SPLITS = 500
"""More sources than that are not told apart on one packet's way."""


class WalkKit:
    """What all walks through one ruleset share: sets made ready, evidence, and what chance comes to."""

    def __init__(self) -> None:
        self.sets = SetReader()
        self.evidence = Evidence()
        self.marking = Marking()
        self.chances: dict[tuple[object, ...], tuple[object, Way | None]] = {}
        self.roots: dict[tuple[object, ...], tuple[object, Move]] = {}


class _FellOutError(Exception):
    """A chain that was looked at by itself came to its end: what follows depends on who calls it."""


class Walker:
    """Walks one packet through base chains.

    Args:
        bases: the base chains, as the packet meets them.
        packet: the packet.
        kit: what all walks share.
    """

    def __init__(self, bases: Sequence[BaseChain], packet: Packet, kit: WalkKit) -> None:
        self._bases = bases
        self._packet = packet
        self._kit = kit
        self._influence = Influence(packet, kit.sets)
        self._splits = 0
        self._nested = 0
        self._reads_before = 0

    def walk(self, state: State, path: Conditions = ()) -> list[Way]:
        """Return what happens to the packet.

        Raises:
            SplitError: it depends on which of its possible destinations the packet goes to.
        """
        packet = self._packet
        if packet.is_any:
            return self._run(self._enter(0, state, path))
        key = id(self._bases), packet.origin, packet.is_local, packet.protocol, state, path
        if key not in self._kit.roots:
            self._kit.roots[key] = self._bases, self._settled(self._enter(0, state, path))
        return self._run(self._kit.roots[key][1])

    def _enter(self, base: int, state: State, path: Conditions) -> Move:
        for number in range(base, len(self._bases)):
            found = self._bases[number]
            if found.type != "nat" or state.is_tracked:  # what is not tracked is not translated
                return Step(Spot(found.table, found.chain, 0, number, state), state, path)
        return [end(state, path, Leaf())]

    def _run(self, move: Move) -> list[Way]:
        found: list[Way] = []
        while not isinstance(move := self._settled(move), list):
            if isinstance(move, Query):
                move = self._follow(move)
            elif isinstance(move, Forked):
                move = self._divide(move, found)
        return found + move

    def _settled(self, move: Move) -> Move:
        """Go on to where it depends on the packet what comes next."""
        while isinstance(move, Step):
            at_end = move.spot.index >= len(move.spot.chain.rules)
            move = self._leave(move) if at_end else self._rule(move)
        return move

    def _follow(self, query: Query) -> Move:
        step = query.step
        self._reads_before = self._packet.reads
        found = query.found
        if found is None:
            statement = step.spot.rule.statements[step.at]
            found = answer(statement, step.spot.table, self._packet, step.state, self._kit.sets)
        if isinstance(found, Chance):
            return self._chance(found, step)
        if isinstance(found, Unclear):
            acts = self._influence.of_rule(step)
            if (Unclear, acts) not in query.moves:
                query.moves[Unclear, acts] = self._settled(
                    self._doubted(found, step) if acts else next_rule(step)
                )
            return query.moves[Unclear, acts]
        if not isinstance(found, bool | SourceCondition):
            return self._apply(found, step)
        if found not in query.moves:
            query.moves[found] = self._settled(self._apply(found, step))
        return query.moves[found]

    def _divide(self, forked: Forked, found: list[Way]) -> Move:
        """Add the ways of the sources that are told apart, and return how the rest goes on."""
        self._splits += len(forked.choices)
        if self._splits > _MOST_SPLITS or self._nested >= _DEEPEST_SPLIT:
            return Query(forked.step, Unclear("too many sources to tell apart"))
        for choice in forked.choices:
            choice.move = self._settled(choice.move)
            ways = self._nested_run(choice.move)
            found += ways if choice.when is None else under(choice.when, ways)
        forked.rest = self._settled(forked.rest)
        return forked.rest

    def _nested_run(self, move: Move) -> list[Way]:
        self._nested += 1
        try:
            return self._run(move)
        finally:
            self._nested -= 1

    def _rule(self, step: Step) -> Move:
        spot, state = step.spot, step.state
        statements = spot.rule.statements
        if spot.rule.remainder:
            return Query(replace(step, at=0), Unclear(spot.rule.remainder))
        for at in range(step.at, len(statements)):
            changed = change(statements[at], spot.chain.name, spot.table, self._packet, state)
            if changed is not None:
                state = self._noted(changed, state, spot)
                continue
            lookup = self._kit.marking.affinity(statements[at], spot.rule, spot.table)
            if lookup is not None:
                state = replace(state, lookups=(*state.lookups, lookup))
                break
            if reads_destination(statements[at]):
                return Query(Step(spot, state, step.path, at))
            self._reads_before = self._packet.reads
            found = answer(statements[at], spot.table, self._packet, state, self._kit.sets)
            if found is False:
                break
            if found is not True:
                return self._apply(found, Step(spot, state, step.path, at))
        return Step(spot.after(), state, step.path)

    def _apply(self, found: Answer, step: Step) -> Move:
        match found:
            case bool():
                return replace(step, at=step.at + 1) if found else next_rule(step)
            case Picked():
                return self._apply(found.answer, replace(step, state=self._picked(found, step)))
            case SourceCondition():
                return self._ask(found, step)
            case Fork():
                return self._fork(found, step)
            case Odds():
                odds = (found.share, True), (1 - found.share, False)
                return Query(step, Chance(tuple(each for each in odds if each[0])))
            case Verdict():
                return self._verdict(found, step)
            case Translate() | Final():
                return [end(step.state, step.path, self._leaf(found, step))]
            case _:
                return Query(step, found)

    def _picked(self, found: Picked, step: Step) -> State:
        spot = step.spot
        element = self._kit.evidence.element(spot.table, spot.chain, found.element, found.named)
        state = self._with_rule(step.state, spot)
        service = state.service or service_in_comment(found.element.comment)
        return replace(state, trail=(*state.trail, element), service=service)

    def _verdict(self, verdict: Verdict, step: Step) -> Move:
        match verdict:
            case Drop():
                return [end(step.state, step.path, self._leaf(Final(Outcome.DROP), step))]
            case Accept():
                return self._next_base(replace(step, spot=root(step.spot)))
            case Return():
                return self._leave(step)
            case Jump(target=target) | Goto(target=target):
                return self._jump(target, step, is_goto=isinstance(verdict, Goto))
            case _:
                return next_rule(step)

    def _jump(self, target: str, step: Step, *, is_goto: bool) -> Move:
        spot = step.spot
        chain = spot.table.chains.get(target)
        if chain is None or spot.depth >= _DEEPEST:
            return Query(step, Unclear(Jump(target)))
        state = self._with_rule(step.state, spot)
        state = replace(state, service=state.service or service_in_chain(target))
        entered, back = (spot.entered, spot.back) if is_goto else (step.state, spot.after())
        inside = Spot(spot.table, chain, 0, spot.base, entered, back, spot.depth + 1)
        return Step(inside, state, step.path)

    def _leave(self, step: Step) -> Move:
        """Come to a chain's end."""
        if step.spot.back is None:
            return self._next_base(step)
        return Step(step.spot.back, forgotten(step.spot, step.state), step.path)

    def _next_base(self, step: Step) -> Move:
        if step.spot.base < 0:
            raise _FellOutError
        return self._enter(step.spot.base + 1, forgotten(step.spot, step.state), step.path)

    def _ask(self, asked: SourceCondition, step: Step) -> Move:
        spot = step.spot
        marked = self._kit.marking.host_marks(
            asked, spot.rule, step.at + 1, spot.table, self._packet, step.state
        )
        if marked is not None:  # the same for every packet, wherever it comes from
            self._packet.reads = self._reads_before
            return Step(spot.after(), self._with_rule(marked, spot), step.path)
        decided = decide(step.path, asked)
        if decided is not None:
            return self._apply(decided, step)
        return self._fork(Fork(((asked, True),)), step)

    def _fork(self, fork: Fork, step: Step) -> Move:
        choices: list[Choice] = []
        path = step.path
        for asked, found in fork.choices:
            decided = decide(path, asked)
            if decided is False:
                continue
            move = self._apply(found, replace(step, path=path if decided else (*path, asked)))
            choices.append(Choice(None if decided else asked, move))
            if decided:
                return Forked(step, tuple(choices), [])
            path = (*path, replace(asked, negated=not asked.negated))
        return Forked(step, tuple(choices), Step(step.spot.after(), step.state, path))

    def _chance(self, chance: Chance, step: Step) -> list[Way]:
        """Follow every choice. What comes of them is kept where it is the same for all packets of a protocol."""
        spot, state = step.spot, step.state
        key = (id(spot.rule), step.at, self._packet.protocol, self._packet.is_translated, *state.effects)
        if key not in self._kit.chances:
            self._kit.chances[key] = spot.rule, self._by_itself(chance, step)
        known = self._kit.chances[key][1]
        ways = [replace(known, path=step.path)] if known else self._choices(chance, step)
        return [
            replace(
                way,
                trail=self._with_rule(state, spot).trail,
                undecided=state.undecided,
                lookups=(*state.lookups, *way.lookups),
                service=state.service or way.service,
            )
            for way in ways
        ]

    def _choices(self, chance: Chance, step: Step) -> list[Way]:
        own = self._ref(step.spot)
        fresh = replace(step, state=replace(step.state, trail=(own,), undecided=(), lookups=(), service=""))
        return combine(
            [(share, self._nested_run(self._apply(choice, fresh))) for share, choice in chance.choices], own
        )

    def _by_itself(self, chance: Chance, step: Step) -> Way | None:
        """Follow every choice to its end within the chains that it leads to; None where that cannot be."""
        alone = Spot(step.spot.table, step.spot.chain, step.spot.index, -1, step.state)
        reads = self._packet.reads
        try:
            ways = self._choices(chance, Step(alone, step.state, (), step.at))
        except _FellOutError:
            return None
        return ways[0] if self._packet.reads == reads and len(ways) == 1 else None

    def _doubted(self, unclear: Unclear, step: Step) -> Step:
        """Take what cannot be judged, and could do something, as not matching, and note it."""
        ref, state = self._ref(step.spot), step.state
        text = f"{statement_text(unclear.what)}: {ref.where} {ref.text}"
        noted = state.undecided if text in state.undecided else (*state.undecided, text)
        return Step(step.spot.after(), replace(state, undecided=noted), step.path)

    def _noted(self, changed: State, before: State, spot: Spot) -> State:
        return changed if changed.effects == before.effects else self._with_rule(changed, spot)

    def _leaf(self, found: Translate | Final, step: Step) -> Leaf:
        state, table = step.state, step.spot.table
        own = self._ref(step.spot)
        trail = () if any(each is own for each in state.trail[-2:]) else (own,)
        if isinstance(found, Final):
            return Leaf(outcome=found.outcome, masquerades=found.masquerades, mark=state.mark, trail=trail)
        return Leaf(
            outcome=Outcome.BACKENDS,
            address=found.address,
            port=found.port,
            table=(table.family, table.name),
            mark=state.mark,
            host_marks=state.host_marks,
            updates=state.updates,
            trail=trail,
        )

    def _with_rule(self, state: State, spot: Spot) -> State:
        """Add a rule to the evidence, once."""
        own = self._ref(spot)
        if any(each is own for each in state.trail[-2:]):
            return state
        return replace(state, trail=(*state.trail, own))

    def _ref(self, spot: Spot) -> RuleRef:
        return self._kit.evidence.rule(spot.table, spot.chain, spot.rule)
