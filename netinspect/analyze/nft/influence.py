"""Whether a rule that cannot be judged could change what happens to a packet: only then it is worth a word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netinspect.analyze.nft.answers import Answer, Chance, Final, Fork, Picked, Translate, answer, change
from netinspect.analyze.nft.hooks import BaseChain
from netinspect.analyze.nft.lookup import SetReader
from netinspect.analyze.nft.packet import Packet, SplitError, State
from netinspect.analyze.nft.route import FellOutError
from netinspect.analyze.nft.shortcut import Shortcuts
from netinspect.analyze.nft.spot import Spot, Step
from netinspect.analyze.nft.values import Unclear
from netinspect.models.nft import NftChain, NftRule, NftTable
from netinspect.models.nft_expression import Accept, Drop, Goto, Jump, Return
from netinspect.models.nft_statement import Mangle, Match, Notrack, Statement, Xt

_DEEPEST = 16


class Influence:
    """Looks ahead: takes what cannot be judged for both, and asks whether anything can happen at all."""

    def __init__(
        self, bases: Sequence[BaseChain], packet: Packet, sets: SetReader, shortcuts: Shortcuts
    ) -> None:
        self._bases = bases
        self._packet = packet
        self._sets = sets
        self._shortcuts = shortcuts

    def of_rule(self, step: Step) -> bool:
        """Whether a rule, from a statement on that may hold, could do something, now or by what it skips.

        Raises:
            FellOutError: that depends on who calls the chain.
        """
        after, drops = step.spot.after(), self._drops(step.spot)
        found = self._effects(step.spot.table, step.spot.rule, step.at, step.state, 0)
        if any(isinstance(each, Accept | Return | Goto) for each in found):
            found += self._ahead(after, step.state, 0)
        if any(each is True or (drops and isinstance(each, Accept)) for each in found):
            return True
        # What is accepted passes by the rest of all chains that led here.
        return any(isinstance(each, Accept) for each in found) and self._any_acts(after, step.state)

    def _drops(self, spot: Spot) -> bool:
        return spot.base >= 0 and self._bases[spot.base].drops

    def _any_acts(self, spot: Spot | None, state: State) -> bool:
        """Whether anything acts behind a spot, up to the end of the base chain."""
        while spot is not None:
            if True in self._ahead(spot, state, 0):
                return True
            if spot.back is None and spot.base < 0:
                raise FellOutError
            spot = spot.back
        return False

    def _ahead(self, spot: Spot, state: State, depth: int) -> tuple[object, ...]:
        """Return True where something acts in the rest of a chain, else Accept where the packet may leave it so."""
        accepted: tuple[object, ...] = ()
        for index in self._rules(spot.chain, spot.index):
            effects = self._effects(spot.table, spot.chain.rules[index], 0, state, depth)
            if True in effects:
                return (True,)
            accepted = accepted or tuple(each for each in effects if isinstance(each, Accept))
        return accepted

    def _rules(self, chain: NftChain, start: int) -> Iterator[int]:
        """Return the numbers of a chain's rules that may match."""
        shortcut = None if self._packet.is_any else self._shortcuts.of(chain)
        index = start
        while index < len(chain.rules):
            index = index if shortcut is None else shortcut.next(index, self._packet.addresses[0])
            if index < len(chain.rules):
                yield index
            index += 1

    def _effects(self, table: NftTable, rule: NftRule, at: int, state: State, depth: int) -> list[object]:
        """Return True for what acts, and verdicts that only skip; of a rule that cannot match what it sets."""
        found: list[object] = []
        sets: list[object] = []
        for statement in rule.statements[at:]:
            if isinstance(statement, Mangle | Notrack):
                sets.append(True)
            if change(statement, "", table, self._packet, state) is not None:
                continue
            answered = self._ask(statement, table, state)
            if answered is False:
                return sets
            found += self._of(answered, statement, table, state, depth)
        return found + sets

    def _ask(self, statement: Statement, table: NftTable, state: State) -> Answer:
        try:
            return answer(statement, table, self._packet, state, self._sets)
        except SplitError:
            return Unclear(statement)

    def _of(
        self, found: Answer, statement: Statement, table: NftTable, state: State, depth: int
    ) -> Iterator[object]:
        if isinstance(found, Picked):
            yield from self._of(found.answer, statement, table, state, depth)
        elif isinstance(found, Fork | Chance):
            rest = (found.rest,) if isinstance(found, Fork) else ()
            for choice in (*(each for _, each in found.choices), *rest):
                yield from self._of(choice, statement, table, state, depth)
        elif isinstance(found, Jump | Goto):
            yield found
            yield from self._chain(table, found.target, state, depth + 1)
        elif isinstance(found, Drop | Translate | Final):
            yield True
        elif isinstance(found, Unclear):
            yield not isinstance(statement, Match) and not _only_asks(statement)
        else:
            yield found if isinstance(found, Accept | Return) else None

    def _chain(self, table: NftTable, name: str, state: State, depth: int) -> tuple[object, ...]:
        chain = table.chains.get(name)
        if chain is None or depth > _DEEPEST:
            return (True,)
        return self._ahead(Spot(table, chain, 0, -1, state), state, depth)


def _only_asks(statement: Statement) -> bool:
    return isinstance(statement, Xt) and statement.type == "match"
