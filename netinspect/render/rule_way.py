"""The way of a packet through rules as one line: `nat PREROUTING or nat OUTPUT > KUBE-SERVICES > KUBE-SVC-X`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from netinspect.models.service_map import Hook, RuleRef

_NOT_TABLES = ("map", "ipset")


def show_place(rule: RuleRef, table: str = "") -> str:
    """Write where a rule is, and what it counted.

    Args:
        rule: the rule.
        table: the one that was named last: it is not named again.
    """
    where = rule.where.removeprefix(f"{table} ") if table else rule.where
    if rule.packets is None:
        return where
    return f"{where} ({rule.packets} packet{'' if rule.packets == 1 else 's'})"


def show_way(rules: Sequence[RuleRef]) -> str:
    """Write the way through rules; those that are met at one hook, and those at another, are alternatives."""
    table = ""
    steps: list[str] = []
    for is_apart, group in groupby(rules, key=lambda each: bool(each.hooks)):
        part = list(group)
        if is_apart:
            ways = _by_hooks(part)
            steps.append(_show_alternatives(ways))
            table = _common(_last_table(way, "") for way in ways.values())
        else:
            steps += _places(part, table)
            table = _last_table(part, table)
    return " > ".join(steps)


def _by_hooks(rules: Iterable[RuleRef]) -> dict[tuple[Hook, ...], list[RuleRef]]:
    ways: dict[tuple[Hook, ...], list[RuleRef]] = {}
    for rule in rules:
        ways.setdefault(rule.hooks, []).append(rule)
    return ways


def _show_alternatives(ways: dict[tuple[Hook, ...], list[RuleRef]]) -> str:
    if len(ways) == 1:
        [(hooks, rules)] = ways.items()
        return f"at {' and '.join(hooks)} {_chain(rules)}"
    is_long = any(len(rules) > 1 for rules in ways.values())
    return " or ".join(f"({_chain(rules)})" if is_long else _chain(rules) for rules in ways.values())


def _chain(rules: Iterable[RuleRef]) -> str:
    return " > ".join(_places(rules))


def _places(rules: Iterable[RuleRef], table: str = "") -> Iterator[str]:
    """Write where rules are. Of some in one chain it is the last that leads on."""
    for _, group in groupby(rules, key=lambda each: each.where):
        part = list(group)
        yield show_place(part[-1], table)
        table = _last_table(part, table)


def _last_table(rules: Sequence[RuleRef], otherwise: str) -> str:
    return next((found for rule in reversed(rules) if (found := _table_of(rule))), otherwise)


def _table_of(rule: RuleRef) -> str:
    """Return the table that a rule is in; `""` of what is in none (`ipvs`), or does not say (`map service-ips`)."""
    table, blank, _ = rule.where.partition(" ")
    return table if blank and table not in _NOT_TABLES else ""


def _common(tables: Iterable[str]) -> str:
    found = set(tables)
    return found.pop() if len(found) == 1 else ""
