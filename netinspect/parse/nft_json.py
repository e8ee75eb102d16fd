"""`nft -j list ruleset` (also `list table`, `list chain`, `list set`, ...) -> a ruleset.

Source of the format: libnftables-json(5), and src/json.c of nftables 1.0.6 to 1.1.6. One object, one array in it, and
in that objects with one key each: first `metainfo`; then of each table itself, its sets and chains, and behind these
its rules. The end of the object is the end mark: what is cut is no JSON. A netns without tables still prints its
`metainfo`, so no output at all is a failed command.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import msgspec

from netinspect.errors import ParseError
from netinspect.models.nft import NftChain, NftHook, NftObject, NftRule, NftRuleset, NftSet, NftTable
from netinspect.models.nft_expression import Element, Unknown
from netinspect.models.nft_statement import Statement
from netinspect.parse.nft_bodies import (
    SOURCE,
    ChainBody,
    MetaInfo,
    NamedBody,
    RuleBody,
    SetBody,
    TableBody,
    body_error,
    read_any,
    read_body,
    read_parts,
    show_json,
)
from netinspect.parse.nft_expressions import parse_element, parse_statement
from netinspect.parse.tool_output import decode_output, decode_part


class _Output(msgspec.Struct):
    nftables: list[msgspec.Raw]


_OUTPUT = msgspec.json.Decoder(_Output)
_META_INFO = msgspec.json.Decoder(MetaInfo)
# A table with one flag: nft before 1.1.0 prints memory that it has freed, and ends here where that is no UTF-8.
_CUT_AT_FLAGS = b'"flags":'
_HOOK_KEYS = ("type", "hook", "prio", "policy", "dev")


def parse_nft_json(text: bytes | str) -> NftRuleset:
    """Read everything that was printed. Nothing that is there is dropped: see the model.

    Raises:
        ParseError: it is empty, no JSON, cut, of another shape, names something twice, or has rules of a chain that it
            does not have.
    """
    # What no UTF-8 can say is refused by the decoder, as any other byte that is none.
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if data.rstrip().endswith(_CUT_AT_FLAGS):
        raise ParseError("the output ends at the flags of a table, as nft before 1.1.0 may", source=SOURCE)
    reading = _Reading()
    objects = decode_output(_OUTPUT, data, SOURCE).nftables
    objects.reverse()
    while objects:
        # What is read is let go: there may be hundreds of thousands.
        each = objects.pop()
        try:
            reading.add(each)
        except RecursionError as error:
            raise body_error("nested deeper than anything that nft prints", each) from error
        except (ValueError, msgspec.DecodeError) as error:
            raise body_error(str(error), each) from error
    return reading.finish()


class _TableReading:
    """What was read of one table."""

    def __init__(self, family: str, name: str) -> None:
        self.table = NftTable(family=family, name=name)
        self.is_printed = False
        self.chains: dict[str, NftChain] = {}
        self.rules: dict[str, list[NftRule]] = {}
        self.sets: dict[str, NftSet] = {}
        self.objects: list[NftObject] = []

    def finish(self) -> NftTable:
        for name in tuple(self.rules):
            rules = tuple(self.rules.pop(name))
            self.chains[name] = msgspec.structs.replace(self.chains[name], rules=rules)
        return msgspec.structs.replace(
            self.table, chains=self.chains, sets=self.sets, objects=tuple(self.objects)
        )


class _Reading:
    """What was read of one output."""

    def __init__(self) -> None:
        self.meta_info: MetaInfo | None = None
        self.tables: dict[tuple[str, str], _TableReading] = {}
        self.unknown: list[Unknown] = []
        self._readers: dict[str, Callable[[msgspec.Raw], None]] = {
            "metainfo": self._add_meta_info,
            "table": self._add_table,
            "chain": self._add_chain,
            "rule": self._add_rule,
            "set": self._add_set,
            "map": self._add_set,
            "meter": lambda body: self._add_set(body, is_meter=True),
        }

    def add(self, raw: msgspec.Raw) -> None:
        """Read one object of the array."""
        parts = read_parts(raw)
        if len(parts) != 1:
            raise body_error("expected an object with one key", raw)
        ((kind, body),) = parts.items()
        if kind in self._readers:
            self._readers[kind](body)
        else:
            self._add_object(kind, body)

    def finish(self) -> NftRuleset:
        if self.meta_info is None:
            raise ParseError("there is no metainfo, which nft always prints", source=SOURCE)
        return NftRuleset(
            tables=tuple([each.finish() for each in self.tables.values()]),
            version=self.meta_info.version,
            release_name=self.meta_info.release_name,
            schema_version=self.meta_info.json_schema_version,
            unknown=tuple(self.unknown),
        )

    def _table(self, family: str, name: str) -> _TableReading:
        """Return a table; `list chain` and `list set` print none of its own."""
        found = self.tables.get((family, name))
        if found is None:
            found = self.tables[family, name] = _TableReading(family, name)
        return found

    def _add_meta_info(self, raw: msgspec.Raw) -> None:
        if self.meta_info is not None:
            raise body_error("metainfo was there before", raw)
        self.meta_info = decode_part(_META_INFO, raw, SOURCE)

    def _add_table(self, raw: msgspec.Raw) -> None:
        body, remainder = read_body(TableBody, raw)
        reading = self._table(body.family, body.name)
        if reading.is_printed:
            raise body_error("a table that was there before", raw)
        reading.is_printed = True
        reading.table = NftTable(
            family=body.family,
            name=body.name,
            flags=_many(body.flags),
            handle=body.handle,
            comment=body.comment,
            remainder=remainder,
        )

    def _add_chain(self, raw: msgspec.Raw) -> None:
        body, remainder = read_body(ChainBody, raw)
        chains = self._table(body.family, body.table).chains
        if body.name in chains:
            raise body_error("a chain that was there before", raw)
        chain = NftChain(
            name=sys.intern(body.name),
            base=_read_hook(body),
            handle=body.handle,
            comment=body.comment,
            remainder=remainder,
        )
        chains[chain.name] = chain

    def _add_rule(self, raw: msgspec.Raw) -> None:
        body, remainder = read_body(RuleBody, raw)
        table = self._table(body.family, body.table)
        chain = table.chains.get(body.chain)
        if chain is None:
            raise body_error("a rule of a chain that is not there", raw)
        rule = NftRule(
            statements=_read_statements(body.expr),
            handle=body.handle,
            comment=body.comment,
            remainder=remainder,
        )
        table.rules.setdefault(chain.name, []).append(rule)

    def _add_set(self, raw: msgspec.Raw, is_meter: bool = False) -> None:
        body, remainder = read_body(SetBody, raw)
        sets = self._table(body.family, body.table).sets
        if body.name in sets:
            raise body_error("a set or map that was there before", raw)
        sets[body.name] = _read_set(body, remainder, is_meter)

    def _add_object(self, kind: str, raw: msgspec.Raw) -> None:
        try:
            body, remainder = read_body(NamedBody, raw)
        except ParseError:
            self.unknown.append(Unknown(show_json({kind: read_any(raw)})))
            return
        named = NftObject(
            type=kind,
            name=body.name,
            packets=body.packets,
            bytes=body.bytes,
            handle=body.handle,
            comment=body.comment,
            remainder=remainder,
        )
        self._table(body.family, body.table).objects.append(named)


def _read_hook(body: ChainBody) -> NftHook | None:
    """Read what makes a base chain. One key of it is enough: it is no regular chain then, whatever it is."""
    if all(getattr(body, key) is None for key in _HOOK_KEYS):
        return None
    return NftHook(
        hook=body.hook or "",
        type=body.type or "",
        priority=body.prio,
        policy=body.policy,
        devices=_many(body.dev or ()),
    )


def _read_set(body: SetBody, remainder: str, is_meter: bool) -> NftSet:
    return NftSet(
        name=body.name,
        type=_read_type(body.type),
        map=None if body.map is None else _split_type(body.map),
        is_meter=is_meter,
        flags=_many(body.flags),
        elements=_read_elements(body.elem, body.map is not None),
        timeout_s=body.timeout,
        gc_interval_s=body.gc_interval,
        size=body.size,
        policy=body.policy,
        auto_merge=body.auto_merge,
        statements=_read_statements(body.stmt),
        handle=body.handle,
        comment=body.comment,
        remainder=remainder,
    )


def _read_type(value: Any) -> tuple[str, ...] | Unknown:
    if isinstance(value, str):
        return _split_type(value)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    return Unknown(show_json(value))


def _split_type(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """Cut a type into its parts: nft 1.0.6 prints that of a map's data as one string."""
    return tuple(value.split(" . ")) if isinstance(value, str) else value


def _many(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return a list, of which nft prints one that has only one member without brackets."""
    return (value,) if isinstance(value, str) else value


def _read_statements(raws: tuple[msgspec.Raw, ...]) -> tuple[Statement, ...]:
    return tuple([parse_statement(raw) for raw in raws])


def _read_elements(raws: tuple[msgspec.Raw, ...], is_map: bool) -> tuple[Element, ...]:
    return tuple([parse_element(raw, is_map) for raw in raws])
