"""Statements of nft in nft's own syntax (nft(8)), written from its JSON.

The tool's own text is not to be trusted for this: nft 1.0.6 leaves out `addr . port` of a translation by map. What is
not understood is written as its JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from netinspect.models import nft_expression as ex
from netinspect.models import nft_statement as st

N = TypeVar("N", bound=ex.Node)

_BARE = re.compile(r"[A-Za-z0-9_.:/*-]+")

_VERDICTS: dict[type[ex.Node], str] = {
    ex.Accept: "accept",
    ex.Drop: "drop",
    ex.Continue: "continue",
    ex.Break: "break",
    ex.Return: "return",
    st.Notrack: "notrack",
}


def say_statement(statement: st.Statement) -> str:
    """Write one statement, whole: nft reads it back."""
    return _say(statement)


def say_part(part: object) -> str:
    """Write any part of a rule: a statement, an expression, an element."""
    return _say(part)


def say_element(element: ex.Element) -> str:
    """Write an element of a set or a map: `10.96.0.10 . udp . 53 : goto service-X`."""
    data = "" if element.data is None else f" : {_say(element.data)}"
    rest = f" {element.remainder}" if element.remainder else ""
    return f"{_say(element.key)}{data}{rest}"


def _say(part: Any) -> str:
    if isinstance(part, str):
        return part if _BARE.fullmatch(part) else json.dumps(part)
    if isinstance(part, bool):
        return "exists" if part else "missing"
    if isinstance(part, int):
        return str(part)
    if type(part) in _VERDICTS:
        return _VERDICTS[type(part)]
    speaker = _SPEAKERS.get(type(part))
    return speaker(part) if speaker is not None else repr(part)


def _join(parts: Iterable[Any], between: str = " ") -> str:
    return between.join(_say(each) for each in parts)


def _given(*parts: tuple[str, object]) -> str:
    """Write the words whose value is there, each behind a blank."""
    return "".join(f" {word} {value}".rstrip() for word, value in parts if value not in (None, (), ""))


def _set(part: ex.Set) -> str:
    return f"{{ {', '.join(say_element(each) for each in part.elements)} }}"


def _match(part: st.Match) -> str:
    is_plain = part.op in ("==", "in") and not isinstance(part.left, ex.Binary)
    operator = "" if is_plain else f"{part.op} "
    return f"{_say(part.left)} {operator}{_say(part.right)}"


def _operand(part: ex.Expression) -> str:
    """Write a part of a computation: flags that are listed stand in brackets there."""
    return f"({_join(part.items, ' | ')})" if isinstance(part, ex.List) else _say(part)


def _nat(word: str) -> Callable[[Any], str]:
    def say(part: st.Nat) -> str:
        is_pair = isinstance(part.addr, ex.Map) and part.port is None and part.family is not None
        family = f" {part.family}" if part.family else ""
        pair = " addr . port" if is_pair else ""
        address = "" if part.addr is None else f" to {_address(part.addr, part.port)}"
        port = (
            ""
            if part.port is None
            else f":{_say(part.port)}"
            if part.addr is not None
            else f" to :{_say(part.port)}"
        )
        flags = " ".join((*part.type_flags, *part.flags))
        return f"{word}{family}{pair}{address}{port}{f' {flags}' if flags else ''}"

    return say


def _address(address: ex.Expression, port: ex.Expression | None) -> str:
    text = _say(address)
    return f"[{text}]" if port is not None and isinstance(address, str) and ":" in address else text


def _update(part: st.SetUpdate) -> str:
    timeout = "" if part.element.timeout_s is None else f" timeout {part.element.timeout_s}s"
    statements = f" {_join(part.statements)}" if part.statements else ""
    return f"{part.op} @{part.set} {{ {say_element(part.element)}{timeout}{statements} }}"


def _reject(part: st.Reject) -> str:
    code = "" if part.expr is None else _say(part.expr)
    return f"reject{_given(('with', part.type or ('icmpx' if code else '')))}{f' {code}' if code else ''}"


def _mangle(part: st.Mangle) -> str:
    key = _say(part.key)
    return f"{key} set {_say(part.value)}"


def _limit(part: st.Limit) -> str:
    unit = f" {part.rate_unit}" if part.rate_unit else ""
    burst = f" burst {part.burst} {part.burst_unit or 'packets'}" if part.burst else ""
    return f"limit rate {'over ' if part.inv else ''}{part.rate}{unit}/{part.per}{burst}"


def _counter(part: st.Counter) -> str:
    return "counter" if part.packets is None else f"counter packets {part.packets} bytes {part.bytes or 0}"


def _hash(part: ex.Jhash) -> str:
    return f"jhash {_say(part.expr)} mod {part.mod}{_given(('seed', part.seed), ('offset', part.offset or None))}"


def _log(part: st.Log) -> str:
    prefix = None if part.prefix is None else json.dumps(part.prefix)
    pairs = (("prefix", prefix), ("group", part.group), ("snaplen", part.snaplen), ("level", part.level))
    flags = f" flags {','.join(part.flags)}" if part.flags else ""
    return f"log{_given(*pairs, ('queue-threshold', part.queue_threshold))}{flags}"


def _ct(part: ex.Ct) -> str:
    return "ct" + "".join(f" {each}" for each in (part.dir, part.family, part.key) if each)


def _option(word: str) -> Callable[[Any], str]:
    def say(part: ex.TcpOption | ex.IpOption | ex.Exthdr) -> str:
        return f"{word} {part.name}{f' {part.field}' if part.field else ''}".strip()

    return say


def _quota(part: st.Quota) -> str:
    used = "" if part.used is None else f" used {part.used} {part.used_unit or 'bytes'}"
    return f"quota {'over ' if part.inv else ''}{part.val} {part.val_unit}{used}"


_SPEAKERS: dict[type[ex.Node], Callable[[Any], str]] = {
    ex.Unknown: lambda part: part.json,
    ex.SetRef: lambda part: f"@{part.name}",
    ex.Payload: lambda part: f"{f'{part.tunnel} ' if part.tunnel else ''}{part.protocol} {part.field}",
    ex.RawPayload: lambda part: f"@{part.base},{part.offset},{part.len}",
    ex.Meta: lambda part: (
        part.key if part.key in ("iifname", "oifname", "iif", "oif") else f"meta {part.key}"
    ),
    ex.Ct: _ct,
    ex.Fib: lambda part: f"fib {' . '.join(part.flags)} {part.result}",
    ex.Rt: lambda part: f"rt {f'{part.family} ' if part.family else ''}{part.key}",
    ex.Socket: lambda part: f"socket {part.key}",
    ex.Exthdr: _option("exthdr"),
    ex.TcpOption: _option("tcp option"),
    ex.IpOption: _option("ip option"),
    ex.Numgen: lambda part: f"numgen {part.mode} mod {part.mod}{_given(('offset', part.offset or None))}",
    ex.Jhash: _hash,
    ex.Symhash: lambda part: f"symhash mod {part.mod}{_given(('offset', part.offset or None))}",
    ex.Prefix: lambda part: f"{_say(part.addr)}/{part.len}",
    ex.Range: lambda part: f"{_say(part.low)}-{_say(part.high)}",
    ex.Concat: lambda part: _join(part.parts, " . "),
    ex.List: lambda part: _join(part.items, ","),
    ex.Binary: lambda part: f" {part.op} ".join(_operand(each) for each in part.operands),
    ex.Element: say_element,
    ex.Set: _set,
    ex.Map: lambda part: f"{_say(part.key)} map {_say(part.data)}",
    ex.Vmap: lambda part: f"{_say(part.key)} vmap {_say(part.data)}",
    ex.Jump: lambda part: f"jump {part.target}",
    ex.Goto: lambda part: f"goto {part.target}",
    st.Match: _match,
    st.Counter: _counter,
    st.ObjectRef: lambda part: f"{part.type} name {_say(part.name)}",
    st.Dnat: _nat("dnat"),
    st.Snat: _nat("snat"),
    st.Masquerade: _nat("masquerade"),
    st.Redirect: _nat("redirect"),
    st.Reject: _reject,
    st.Mangle: _mangle,
    st.SetUpdate: _update,
    st.Limit: _limit,
    st.Quota: _quota,
    st.CtCount: lambda part: f"ct count {'over ' if part.inv else ''}{part.val}",
    st.Log: _log,
    st.Queue: lambda part: (
        f"queue{_given(('flags', ','.join(part.flags)))}"
        + ("" if part.num is None else f" to {_say(part.num)}")
    ),
    st.Xt: lambda part: f"xt {part.type or 'unknown'} {part.name or 'unknown'}",
}
