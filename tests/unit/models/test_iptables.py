"""What a parsed rule, chain and ruleset are asked."""

from __future__ import annotations

from netinspect.models.iptables import Chain, Match, Option, Rule, Ruleset, Table, Target

WORDS = Match("comment", (Option("--comment", ("demo/web cluster IP",)),))
PORT = Match("tcp", (Option("--dport", ("80",)),))
JUMP = Target("DNAT", (Option("--to-destination", ("[fd00:10:244::5]:80",)),))
RULE = Rule(chain="KUBE-SEP-A", matches=(WORDS, PORT), target=JUMP)


def test_a_rule_gives_the_first_match_of_a_name() -> None:
    assert RULE.match("tcp") == PORT
    assert RULE.match("udp") is None


def test_a_rule_has_a_comment_or_an_empty_one() -> None:
    assert RULE.comment == "demo/web cluster IP"
    assert Rule(chain="KUBE-SEP-A", matches=(PORT,)).comment == ""


def test_a_target_gives_an_option_or_none() -> None:
    found = JUMP.get("--to-destination")
    assert found is not None
    assert found.values == ("[fd00:10:244::5]:80",)
    assert JUMP.get("--random") is None


def test_a_ruleset_gives_a_chain_of_a_table_or_none() -> None:
    chain = Chain(name="KUBE-SEP-A", rules=(RULE,))
    rules = Ruleset(tables={"nat": Table(name="nat", chains={chain.name: chain})})
    assert rules.chain("nat", "KUBE-SEP-A") == chain
    assert rules.chain("nat", "KUBE-SEP-B") is None
    assert rules.chain("filter", "KUBE-SEP-A") is None
