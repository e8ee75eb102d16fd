"""Rules and elements as evidence, each written once however many ways lead by it."""

from __future__ import annotations

from netinspect.analyze.nft.text import element_ref, rule_ref
from netinspect.models.nft import NftChain, NftRule, NftTable
from netinspect.models.nft_expression import Element
from netinspect.models.service_map import RuleRef


class Evidence:
    """Makes `RuleRef`s and keeps them."""

    def __init__(self) -> None:
        self._rules: dict[int, tuple[NftRule, RuleRef]] = {}
        self._elements: dict[tuple[int, str], tuple[Element, RuleRef]] = {}

    def rule(self, table: NftTable, chain: NftChain, rule: NftRule) -> RuleRef:
        """Return a rule as evidence."""
        found = self._rules.get(id(rule))
        if found is None:
            found = rule, rule_ref(table.name, chain.name, rule)
            self._rules[id(rule)] = found
        return found[1]

    def element(self, table: NftTable, chain: NftChain, element: Element, named: str) -> RuleRef:
        """Return an element as evidence: of a named map, or of an anonymous one in a chain."""
        where = f"map {named}" if named else f"{table.name} {chain.name}"
        # An element is not its chain's alone: equal pieces are one (parse/nft_expressions.py).
        found = self._elements.get((id(element), where))
        if found is None:
            found = element, element_ref(where, element)
            self._elements[id(element), where] = found
        return found[1]
