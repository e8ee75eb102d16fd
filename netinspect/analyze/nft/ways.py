"""What a walk through nft's rules ends in: ways, each for some sources, each with what happens by chance.

The first way whose conditions hold counts. Combining the ways of things that happen by chance keeps that order: pairs
are taken as words of two letters are.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from netinspect.models.service_map import Outcome, RuleRef, SourceCondition

Conditions = tuple[SourceCondition, ...]


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that may happen to a packet.

    Attributes:
        share: how likely it is (0 to 1).
        outcome: what happens. None where a chain came to its end before anything happened (internal to the walk).
        masquerades: in POSTROUTING: whether the source is rewritten.
        address: what the destination is rewritten to; empty where it is not.
        port: likewise; None leaves it.
        table: the table of the rule that translates: family and name.
        mark: the packet's mark at the end.
        ct_mark: likewise that of its connection.
        host_marks: other marks that packets of single hosts have.
        updates: affinity sets that the source is put into: name, seconds, chain.
        trail: rules that led here from where chance began.
        undecided: what could not be judged on this part of the way.
    """

    share: float = 1.0
    outcome: Outcome | None = Outcome.NONE
    masquerades: bool = False
    address: str = ""
    port: int | None = None
    table: tuple[str, str] = ("", "")
    mark: int | None = 0
    ct_mark: int | None = 0
    host_marks: tuple[tuple[str, int | None], ...] = ()
    updates: tuple[tuple[str, int, str], ...] = ()
    trail: tuple[RuleRef, ...] = ()
    undecided: tuple[str, ...] = ()


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to packets of some sources.

    Attributes:
        when: what holds for them; negations of what earlier ways asked are not repeated.
        path: all that is known of the source, those negations too.
        trail: rules that led here, up to where chance began.
        undecided: what could not be judged.
        lookups: affinity sets that were looked into, with the chain that a hit leads to.
        service: whose Service the rules say it is; empty where they do not.
        leaves: what may happen; their shares add up to 1.
    """

    when: Conditions = ()
    path: Conditions = ()
    trail: tuple[RuleRef, ...] = ()
    undecided: tuple[str, ...] = ()
    lookups: tuple[tuple[str, str], ...] = ()
    service: str = ""
    leaves: tuple[Leaf, ...]


def under(condition: SourceCondition, ways: Sequence[Way]) -> list[Way]:
    """Return ways that are only for sources for which a condition holds."""
    return [each if condition in each.when else replace(each, when=(condition, *each.when)) for each in ways]


def combine(parts: Sequence[tuple[float, Sequence[Way]]], own: RuleRef) -> list[Way]:
    """Return the ways of what happens by chance, each part with its share.

    `own` is the rule that leaves it to chance: it leads to the choice and is no evidence of what is chosen.
    """
    if all(len(ways) == 1 and not ways[0].when for _, ways in parts):
        return [_joined([(share, ways[0]) for share, ways in parts], (), parts[0][1][0].path, own)]
    found: list[tuple[Conditions, Conditions, list[tuple[float, Way]]]] = [((), (), [])]
    for share, ways in parts:
        found = [
            (_merged(when, way.when), _merged(path, way.path), [*chosen, (share, way)])
            for when, path, chosen in found
            for way in ways
        ]
    return [_joined(chosen, when, path, own) for when, path, chosen in found]


def _joined(chosen: Sequence[tuple[float, Way]], when: Conditions, path: Conditions, own: RuleRef) -> Way:
    return Way(
        when=when,
        path=path,
        lookups=tuple(dict.fromkeys(lookup for _, way in chosen for lookup in way.lookups)),
        service=next((way.service for _, way in chosen if way.service), ""),
        leaves=tuple(_scaled(leaf, share, way, own) for share, way in chosen for leaf in way.leaves),
    )


def _scaled(leaf: Leaf, share: float, way: Way, own: RuleRef) -> Leaf:
    trail = way.trail + leaf.trail
    return replace(
        leaf,
        share=leaf.share * share,
        trail=trail[1:] if trail and trail[0] is own else trail,
        undecided=way.undecided + leaf.undecided,
    )


def _merged(left: Conditions, right: Conditions) -> Conditions:
    return tuple(dict.fromkeys((*left, *right)))
