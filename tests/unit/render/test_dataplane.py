"""The table of `dataplane`: what is in use, what is left, and how well packets come there."""

from __future__ import annotations

from msgspec.structs import replace

from netinspect.models.dataplane import Confidence, Dataplane, NodeDataplane, OtherRules, Trace
from netinspect.models.finding import Evidence
from netinspect.render.dataplane import COLUMNS, name_of
from netinspect.render.table import render_table

USED = Trace(dataplane=Dataplane.NFTABLES, place="nft table ip6 kube-proxy", services=7, is_reached=True)
LEFT = Trace(dataplane=Dataplane.IPTABLES, place="iptables-legacy", services=3, is_reached=False)
SETS = Trace(dataplane=Dataplane.IPVS, place="ipset")
NODE = NodeDataplane(
    node="node-b",
    family=6,
    dataplane=Dataplane.NFTABLES,
    is_readable=True,
    confidence=Confidence.LIKELY,
    services=5,
    evidence=(Evidence(source="x", text="one"), Evidence(source="y", text="two\x1b[31m")),
    traces=(USED,),
    leftovers=(LEFT, SETS),
    others=(
        OtherRules(place="nft table inet f", hook="forward", chain="fw", policy="drop", rules=2),
        OtherRules(place="iptables-nft filter", hook="input", chain="INPUT", rules=1),
    ),
)


def test_a_row() -> None:
    """What nothing comes to is marked."""
    text = render_table(COLUMNS, (NODE,), has_headers=False)
    words = [word.strip() for word in text.strip().split("  ") if word.strip()]
    assert words == [
        "node-b",
        "IPv6",
        "nftables",
        "true",
        "likely",
        "silent",
        "nft table ip6 kube-proxy (7 service ports)",
        "iptables-legacy (3 service ports) (not reached), ipset",
    ]


def test_virtual_servers_are_counted_as_such() -> None:
    used = Trace(dataplane=Dataplane.IPVS, place="IPVS", services=7, is_reached=True)
    text = render_table(COLUMNS, (replace(NODE, dataplane=Dataplane.IPVS, traces=(used,)),))
    assert "  IPVS (7 virtual servers)  " in text


def test_a_wide_row() -> None:
    """Rules of others, and the evidence, without what a terminal would obey."""
    text = render_table(COLUMNS, (NODE,), is_wide=True)
    assert (
        "nft table inet f fw at forward, 2 rules, policy drop; iptables-nft filter INPUT at input, 1 rules"
        in text
    )
    assert "one; two" in text
    assert "\x1b" not in text
    assert name_of(NODE) == "node/node-b/IPv6/nftables"
