"""`conntrack top` against flows that are made here, counted once more by the node's own `conntrack` as a witness."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cluster.kit import Cluster
from tests.cluster.test_veth import simple_pod

pytestmark = pytest.mark.cluster

FLOWS = 300
WEB = "netinspect.test/web:1"
# A socket a datagram, so that each is another flow; the backend echoes it.
_SEND = 'for i in $(seq {count}); do echo x >"/dev/udp/$1/80"; done'
_SEND_ON = 'while sleep 0.05; do echo x >"/dev/udp/$1/80"; done'


@dataclass(frozen=True)
class Made:
    """A pod that has sent to a Service, by both families.

    Attributes:
        node: where it runs.
        asker: its addresses.
        answerer: those of the Service's only endpoint, on another node.
        service: those of the Service.
    """

    node: str
    asker: list[str]
    answerer: list[str]
    service: list[str]


@pytest.fixture(scope="module")
def made(cluster: Cluster) -> Iterator[Made]:
    ran = cluster.kubectl("get", "service", "web", "-n", "demo", check=False)
    if ran.code:
        pytest.skip("no Service demo/web: this is not the test bench, which has the image of the endpoint")
    node, other = cluster.nodes()[:2]
    answerer = simple_pod(cluster, "answerer", nodeName=other)
    answerer["metadata"]["labels"] = {"app": "answerer"}
    answerer["spec"]["containers"] = [{"name": "web", "image": WEB}]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "answers", "namespace": cluster.namespace},
        "spec": {
            "ipFamilyPolicy": "RequireDualStack",
            "selector": {"app": "answerer"},
            "ports": [{"name": "echo", "port": 80, "targetPort": 8080, "protocol": "UDP"}],
        },
    }
    cluster.apply(simple_pod(cluster, "asker", nodeName=node), answerer, service)
    for name in ("asker", "answerer"):
        cluster.kubectl(
            "wait", "-n", cluster.namespace, "--for=condition=Ready", f"pod/{name}", "--timeout=90s"
        )
    asker_ips, answerer_ips = (pod_addresses(cluster, name) for name in ("asker", "answerer"))
    spec = cluster.get("service", "answers", "-n", cluster.namespace)["spec"]
    yield Made(node, asker_ips, answerer_ips, spec["clusterIPs"])
    cluster.kubectl(
        "delete", "service/answers", "pod/asker", "pod/answerer", "-n", cluster.namespace, "--now"
    )


def pod_addresses(cluster: Cluster, name: str) -> list[str]:
    return [each["ip"] for each in cluster.get("pod", name, "-n", cluster.namespace)["status"]["podIPs"]]


def exec_argv(cluster: Cluster, script: str, address: str) -> list[str]:
    return ["kubectl", "exec", "-n", cluster.namespace, "asker", "--", "bash", "-c", script, "bash", address]


def witness(cluster: Cluster, node: str, *words: str) -> int:
    """Count the entries of a node that have one of these words, by its own tool."""
    lines = [
        line
        for family in ("ipv4", "ipv6")
        for line in cluster.on_node(node, "conntrack", "-L", "-f", family).splitlines()
    ]
    return sum(any(word in line for word in words) for line in lines)


def top(cluster: Cluster, *arguments: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the groups of the one node that is asked, by kind and name."""
    ran = cluster.netinspect("conntrack", "top", *arguments, "-o", "json").ok()
    (item,) = ran.json["items"]
    return {(group["by"], group["name"]): group for group in item["groups"]}


