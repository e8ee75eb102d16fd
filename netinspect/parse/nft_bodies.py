"""What stands behind the names of objects in the JSON of nft: tables, chains, rules, sets, all the others."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import field

from netinspect.errors import ParseError
from netinspect.parse.tool_output import decode_part, excerpt

T = TypeVar("T")
SOURCE = "nft -j list"


class ObjectBody(msgspec.Struct, forbid_unknown_fields=True):
    """What all objects have but tables, which have no table, and rules, which have no name."""

    family: str
    handle: int | None = None
    comment: str = ""


class MetaInfo(msgspec.Struct):
    """What the first object says of the tool."""

    version: str
    json_schema_version: int
    release_name: str = ""


class TableBody(ObjectBody, kw_only=True):
    """A table."""

    name: str
    flags: tuple[str, ...] | str = ()


class ChainBody(ObjectBody, kw_only=True):
    """A chain."""

    table: str
    name: str
    type: str | None = None
    hook: str | None = None
    prio: int | None = None
    policy: str | None = None
    dev: tuple[str, ...] | str | None = None


class RuleBody(ObjectBody, kw_only=True):
    """A rule."""

    table: str
    chain: str
    expr: tuple[msgspec.Raw, ...] = ()


class SetBody(ObjectBody, kw_only=True):
    """A set, a map or a meter."""

    table: str
    name: str
    type: Any
    map: tuple[str, ...] | str | None = None
    flags: tuple[str, ...] | str = ()
    elem: tuple[msgspec.Raw, ...] = ()
    timeout: int | None = None
    gc_interval: int | None = field(default=None, name="gc-interval")
    size: int | None = None
    policy: str | None = None
    auto_merge: bool = field(default=False, name="auto-merge")
    stmt: tuple[msgspec.Raw, ...] = ()


class NamedBody(ObjectBody, kw_only=True):
    """A counter, a quota, a flowtable or the like."""

    table: str
    name: str
    packets: int | None = None
    bytes: int | None = None


_KINDS: tuple[type[Any], ...] = (TableBody, ChainBody, RuleBody, SetBody, NamedBody)
_BODIES: dict[type[Any], msgspec.json.Decoder[Any]] = {kind: msgspec.json.Decoder(kind) for kind in _KINDS}
_KEYS = {kind: {each.encode_name for each in msgspec.structs.fields(kind)} for kind in _KINDS}
_PARTS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANY = msgspec.json.Decoder(Any)


def read_body(kind: type[T], raw: msgspec.Raw) -> tuple[T, str]:
    """Read the body of an object, and what of it is not known, as compact JSON.

    Raises:
        ParseError: it lacks a key, or one that is known has another type.
    """
    try:
        return _BODIES[kind].decode(raw), ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        parts = read_parts(raw)
    known = {key: value for key, value in parts.items() if key in _KEYS[kind]}
    unknown = {key: value for key, value in parts.items() if key not in known}
    body = decode_part(_BODIES[kind], msgspec.json.encode(known), SOURCE)
    return body, show_json({key: read_any(value) for key, value in unknown.items()}) if unknown else ""


def read_parts(raw: msgspec.Raw) -> dict[str, msgspec.Raw]:
    """Read the keys of an object, and leave their values as they are.

    Raises:
        ParseError: it is no object.
    """
    return decode_part(_PARTS, raw, SOURCE)


def read_any(raw: msgspec.Raw) -> Any:
    """Read any JSON.

    Raises:
        ParseError: a number or a string in it is none.
    """
    return decode_part(_ANY, raw, SOURCE)


def show_json(value: Any) -> str:
    """Write JSON compactly."""
    return msgspec.json.encode(value).decode()


def body_error(message: str, raw: msgspec.Raw) -> ParseError:
    """Return an error that quotes the object."""
    return ParseError(message, source=SOURCE, line=excerpt(raw))
