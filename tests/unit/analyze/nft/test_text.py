"""Rules and elements of nft as evidence: the words of nft's own JSON, as real rulesets print them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from netinspect.analyze.nft.text import element_ref, rule_ref
from netinspect.models.nft_statement import Counter
from netinspect.parse.nft_json import parse_nft_json
from tests.captures.capture_dataplanes import DATAPLANES, load
from tests.unit.analyze.nft_build import DROP, IIFNAME, MARK, SADDR, VIP, Table, match, ruleset, to, vmap

CAPTURES = sorted(each.name for each in DATAPLANES.iterdir() if "-nftables" in each.name)


@pytest.mark.parametrize("name", CAPTURES)
def test_rules_and_elements_of_real_rulesets_are_told_as_nft_does(name: str) -> None:
    text = load(DATAPLANES / name, "nft.json")
    printed: dict[tuple[str, str], list[Any]] = {}
    elements: dict[tuple[str, str, str], list[Any]] = {}
    for each in json.loads(text)["nftables"]:
        if rule := each.get("rule"):
            expression = [one for one in rule["expr"] if "counter" not in one]
            printed.setdefault((rule["family"], rule["table"]), []).append((rule["chain"], expression))
        named = each.get("set") or each.get("map")
        if named and "elem" in named:
            elements[named["family"], named["table"], named["name"]] = named["elem"]
    seen = 0
    for table in parse_nft_json(text).tables:
        told = [
            (chain.name, json.loads(rule_ref(table.name, chain.name, rule).text))
            for chain in table.chains.values()
            for rule in chain.rules
        ]
        assert sorted(told, key=repr) == sorted(printed.get((table.family, table.name), []), key=repr)
        seen += len(told)
        for named in table.sets.values():
            texts = [json.loads(element_ref("", each).text) for each in named.elements]
            assert texts == elements.get((table.family, table.name, named.name), [])
    assert seen > 100


def test_a_text_is_compact_and_has_no_counters() -> None:
    counter = {"counter": {"packets": 7, "bytes": 420}}
    table = Table().chain("web", (match(SADDR, VIP), counter, DROP))
    table.map("seen", [{"elem": {"val": to(VIP), **counter, "comment": "ns/svc"}}, DROP])
    found = ruleset(table).tables[0]
    rule = rule_ref("kube-proxy", "web", found.chains["web"].rules[0])
    assert (rule.where, rule.packets, rule.bytes) == ("kube-proxy web", 7, 420)
    assert rule.text == (
        f'[{{"match":{{"op":"==","left":{{"payload":{{"protocol":"ip6","field":"saddr"}}}},"right":"{VIP}"}}}},'
        '{"drop":null}]'
    )
    element = element_ref("map seen", found.sets["seen"].elements[0])
    assert (element.where, element.packets, element.bytes) == ("map seen", 7, 420)
    assert element.text == (
        f'[{{"elem":{{"val":{{"concat":["{VIP}","tcp",80]}},"comment":"ns/svc"}}}},{{"drop":null}}]'
    )


@pytest.mark.parametrize(
    "expression",
    [
        [vmap(IIFNAME, {"set": [["eth*", DROP]]})],
        [{"mangle": {"key": MARK, "value": {"|": [MARK, 1]}}}, {"return": None}],
        [
            match(
                SADDR, {"set": [{"range": ["fd00::1", "fd00::9"]}, {"prefix": {"addr": "fd01::", "len": 16}}]}
            )
        ],
        [{"set": {"op": "update", "elem": SADDR, "set": "@affinity"}}],
        [{"unheard": {"of": [1, "two"]}}],
        [{"xt": {"type": "match", "name": "addrtype"}}],
    ],
)
def test_expressions_of_every_kind(expression: list[Any]) -> None:
    rule = ruleset(Table().chain("web", tuple(expression))).tables[0].chains["web"].rules[0]
    assert not any(isinstance(each, Counter) for each in rule.statements)
    assert json.loads(rule_ref("t", "c", rule).text) == expression
