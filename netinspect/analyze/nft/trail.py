"""What is noted on a walk through nft's rules: the rules and elements that lead on, and what could not be judged."""

from __future__ import annotations

from msgspec.structs import replace

from netinspect.analyze.nft.answers import Final, Picked, Translate
from netinspect.analyze.nft.evidence import Evidence
from netinspect.analyze.nft.names import service_in_comment
from netinspect.analyze.nft.packet import State
from netinspect.analyze.nft.spot import Spot, Step
from netinspect.analyze.nft.text import unclear_text
from netinspect.analyze.nft.values import Unclear
from netinspect.analyze.nft.ways import Leaf
from netinspect.models.service_map import Outcome, RuleRef

TOO_MANY = "too many sources to tell apart"


class Notes:
    """Adds to states what is worth noting."""

    def __init__(self) -> None:
        self._evidence = Evidence()

    def rule(self, spot: Spot) -> RuleRef:
        """Return the rule at a spot as evidence."""
        return self._evidence.rule(spot.table, spot.chain, spot.rule)

    def with_rule(self, state: State, spot: Spot) -> State:
        """Add a rule to the evidence, once."""
        own, trail = self.rule(spot), state.trail
        return state if _ends_with(trail, own) else replace(state, trail=(*trail, own))

    def picked(self, found: Picked, step: Step) -> State:
        """Note an element, and whose Service it says it is."""
        spot = step.spot
        element = self._evidence.element(spot.table, spot.chain, found.element, found.named)
        state = self.with_rule(step.state, spot)
        service = state.service or service_in_comment(found.element.comment)
        return replace(state, trail=(*state.trail, element), service=service)

    def doubted(self, unclear: Unclear, step: Step) -> Step:
        """Take what cannot be judged, and could do something, as not matching, and note it."""
        ref, state = self.rule(step.spot), step.state
        what = unclear_text(unclear.what)
        text = f"{what}: {ref.where} {ref.text}" if what else f"{ref.where} {ref.text}"
        if unclear.what == TOO_MANY:  # once for all such rules of a chain
            text = f"{TOO_MANY}: {ref.where}"
        noted = state.undecided if text in state.undecided else (*state.undecided, text)
        return Step(step.spot.after(), replace(state, undecided=noted), step.path)

    def noted(self, changed: State, before: State, spot: Spot) -> State:
        """Note a rule that changed what later rules can see."""
        return changed if changed.effects == before.effects else self.with_rule(changed, spot)

    def leaf(self, found: Translate | Final, step: Step) -> Leaf:
        """Return what a rule makes of a packet in the end."""
        state, table = step.state, step.spot.table
        own = self.rule(step.spot)
        trail = () if _ends_with(state.trail, own) else (own,)
        if isinstance(found, Final):
            return Leaf(outcome=found.outcome, masquerades=found.masquerades, mark=state.mark, trail=trail)
        return Leaf(
            outcome=Outcome.BACKENDS,
            address=found.address,
            port=found.port,
            table=(table.family, table.name),
            mark=state.mark,
            ct_mark=state.ct_mark,
            host_marks=state.host_marks,
            updates=state.updates,
            trail=trail,
        )


def _ends_with(trail: tuple[RuleRef, ...], own: RuleRef) -> bool:
    """Whether a rule is the last that was noted, its element aside."""
    return bool(trail) and (trail[-1] is own or (len(trail) > 1 and trail[-2] is own))
