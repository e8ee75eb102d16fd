"""Reading leaves the node as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.kit import Cluster
from tests.cluster.kube_proxies import read_syncs, wait_until_synced
from tests.cluster.test_veth import simple_pod

pytestmark = pytest.mark.cluster

# What moves by itself: counters, timers of addresses, and the links of pods that others start.
_MOVING = ("valid_life_time", "preferred_life_time", "stats", "stats64")


def state_of(cluster: Cluster, node: str) -> dict[str, Any]:
    """Return the node's tables, rules, sysctls, links, addresses, routes and modules, without what always moves."""

    def run(*command: str) -> str:
        return cluster.on_node(node, *command)

    links = json.loads(run("ip", "-j", "-d", "addr"))
    return {
        "links": without(links, _MOVING),
        "routes": run("ip", "route", "show", "table", "all"),
        "routes6": run("ip", "-6", "route", "show", "table", "all").replace("expires", ""),
        "rules": run("ip", "rule"),
        "nft": run("nft", "--stateless", "list", "ruleset"),
        "legacy tables": run(
            "sh", "-c", "cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null || :"
        ),
        "modules": run("sh", "-c", "cat /proc/modules 2>/dev/null || :"),
        "sysctls": run("sh", "-c", "sysctl -a 2>/dev/null | grep '^net' | grep -v nf_conntrack_count || :"),
        "pins": run("sh", "-c", "ls /run/netns 2>/dev/null || :"),
    }


def without(value: Any, keys: tuple[str, ...]) -> Any:
    """Drop keys at any depth."""
    if isinstance(value, dict):
        return {
            key: without(each, keys)
            for key, each in value.items()
            if key not in keys and not key.endswith("_timer")
        }
    return [without(each, keys) for each in value] if isinstance(value, list) else value


def states_around(
    cluster: Cluster, node: str, arguments: list[str], tries: int = 5
) -> dict[str, tuple[Any, Any]]:
    """Return by part what the node was before and after a command; again where kube-proxy wrote rules meanwhile."""
    for _ in range(tries):
        wait_until_synced(cluster)
        written = read_syncs(cluster, node)
        before = state_of(cluster, node)
        cluster.netinspect(*arguments).ok()
        after = state_of(cluster, node)
        if read_syncs(cluster, node) == written:
            return {part: (value, after[part]) for part, value in before.items()}
    raise AssertionError("kube-proxy wrote rules each time")


@pytest.mark.parametrize(
    "command",
    [
        ("pods", "-A"),
        ("services", "-A"),
        ("netns", "still"),
        ("veth", "still"),
        ("veth", "--node", "NODE"),
        ("exec", "still", "--", "ip", "addr"),
        ("veth", "still", "--transport", "logs"),
        ("conntrack", "list", "still"),
        ("conntrack", "watch", "still", "--for", "1s"),
        ("conntrack", "top", "--node", "NODE"),
        ("conntrack", "stale", "--for", "5s", "--node", "NODE"),
        ("conntrack", "limit", "--for", "1s", "--node", "NODE"),
        ("conntrack", "limit", "--set", "300000", "--node", "NODE"),
        ("dataplane", "--node", "NODE"),
        ("rules", "--node", "NODE"),
        ("iptables", "--node", "NODE", "--raw"),
        ("nftables", "--node", "NODE", "--raw"),
        ("ipvs", "--node", "NODE"),
        ("dns", "--node", "NODE"),
        ("dns", "--pod", "still"),
    ],
    ids=" ".join,
)
def test_the_node_is_the_same_before_and_after(cluster: Cluster, command: tuple[str, ...]) -> None:
    """Rules, tables present, sysctls, links, addresses, routes and modules are equal."""
    cluster.apply(simple_pod(cluster, "still"))
    cluster.kubectl("wait", "-n", cluster.namespace, "--for=condition=Ready", "pod/still", "--timeout=60s")
    node = cluster.get("pod", "still", "-n", cluster.namespace)["spec"]["nodeName"]
    # A new pod's link-local address is tentative for a second (duplicate address detection).
    cluster.until(lambda: not cluster.on_node(node, "ip", "-6", "addr", "show", "tentative").strip())
    arguments = [word.replace("NODE", node) for word in command]
    if "still" in command:
        place = 2 if command[0] == "conntrack" else 1
        arguments[place:place] = ["-n", cluster.namespace]
    for part, (before, after) in states_around(cluster, node, arguments).items():
        assert after == before, part
