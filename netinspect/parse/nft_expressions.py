"""The expressions and statements in the JSON of nft -> the model.

An object with one key, whose name says what it is: `{"meta": {"key": "mark"}}`. What is of unknown kind, lacks a key or
has one that is not known becomes `Unknown`, at the innermost place that holds it, so that nothing is dropped and
the rest can still be judged.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any, get_args, get_type_hints

import msgspec

from netinspect.models import nft_expression as nft
from netinspect.models import nft_statement as stmt
from netinspect.parse.nft_bodies import show_json


class _UnreadableError(ValueError):
    """Something has another shape than any that is known."""


# What may be wrong with one node. (RecursionError is for the whole output.)
_FAULTS = (_UnreadableError, msgspec.ValidationError)
_ELEMENT_KEYS = {"val", "timeout", "expires", "comment", "counter"}
_COUNTER_KEYS = {"packets", "bytes"}
_FLAGS = ("flags", "type_flags")
# Longer ones are those of single Services, and differ.
_SHORT = 256


def parse_statement(text: msgspec.Raw) -> stmt.Statement:
    """Read one statement.

    Raises:
        ValueError: the text is no JSON (also `msgspec.DecodeError`).
    """
    data = bytes(text)
    return _parse_short_statement(data) if len(data) <= _SHORT else build_statement(msgspec.json.decode(data))


@lru_cache(maxsize=4096)
def _parse_short_statement(data: bytes) -> stmt.Statement:
    """Read one statement. Most statements of a large ruleset are the same few."""
    return build_statement(msgspec.json.decode(data))


def parse_element(text: msgspec.Raw, is_map: bool) -> nft.Element:
    """Read one element of a named set, or of a map: `[KEY, DATA]`.

    Raises:
        ValueError: the text is no JSON (also `msgspec.DecodeError`).
    """
    return _build_element(msgspec.json.decode(text), is_map)


def build_statement(value: Any) -> stmt.Statement:
    """Read one statement."""
    statement: stmt.Statement = _build(value, _STATEMENTS)
    return statement


def build_expression(value: Any) -> nft.Expression:
    """Read one expression."""
    if isinstance(value, str):
        return nft.SetRef(value[1:]) if value.startswith("@") else value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else _unknown(value)
    if isinstance(value, list):
        return nft.List(_build_all(value))
    expression: nft.Expression = _build(value, _EXPRESSIONS)
    return expression


def _build(value: Any, kinds: dict[str, Callable[[Any], Any]]) -> Any:
    """Read an object by its one key; anything else is Unknown."""
    if isinstance(value, dict) and len(value) == 1:
        ((key, body),) = value.items()
        if key in kinds:
            try:
                return kinds[key](body)
            except _FAULTS:
                pass
    return _unknown(value)


def _unknown(value: Any) -> nft.Unknown:
    return nft.Unknown(show_json(value))


def _build_all(values: Any) -> tuple[nft.Expression, ...]:
    if not isinstance(values, list):
        raise _UnreadableError("expected a list")
    return tuple([build_expression(each) for each in values])


def _builder(kind: type[nft.Node]) -> Callable[[Any], Any]:
    """Return what reads the body of a kind whose fields are the JSON's keys."""
    hints = get_type_hints(kind)
    flags = [name for name in _FLAGS if name in hints]
    expressions = [
        name for name, hint in hints.items() if set(get_args(nft.Expression)) <= set(get_args(hint))
    ]

    def build(body: Any) -> Any:
        # The tag is no key of nft's.
        if not isinstance(body, dict | None) or (body and "kind" in body):
            raise _UnreadableError("expected an object or null")
        fields = dict(body or {})
        for name in expressions:
            if fields.get(name) is not None:
                fields[name] = build_expression(fields[name])
        for name in flags:
            if isinstance(fields.get(name), str):
                fields[name] = (fields[name],)
        return msgspec.convert(fields, kind)

    return build


def _target_builder(kind: type[nft.Jump | nft.Goto]) -> Callable[[Any], Any]:
    """Return what reads a jump: one name of a chain stands in very many of them."""

    def build(body: Any) -> Any:
        if not _has_only(body, "target") or not isinstance(body["target"], str):
            raise _UnreadableError("expected a target")
        return kind(sys.intern(body["target"]))

    return build


def _build_payload(body: Any) -> Any:
    return _RAW_PAYLOAD(body) if isinstance(body, dict) and "base" in body else _PAYLOAD(body)


def _build_range(body: Any) -> nft.Range:
    bounds = _build_all(body)
    if len(bounds) != 2:
        raise _UnreadableError("a range has two ends")
    return nft.Range(*bounds)


def _binary_builder(op: str) -> Callable[[Any], nft.Binary]:
    def build(body: Any) -> nft.Binary:
        operands = _build_all(body)
        if len(operands) < 2:
            raise _UnreadableError("an operation has two operands or more")
        return nft.Binary(op, operands)

    return build


def _build_set(body: Any, is_map: bool = False) -> nft.Set:
    elements = body if isinstance(body, list) else [body]
    return nft.Set(tuple([_build_element(each, is_map) for each in elements]))


