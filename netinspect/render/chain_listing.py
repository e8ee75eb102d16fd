"""Chains as one table: a row for each rule, and one for a chain without any."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from netinspect.models.chain_listing import ListedChain, ListedRule
from netinspect.render.table import Column


class RuleRow(msgspec.Struct, frozen=True):
    """A row: a rule in its chain; None stands for a chain without rules."""

    chain: ListedChain
    rule: ListedRule | None


def rows_of(chain: ListedChain) -> Iterator[RuleRow]:
    """Yield a row for each rule."""
    return (RuleRow(chain, rule) for rule in chain.rules or (None,))


def name_of(chain: ListedChain) -> str:
    """Return the chain's name within its table."""
    return f"chain/{chain.family}/{chain.table}/{chain.chain}"


def _of_rule(field: str) -> Column[RuleRow]:
    def cell(row: RuleRow) -> str:
        value = "" if row.rule is None else getattr(row.rule, field)
        return "" if value is None else str(value)

    return Column({"number": "NUM", "packets": "PKTS"}.get(field, field.upper()), cell)


def _of_chain(field: str, *, is_wide: bool = False) -> Column[RuleRow]:
    return Column(field.upper(), lambda row: str(getattr(row.chain, field)), is_wide=is_wide)


COLUMNS: tuple[Column[RuleRow], ...] = (
    _of_chain("node"),
    _of_chain("tool", is_wide=True),
    _of_chain("family"),
    _of_chain("table"),
    _of_chain("chain"),
    *(_of_rule(field) for field in ("number", "packets", "bytes", "target", "protocol", "source")),
    *(_of_rule(field) for field in ("destination", "links", "matches", "comment")),
    Column("REFERENCES", lambda row: ",".join(row.chain.references), is_wide=True),
    Column("POLICY", lambda row: row.chain.policy, is_wide=True),
)

NFT_COLUMNS: tuple[Column[RuleRow], ...] = (
    _of_chain("node"),
    _of_chain("family"),
    _of_chain("table"),
    _of_chain("chain"),
    *(_of_rule(field) for field in ("number", "packets")),
    Column("RULE", lambda row: f"{row.rule.matches} {row.rule.target}".strip() if row.rule else ""),
    _of_rule("comment"),
    Column("HANDLE", lambda row: str(row.rule.handle or "") if row.rule else "", is_wide=True),
    Column("HOOK", lambda row: _hook(row.chain), is_wide=True),
    Column("REFERENCES", lambda row: ",".join(row.chain.references), is_wide=True),
)


def _hook(chain: ListedChain) -> str:
    """Return where packets enter the chain, and what becomes of them at its end: `prerouting -100 accept`."""
    priority = "" if chain.priority is None else str(chain.priority)
    return " ".join(each for each in (chain.hook, priority, chain.policy) if each)
