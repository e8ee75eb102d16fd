"""Chains of iptables as they are listed: who jumps to them, and their rules in columns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from netinspect.models.chain_listing import ListedChain, ListedRule
from netinspect.models.iptables import Chain, Extension, Rule, Ruleset, Target, Value

_FAMILIES = {4: "ip", 6: "ip6"}


def list_chains(
    node: str,
    tool: str,
    family: int,
    ruleset: Ruleset,
    tables: Collection[str] = (),
    chains: Collection[str] = (),
) -> Iterator[ListedChain]:
    """Yield the chains of these tables and names, in the order printed; none named means all.

    Args:
        node: the node's name.
        tool: what printed the rules.
        family: 4 or 6.
        ruleset: all of them, so that references are known.
        tables: names of tables.
        chains: names of chains.
    """
    for table in ruleset.tables.values():
        if tables and table.name not in tables:
            continue
        references = _find_references(table.chains.values())
        for chain in table.chains.values():
            if chains and chain.name not in chains:
                continue
            yield ListedChain(
                node=node,
                tool=tool,
                family=_FAMILIES[family],
                table=table.name,
                chain=chain.name,
                policy=chain.policy or "",
                references=references.get(chain.name, ()),
                rules=tuple(_list_rule(number, rule) for number, rule in enumerate(chain.rules, 1)),
            )


def _find_references(chains: Iterable[Chain]) -> dict[str, tuple[str, ...]]:
    """Return by target which chains have a rule that leads there."""
    found: dict[str, dict[str, None]] = {}
    for chain in chains:
        for rule in chain.rules:
            if rule.target is not None:
                found.setdefault(rule.target.name, {})[chain.name] = None
    return {target: tuple(names) for target, names in found.items()}


def _list_rule(number: int, rule: Rule) -> ListedRule:
    links = (("in", rule.in_link), ("out", rule.out_link))
    return ListedRule(
        number=number,
        packets=rule.packets,
        bytes=rule.bytes,
        protocol=_value(rule.protocol),
        source=_value(rule.source),
        destination=_value(rule.destination),
        links=" ".join(f"{where} {_value(link)}" for where, link in links if link is not None),
        matches=" ".join(_matches(rule)),
        target=_target(rule.target),
        comment=rule.comment,
        text=rule.raw,
        is_understood=not rule.remainder,
    )


def _matches(rule: Rule) -> Iterator[str]:
    if rule.fragment is not None:
        yield "-f" if rule.fragment else "! -f"
    for match in rule.matches:
        if match.name != "comment":
            yield f"{match.name}{_options(match)}"
    if rule.remainder:
        yield f"not understood: {rule.remainder}"


def _target(target: Target | None) -> str:
    if target is None:
        return ""
    return f"{target.name}{' (goto)' if target.is_goto else ''}{_options(target)}"


def _options(extension: Extension) -> str:
    return "".join(
        f" {'! ' if option.negated else ''}{' '.join((option.name, *option.values))}"
        for option in extension.options
    )


def _value(value: Value | None) -> str:
    if value is None:
        return ""
    return f"! {value.text}" if value.negated else value.text