def _lookup_builder(kind: type[nft.Lookup]) -> Callable[[Any], nft.Lookup]:
    def build(body: Any) -> nft.Lookup:
        if not isinstance(body, dict) or body.keys() != {"key", "data"}:
            raise _UnreadableError("a look-up has a key and data")
        data = body["data"]
        is_set = _has_only(data, "set")
        return kind(
            build_expression(body["key"]),
            _build_set(data["set"], is_map=True) if is_set else build_expression(data),
        )

    return build


def _build_element(value: Any, is_map: bool) -> nft.Element:
    try:
        return _build_pair(value) if is_map else _build_key(value, None)
    except _FAULTS:
        return nft.Element(_unknown(value))


def _build_pair(value: Any) -> nft.Element:
    if not isinstance(value, list) or len(value) != 2:
        raise _UnreadableError("an element of a map has a key and data")
    return _build_key(value[0], build_expression(value[1]))


def _build_key(value: Any, data: nft.Expression | None) -> nft.Element:
    if not _has_only(value, "elem"):
        return nft.Element(build_expression(value), data)
    body = value["elem"]
    if not isinstance(body, dict) or "val" not in body or _has_only(body["val"], "elem"):
        raise _UnreadableError("an element has a value")
    counter = body.get("counter")
    counts = counter if isinstance(counter, dict) and counter.keys() == _COUNTER_KEYS else {}
    known = _ELEMENT_KEYS if counts else _ELEMENT_KEYS - {"counter"}
    rest = {name: each for name, each in body.items() if name not in known}
    fields = {
        "key": build_expression(body["val"]),
        "data": data,
        "timeout_s": body.get("timeout"),
        "expires_s": body.get("expires"),
        "comment": body.get("comment", ""),
        **counts,
        "remainder": show_json(rest) if rest else "",
    }
    return msgspec.convert(fields, nft.Element)


def _has_only(value: Any, key: str) -> bool:
    """Whether it is an object with that one key."""
    return isinstance(value, dict) and list(value) == [key]


def _object_builder(type_: str) -> Callable[[Any], Any]:
    """Return what reads the use of a named object, or a statement of its own that has the same name."""
    own = _OWN.get(type_)

    def build(body: Any) -> Any:
        if isinstance(body, str) or _has_only(body, "map"):
            return stmt.ObjectRef(type_, build_expression(body))
        if own is None:
            raise _UnreadableError("expected the name of an object")
        return own(body)

    return build


def _build_set_update(body: Any) -> stmt.SetUpdate:
    if not isinstance(body, dict) or not {"op", "elem", "set"} <= body.keys() <= {
        "op",
        "elem",
        "set",
        "stmt",
    }:
        raise _UnreadableError("an update has an operation, an element and a set")
    name, statements = body["set"], body.get("stmt", [])
    if not isinstance(name, str) or not name.startswith("@") or not isinstance(statements, list):
        raise _UnreadableError("an update names a set")
    fields = {
        "op": body["op"],
        "element": _build_element(body["elem"], is_map=False),
        "set": name[1:],
        "statements": tuple([build_statement(each) for each in statements]),
    }
    return msgspec.convert(fields, stmt.SetUpdate)


def _builders(*kinds: type[nft.Node]) -> dict[str, Callable[[Any], Any]]:
    return {str(kind.__struct_config__.tag): _builder(kind) for kind in kinds}


_PAYLOAD, _RAW_PAYLOAD = _builder(nft.Payload), _builder(nft.RawPayload)
_VERDICTS: dict[str, Callable[[Any], Any]] = {
    **_builders(nft.Accept, nft.Drop, nft.Continue, nft.Break, nft.Return),
    "jump": _target_builder(nft.Jump),
    "goto": _target_builder(nft.Goto),
}
_EXPRESSIONS: dict[str, Callable[[Any], Any]] = {
    **_VERDICTS,
    **_builders(nft.Meta, nft.Ct, nft.Fib, nft.Rt, nft.Socket, nft.Exthdr, nft.TcpOption, nft.IpOption),
    **_builders(nft.Numgen, nft.Jhash, nft.Symhash, nft.Prefix),
    **{op: _binary_builder(op) for op in ("&", "|", "^", "<<", ">>")},
    "payload": _build_payload,
    "range": _build_range,
    "concat": lambda body: nft.Concat(_build_all(body)),
    "set": _build_set,
    "map": _lookup_builder(nft.Map),
    "vmap": _lookup_builder(nft.Vmap),
}
_OWN = _builders(stmt.Counter, stmt.Quota, stmt.Limit)
_OBJECTS = ("counter", "quota", "limit", "ct helper", "ct timeout", "ct expectation", "secmark", "synproxy")
_STATEMENTS: dict[str, Callable[[Any], Any]] = {
    **_VERDICTS,
    **_builders(stmt.Match, stmt.Dnat, stmt.Snat, stmt.Masquerade, stmt.Redirect, stmt.Reject, stmt.Mangle),
    **_builders(stmt.CtCount, stmt.Log, stmt.Queue, stmt.Notrack, stmt.Xt),
    **{type_: _object_builder(type_) for type_ in _OBJECTS},
    "vmap": _lookup_builder(nft.Vmap),
    "set": _build_set_update,
}
