"""How verdicts lead from chain to chain of nft, and from one base chain to the next. The same for every packet."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from netinspect.analyze.nft.answers import Final
from netinspect.analyze.nft.hooks import BaseChain
from netinspect.analyze.nft.names import service_in_chain
from netinspect.analyze.nft.packet import State
from netinspect.analyze.nft.spot import Move, Query, Spot, Step, end, forgotten, next_rule, root
from netinspect.analyze.nft.trail import Notes
from netinspect.analyze.nft.values import Unclear
from netinspect.analyze.nft.ways import Conditions, Leaf
from netinspect.models.nft_expression import Accept, Continue, Drop, Goto, Jump, Return, Verdict
from netinspect.models.service_map import Outcome, RuleRef

_DEEPEST = 16
"""So many jumps inside one another the kernel allows."""


class FellOutError(Exception):
    """A chain that was looked at by itself came to its end: what follows depends on who calls it."""


class Route:
    """The way through some base chains."""

    def __init__(self, bases: Sequence[BaseChain], notes: Notes) -> None:
        self._bases = bases
        self._notes = notes

    def enter(self, base: int, state: State, path: Conditions) -> Move:
        """Enter a base chain, by its number, or the next one that takes the packet."""
        for number in range(base, len(self._bases)):
            found = self._bases[number]
            if (found.link, found.is_early) != (state.link, state.is_early):
                state = replace(state, link=found.link, is_early=found.is_early)
            if found.type != "nat" or state.is_tracked:  # what is not tracked is not translated
                return Step(Spot(found.table, found.chain, 0, number, state), state, path)
        return [end(state, path, Leaf())]

    def verdict(self, verdict: Verdict, step: Step) -> Move:
        """Do as a verdict says."""
        match verdict:
            case Drop():
                return [end(step.state, step.path, self._notes.leaf(Final(Outcome.DROP), step))]
            case Accept():
                return self._next_base(replace(step, spot=root(step.spot)))
            case Return():
                return self.leave(step)
            case Jump(target=target) | Goto(target=target):
                return self._jump(target, step, is_goto=isinstance(verdict, Goto))
            case Continue():
                return replace(step, at=step.at + 1)
            case _:
                return next_rule(step)

    def leave(self, step: Step) -> Move:
        """Come to a chain's end; that of a base chain is decided by its policy."""
        if step.spot.back is None:
            return self._by_policy(step)
        return Step(step.spot.back, forgotten(step.spot, step.state), step.path)

    def _jump(self, target: str, step: Step, *, is_goto: bool) -> Move:
        spot = step.spot
        chain = spot.table.chains.get(target)
        if chain is None or spot.depth >= _DEEPEST:
            return Query(step, Unclear(Jump(target)))
        state = self._notes.with_rule(step.state, spot)
        state = replace(state, service=state.service or service_in_chain(target))
        entered, back = (spot.entered, spot.back) if is_goto else (step.state, spot.after())
        inside = Spot(spot.table, chain, 0, spot.base, entered, back, spot.depth + 1)
        return Step(inside, state, step.path)

    def _by_policy(self, step: Step) -> Move:
        base = self._bases[step.spot.base] if step.spot.base >= 0 else None
        if base is None or not base.drops:
            return self._next_base(step)
        policy = RuleRef(where=f"{base.table.name} {base.chain.name}", text="policy drop")
        return [end(step.state, step.path, Leaf(outcome=Outcome.DROP, trail=(policy,)))]

    def _next_base(self, step: Step) -> Move:
        if step.spot.base < 0:
            raise FellOutError
        return self.enter(step.spot.base + 1, forgotten(step.spot, step.state), step.path)
