"""Chains of nft as they are listed: who leads to them, and their rules in nft's words."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import msgspec

from netinspect.analyze.nft.words import say_statement
from netinspect.models.chain_listing import ListedChain, ListedRule
from netinspect.models.nft import NftChain, NftRule, NftRuleset, NftTable
from netinspect.models.nft_expression import Element, Goto, Jump, Lookup, Unknown, Verdict
from netinspect.models.nft_statement import (
    Counter,
    Dnat,
    Masquerade,
    Queue,
    Redirect,
    Reject,
    Snat,
    Statement,
    Xt,
)

_TARGETS = (Verdict, Dnat, Snat, Masquerade, Redirect, Reject, Queue)


def list_nft_chains(
    node: str, ruleset: NftRuleset, tables: Collection[str] = (), chains: Collection[str] = ()
) -> Iterator[ListedChain]:
    """Yield the chains of these tables and names, in the order printed; none named means all.

    Args:
        node: the node's name.
        ruleset: all of it, so that references are known.
        tables: `kube-proxy`, or with its family `ip6 kube-proxy`.
        chains: names of chains.
    """
    for table in ruleset.tables:
        if tables and table.name not in tables and f"{table.family} {table.name}" not in tables:
            continue
        references = _find_references(table)
        for chain in table.chains.values():
            if not chains or chain.name in chains:
                yield _list_chain(node, table, chain, references.get(chain.name, ()))


def _list_chain(node: str, table: NftTable, chain: NftChain, references: tuple[str, ...]) -> ListedChain:
    base = chain.base
    return ListedChain(
        node=node,
        tool="nft",
        family=table.family,
        table=table.name,
        chain=chain.name,
        hook=base.hook if base else "",
        priority=base.priority if base else None,
        policy=(base.policy or "") if base else "",
        references=references,
        rules=tuple(_list_rule(number, rule) for number, rule in enumerate(chain.rules, 1)),
    )


def _list_rule(number: int, rule: NftRule) -> ListedRule:
    counter = next((each for each in rule.statements if isinstance(each, Counter)), None)
    shown = [each for each in rule.statements if not isinstance(each, Counter)]
    last = shown[-1] if shown else None
    is_target = isinstance(last, (*_TARGETS, Lookup))
    asked = shown[:-1] if is_target else shown
    return ListedRule(
        number=number,
        handle=rule.handle,
        packets=counter.packets if counter else None,
        bytes=counter.bytes if counter else None,
        matches=" ".join((*map(say_statement, asked), *([rule.remainder] if rule.remainder else []))),
        target=say_statement(last) if is_target and last is not None else "",
        comment=rule.comment,
        text=msgspec.json.encode(rule.statements).decode(),
        is_understood=not rule.remainder and not any(_is_dark(each) for each in rule.statements),
    )


def _is_dark(statement: Statement) -> bool:
    """Whether something in a statement is not understood, however deep it lies."""
    return any(isinstance(each, (Unknown, Xt)) for each in _parts(statement))


def _parts(part: object) -> Iterator[object]:
    yield part
    if isinstance(part, msgspec.Struct):
        for name in part.__struct_fields__:
            yield from _parts(getattr(part, name))
    elif isinstance(part, tuple):
        for each in part:
            yield from _parts(each)


def _find_references(table: NftTable) -> dict[str, tuple[str, ...]]:
    """Return by chain who leads there: chains, and maps whose elements name it (`@service-ips`)."""
    found: dict[str, dict[str, None]] = {}
    for name, elements in _verdict_maps(table):
        for element in elements:
            if isinstance(element.data, (Jump, Goto)):
                found.setdefault(element.data.target, {})[f"@{name}"] = None
    for chain in table.chains.values():
        for rule in chain.rules:
            for part in _parts(rule.statements):
                if isinstance(part, (Jump, Goto)):
                    found.setdefault(part.target, {})[chain.name] = None
    return {chain: tuple(names) for chain, names in found.items()}


def _verdict_maps(table: NftTable) -> Iterable[tuple[str, tuple[Element, ...]]]:
    return ((each.name, each.elements) for each in table.sets.values() if each.map is not None)
