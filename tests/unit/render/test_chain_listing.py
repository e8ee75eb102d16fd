"""Chains as a table."""

from __future__ import annotations

from netinspect.models.chain_listing import ListedChain, ListedRule
from netinspect.render.chain_listing import COLUMNS, NFT_COLUMNS, name_of, rows_of
from netinspect.render.table import render_table

CHAIN = ListedChain(
    node="node-a",
    tool="ip6tables-nft-save",
    family="ip6",
    table="nat",
    chain="KUBE-SVC-A",
    references=("KUBE-SERVICES", "KUBE-EXT-A"),
    rules=(
        ListedRule(
            number=1,
            packets=0,
            bytes=0,
            protocol="tcp",
            source="! fd00:244::/48",
            destination="fd00:96::20/128",
            matches="tcp --dport 80",
            target="KUBE-MARK-MASQ",
            comment="demo/web",
        ),
        ListedRule(number=2, target="KUBE-SEP-A"),
    ),
)
EMPTY = ListedChain(node="node-a", tool="x", family="ip6", table="nat", chain="KUBE-OLD", policy="ACCEPT")


def rows(*chains: ListedChain, is_wide: bool = False) -> list[str]:
    items = [row for chain in chains for row in rows_of(chain)]
    return [" ".join(line.split()) for line in render_table(COLUMNS, items, is_wide=is_wide).splitlines()]


def test_a_rule_is_a_row_and_a_chain_without_any_is_one_too() -> None:
    assert rows(CHAIN, EMPTY) == [
        "NODE FAMILY TABLE CHAIN NUM PKTS BYTES TARGET PROTOCOL SOURCE DESTINATION LINKS MATCHES COMMENT",
        "node-a ip6 nat KUBE-SVC-A 1 0 0 KUBE-MARK-MASQ tcp ! fd00:244::/48 fd00:96::20/128 <none> "
        "tcp --dport 80 demo/web",
        f"node-a ip6 nat KUBE-SVC-A 2 <none> <none> KUBE-SEP-A{' <none>' * 6}",
        f"node-a ip6 nat KUBE-OLD{' <none>' * 10}",
    ]


def test_wide_says_who_leads_there_and_the_policy() -> None:
    header, first, _, last = rows(CHAIN, EMPTY, is_wide=True)
    assert header.endswith("COMMENT REFERENCES POLICY")
    assert header.startswith("NODE TOOL FAMILY")
    assert first.endswith("demo/web KUBE-SERVICES,KUBE-EXT-A <none>")
    assert last.endswith("<none> ACCEPT")


def test_a_chain_is_named_by_family_and_table() -> None:
    assert name_of(CHAIN) == "chain/ip6/nat/KUBE-SVC-A"


def test_rules_of_nft_are_one_column_and_a_base_chain_says_its_hook() -> None:
    base = ListedChain(
        node="node-b",
        tool="nft",
        family="ip6",
        table="kube-proxy",
        chain="nat-prerouting",
        hook="prerouting",
        priority=-100,
        policy="accept",
        references=("@x",),
        rules=(ListedRule(number=1, handle=9, matches="ip6 daddr @a", target="drop", packets=2),),
    )
    empty = ListedChain(node="node-b", tool="nft", family="ip6", table="kube-proxy", chain="empty")
    items = [row for chain in (base, empty) for row in rows_of(chain)]
    text = render_table(NFT_COLUMNS, items, is_wide=True)
    assert [" ".join(line.split()) for line in text.splitlines()] == [
        "NODE FAMILY TABLE CHAIN NUM PKTS RULE COMMENT HANDLE HOOK REFERENCES",
        "node-b ip6 kube-proxy nat-prerouting 1 2 ip6 daddr @a drop <none> 9 prerouting -100 accept @x",
        f"node-b ip6 kube-proxy empty{' <none>' * 7}",
    ]
