"""`dataplane` on real nodes: what kube-proxy says and has written, what is damaged, and what others left behind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cluster.kit import Cluster
from tests.cluster.kube_proxies import find_kube_proxies, held
from tests.cluster.test_untouched import state_of

pytestmark = pytest.mark.cluster

# As a kube-proxy in nftables mode would have left it, with nothing in it that a packet could suffer from.
LEFTOVER = (
    "add table ip6 kube-proxy; "
    "add chain ip6 kube-proxy nat-prerouting { type nat hook prerouting priority -100; }; "
    "add chain ip6 kube-proxy service-ULMVA6XW-ns1/svc1/tcp/p80; "
    "add map ip6 kube-proxy service-ips { type ipv6_addr . inet_proto . inet_service : verdict; }; "
    "add rule ip6 kube-proxy nat-prerouting ip6 daddr . meta l4proto . th dport vmap @service-ips"
)


def ask(cluster: Cluster, *flags: str) -> dict[str, Any]:
    """Return the report."""
    report: dict[str, Any] = cluster.netinspect("dataplane", *flags, "-o", "json").json
    return report


def mode_of(cluster: Cluster, node: str) -> str:
    """Return what kube-proxy itself says, as curl hears it on the node."""
    return cluster.on_node(node, "curl", "-s", "http://127.0.0.1:10249/proxyMode")


def node_in_mode(cluster: Cluster, mode: str) -> str:
    """Return a node whose kube-proxy runs in a mode."""
    found = next((node for node in cluster.nodes() if mode_of(cluster, node) == mode), None)
    if found is None:
        pytest.skip(f"no node's kube-proxy runs in mode {mode}")
    return found


def row(report: dict[str, Any], family: int) -> dict[str, Any]:
    (found,) = (each for each in report["items"] if each["family"] == family)
    assert isinstance(found, dict)
    return found


def ports_of_services(cluster: Cluster, node: str, family: str) -> int:
    """Count the ports of Services that have chains, as nft's text lists them (no JSON)."""
    text = cluster.on_node(node, "nft", "list", "chains", family)
    names = re.findall(r"chain (?:service|external|local|firewall)-(\w{8}-\S+/\S+/\S+) \{", text)
    return len(set(names))


def test_each_node_has_the_mode_that_its_kube_proxy_tells(cluster: Cluster) -> None:
    """In both families, certain, and with rules for Services that have endpoints."""
    report = ask(cluster, "--all-nodes")
    assert report["gaps"] == []
    modes = {node: mode_of(cluster, node) for node in cluster.nodes()}
    assert {(each["node"], each["family"]) for each in report["items"]} == {
        (node, family) for node in modes for family in (4, 6)
    }
    for each in report["items"]:
        assert (each["dataplane"], each["confidence"]) == (modes[each["node"]], "certain")
        assert each["isReadable"] is True
        assert each["evidence"][0]["text"] == modes[each["node"]]
        assert each["traces"][0]["isReached"] is True
        assert "missing" not in each["traces"][0]


def test_rules_are_counted(cluster: Cluster) -> None:
    """As many ports of Services as nft itself lists chains for, before and after; some, in both families."""
    node = node_in_mode(cluster, "nftables")

    def count() -> tuple[int, int]:
        return ports_of_services(cluster, node, "ip"), ports_of_services(cluster, node, "ip6")

    def agrees() -> bool:
        before, report = count(), ask(cluster, "--node", node)
        counts = tuple(row(report, family)["traces"][0]["services"] for family in (4, 6))
        return counts == before == count() and 0 not in counts

    # Others may make and delete Services meanwhile.
    cluster.until(agrees, 60)


def test_asking_leaves_the_nodes_as_they_were(cluster: Cluster) -> None:
    """Rules, tables of the legacy backend, modules, sysctls, links and routes, with kube-proxies held meanwhile."""
    with held(find_kube_proxies(cluster)):
        nodes = cluster.nodes()
        before = {node: state_of(cluster, node) for node in nodes}
        ask(cluster, "--all-nodes")
        assert {node: state_of(cluster, node) for node in nodes} == before


@contextmanager
def changed(cluster: Cluster, node: str, change: tuple[str, ...], back: tuple[str, ...]) -> Iterator[None]:
    """Change something on a node for as long as the block runs."""
    cluster.on_node(node, *change)
    try:
        yield
    finally:
        cluster.on_node(node, *back)


def test_a_table_that_was_left_behind(cluster: Cluster) -> None:
    """IPv6 only: high, with the command that removes it; after that it is gone."""
    node = node_in_mode(cluster, "iptables")
    back = ("nft", "delete", "table", "ip6", "kube-proxy")
    with changed(cluster, node, ("nft", LEFTOVER), back):
        report = ask(cluster, "--node", node)
    (finding,) = report["findings"]
    assert (finding["id"], finding["severity"]) == ("dataplane-leftover-rules", "high")
    assert finding["commands"] == [" ".join(back)]
    assert row(report, 6)["dataplane"] == row(report, 4)["dataplane"] == "iptables"
    assert "leftovers" not in row(report, 4)
    after = ask(cluster, "--node", node)
    assert after["findings"] == []


def test_a_jump_that_is_gone_while_kube_proxy_is_silent(cluster: Cluster) -> None:
    """Its rules are still in use, likely; that it does not answer is a gap, and the missing way is critical."""
    node = node_in_mode(cluster, "iptables")
    pids = {node: find_kube_proxies(cluster)[node]}
    comment = ("-m", "comment", "--comment", "kubernetes service portals", "-j", "KUBE-SERVICES")
    nat = ("ip6tables-nft", "-t", "nat")
    remove, restore = (*nat, "-D", "PREROUTING", *comment), (*nat, "-I", "PREROUTING", *comment)
    with held(pids), changed(cluster, node, remove, restore):
        ran = cluster.netinspect("dataplane", "--node", node, "-o", "json", "--fail-on", "crit")
    assert ran.code == 3
    (finding,) = ran.json["findings"]
    assert (finding["id"], finding["severity"]) == ("dataplane-jump-missing", "crit")
    assert "nat PREROUTING -> KUBE-SERVICES" in finding["message"]
    assert {each["confidence"] for each in ran.json["items"]} == {"likely"}
    assert {each["dataplane"] for each in ran.json["items"]} == {"iptables"}
    assert [gap["fact"] for gap in ran.json["gaps"]] == ["kube-proxy's mode (port 10249, /proxyMode)"]
    cluster.until(lambda: ask(cluster, "--node", node)["findings"] == [], 30)


def test_a_table_that_sleeps(cluster: Cluster) -> None:
    """All chains are there, at no hook: not in use any more, in IPv6 only. kube-proxy is held meanwhile."""
    node = node_in_mode(cluster, "nftables")
    pids = {node: find_kube_proxies(cluster)[node]}
    asleep = ("nft", "add table ip6 kube-proxy { flags dormant; }")
    with held(pids), changed(cluster, node, asleep, ("nft", "add table ip6 kube-proxy")):
        report = ask(cluster, "--node", node)
    assert row(report, 4)["dataplane"] == "nftables"
    # nft before 1.1.0 does not print which flag it is.
    assert row(report, 6)["dataplane"] in ("none", "unknown")
    assert "dormant" in str(row(report, 6)["leftovers"])
    cluster.until(lambda: row(ask(cluster, "--node", node), 6)["dataplane"] == "nftables", 30)
