"""Whether a rule that cannot be judged could change what happens to a packet: only then it is worth a word."""

from __future__ import annotations

from collections.abc import Iterator

from netinspect.analyze.nft.answers import Answer, Chance, Final, Fork, Picked, Translate, answer, change
from netinspect.analyze.nft.lookup import SetReader
from netinspect.analyze.nft.packet import Packet, SplitError, State
from netinspect.analyze.nft.shortcut import Shortcuts
from netinspect.analyze.nft.spot import Step
from netinspect.analyze.nft.values import Unclear
from netinspect.models.nft import NftChain, NftRule, NftTable
from netinspect.models.nft_expression import Accept, Drop, Goto, Jump, Return
from netinspect.models.nft_statement import Mangle, Match, Notrack, Statement, Xt

_DEEPEST = 16


class Influence:
    """Looks ahead: takes what cannot be judged for both, and asks whether anything can happen at all."""

    def __init__(self, packet: Packet, sets: SetReader, shortcuts: Shortcuts) -> None:
        self._packet = packet
        self._sets = sets
        self._shortcuts = shortcuts

    def of_rule(self, step: Step) -> bool:
        """Whether a rule, from a statement on that may hold, could do something, now or by what it skips."""
        table, state = step.spot.table, step.state
        verdicts = self._effects(table, step.spot.rule, step.at, state, 0)
        if any(each is True for each in verdicts):
            return True
        skips = any(isinstance(each, Accept | Return | Goto) for each in verdicts)
        return skips and self._any_acts(table, step.spot.chain, step.spot.index + 1, state, 0)

    def _any_acts(self, table: NftTable, chain: NftChain, start: int, state: State, depth: int) -> bool:
        return any(
            each is True
            for index in self._rules(chain, start)
            for each in self._effects(table, chain.rules[index], 0, state, depth)
        )

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
            yield self._chain_acts(table, found.target, state, depth + 1)
        elif isinstance(found, Drop | Translate | Final):
            yield True
        elif isinstance(found, Unclear):
            yield not isinstance(statement, Match) and not _only_asks(statement)
        else:
            yield found if isinstance(found, Accept | Return) else None

    def _chain_acts(self, table: NftTable, name: str, state: State, depth: int) -> bool:
        chain = table.chains.get(name)
        if chain is None or depth > _DEEPEST:
            return True
        return self._any_acts(table, chain, 0, state, depth)


def _only_asks(statement: Statement) -> bool:
    return isinstance(statement, Xt) and statement.type == "match"
