"""Printed JSON of nft is read again as the same ruleset. That nft takes it is proven in tests/netns."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given

from netinspect.errors import ParseError
from netinspect.models.nft import NftRule, NftRuleset
from netinspect.models.nft_codec import show_element, show_rule
from netinspect.models.nft_expression import Concat, Drop, Element, Numgen, Prefix, Unknown
from netinspect.models.nft_statement import Masquerade, Match, Quota, Xt
from netinspect.parse.nft_json import parse_nft_json
from netinspect.render.nft_json import render_nft_json
from tests.captures.parsers import list_cases
from tests.unit.parse.nft_text import CHAIN, OUTPUTS, TABLE, UNTIMED, output, rule, set_

CASES = list_cases("nft-json")


def without_handles(value: Any) -> Any:
    """Return JSON without the handles, which in input mean something else."""
    if isinstance(value, dict):
        return {key: without_handles(each) for key, each in value.items() if key != "handle"}
    return [without_handles(each) for each in value] if isinstance(value, list) else value


def parse_without_handles(text: str) -> NftRuleset:
    return parse_nft_json(json.dumps(without_handles(json.loads(text))))


@pytest.mark.parametrize("case", CASES, ids=[case.stem for case in CASES])
def test_what_is_printed_is_read_as_the_same(case: Any) -> None:
    """Of every capture, all but the handles; and printing it again changes nothing."""
    ruleset = parse_without_handles(case.read_text())
    printed = render_nft_json(ruleset)
    assert parse_nft_json(printed) == ruleset
    assert render_nft_json(parse_nft_json(printed)) == printed


@UNTIMED
@given(OUTPUTS)
@example(output(set_("map", type=["a . b"], map=["c . d"])))
def test_arbitrary_rulesets_are_read_as_the_same(text: str) -> None:
    """Whatever is understood of them, and whatever is not."""
    try:
        ruleset = parse_without_handles(text)
    except ParseError:
        return
    assert parse_nft_json(render_nft_json(ruleset)) == ruleset


def test_prints_chains_before_what_leads_to_them() -> None:
    """nft takes no element, and no rule, that leads to a chain which is not there yet; nor a set that uses nothing."""
    counter = {"counter": {"family": "ip6", "table": "t", "name": "n", "packets": 0, "bytes": 0}}
    ruleset = parse_nft_json(output(TABLE, set_(), counter, CHAIN, rule({"accept": None})))
    kinds = [next(iter(each)) for each in json.loads(render_nft_json(ruleset))["nftables"]]
    assert kinds == ["metainfo", "table", "chain", "counter", "set", "rule"]


def test_prints_no_handle() -> None:
    """In input, a rule's handle would say where it is to be put."""
    ruleset = parse_nft_json(output(TABLE, CHAIN, set_(), rule({"accept": None})))
    assert '"handle"' in output(TABLE)
    assert "handle" not in render_nft_json(ruleset)


def test_prints_keys_that_it_does_not_know_where_they_were() -> None:
    """Of a chain, a rule and an element."""
    objects = (
        {"chain": {**CHAIN["chain"], "new": [1]}},
        set_(elem=[{"elem": {"val": "::1", "new": {"x": None}}}]),
        rule({"novelty": {"a": 1.5}}, new="more"),
    )
    ruleset = parse_nft_json(output(TABLE, *objects))
    printed = json.loads(render_nft_json(ruleset))["nftables"]
    assert printed[2:] == without_handles(list(objects))


def test_shows_a_rule_and_an_element_as_nft_prints_them() -> None:
    """Compact, for evidence: what nft leaves out is left out, and what it prints always is there."""
    assert show_rule(NftRule(statements=(Masquerade(), Xt(), Quota(5), Unknown('{"x":1}')))) == (
        '[{"masquerade":null},{"xt":null},{"quota":{"val":5,"val_unit":"bytes"}},{"x":1}]'
    )
    numgen = Match("==", Numgen("random", 2), 1)
    assert show_rule(NftRule(statements=(numgen,))) == (
        '[{"match":{"op":"==","left":{"numgen":{"mode":"random","mod":2,"offset":0}},"right":1}}]'
    )
    key = Concat((Prefix("fd00::", 8), "tcp", 80))
    assert show_element(Element(key)) == '{"concat":[{"prefix":{"addr":"fd00::","len":8}},"tcp",80]}'
    assert show_element(Element("::1", Drop(), comment="ns/svc:p")) == (
        '[{"elem":{"val":"::1","comment":"ns/svc:p"}},{"drop":null}]'
    )
    assert show_element(Element("::1", expires_s=0, packets=0, bytes=0)) == (
        '{"elem":{"val":"::1","expires":0,"counter":{"packets":0,"bytes":0}}}'
    )
