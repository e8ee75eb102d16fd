"""Chains of iptables in columns: nothing that a rule says is left out."""

from __future__ import annotations

from netinspect.analyze.iptables.listing import list_chains
from netinspect.models.chain_listing import ListedChain, ListedRule
from netinspect.models.iptables import Chain, Match, Option, Rule, Ruleset, Table, Target, Value

SERVICE = Rule(
    chain="KUBE-SERVICES",
    destination=Value("fd00:96::20/128"),
    protocol=Value("tcp"),
    matches=(
        Match("comment", (Option("--comment", ("demo/web:http cluster IP",)),)),
        Match("tcp", (Option("--dport", ("80",)),)),
    ),
    target=Target("KUBE-SVC-A"),
    packets=3,
    bytes=180,
    raw="-A KUBE-SERVICES ...",
)
ODD = Rule(
    chain="KUBE-SERVICES",
    source=Value("fd00:244::/48", negated=True),
    in_link=Value("cni0"),
    out_link=Value("eth+", negated=True),
    fragment=False,
    matches=(
        Match("set", (Option("--match-set", ("KUBE-X", "dst,dst"), negated=True),)),
        Match("new", ()),
    ),
    target=Target("KUBE-SVC-B", is_goto=True),
    remainder="--what 7",
    raw="-A KUBE-SERVICES --what 7",
)
DNAT = Rule(
    chain="KUBE-SVC-A",
    target=Target("DNAT", (Option("--to-destination", ("[fd00:244::5]:8080",)),)),
)
COUNTER = Rule(chain="KUBE-SVC-A", fragment=True)
RULES = Ruleset(
    tables={
        "nat": Table(
            name="nat",
            chains={
                "PREROUTING": Chain(
                    name="PREROUTING",
                    policy="ACCEPT",
                    rules=(Rule(chain="PREROUTING", target=Target("KUBE-SERVICES")),) * 2,
                ),
                "KUBE-SERVICES": Chain(name="KUBE-SERVICES", rules=(SERVICE, ODD)),
                "KUBE-SVC-A": Chain(name="KUBE-SVC-A", rules=(DNAT, COUNTER)),
                "KUBE-SVC-B": Chain(name="KUBE-SVC-B"),
            },
        ),
        "filter": Table(name="filter", chains={"INPUT": Chain(name="INPUT", policy="DROP")}),
    }
)


def listed(tables: tuple[str, ...] = (), chains: tuple[str, ...] = (), family: int = 6) -> list[ListedChain]:
    return list(list_chains("node-a", "ip6tables-nft-save", family, RULES, tables, chains))


def test_a_rule_is_parted_into_columns() -> None:
    [chain] = listed(chains=("KUBE-SERVICES",))
    assert chain.rules[0] == ListedRule(
        number=1,
        packets=3,
        bytes=180,
        protocol="tcp",
        destination="fd00:96::20/128",
        matches="tcp --dport 80",
        target="KUBE-SVC-A",
        comment="demo/web:http cluster IP",
        text="-A KUBE-SERVICES ...",
    )


def test_negations_links_gotos_and_what_is_not_understood_are_shown() -> None:
    [chain] = listed(chains=("KUBE-SERVICES",))
    assert chain.rules[1] == ListedRule(
        number=2,
        source="! fd00:244::/48",
        links="in cni0 out ! eth+",
        matches="! -f set ! --match-set KUBE-X dst,dst new not understood: --what 7",
        target="KUBE-SVC-B (goto)",
        text="-A KUBE-SERVICES --what 7",
        is_understood=False,
    )


def test_targets_have_their_options_and_a_rule_without_one_counts_only() -> None:
    [chain] = listed(chains=("KUBE-SVC-A",))
    assert [each.target for each in chain.rules] == ["DNAT --to-destination [fd00:244::5]:8080", ""]
    assert chain.rules[1].matches == "-f"


def test_chains_say_who_leads_to_them_once() -> None:
    references = {each.chain: each.references for each in listed(tables=("nat",))}
    assert references == {
        "PREROUTING": (),
        "KUBE-SERVICES": ("PREROUTING",),
        "KUBE-SVC-A": ("KUBE-SERVICES",),
        "KUBE-SVC-B": ("KUBE-SERVICES",),
    }


def test_tables_and_chains_are_chosen() -> None:
    assert [(each.table, each.chain, each.policy) for each in listed(tables=("filter",))] == [
        ("filter", "INPUT", "DROP")
    ]
    assert listed(tables=("filter",), chains=("KUBE-SVC-A",)) == []
    assert len(listed()) == 5
    assert {each.family for each in listed(family=4)} == {"ip"}
    assert {(each.node, each.tool, each.family) for each in listed()} == {
        ("node-a", "ip6tables-nft-save", "ip6")
    }
