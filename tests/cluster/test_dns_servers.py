"""`dns --servers` against the cluster's real CoreDNS, healthy and with one endpoint made deaf."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cluster.kit import Cluster

_TABLE = "netinspect_test"
_DEAF = f"""
table inet {_TABLE} {{
  chain input {{
    type filter hook input priority 0;
    udp dport 53 drop
    tcp dport 53 drop
  }}
}}
"""


def ask(cluster: Cluster, *arguments: str) -> tuple[int, dict[str, Any]]:
    ran = cluster.netinspect("dns", "--servers", "-o", "json", *arguments)
    assert ran.out, ran.err
    report: dict[str, Any] = json.loads(ran.out)
    return ran.code, report


def dns_pods(cluster: Cluster) -> list[dict[str, Any]]:
    items = cluster.get("pods", "-n", "kube-system", "-l", "k8s-app=kube-dns")["items"]
    ready = [
        pod
        for pod in items
        if not pod["metadata"].get("deletionTimestamp")
        and any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"]["conditions"])
    ]
    return sorted(ready, key=lambda pod: str(pod["metadata"]["name"]))


def addresses_of(pod: dict[str, Any]) -> set[str]:
    return {each["ip"] for each in pod["status"]["podIPs"]}


@contextmanager
def deaf(cluster: Cluster, pod: dict[str, Any]) -> Iterator[None]:
    """Drop what comes to port 53 in the pod's netns, both families: its probes on other ports go on."""
    node, uid = pod["spec"]["nodeName"], pod["metadata"]["uid"]
    find = f"for file in $(grep -ls {uid} /proc/[0-9]*/cgroup); do pid=${{file#/proc/}}; echo ${{pid%/cgroup}}; done"
    pid = cluster.on_node(node, "sh", "-c", find).split()[0]
    enter = f"nsenter --net=/proc/{pid}/ns/net"
    cluster.on_node(node, "sh", "-c", f"echo '{_DEAF}' | {enter} nft -f -")
    try:
        yield
    finally:
        cluster.on_node(node, "sh", "-c", f"{enter} nft delete table inet {_TABLE}")


@pytest.mark.parametrize("place", ["node-a", "node-b"])
def test_a_healthy_cluster_gives_no_finding(cluster: Cluster, place: str) -> None:
    """Every address of the Service and of each endpoint is asked, in both families, by both protocols, and answers."""
    code, report = ask(cluster, "--node", place, "--count", "5")
    assert (code, report["findings"]) == (0, [])
    service = cluster.get("service", "kube-dns", "-n", "kube-system")
    wanted = set(service["spec"]["clusterIPs"]).union(*(addresses_of(pod) for pod in dns_pods(cluster)))
    assert len(wanted) >= 6
    asked = {(item["server"]["address"], item["statistics"]["protocol"]) for item in report["items"]}
    assert asked == {(address, protocol) for address in wanted for protocol in ("udp", "tcp")}
    for item in report["items"]:
        assert item["statistics"]["statuses"] == {"NOERROR": 10}
        assert item["statistics"]["p50Us"] > 0
        assert "p99Us" not in item["statistics"]
    assert report["disagreements"] == []
    assert "insert_failed" in report["counters"]


def test_names_the_endpoint_that_is_deaf_though_ready(cluster: Cluster) -> None:
    """By UDP and TCP, in both families; the others are not blamed, and the Service's losses are its."""
    pods = dns_pods(cluster)
    assert len(pods) == 2
    with deaf(cluster, pods[0]):
        code, report = ask(cluster, "--count", "6", "--type", "A", "--fail-on", "high")
        table = cluster.netinspect("dns", "--servers", "--count", "2", "--type", "A")
        still_ready = [pod["metadata"]["name"] for pod in dns_pods(cluster)]
    assert still_ready == [pod["metadata"]["name"] for pod in pods]
    assert code == 3
    dead = f"pod/kube-system/{pods[0]['metadata']['name']}"
    found = {(each["id"], each["subject"]) for each in report["findings"] if each["severity"] != "info"}
    assert found == {("dns-endpoint-dead", dead)}
    blamed = [each for each in report["findings"] if each["id"] == "dns-endpoint-dead"]
    assert {each["message"].split()[1] for each in blamed} == addresses_of(pods[0])
    for item in report["items"]:
        lost = item["statistics"]["lost"]
        if item["server"]["address"] in addresses_of(pods[0]):
            assert (item["statistics"]["answered"], item["server"]["isReady"]) == (0, True)
            assert set(item["statistics"]["failures"]) <= {"timed-out"}
        elif item["server"]["role"] == "endpoint":
            assert lost == 0
    assert "dns-endpoint-dead" in table.out
    code, report = ask(cluster, "--count", "3")
    assert (code, report["findings"]) == (0, [])


def test_asks_from_a_pod_without_shell(cluster: Cluster) -> None:
    """The pod's netns asks, with tools that the pod does not have."""
    code, report = ask(cluster, "--pod", "deploy/web", "-n", "demo", "--count", "2")
    assert (code, report["findings"]) == (0, [])
    assert report["pod"].startswith("demo/web-")
    assert {item["server"]["role"] for item in report["items"]} == {"service", "endpoint"}


def test_a_name_without_answer_is_no_failure_of_a_server(cluster: Cluster) -> None:
    """NXDOMAIN is an answer; all servers agree on it."""
    code, report = ask(cluster, "nosuch", "-n", "demo", "--count", "2", "--type", "AAAA")
    assert (code, report["findings"]) == (0, [])
    assert report["names"] == ["nosuch.demo.svc.cluster.local."]
    assert {status for item in report["items"] for status in item["statistics"]["statuses"]} == {"NXDOMAIN"}
