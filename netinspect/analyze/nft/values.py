"""What expressions of nft's rules are for a packet: a value, or a mark that says why there is none.

A new packet's protocol, destination and mark are known; its source and link are not, and are asked for (`Symbol`).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import msgspec

from netinspect.analyze.nft.packet import Packet, State
from netinspect.models.nft_expression import (
    Binary,
    Concat,
    Ct,
    Expression,
    Fib,
    Meta,
    Numgen,
    Payload,
    RawPayload,
)
from netinspect.models.service_map import Hook

_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 58: "ipv6-icmp", 132: "sctp", 136: "udplite"}
_NUMBERS = {name: number for number, name in _PROTOCOLS.items()}
_PORT_BITS = (16, 16)
"""Where a destination port stands in the headers of TCP, UDP and SCTP: offset and length."""


_TRANSLATED = frozenset(("dnat", "dst-nat-done"))
"""The second one nft has no word for."""


class Symbol(Enum):
    """What is no value."""

    SOURCE = "source"
    """The source address: asked for."""
    LINK = "link"
    """The link that the packet came in by: asked for."""
    DESTINATION = "destination"
    """One of several local addresses."""
    ABSENT = "absent"
    """The packet has no such thing (an IPv4 header in an IPv6 packet, a connection): no comparison with it holds."""
    NOT_LOCAL = "not local"
    """The type of an address that is not the node's own."""


class Numbers(msgspec.Struct, frozen=True):
    """One of some numbers, each as likely as the others."""

    first: int
    count: int


class Unclear(msgspec.Struct, frozen=True):
    """What cannot be known: `what` is the expression or statement."""

    what: object


class Flags(msgspec.Struct, frozen=True):
    """Several flags that are set together: `ct state`, `ct status`."""

    names: frozenset[str]


class Several(msgspec.Struct, frozen=True):
    """Values side by side."""

    parts: tuple[Value, ...]


_SCALARS = str, int

Value = str | int | bool | Symbol | Numbers | Unclear | Flags | Several


def protocol_name(value: object) -> object:
    """Return a protocol's name where nft printed its number; all else as it is."""
    return _PROTOCOLS.get(value, value) if isinstance(value, int) else value


def protocol_number(value: object) -> object:
    """Return a protocol's number, as nft prints it at times; all else as it is."""
    return _NUMBERS.get(value, value) if isinstance(value, str) else value


def value_of(expression: Expression, packet: Packet, state: State) -> Value:
    """Return what an expression is for a packet."""
    reader = _READERS.get(type(expression))
    if reader is None:
        return expression if isinstance(expression, _SCALARS) else Unclear(expression)
    return reader(expression, packet, state)


def is_protocol(expression: Expression) -> bool:
    """Whether an expression is the transport protocol."""
    if isinstance(expression, Meta):
        return expression.key == "l4proto"
    return isinstance(expression, Payload) and expression.field in ("protocol", "nexthdr")


def _payload(expression: Payload, packet: Packet, state: State) -> Value:
    protocol, field = expression.protocol, expression.field
    if expression.tunnel is not None:
        return Unclear(expression)
    if protocol in ("ip", "ip6"):
        return _network_header(expression, packet)
    if protocol not in ("th", packet.protocol):
        return Symbol.ABSENT if protocol in _PROTOCOLS.values() else Unclear(expression)
    return _port(packet) if field == "dport" else Unclear(expression)


def _network_header(expression: Payload, packet: Packet) -> Value:
    if (expression.protocol == "ip") != (packet.family == 4):
        return Symbol.ABSENT
    if expression.field == "daddr":
        return _destination(packet)
    if expression.field == "saddr":
        packet.reads += 1
        return Symbol.SOURCE
    return packet.protocol if is_protocol(expression) else Unclear(expression)


def _port(packet: Packet) -> Value:
    packet.reads += 1
    return packet.port


def _destination(packet: Packet) -> Value:
    packet.reads += 1
    return Symbol.DESTINATION if packet.is_any else packet.addresses[0]


