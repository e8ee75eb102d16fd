"""Where in nft's rules a packet is, and how it gets on."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from netinspect.analyze.nft.answers import Answer
from netinspect.analyze.nft.packet import State
from netinspect.analyze.nft.ways import Conditions, Leaf, Way
from netinspect.models.nft import NftChain, NftRule, NftTable
from netinspect.models.service_map import SourceCondition


class Spot(msgspec.Struct, frozen=True):
    """Where in the rules a packet is.

    Attributes:
        table: of the chain.
        chain: it is in.
        index: of the rule that is next.
        base: number of the base chain that it came by; -1 is nowhere: the walk ends with the chain.
        entered: what was known of the packet when it came into the chain.
        back: where it goes on at the chain's end; None for the next base chain.
        depth: how many jumps it is deep.
    """

    table: NftTable
    chain: NftChain
    index: int
    base: int
    entered: State
    back: Spot | None = None
    depth: int = 0

    @property
    def rule(self) -> NftRule:
        """The rule that is next."""
        return self.chain.rules[self.index]

    def after(self) -> Spot:
        """Return the spot behind that rule."""
        return Spot(self.table, self.chain, self.index + 1, self.base, self.entered, self.back, self.depth)


class Step(msgspec.Struct, frozen=True):
    """Where the walk goes on.

    Attributes:
        spot: with which rule.
        state: of the packet.
        path: what is known of its source.
        at: with which statement of the rule.
    """

    spot: Spot
    state: State
    path: Conditions
    at: int = 0


class Query(msgspec.Struct):
    """Where it depends on the packet's destination, or on chance, how the walk goes on.

    Attributes:
        step: with which statement.
        found: what that says, where it is known already: chance, or what cannot be judged.
        moves: how it goes on, by answer: packets come by here by the ten thousand.
    """

    step: Step
    found: Answer | None = None
    moves: dict[object, Move] = msgspec.field(default_factory=dict)


class Choice(msgspec.Struct):
    """How it goes on where a condition holds; None is for all that are left."""

    when: SourceCondition | None
    move: Move


class Forked(msgspec.Struct):
    """Where it depends on the packet's source how the walk goes on.

    Attributes:
        step: with which statement.
        choices: the first whose condition holds counts.
        rest: how it goes on where none does.
    """

    step: Step
    choices: tuple[Choice, ...]
    rest: Move


Move = list[Way] | Step | Query | Forked
"""Where the walk ends, or goes on."""


def end(state: State, path: Conditions, leaf: Leaf) -> Way:
    """Return the way that ends here."""
    return Way(
        path=path,
        trail=state.trail,
        undecided=state.undecided,
        lookups=state.lookups,
        service=state.service,
        leaves=(leaf,),
    )


def root(spot: Spot) -> Spot:
    """Return the spot in the base chain that a packet came from."""
    while spot.back is not None:
        spot = spot.back
    return spot


def forgotten(spot: Spot, state: State) -> State:
    """Drop the rules of a chain in which nothing happened: they are no evidence."""
    return replace(state, trail=spot.entered.trail) if state.effects == spot.entered.effects else state


def next_rule(step: Step) -> Step:
    """Return the step behind a rule."""
    return Step(step.spot.after(), step.state, step.path)
