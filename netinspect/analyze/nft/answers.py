"""What one statement of an nft rule says of a packet: go on, no match, a verdict, or what it depends on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from netinspect.analyze.nft.lookup import Chances, SetReader, Sourced, elements_of
from netinspect.analyze.nft.match import Odds, is_filled, judge
from netinspect.analyze.nft.packet import Packet, State
from netinspect.analyze.nft.sets import source_condition
from netinspect.analyze.nft.values import Symbol, Unclear, value_of
from netinspect.analyze.service_map.source_conditions import holds_for_link
from netinspect.models.nft import NftTable
from netinspect.models.nft_expression import (
    Binary,
    Concat,
    Ct,
    Element,
    Expression,
    Fib,
    Lookup,
    Meta,
    Payload,
    RawPayload,
    SetRef,
    Verdict,
    Vmap,
)
from netinspect.models.nft_statement import (
    Counter,
    Dnat,
    Log,
    Mangle,
    Masquerade,
    Match,
    Notrack,
    ObjectRef,
    Reject,
    SetUpdate,
    Snat,
    Statement,
    Xt,
)
from netinspect.models.service_map import Hook, Outcome, SourceCondition

_COUNTING_OBJECTS = ("counter", "ct helper", "ct timeout", "ct expectation", "secmark")
_HARMLESS_XT = {("match", "comment"), ("target", "LOG"), ("target", "NFLOG")}


class Translate(msgspec.Struct, frozen=True):
    """The destination is rewritten; a port of None stays."""

    address: str
    port: int | None


class Final(msgspec.Struct, frozen=True):
    """The packet's way ends here; `masquerades` where it ends with its source rewritten."""

    outcome: Outcome
    masquerades: bool = False


class Picked(msgspec.Struct, frozen=True):
    """An element of a set or map says so; `named` is the map's name, empty for an anonymous one."""

    answer: Answer
    element: Element
    named: str


class Fork(msgspec.Struct, frozen=True):
    """It depends on the source; `rest` is for where none of the conditions holds."""

    choices: tuple[tuple[SourceCondition, Answer], ...]
    rest: Answer = False


class Chance(msgspec.Struct, frozen=True):
    """It is left to chance. Shares add up to 1."""

    choices: tuple[tuple[float, Answer], ...]


Answer = bool | SourceCondition | Odds | Fork | Chance | Picked | Verdict | Translate | Final | Unclear


def change(statement: Statement, chain: str, table: NftTable, packet: Packet, state: State) -> State | None:
    """Return what a statement makes of a packet; None for one that asks or decides."""
    match statement:
        case Counter() | Log():
            return state
        case Mangle():
            return _mangle(statement, packet, state)
        case Notrack():
            return replace(state, is_tracked=state.has_connection)
        case SetUpdate() if not statement.statements:
            return _update(statement, chain, table, packet, state)
        case _:
            return None


def answer(statement: Statement, table: NftTable, packet: Packet, state: State, sets: SetReader) -> Answer:
    """Return what a statement says.

    Raises:
        SplitError: it depends on which of its possible destinations the packet goes to.
    """
    if isinstance(statement, Match):
        return judge(statement, table, packet, state, sets)
    if isinstance(statement, Verdict):
        return statement
    answerer = _ANSWERERS.get(type(statement))
    if answerer is None:
        return Unclear(statement)
    return answerer(statement, table, packet, state, sets)


def reads_destination(statement: Statement) -> bool:
    """Whether what a statement says depends on where the packet goes to."""
    match statement:
        case Match():
            return _is_of_destination(statement.left)
        case Vmap():
            return _is_of_destination(statement.key)
        case Dnat():
            return _is_of_destination(statement.addr)
        case _:
            return False


def _is_of_destination(expression: Expression | None) -> bool:
    match expression:
        case Payload():
            return expression.field in ("daddr", "dport")
        case RawPayload() | None:
            return True
        case Fib():
            return "daddr" in expression.flags
        case Concat():
            return any(map(_is_of_destination, expression.parts))
        case Binary():
            return any(map(_is_of_destination, expression.operands))
        case Lookup():
            return _is_of_destination(expression.key)
        case _:
            return False


def _mangle(statement: Mangle, packet: Packet, state: State) -> State | None:
    key, value = statement.key, statement.value
    if isinstance(key, Meta) and key.key == "mark":
        marks = tuple(
            (host, _computed(value, packet, replace(state, mark=mark))) for host, mark in state.host_marks
        )
        return replace(state, mark=_computed(value, packet, state), host_marks=marks)
    if isinstance(key, Ct) and key.key == "mark":
        return replace(state, ct_mark=_computed(value, packet, state)) if state.has_connection else state
    rewrites = isinstance(key, Payload) and key.field in ("daddr", "saddr", "dport", "protocol", "nexthdr")
    return None if rewrites else state


def _computed(value: Expression, packet: Packet, state: State) -> int | None:
    result = value_of(value, packet, state)
    return result if isinstance(result, int) else None