def _raw_payload(expression: RawPayload, packet: Packet, state: State) -> Value:
    if expression.base == "th" and (expression.offset, expression.len) == _PORT_BITS:
        return _port(packet)
    return Unclear(expression)


def _meta(expression: Meta, packet: Packet, state: State) -> Value:
    match expression.key:
        case "l4proto":
            return packet.protocol
        case "mark":
            return _mark(expression, state)
        case "nfproto":
            return f"ipv{packet.family}"
        case "protocol":
            return "ip" if packet.family == 4 else "ip6"
        case "iifname" | "iif":
            return _link(packet)
        case _:
            return Unclear(expression)


def _mark(expression: Meta, state: State) -> Value:
    """Return the mark; where single hosts have another one, what asks for it before POSTROUTING is not told apart."""
    differs = any(mark != state.mark for _, mark in state.host_marks)
    return Unclear(expression) if state.mark is None or differs else state.mark


def _link(packet: Packet) -> Value:
    packet.reads += 1
    return Symbol.LINK


def _ct(expression: Ct, packet: Packet, state: State) -> Value:
    if expression.key == "state":
        return Flags(frozenset({_ct_state(state)}))
    if not state.has_connection:
        return Symbol.ABSENT
    if expression.dir is not None:
        return Unclear(expression)
    match expression.key:
        case "status":
            return Flags(_TRANSLATED if packet.is_translated else frozenset())
        case "mark":
            return Unclear(expression) if state.ct_mark is None else state.ct_mark
        case "direction":
            return "original"
        case _:
            return Unclear(expression)


def _ct_state(state: State) -> str:
    if not state.is_tracked:
        return "untracked"
    return "invalid" if state.is_early else "new"


def _fib(expression: Fib, packet: Packet, state: State) -> Value:
    packet.reads += 1
    if expression.result != "type":
        return Unclear(expression)
    if expression.flags == ("daddr",):
        return "local" if packet.is_local else Symbol.NOT_LOCAL
    if expression.flags == ("saddr",):
        return "local" if packet.origin is Hook.OUTPUT else Symbol.NOT_LOCAL
    return Unclear(expression)


def _binary(expression: Binary, packet: Packet, state: State) -> Value:
    values = [value_of(each, packet, state) for each in expression.operands]
    compute = _OPERATORS.get(expression.op)
    if compute is None or not all(isinstance(each, int) for each in values):
        return Unclear(expression)
    result = values[0]
    for each in values[1:]:
        result = compute(result, each) & 0xFFFFFFFF
    return result


def _concat(expression: Concat, packet: Packet, state: State) -> Value:
    known = packet.keys.get(id(expression))
    if isinstance(known, Several):
        packet.reads += 1
        return known
    found = Several(tuple([value_of(each, packet, state) for each in expression.parts]))
    if all(_is_of_headers(each) for each in expression.parts):
        packet.keys[id(expression)] = found
    return found


def _is_of_headers(expression: Expression) -> bool:
    """Whether an expression stays the same on a packet's way; mark and conntrack do not."""
    return isinstance(expression, Payload) or is_protocol(expression)


def _numgen(expression: Numgen, packet: Packet, state: State) -> Value:
    return Numbers(expression.offset, expression.mod)


_OPERATORS: dict[str, Callable[[Any, Any], int]] = {
    "&": lambda left, right: left & right,
    "|": lambda left, right: left | right,
    "^": lambda left, right: left ^ right,
    "<<": lambda left, right: left << right if right < 32 else 0,
    ">>": lambda left, right: left >> right if right < 32 else 0,
}

_READERS: dict[type, Callable[[Any, Packet, State], Value]] = {
    Payload: _payload,
    RawPayload: _raw_payload,
    Meta: _meta,
    Ct: _ct,
    Fib: _fib,
    Binary: _binary,
    Concat: _concat,
    Numgen: _numgen,
}
