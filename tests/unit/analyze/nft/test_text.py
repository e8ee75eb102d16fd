"""Rules and elements of nft as evidence, in nft's own syntax (tests/netns/test_nft_words.py: nft reads it back)."""

from __future__ import annotations

import re

import pytest

from netinspect.analyze.nft.evidence import Evidence
from netinspect.analyze.nft.text import element_ref, rule_ref, unclear_text
from netinspect.models.nft_expression import Jump, Payload
from netinspect.parse.nft_json import parse_nft_json
from tests.captures.capture_dataplanes import DATAPLANES, load
from tests.unit.analyze.nft_build import DROP, SADDR, VIP, Table, match, ruleset, to

CAPTURES = sorted(each.name for each in DATAPLANES.iterdir() if "-nftables" in each.name)
# What would be left of JSON or of Python where a part is not known.
_FOREIGN = re.compile(r'\{"|"\}|\w+\(\w+=')


@pytest.mark.parametrize("name", CAPTURES)
def test_all_that_real_kube_proxies_write_is_told_in_nfts_words(name: str) -> None:
    texts = []
    for table in parse_nft_json(load(DATAPLANES / name, "nft.json")).tables:
        for chain in table.chains.values():
            texts += [rule_ref(table.name, chain.name, rule).text for rule in chain.rules]
        texts += [element_ref("", each).text for named in table.sets.values() for each in named.elements]
    assert len(texts) > 100
    assert [each for each in texts if not each or _FOREIGN.search(each)] == []


def test_a_text_has_no_counters() -> None:
    counter = {"counter": {"packets": 7, "bytes": 420}}
    table = Table().chain("web", (match(SADDR, VIP), counter, DROP))
    table.map("seen", [{"elem": {"val": to(VIP), **counter, "comment": "ns/svc"}}, DROP])
    found = ruleset(table).tables[0]
    rule = rule_ref("kube-proxy", "web", found.chains["web"].rules[0])
    assert (rule.where, rule.packets, rule.bytes) == ("kube-proxy web", 7, 420)
    assert rule.text == f"ip6 saddr {VIP} drop"
    element = element_ref("map seen", found.sets["seen"].elements[0])
    assert (element.where, element.packets, element.bytes) == ("map seen", 7, 420)
    assert element.text == f"{VIP} . tcp . 80 : drop"


def test_what_is_not_known_of_a_rule_stays_in_its_text() -> None:
    table = Table().chain("web", ({"unheard": {"of": 1}}, DROP))
    table._rules[-1]["rule"]["new-in-nft-9"] = 1
    rule = ruleset(table).tables[0].chains["web"].rules[0]
    assert rule_ref("t", "c", rule).text == '{"unheard":{"of":1}} drop {"new-in-nft-9":1}'


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (None, ""),
        ("too many sources", "too many sources"),
        (Payload(protocol="ip6", field="saddr"), "ip6 saddr"),
        (Jump("web"), "jump web"),
    ],
)
def test_what_cannot_be_judged(part: object, text: str) -> None:
    assert unclear_text(part) == text


def test_an_element_that_two_chains_have_is_told_by_each() -> None:
    table = Table().map("seen", [to(VIP), DROP]).chain("tcp").chain("udp")
    found = ruleset(table).tables[0]
    (element,), evidence = found.sets["seen"].elements, Evidence()
    told = [evidence.element(found, found.chains[name], element, "").where for name in ("tcp", "udp", "tcp")]
    assert told == ["kube-proxy tcp", "kube-proxy udp", "kube-proxy tcp"]
    assert evidence.element(found, found.chains["udp"], element, "seen").where == "map seen"
