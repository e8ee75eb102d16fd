"""`conntrack limit` against what kubectl exec reads on the nodes, and a limit that the nodes cannot set."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.cluster.kit import Cluster

pytestmark = pytest.mark.cluster

LIMIT = "net.netfilter.nf_conntrack_max"
FOLDER = "/proc/sys/net/netfilter"


def ask(cluster: Cluster, *flags: str) -> dict[str, Any]:
    """Return the report of `conntrack limit`."""
    report: dict[str, Any] = cluster.netinspect("conntrack", "limit", *flags, "-o", "json").json
    return report


def number(cluster: Cluster, node: str, *command: str) -> int:
    """Return a number that a command prints on a node."""
    return int(cluster.on_node(node, *command))


def in_first_netns(cluster: Cluster, node: str) -> bool:
    """Whether the node's netns is its machine's first, which alone has this name of the limit."""
    return "nf_conntrack_max" in cluster.on_node(node, "ls", "/proc/sys/net")


def test_the_numbers_are_the_nodes(cluster: Cluster) -> None:
    """Limit, buckets, netns, CPUs and counters are what other tools say on each node; the count is between two."""
    nodes = cluster.nodes()
    before = {node: number(cluster, node, "cat", f"{FOLDER}/nf_conntrack_count") for node in nodes}
    drops = {node: drops_of(cluster, node) for node in nodes}
    report = ask(cluster, "--all-nodes", "--for", "2s")
    after = {node: number(cluster, node, "cat", f"{FOLDER}/nf_conntrack_count") for node in nodes}
    assert report["gaps"] == []
    assert sorted(each["node"] for each in report["items"]) == sorted(nodes)
    for each in report["items"]:
        node = each["node"]
        low, high = sorted((before[node], after[node]))
        assert low - 100 <= each["count"] <= high + 100
        assert each["max"] == number(cluster, node, "sysctl", "-n", LIMIT)
        assert each["buckets"] == number(cluster, node, "cat", f"{FOLDER}/nf_conntrack_buckets")
        assert each["usedPercent"] == pytest.approx(100 * each["count"] / each["max"], abs=0.06)
        assert each["isInitialNetns"] == in_first_netns(cluster, node)
        assert each["cpus"] == number(cluster, node, "getconf", "_NPROCESSORS_ONLN")
        assert f"net:[{each['netns']}]" in cluster.on_node(node, "readlink", "/proc/self/ns/net")
        assert 2 <= each["windowS"] < 30
        assert drops[node] <= each["countersSinceBoot"]["drop"] <= drops_of(cluster, node)
        assert each["sysctls"]["udpTimeout"] == number(
            cluster, node, "cat", f"{FOLDER}/nf_conntrack_udp_timeout"
        )


def drops_of(cluster: Cluster, node: str) -> int:
    """Return the packets dropped since boot, of all CPUs."""
    return sum(map(int, re.findall(r"\bdrop=([0-9]+)", cluster.on_node(node, "conntrack", "-S"))))


def test_lines_of_the_kernel_log_are_found(cluster: Cluster) -> None:
    """As many as dmesg shows there, none of which is about another netns and taken for the node's own."""
    node = cluster.nodes()[0]
    script = "dmesg -f kern --color=never | grep -c 'nf_conntrack: table full' || true"
    count = number(cluster, node, "sh", "-c", script)
    (item,) = ask(cluster, "--node", node, "--for", "1s")["items"]
    later = number(cluster, node, "sh", "-c", script)
    assert count <= len(item.get("tableFull", ())) <= later
    for line in item.get("tableFull", ()):
        named = re.search(r"in netns ([0-9]+)", line["raw"])
        if named is not None:
            assert (line["owner"] == "own") == (int(named[1]) == item["netns"])
        assert re.fullmatch(r"20[0-9-]{8}T[0-9:]{8}Z", line["time"])


