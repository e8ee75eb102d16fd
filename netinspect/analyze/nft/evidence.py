"""Rules and elements as evidence, each written once however many ways lead by it."""

from __future__ import annotations

from netinspect.analyze.nft.text import element_ref, rule_ref
from netinspect.models.nft import NftChain, NftRule, NftTable
from netinspect.models.nft_expression import Element
from netinspect.models.service_map import RuleRef


class Evidence:
    """Makes `RuleRef`s and keeps them, by the identity of what they tell of: the ruleset outlives the walks."""

    def __init__(self) -> None:
        self._rules: dict[int, RuleRef] = {}
        self._named: dict[int, RuleRef] = {}
        self._anonymous: dict[tuple[int, int], RuleRef] = {}
        self._maps: dict[str, str] = {}

    def rule(self, table: NftTable, chain: NftChain, rule: NftRule) -> RuleRef:
        """Return a rule as evidence."""
        found = self._rules.get(id(rule))
        if found is None:
            found = self._rules[id(rule)] = rule_ref(table.name, chain.name, rule)
        return found

    def element(self, table: NftTable, chain: NftChain, element: Element, named: str) -> RuleRef:
        """Return an element as evidence: of a named map, or of an anonymous one in a chain."""
        if named:
            found = self._named.get(id(element))
            if found is None:
                where = self._maps.setdefault(named, f"map {named}")
                found = self._named[id(element)] = element_ref(where, element)
            return found
        # Such an element is not its chain's alone: equal statements are one (parse/nft_expressions.py).
        key = id(element), id(chain)
        found = self._anonymous.get(key)
        if found is None:
            found = self._anonymous[key] = element_ref(f"{table.name} {chain.name}", element)
        return found