def _update(statement: SetUpdate, chain: str, table: NftTable, packet: Packet, state: State) -> State:
    named = table.sets.get(statement.set)
    timeout_s = statement.element.timeout_s or (named.timeout_s if named else None)
    reads = packet.reads
    is_source = value_of(statement.element.key, packet, state) is Symbol.SOURCE
    state = replace(state, filled=(*state.filled, (table.family, table.name, statement.set)))
    packet.reads = reads  # that the source is kept says nothing of where it is
    if not is_source or timeout_s is None or statement.op == "delete":
        return state
    return replace(state, updates=(*state.updates, (statement.set, timeout_s, chain)))


def _vmap(statement: Vmap, table: NftTable, packet: Packet, state: State, sets: SetReader) -> Answer:
    return _look_up(statement, table, packet, state, sets, _verdict_in)


def _verdict_in(element: Element) -> Answer:
    return element.data if isinstance(element.data, Verdict) else Unclear(element)


def _look_up(
    lookup: Lookup,
    table: NftTable,
    packet: Packet,
    state: State,
    sets: SetReader,
    read: Callable[[Element], Answer],
) -> Answer:
    elements = elements_of(table, lookup.data)
    if elements is None or is_filled(lookup.data, table, state):
        return Unclear(lookup)
    found = sets.find(elements, value_of(lookup.key, packet, state), packet)
    name = lookup.data.name if isinstance(lookup.data, SetRef) else ""
    if found is None:
        return False
    if isinstance(found, Unclear):
        return Unclear(lookup)
    if isinstance(found, Element):
        return _pick(found, name, read)
    if isinstance(found, Chances):
        choices = [(count / found.of, _pick(each, name, read)) for count, each in found.found]
        return Chance((*choices, (found.missed / found.of, False)) if found.missed else tuple(choices))
    return _fork(found, name, packet, state, read)


def _pick(element: Element, name: str, read: Callable[[Element], Answer]) -> Answer:
    found = Unclear(element) if element.remainder else read(element)
    return found if isinstance(found, Unclear) else Picked(found, element, name)


def _fork(
    found: Sourced, name: str, packet: Packet, state: State, read: Callable[[Element], Answer]
) -> Answer:
    is_link_known = found.symbol is Symbol.LINK and packet.origin is Hook.OUTPUT
    choices: list[tuple[SourceCondition, Answer]] = []
    rest = False if found.rest is None else _pick(found.rest, name, read)
    for part, element in found.found:
        condition = source_condition(found.symbol, (part,), negated=False)
        if isinstance(condition, Unclear):
            return condition
        if not is_link_known:
            choices.append((condition, _pick(element, name, read)))
        elif holds_for_link(condition, state.link or None):
            return _pick(element, name, read)
    return Fork(tuple(choices), rest) if choices else rest


def _dnat(statement: Dnat, table: NftTable, packet: Packet, state: State, sets: SetReader) -> Answer:
    if statement.family not in (None, "ip" if packet.family == 4 else "ip6"):
        return False
    address, port = statement.addr, statement.port
    if isinstance(address, Lookup):
        known = port if isinstance(port, int) else None
        if port is not None and known is None:
            return Unclear(statement)
        return _look_up(address, table, packet, state, sets, lambda each: _target(each, known))
    if address is None and not packet.is_any:
        packet.reads += 1
        address = packet.addresses[0]
    if isinstance(address, str) and (port is None or isinstance(port, int)):
        return Translate(address, port)
    return Unclear(statement)


def _target(element: Element, port: int | None) -> Answer:
    """Read what a map says to translate to: an address, or an address and a port."""
    data = element.data
    if isinstance(data, str):
        return Translate(data, port)
    if isinstance(data, Concat) and len(data.parts) == 2:
        address, number = data.parts
        if isinstance(address, str) and isinstance(number, int):
            return Translate(address, number)
    return Unclear(element)


def _source_nat(
    statement: Statement, table: NftTable, packet: Packet, state: State, sets: SetReader
) -> Answer:
    return Final(Outcome.NONE, masquerades=True)


def _reject(statement: Reject, table: NftTable, packet: Packet, state: State, sets: SetReader) -> Answer:
    """Judge a reject: what it asks of the packet stands in its kind alone, nft prints no comparison beside it."""
    fits = {
        "tcp reset": packet.protocol == "tcp",
        "icmp": packet.family == 4,
        "icmpv6": packet.family == 6,
    }
    return Final(Outcome.REJECT) if fits.get(statement.type or "", True) else False


def _object(statement: ObjectRef, table: NftTable, packet: Packet, state: State, sets: SetReader) -> Answer:
    return True if statement.type in _COUNTING_OBJECTS else Unclear(statement)


def _xt(statement: Xt, table: NftTable, packet: Packet, state: State, sets: SetReader) -> Answer:
    return True if (statement.type, statement.name) in _HARMLESS_XT else Unclear(statement)


_ANSWERERS: dict[type, Callable[[Any, NftTable, Packet, State, SetReader], Answer]] = {
    Vmap: _vmap,
    Dnat: _dnat,
    Snat: _source_nat,
    Masquerade: _source_nat,
    Reject: _reject,
    ObjectRef: _object,
    Xt: _xt,
}