def test_without_sysadmin_the_log_is_a_gap(cluster: Cluster) -> None:
    """Everything else is there; the exit code says that something is missing."""
    node = cluster.nodes()[0]
    ran = cluster.netinspect(
        *("conntrack", "limit", "--node", node, "--for", "1s", "--privilege", "netadmin", "-o", "json")
    )
    assert ran.code == 4
    (gap,) = ran.json["gaps"]
    assert (gap["fact"], gap["reason"]) == ("its kernel log", "permission-denied")
    (item,) = ran.json["items"]
    assert item["max"] == number(cluster, node, "sysctl", "-n", LIMIT)
    assert item["counters"]["drop"] >= 0
    assert "tableFull" not in item


def test_a_table_for_people(cluster: Cluster) -> None:
    """A row a node; -o wide has the timeouts; -o name the nodes."""
    nodes = cluster.nodes()
    ran = cluster.netinspect("conntrack", "limit", "--all-nodes", "--for", "1s", "-o", "wide").ok()
    header, *rows = ran.out.splitlines()
    assert header.split()[:4] == ["NODE", "COUNT", "MAX", "USED"]
    assert [row.split()[0] for row in rows[: len(nodes)]] == sorted(nodes)
    assert all("established=" in row for row in rows[: len(nodes)])
    named = cluster.netinspect("conntrack", "limit", "--node", nodes[0], "--for", "1s", "-o", "name").ok()
    assert named.out == f"node/{nodes[0]}\n"


def test_a_dry_run_changes_nothing(cluster: Cluster) -> None:
    """It tells old and new value, what kube-proxy does to it, the permanent lines, the command and the undo."""
    node = cluster.nodes()[0]
    old = number(cluster, node, "sysctl", "-n", LIMIT)
    new = old * 3
    ran = cluster.netinspect("conntrack", "limit", "--node", node, "--set", str(new)).ok()
    assert f"node {node}: nf_conntrack_max {old} -> {new} (dry run: nothing was changed)" in ran.out
    assert f"{LIMIT} = {new}" in ran.out
    assert f"sysctl -w {LIMIT}={new}" in ran.out
    # Where --apply cannot do it, it cannot undo it either.
    undo = f"limit --node {node} --set {old} --apply"
    assert (undo if in_first_netns(cluster, node) else f"sysctl -w {LIMIT}={old}") in ran.out
    (change,) = cluster.netinspect(
        "conntrack", "limit", "--node", node, "--set", str(new), "-o", "json"
    ).json["items"]
    assert (change["old"], change["new"]) == (old, new)
    assert not change.get("applied")
    # The test cluster's kube-proxy is told to leave the limit alone; another's would set its own.
    asked = cluster.on_node(node, "sh", "-c", "curl -sf -m 3 http://127.0.0.1:10249/configz || true")
    if '"maxPerCore":0' in asked:
        assert change["overwrite"] == "keeps"
        assert change["kubeProxy"]["maxPerCore"] == 0
    assert number(cluster, node, "sysctl", "-n", LIMIT) == old


def test_a_limit_that_the_node_cannot_set_is_refused_clearly(cluster: Cluster) -> None:
    """A node in a netns of its own: the kernel takes nothing from it, sysctl ends with 0, and we do not."""
    node = cluster.nodes()[0]
    if in_first_netns(cluster, node):
        pytest.skip("the node is in its machine's first netns: --apply would change the machine")
    old = number(cluster, node, "sysctl", "-n", LIMIT)
    ran = cluster.netinspect("conntrack", "limit", "--node", node, "--set", str(old + 1000), "--apply")
    assert (ran.code, ran.out) == (1, "")
    assert f"nothing was changed: it is {old}" in ran.err
    assert "first network namespace" in ran.err
    assert number(cluster, node, "sysctl", "-n", LIMIT) == old


def test_less_than_the_table_holds_is_refused(cluster: Cluster) -> None:
    """Before anything is written."""
    node = cluster.nodes()[0]
    if number(cluster, node, "cat", f"{FOLDER}/nf_conntrack_count") < 2:
        pytest.skip("the node tracks no flow")
    ran = cluster.netinspect("conntrack", "limit", "--node", node, "--set", "1", "--apply")
    assert (ran.code, ran.out) == (1, "")
    assert "--below-count" in ran.err
