"""Parts of nft's rules back in the JSON that nft prints and takes: to print them, and to show where a fact is from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from netinspect.models import nft_expression as nft
from netinspect.models import nft_statement as stmt
from netinspect.models.nft import NftRule

_ENCODER = msgspec.json.Encoder()


def show_rule(rule: NftRule) -> str:
    """Write a rule's statements as compact JSON: `[{"match":...},{"drop":null}]`."""
    return _ENCODER.encode([build_json(each) for each in rule.statements]).decode()


def show_element(element: nft.Element) -> str:
    """Write an element of a set or a map as compact JSON; one of a map is `[KEY,DATA]`."""
    return _ENCODER.encode(build_json(element)).decode()


def build_json(value: Any) -> Any:
    """Turn an expression, a statement or an element into what `msgspec.json` encodes as nft's JSON.

    Keys whose value is nft's default are left out.
    """
    if isinstance(value, nft.List):
        value = value.items
    if isinstance(value, tuple):
        return [build_json(each) for each in value]
    if not isinstance(value, nft.Node):
        return value
    special = _SPECIAL.get(type(value))
    return special(value) if special else {_tag(type(value)): _build_body(value)}


def build_remainder(remainder: str) -> dict[str, Any]:
    """Return the keys that were not understood."""
    return msgspec.json.decode(remainder, type=dict[str, Any]) if remainder else {}


def _build_body(node: nft.Node) -> dict[str, Any] | None:
    """Build what stands behind a node's name: its fields, or null where it has none to print."""
    body = {
        field.encode_name: build_json(value)
        for field in msgspec.structs.fields(node)
        if (value := getattr(node, field.name)) != field.default
    }
    return body or None


def _tag(kind: type[nft.Node]) -> str:
    return str(kind.__struct_config__.tag)


def _build_raw_payload(payload: nft.RawPayload) -> Any:
    return {"payload": _build_body(payload)}


def _build_set(set_: nft.Set) -> Any:
    return {"set": build_json(set_.elements)}


def _build_element(element: nft.Element) -> Any:
    more: dict[str, Any] = {
        "timeout": element.timeout_s,
        "expires": element.expires_s,
        "comment": element.comment or None,
        "counter": None if element.packets is None else {"packets": element.packets, "bytes": element.bytes},
    }
    wrapped = {name: value for name, value in more.items() if value is not None}
    wrapped |= build_remainder(element.remainder)
    key = build_json(element.key)
    if wrapped:
        key = {"elem": {"val": key, **wrapped}}
    return key if element.data is None else [key, build_json(element.data)]


def _build_set_update(update: stmt.SetUpdate) -> Any:
    body = {"op": update.op, "elem": build_json(update.element), "set": f"@{update.set}"}
    if update.statements:
        body["stmt"] = build_json(update.statements)
    return {"set": body}


def _build_quota(quota: stmt.Quota) -> Any:
    # nft takes no quota without a unit.
    return {"quota": {**(_build_body(quota) or {}), "val_unit": quota.val_unit}}


_SPECIAL: dict[type[nft.Node], Callable[[Any], Any]] = {
    nft.Unknown: lambda unknown: msgspec.Raw(unknown.json.encode()),
    nft.SetRef: lambda reference: f"@{reference.name}",
    nft.RawPayload: _build_raw_payload,
    nft.Range: lambda range_: {"range": [build_json(range_.low), build_json(range_.high)]},
    # nft prints the offset always.
    nft.Numgen: lambda numgen: {"numgen": msgspec.structs.asdict(numgen)},
    nft.Concat: lambda concat: {"concat": build_json(concat.parts)},
    nft.Binary: lambda binary: {binary.op: build_json(binary.operands)},
    nft.Set: _build_set,
    nft.Element: _build_element,
    stmt.ObjectRef: lambda reference: {reference.type: build_json(reference.name)},
    stmt.SetUpdate: _build_set_update,
    stmt.Quota: _build_quota,
}
