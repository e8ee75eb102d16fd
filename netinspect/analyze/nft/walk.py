"""Walk a packet through the base chains of nft as the kernel does, for all sources at once.

Where a rule asks for the packet's source the walk splits: first what happens where it holds, then the rest. What is
left to chance becomes shares. What cannot be judged is taken as not matching, and is noted where it would have
mattered.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from netinspect.analyze.nft.answers import (
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
from netinspect.analyze.nft.hooks import BaseChain
from netinspect.analyze.nft.influence import Influence
from netinspect.analyze.nft.kit import WalkKit
from netinspect.analyze.nft.marking import hosts_of
from netinspect.analyze.nft.match import Odds
from netinspect.analyze.nft.packet import Packet, State
from netinspect.analyze.nft.route import FellOutError, Route
from netinspect.analyze.nft.spot import (
    Choice,
    Forked,
    Move,
    Query,
    Spot,
    Step,
    end,
    next_rule,
)
from netinspect.analyze.nft.trail import TOO_MANY
from netinspect.analyze.nft.values import Unclear
from netinspect.analyze.nft.ways import Conditions, Way, combine, under
from netinspect.analyze.service_map.source_conditions import decide
from netinspect.models.nft_expression import Verdict
from netinspect.models.nft_statement import Statement
from netinspect.models.service_map import SourceCondition

_LONGEST_PATH = 48
"""So many conditions on one source are told apart; what asks for more is named as undecided."""
_MOST_SPLITS = 500
"""So many sources are told apart for one packet."""
_PASS_BY = Unclear("the next rule that may match")
_KEPT = bool, SourceCondition
_HOSTS, _OTHERS = "hosts", "others"


class Walker:
    """Walks one packet through base chains.

    Args:
        bases: the base chains, as the packet meets them.
        packet: the packet.
        kit: what all walks share.

    Attributes:
        hosts: single hosts whose packets are masqueraded (in POSTROUTING); filled by the walk.
    """

    def __init__(self, bases: Sequence[BaseChain], packet: Packet, kit: WalkKit) -> None:
        self._bases = bases
        self._packet = packet
        self._kit = kit
        self._notes = kit.notes
        self._route = Route(bases, kit.notes)
        self._influence = Influence(bases, packet, kit.sets, kit.shortcuts)
        self._splits = 0
        self._reads_before = 0
        self.hosts: set[str] = set()

    def walk(self, state: State, path: Conditions = ()) -> list[Way]:
        """Return what happens to the packet.

        Raises:
            SplitError: it depends on which of its possible destinations the packet goes to.
        """
        packet = self._packet
        if packet.is_any:
            return self._run(self._route.enter(0, state, path))
        key = id(self._bases), packet.origin, packet.is_local, packet.protocol, state, path
        if key not in self._kit.roots:
            self._kit.roots[key] = self._bases, self._settled(self._route.enter(0, state, path))
        return self._run(self._kit.roots[key][1])

    def _run(self, move: Move) -> list[Way]:
        found: list[Way] = []
        while not isinstance(move := self._settled(move), list):
            if isinstance(move, Query):
                move = self._follow(move)
            elif isinstance(move, Forked):
                move = self._divide(move, found)
        return found + move if found else move

    def _settled(self, move: Move) -> Move:
        """Go on to where it depends on the packet what comes next."""
        while isinstance(move, Step):
            if move.spot.index >= len(move.spot.chain.rules):
                move = self._route.leave(move)
            elif move.at == 0 and self._kit.shortcuts.of(move.spot.chain) is not None:
                move = Query(move, _PASS_BY)
            else:
                move = self._rule(move)
        return move

    def _passed_by(self, query: Query) -> Move:
        """Go on with the next rule that may match, past those for other destinations."""
        spot, packet = query.step.spot, self._packet
        shortcut = self._kit.shortcuts.of(spot.chain)
        packet.reads += 1
        index = spot.index
        if shortcut is not None and not packet.is_any:
            index = shortcut.next(index, packet.addresses[0])
        if index not in query.moves:
            step = replace(query.step, spot=replace(spot, index=index))
            is_last = index >= len(spot.chain.rules)
            query.moves[index] = self._settled(self._route.leave(step) if is_last else self._rule(step))
        return query.moves[index]

    def _follow(self, query: Query) -> Move:
        step = query.step
        if query.found is _PASS_BY:
            return self._passed_by(query)
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
                    self._notes.doubted(found, step) if acts else next_rule(step)
                )
            return query.moves[Unclear, acts]
        if (
            isinstance(found, SourceCondition)
            and self._packet.is_translated
            and self._masquerades(found, query)
        ):
            return query.moves[_OTHERS]
        if not isinstance(found, _KEPT):
            return self._apply(found, step)
        if found not in query.moves:
            query.moves[found] = self._settled(self._apply(found, step))
        return query.moves[found]

    def _masquerades(self, asked: SourceCondition, query: Query) -> bool:
        """Note the single hosts whose packets are masqueraded; what happens to others is the same for all packets."""
        hosts = hosts_of(asked, self._packet.family)
        if not hosts:
            return False
        if _HOSTS not in query.moves:
            query.moves[_HOSTS] = self._settled(self._apply(True, query.step))
            query.moves[_OTHERS] = self._settled(next_rule(query.step))
        if not all(leaf.masquerades for way in self._run(query.moves[_HOSTS]) for leaf in way.leaves):
            return False
        self.hosts.update(hosts)
        return True

    def _divide(self, forked: Forked, found: list[Way]) -> Move:
        """Add the ways of the sources that are told apart, and return how the rest goes on."""
        self._splits += len(forked.choices)
        if self._splits > _MOST_SPLITS:
            return Query(forked.step, Unclear(TOO_MANY))
        for choice in forked.choices:
            choice.move = self._settled(choice.move)
            ways = self._run(choice.move)
            found += ways if choice.when is None else under(choice.when, ways)
        forked.rest = self._settled(forked.rest)
        return forked.rest

    def _rule(self, step: Step) -> Move:
        spot, state = step.spot, step.state
        statements = spot.rule.statements
        if spot.rule.remainder:
            return Query(replace(step, at=0), Unclear(spot.rule.remainder))
        for at in range(step.at, len(statements)):
            changed = change(statements[at], spot.chain.name, spot.table, self._packet, state)
            if changed is not None:
                state = self._notes.noted(changed, state, spot)
                continue
            lookup = self._kit.marking.affinity(statements[at], spot.rule, spot.table)
            if lookup is not None:
                state = replace(state, lookups=(*state.lookups, lookup))
                break
            if reads_destination(statements[at]):
                return Query(Step(spot, state, step.path, at))
            found = self._answer(statements[at], spot, state)
            if found is False:
                break
            if found is not True:
                return self._apply(found, Step(spot, state, step.path, at))
        return Step(spot.after(), state, step.path)

    def _answer(self, statement: Statement, spot: Spot, state: State) -> Answer:
        """Return what a statement says; what is left to chance is read once."""
        known = self._kit.by_chance.get(id(statement))
        if known is not None:
            return known[1]
        self._reads_before = self._packet.reads
        found = answer(statement, spot.table, self._packet, state, self._kit.sets)
        if isinstance(found, Chance):
            self._kit.by_chance[id(statement)] = statement, found
        return found

    def _apply(self, found: Answer, step: Step) -> Move:
        match found:
            case bool():
                return replace(step, at=step.at + 1) if found else next_rule(step)
            case Picked():
                return self._apply(found.answer, replace(step, state=self._notes.picked(found, step)))
            case SourceCondition():
                return self._ask(found, step)
            case Fork():
                return self._fork(found, step)
            case Odds():
                odds = (found.share, True), (1 - found.share, False)
                return Query(step, Chance(tuple(each for each in odds if each[0])))
            case Verdict():
                return self._route.verdict(found, step)
            case Translate() | Final():
                return [end(step.state, step.path, self._notes.leaf(found, step))]
            case _:
                return Query(step, found)

    def _ask(self, asked: SourceCondition, step: Step) -> Move:
        spot = step.spot
        marked = self._kit.marking.host_marks(
            asked, spot.rule, step.at + 1, spot.table, self._packet, step.state
        )
        if marked is not None:  # the same for every packet, wherever it comes from
            self._packet.reads = self._reads_before
            return Step(spot.after(), self._notes.with_rule(marked, spot), step.path)
        return self._fork(Fork(((asked, True),)), step)

    def _fork(self, fork: Fork, step: Step) -> Move:
        choices: list[Choice] = []
        path = step.path
        if len(path) + len(fork.choices) > _LONGEST_PATH:
            return Query(step, Unclear(TOO_MANY))
        for asked, found in fork.choices:
            decided = decide(path, asked)
            if decided is False:
                continue
            move = self._apply(found, replace(step, path=path if decided else (*path, asked)))
            choices.append(Choice(None if decided else asked, move))
            if decided:
                return move if len(choices) == 1 else Forked(step, tuple(choices), [])
            path = (*path, replace(asked, negated=not asked.negated))
        rest = self._apply(fork.rest, replace(step, path=path))
        return Forked(step, tuple(choices), rest) if choices else rest

    def _chance(self, chance: Chance, step: Step) -> list[Way]:
        """Follow every choice. What comes of them is kept where it is the same for all packets of a protocol."""
        spot, state = step.spot, step.state
        key = (id(spot.rule), step.at, self._packet.protocol, self._packet.is_translated, *state.effects)
        if key not in self._kit.chances:
            self._kit.keep_few()
            self._kit.chances[key] = spot.rule, self._by_itself(chance, step)
        known = self._kit.chances[key][1]
        ways = [replace(known, path=step.path)] if known else self._choices(chance, step)
        return [
            replace(
                way,
                trail=self._notes.with_rule(state, spot).trail,
                undecided=state.undecided,
                lookups=(*state.lookups, *way.lookups),
                service=state.service or way.service,
            )
            for way in ways
        ]

    def _choices(self, chance: Chance, step: Step) -> list[Way]:
        own = self._notes.rule(step.spot)
        fresh = replace(step, state=replace(step.state, trail=(own,), undecided=(), lookups=(), service=""))
        return combine(
            [(share, self._run(self._apply(choice, fresh))) for share, choice in chance.choices], own
        )

    def _by_itself(self, chance: Chance, step: Step) -> Way | None:
        """Follow every choice to its end within the chains that it leads to; None where that cannot be."""
        alone = Spot(step.spot.table, step.spot.chain, step.spot.index, -1, step.state)
        reads = self._packet.reads
        try:
            ways = self._choices(chance, Step(alone, step.state, (), step.at))
        except FellOutError:
            return None
        return ways[0] if self._packet.reads == reads and len(ways) == 1 else None
