"""Whether a comparison of nft holds for a packet: yes, no, for some sources, for some packets, or not known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from netinspect.analyze.nft.lookup import Chances, SetReader, Sourced, elements_of
from netinspect.analyze.nft.packet import Packet, SplitError, State
from netinspect.analyze.nft.sets import ASKED, is_within, source_condition, value_parts
from netinspect.analyze.nft.values import Flags, Numbers, Symbol, Unclear, Value, value_of
from netinspect.analyze.service_map.source_conditions import holds_for_link
from netinspect.models.nft import NftTable
from netinspect.models.nft_expression import Expression, List, Prefix, Range, Set, SetRef
from netinspect.models.nft_statement import Match
from netinspect.models.service_map import Hook, SourceCondition, SourceKind

NEGATED = {"==": False, "in": False, "!=": True}
"""Operators that ask whether the left is in the right, and whether they ask for the contrary."""


_SETS = Set, SetRef
_SCALARS = str, int
_PARTS = str, int, Prefix, Range


class Odds(msgspec.Struct, frozen=True):
    """It holds for this part of all packets (0 to 1)."""

    share: float


Judgement = bool | SourceCondition | Odds | Unclear


def judge(match: Match, table: NftTable, packet: Packet, state: State, sets: SetReader) -> Judgement:
    """Return whether a comparison holds.

    Raises:
        SplitError: it holds for some of the addresses that the packet may go to.
    """
    value = value_of(match.left, packet, state)
    if Symbol.ABSENT in value_parts(value):
        return False
    if isinstance(value, Unclear):
        return Unclear(match)
    if match.op not in NEGATED:
        return _order(value, match)
    negated = NEGATED[match.op]
    if is_filled(match.right, table, state):
        return Unclear(match)
    if isinstance(match.right, _SETS):
        judged = _in_set(value, match.right, table, packet, sets)
    elif isinstance(value, Flags) and match.op != "in":
        judged = _are_flags(value, [match.right])
    else:
        judged = _in_value(value, match.right, packet, negated=negated)
    return (
        Unclear(match)
        if isinstance(judged, Unclear)
        else _turned(judged, negated=negated, packet=packet, state=state)
    )


def is_filled(data: Expression, table: NftTable, state: State) -> bool:
    """Whether a set is another than the one listed, since the packet itself was put into it."""
    return isinstance(data, SetRef) and (table.family, table.name, data.name) in state.filled


def is_source_in_set(match: Match) -> str | None:
    """Return the name of a set that a comparison looks for something in, None for all other comparisons."""
    return match.right.name if match.op == "==" and isinstance(match.right, SetRef) else None


def _turned(judged: Judgement, *, negated: bool, packet: Packet, state: State) -> Judgement:
    if isinstance(judged, SourceCondition):
        if not judged.values:
            return negated
        if judged.kind is SourceKind.LINK and packet.origin is Hook.OUTPUT:
            return holds_for_link(judged, state.link or None) != negated
        return msgspec.structs.replace(judged, negated=negated)
    if isinstance(judged, Odds):
        return Odds(1 - judged.share) if negated else judged
    return judged != negated if isinstance(judged, bool) else judged


def _in_set(value: Value, right: Set | SetRef, table: NftTable, packet: Packet, sets: SetReader) -> Judgement:
    elements = elements_of(table, right)
    if elements is None:
        return Unclear(right)
    if isinstance(value, Flags):
        return _are_flags(value, [each.key for each in elements])
    if value is Symbol.NOT_LOCAL:
        return _is_other_type([each.key for each in elements])
    found = sets.find(elements, value, packet)
    if isinstance(found, Sourced):
        return found.condition()
    if isinstance(found, Chances):
        return Odds(sum(count for count, _ in found.found) / found.of)
    return found if isinstance(found, Unclear) else found is not None


def _in_value(value: Value, right: Expression, packet: Packet, *, negated: bool) -> Judgement:
    if isinstance(value, Flags):
        return _has_flag(value, right.items if isinstance(right, List) else (right,))
    if isinstance(value, Numbers):
        return _odds(value, lambda number: is_within(number, right))
    if value in ASKED:
        assert isinstance(value, Symbol)
        return source_condition(value, (right,), negated=False)
    if value is Symbol.NOT_LOCAL:
        return _is_other_type((right,))
    if value is Symbol.DESTINATION:
        return _everywhere(packet, right, negated=negated)
    known = isinstance(right, _PARTS) and isinstance(value, _SCALARS)
    return is_within(value, right) if known else Unclear(right)


def _has_flag(flags: Flags, asked: Sequence[Expression]) -> Judgement:
    if not all(isinstance(each, str) for each in asked):
        return Unclear(None)
    return not flags.names.isdisjoint(str(each) for each in asked)


def _are_flags(flags: Flags, asked: Sequence[Expression]) -> Judgement:
    """Whether exactly those of one of the values are set."""
    values = [each.items if isinstance(each, List) else (each,) for each in asked]
    if not all(isinstance(each, str) for items in values for each in items):
        return Unclear(None)
    return any(flags.names == frozenset(items) for items in values)


def _is_other_type(asked: Sequence[Expression]) -> Judgement:
    """An address that is not local is none of type local; which other type it has is not known."""
    return False if all(each == "local" for each in asked) else Unclear(None)


def _everywhere(packet: Packet, right: Expression, *, negated: bool) -> bool:
    """Ask for every address that the packet may go to.

    Raises:
        SplitError: it is so for some only.
    """
    inside = tuple(each for each in packet.addresses if is_within(each, right))
    if negated and (text := _network_text(right)):
        packet.excepted.add(text)
    if inside and len(inside) < len(packet.addresses):
        raise SplitError((tuple(each for each in packet.addresses if each not in inside), inside))
    return bool(inside)


def _network_text(right: Expression) -> str:
    condition = source_condition(Symbol.SOURCE, (right,), negated=False)
    return condition.values[0] if isinstance(condition, SourceCondition) else ""


def _order(value: Value, match: Match) -> Judgement:
    compare = _ORDERS.get(match.op)
    right = match.right
    if compare is None or not isinstance(right, int):
        return Unclear(match)
    if isinstance(value, Numbers):
        return _odds(value, lambda number: compare(number, right))
    return compare(value, right) if isinstance(value, int) else Unclear(match)


def _odds(numbers: Numbers, holds: Callable[[int], bool]) -> Judgement:
    if not 0 < numbers.count <= 65536:
        return Unclear(None)
    all_of_them = range(numbers.first, numbers.first + numbers.count)
    return Odds(sum(map(holds, all_of_them)) / numbers.count)


_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
    "<=": lambda left, right: left <= right,
    ">=": lambda left, right: left >= right,
}
