"""Chains of nft: who leads to them, and rules in nft's words."""

from __future__ import annotations

import json

from netinspect.analyze.nft.listing import list_nft_chains
from netinspect.analyze.nft.words import say_element, say_part, say_statement
from netinspect.models.chain_listing import ListedChain
from netinspect.models.nft import NftChain, NftHook, NftRule, NftRuleset, NftSet, NftTable
from netinspect.models.nft_expression import (
    Accept,
    Concat,
    Element,
    Goto,
    Jump,
    Meta,
    Payload,
    Set,
    SetRef,
    Unknown,
    Vmap,
)
from netinspect.models.nft_statement import Counter, Match, Queue, Quota, Xt

DADDR = Payload(protocol="ip6", field="daddr")
SERVICE = Element(key=Concat(parts=("fd00:96::20", "tcp", 80)), data=Goto(target="service-A"))
TABLE = NftTable(
    family="ip6",
    name="kube-proxy",
    chains={
        "nat-prerouting": NftChain(
            name="nat-prerouting",
            base=NftHook(hook="prerouting", type="nat", priority=-100, policy="accept"),
            rules=(NftRule(statements=(Jump(target="services"),), handle=7),) * 2,
        ),
        "services": NftChain(
            name="services",
            rules=(
                NftRule(
                    statements=(
                        Match(op="!=", left=DADDR, right=SetRef(name="nodes")),
                        Counter(packets=3, bytes=180),
                        Vmap(key=DADDR, data=SetRef(name="service-ips")),
                    ),
                    comment="why",
                ),
                NftRule(statements=(Xt(type="match", name="comment"), Accept())),
                NftRule(statements=(Accept(),), remainder='{"new": 1}'),
                NftRule(
                    statements=(
                        Vmap(
                            key=Meta(key="mark"),
                            data=Set(elements=(Element(key=1, data=Jump(target="service-A")),)),
                        ),
                    )
                ),
                NftRule(statements=(Match(op="==", left=DADDR, right=Unknown(json='{"x":1}')),)),
            ),
        ),
        "service-A": NftChain(name="service-A"),
    },
    sets={
        "service-ips": NftSet(name="service-ips", type=("ipv6_addr",), map=("verdict",), elements=(SERVICE,)),
        "nodes": NftSet(name="nodes", type=("ipv6_addr",)),
    },
)
OTHER = NftTable(family="inet", name="kube-proxy", chains={"x": NftChain(name="x")})
RULES = NftRuleset(tables=(TABLE, OTHER))


def listed(tables: tuple[str, ...] = (), chains: tuple[str, ...] = ()) -> list[ListedChain]:
    return list(list_nft_chains("node-b", RULES, tables, chains))


def test_a_base_chain_says_where_packets_enter_and_a_regular_one_who_leads_to_it() -> None:
    first, services, service, _ = listed()
    assert (first.node, first.tool, first.family, first.table) == ("node-b", "nft", "ip6", "kube-proxy")
    assert (first.hook, first.priority, first.policy, first.references) == ("prerouting", -100, "accept", ())
    assert (services.hook, services.priority, services.references) == ("", None, ("nat-prerouting",))
    assert service.references == ("@service-ips", "services")


def test_a_rule_is_parted_into_what_it_asks_and_what_it_does() -> None:
    [chain] = listed(chains=("services",))
    rule = chain.rules[0]
    assert (rule.matches, rule.target) == ("ip6 daddr != @nodes", "ip6 daddr vmap @service-ips")
    assert (rule.packets, rule.bytes, rule.comment, rule.is_understood) == (3, 180, "why", True)
    assert [each["kind"] for each in json.loads(rule.text)] == ["match", "counter", "vmap"]
    [first] = listed(chains=("nat-prerouting",))
    assert (first.rules[0].target, first.rules[0].handle, first.rules[1].number) == ("jump services", 7, 2)
    assert first.rules[0].packets is None


def test_what_is_not_understood_is_shown_and_said() -> None:
    [chain] = listed(chains=("services",))
    assert [each.is_understood for each in chain.rules] == [True, False, False, True, False]
    assert (chain.rules[1].matches, chain.rules[1].target) == ("xt match comment", "accept")
    assert (chain.rules[2].matches, chain.rules[2].target) == ('{"new": 1}', "accept")
    assert (chain.rules[4].matches, chain.rules[4].target) == ('ip6 daddr {"x":1}', "")


def test_tables_and_chains_are_chosen() -> None:
    assert [each.chain for each in listed(tables=("inet kube-proxy",))] == ["x"]
    assert len(listed(tables=("kube-proxy",))) == 4
    assert listed(tables=("nat",)) == []
    assert [each.chain for each in listed(chains=("service-A", "x"))] == ["service-A", "x"]


def test_words_that_no_kernel_here_can_prove() -> None:
    assert say_element(SERVICE) == "fd00:96::20 . tcp . 80 : goto service-A"
    assert say_element(Element(key=1, remainder='{"limit":1}')) == '1 {"limit":1}'
    assert say_statement(Queue(num=3, flags=("bypass", "fanout"))) == "queue flags bypass,fanout to 3"
    assert say_statement(Queue()) == "queue"
    assert say_statement(Xt()) == "xt unknown unknown"
    assert say_statement(Quota(val=3, used=1)) == "quota 3 bytes used 1 bytes"
    assert say_part(False) == "missing"