def test_the_nodes_own_tool_counts_the_same(cluster: Cluster, made: Made) -> None:
    """Hundreds of flows through a Service in both families: by pod, with its role, and by Service."""
    for address in made.service:
        cluster.until(lambda address=address: answers(cluster, address), 60)
        subprocess.run(exec_argv(cluster, _SEND.format(count=FLOWS), address), env=cluster.env, check=True)
    # No flow begins any more, and some end: what is counted in between lies in between.
    before = witness_all(cluster, made)
    groups = top(cluster, "--node", made.node, "--limit", "1000")
    after = witness_all(cluster, made)
    ns = cluster.namespace
    keys = (("pod", f"{ns}/asker"), ("pod", f"{ns}/answerer"), ("service", f"{ns}/answers"))
    ours = [groups[key]["entries"] for key in keys]
    assert all(low <= own <= high for low, own, high in zip(after, ours, before, strict=True)), (
        before,
        ours,
        after,
    )
    # A source port may be drawn twice.
    assert ours[2] > 2 * FLOWS * 0.95
    asker, answerer = groups[keys[0]], groups[keys[1]]
    assert (asker["asClient"], asker["asBackend"]) == (asker["entries"], 0)
    assert (answerer["asClient"], answerer["asBackend"]) == (0, answerer["entries"])
    assert {"ipv4 udp", "ipv6 udp"} <= {name for by, name in groups if by == "protocol"}
    of_pod = top(cluster, "asker", "-n", ns, "--proto", "udp")
    assert of_pod["pod", f"{ns}/answerer"]["entries"] > 2 * FLOWS * 0.9
    assert not [name for by, name in of_pod if by == "pod" and not name.startswith(f"{ns}/")]


def answers(cluster: Cluster, address: str) -> bool:
    """Whether the rules of the Service are there: the node has an entry that was answered by the endpoint."""
    # One read takes the whole datagram: what `read` of the shell leaves of it would be lost.
    script = 'exec 3<>"/dev/udp/$1/80"; echo x >&3; timeout 1 head -c 2 <&3 | grep -q x'
    return subprocess.run(exec_argv(cluster, script, address), env=cluster.env, check=False).returncode == 0


def witness_all(cluster: Cluster, made: Made) -> list[int]:
    return [
        witness(cluster, made.node, *(f"={address} " for address in addresses))
        for addresses in (made.asker, made.answerer, made.service)
    ]


def test_growth_shows_who_opens_flows(cluster: Cluster, made: Made) -> None:
    """A client that goes on, in IPv6: its Service grows by about as much as it sends."""
    address = made.service[-1]
    assert ":" in address
    client = subprocess.Popen(exec_argv(cluster, _SEND_ON, address), env=cluster.env)
    try:
        cluster.until(lambda: witness(cluster, made.node, f"dst={address} ") > 0, 30)
        arguments = ("--src", made.asker[-1], "--for", "4s", "--sort", "growth", "--by", "service,pod")
        groups = top(cluster, "--node", made.node, *arguments)
    finally:
        client.terminate()
        client.wait(timeout=20)
    group = groups["service", f"{cluster.namespace}/answers"]
    assert group["change"] > 0 or group["entries"] < FLOWS
    assert groups["pod", f"{cluster.namespace}/asker"]["change"] == group["change"]


def test_an_address_that_gives_no_answer_is_found(cluster: Cluster, made: Made) -> None:
    """Twenty-five connections to an address that drops them, from a pod."""
    # The addresses of TEST-NET-1 and of 2001:db8::/32 are nobody's (RFC 5737, RFC 3849).
    script = 'for i in $(seq 25); do (exec 3<>"/dev/tcp/$1/81") & done 2>/dev/null; sleep 20; kill $(jobs -p)'
    client = subprocess.Popen(exec_argv(cluster, script, "192.0.2.1"), env=cluster.env)
    try:
        cluster.until(lambda: witness(cluster, made.node, "dst=192.0.2.1 ") >= 25, 30)
        ran = cluster.netinspect("conntrack", "top", "--node", made.node, "--fail-on", "high")
    finally:
        client.terminate()
        client.wait(timeout=20)
    assert ran.code == 3
    assert f"[high] conntrack-unreplied-syn: pod/{cluster.namespace}/asker on node {made.node}" in ran.out
    assert "25 TCP connections of the pod to 192.0.2.1:81" in ran.out
