"""Rules and elements of nft as evidence: compact JSON in the words of nft itself.

Counters are no part of the text: they stand beside it, so that the same rule has the same text in two samples. Source
of the form: libnftables-json(5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from netinspect.models import nft_expression as expression
from netinspect.models import nft_statement as statement
from netinspect.models.nft import NftRule
from netinspect.models.service_map import RuleRef

_PLAIN = frozenset((str, int, bool, type(None)))
_VERDICTS = (
    expression.Accept,
    expression.Drop,
    expression.Continue,
    expression.Break,
    expression.Return,
)


def rule_ref(table: str, chain: str, rule: NftRule) -> RuleRef:
    """Return a rule as evidence, with its counter where it has one."""
    counter = next((each for each in rule.statements if isinstance(each, statement.Counter)), None)
    return RuleRef(
        where=f"{table} {chain}",
        text=_compact([each for each in rule.statements if not isinstance(each, statement.Counter)]),
        packets=counter.packets if counter else None,
        bytes=counter.bytes if counter else None,
    )


def element_ref(where: str, element: expression.Element) -> RuleRef:
    """Return an element of a set or map as evidence, with its counter where it has one."""
    return RuleRef(where=where, text=_compact(element), packets=element.packets, bytes=element.bytes)


def statement_text(part: object) -> str:
    """Return one statement or expression as compact JSON."""
    return _compact(part)


def _compact(part: object) -> str:
    return msgspec.json.encode(_json(part)).decode()


def _json(part: object) -> object:
    kind = type(part)
    if kind in _PLAIN:
        return part
    writer = _WRITERS.get(kind)
    if writer is not None:
        return writer(part)
    return [_json(each) for each in part] if isinstance(part, list | tuple) else _generic(part)


def _generic(part: object) -> object:
    assert isinstance(part, expression.Node)
    tag = part.__struct_config__.tag
    fields = {each: getattr(part, each) for each in part.__struct_fields__}
    return {str(tag): _present(fields) or None}


def _present(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: _json(value) for name, value in fields.items() if value not in (None, (), "")}


def _nat(part: statement.Nat) -> object:
    """Write a translation; nft prints a single flag of it without a list, unlike flags elsewhere."""
    fields = {each: getattr(part, each) for each in part.__struct_fields__}
    if len(part.flags) == 1:
        fields["flags"] = part.flags[0]
    return {str(part.__struct_config__.tag): _present(fields) or None}


def _element(part: expression.Element) -> object:
    key = _json(part.key)
    if part.comment or part.timeout_s is not None or part.remainder:
        more = {"comment": part.comment, "timeout": part.timeout_s, "remainder": part.remainder}
        key = {"elem": {"val": key, **_present(more)}}
    return key if part.data is None else [key, _json(part.data)]


def _named(name: str, *parts: object) -> dict[str, object]:
    return {name: [_json(each) for each in parts]}


def _items(name: str, parts: Iterable[object]) -> dict[str, object]:
    return {name: [_json(each) for each in parts]}


def _lookup(part: expression.Lookup) -> object:
    name = str(part.__struct_config__.tag)
    return {name: {"key": _json(part.key), "data": _json(part.data)}}


def _update(part: statement.SetUpdate) -> object:
    fields = {"op": part.op, "elem": part.element, "set": f"@{part.set}", "stmt": part.statements}
    return {"set": _present(fields)}


def _raw(part: expression.Unknown) -> object:
    try:
        return msgspec.Raw(msgspec.json.encode(msgspec.json.decode(part.json)))
    except msgspec.DecodeError:
        return part.json


_WRITERS: dict[type, Callable[[Any], object]] = {
    expression.Unknown: _raw,
    expression.SetRef: lambda part: f"@{part.name}",
    expression.Range: lambda part: _named("range", part.low, part.high),
    expression.Concat: lambda part: _items("concat", part.parts),
    expression.List: lambda part: [_json(each) for each in part.items],
    expression.Binary: lambda part: _items(part.op, part.operands),
    expression.Element: _element,
    expression.Set: lambda part: _items("set", part.elements),
    expression.Map: _lookup,
    expression.Vmap: _lookup,
    statement.Match: lambda part: {
        "match": {"op": part.op, "left": _json(part.left), "right": _json(part.right)}
    },
    statement.SetUpdate: _update,
    **dict.fromkeys((statement.Dnat, statement.Snat, statement.Masquerade, statement.Redirect), _nat),
    **{verdict: lambda part: {str(part.__struct_config__.tag): None} for verdict in _VERDICTS},
}
