"""A ruleset -> the JSON that `nft -j -f -` takes.

Chains stand before maps and rules, which may name them, and objects before what uses them; so do newer releases of nft
print them. Handles are left out: in input, a rule's handle says where it is to be put.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from netinspect.models.nft import NftChain, NftHook, NftObject, NftRule, NftRuleset, NftSet, NftTable
from netinspect.models.nft_codec import build_json, build_remainder
from netinspect.models.nft_expression import Unknown


def render_nft_json(ruleset: NftRuleset) -> str:
    """Print a whole ruleset on one line."""
    parts = [{"metainfo": _build_meta_info(ruleset)}]
    for table in ruleset.tables:
        parts.extend(_build_table(table))
    parts.extend(build_json(each) for each in ruleset.unknown)
    return msgspec.json.encode({"nftables": parts}).decode() + "\n"


def _build_meta_info(ruleset: NftRuleset) -> dict[str, Any]:
    return {
        "version": ruleset.version,
        "release_name": ruleset.release_name,
        "json_schema_version": ruleset.schema_version,
    }


def _build_table(table: NftTable) -> Iterator[dict[str, Any]]:
    more = {"flags": table.flags, "comment": table.comment or None}
    yield {"table": {"family": table.family, "name": table.name} | _said(more, table.remainder)}
    place = {"family": table.family, "table": table.name}
    for chain in table.chains.values():
        yield {"chain": place | _build_chain(chain)}
    for each in table.objects:
        yield {each.type: place | _build_object(each)}
    for set_ in table.sets.values():
        kind = "meter" if set_.is_meter else "set" if set_.map is None else "map"
        yield {kind: place | _build_set(set_)}
    for chain in table.chains.values():
        for rule in chain.rules:
            yield {"rule": place | {"chain": chain.name} | _build_rule(rule)}


def _build_chain(chain: NftChain) -> dict[str, Any]:
    hook = {} if chain.base is None else _build_hook(chain.base)
    return {"name": chain.name} | _said({"comment": chain.comment or None, **hook}, chain.remainder)


def _build_hook(hook: NftHook) -> dict[str, Any]:
    return {
        # An empty one is printed too: the chain must not become a regular one.
        "type": hook.type,
        "hook": hook.hook,
        "prio": hook.priority,
        "policy": hook.policy,
        "dev": _one_or_many(hook.devices),
    }


def _build_object(each: NftObject) -> dict[str, Any]:
    more = {"comment": each.comment or None, "packets": each.packets, "bytes": each.bytes}
    return {"name": each.name} | _said(more, each.remainder)


def _build_set(set_: NftSet) -> dict[str, Any]:
    types = {"type": _build_type(set_.type)} | ({} if set_.map is None else {"map": _build_type(set_.map)})
    more = {
        "comment": set_.comment or None,
        "policy": set_.policy,
        "size": set_.size,
        "flags": set_.flags,
        "timeout": set_.timeout_s,
        "gc-interval": set_.gc_interval_s,
        "auto-merge": set_.auto_merge or None,
        "elem": build_json(set_.elements),
        "stmt": build_json(set_.statements),
    }
    return {"name": set_.name} | types | _said(more, set_.remainder)


def _build_type(type_: tuple[str, ...] | Unknown) -> Any:
    """Write one type as a string and several as a list, which nft 1.0.6 does not take for the data of a map."""
    return build_json(type_) if isinstance(type_, Unknown) else _one_or_many(type_)


def _build_rule(rule: NftRule) -> dict[str, Any]:
    return _said({"comment": rule.comment or None, "expr": build_json(rule.statements)}, rule.remainder)


def _said(more: dict[str, Any], remainder: str) -> dict[str, Any]:
    """Return what there is to say, with what was not understood."""
    said = {name: value for name, value in more.items() if value not in (None, [], ())}
    return said | build_remainder(remainder)


def _one_or_many(values: tuple[str, ...]) -> str | tuple[str, ...]:
    """Write a list of one member as nft does where it prints types and devices: without brackets."""
    return values[0] if len(values) == 1 and " . " not in values[0] else values
