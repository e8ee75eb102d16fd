"""What a snapshot asks, and that what fails is named and does not sink the rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from netinspect.cluster.listing import ListResult
from netinspect.errors import ClusterError, DebugPodError
from netinspect.models.command import CommandResult, NodeAnswer
from netinspect.models.debug_pod import Privilege
from netinspect.models.fact import Gap, Reason
from netinspect.models.kubernetes import Pod
from netinspect.parse.frames import Sinks
from netinspect.probes.plan import Plan
from netinspect.sources.interface import NodeSource
from netinspect.usecases.snapshot import SnapshotWish, list_paths, summarize, take_snapshot
from tests.unit.usecases.fake_node import NODE_NETNS, pod, result

REFUSED = ClusterError("Error from server (Forbidden): no", status=403)
GONE = ClusterError("Error from server (NotFound): no", status=404)


class FakeApi:
    """An API with three pods, and nothing else."""

    namespace = "demo"

    def __init__(self, **refused: ClusterError) -> None:
        self.refused = refused
        self.asked: list[str] = []

    def now(self) -> datetime:
        return datetime(2026, 11, 27, tzinfo=UTC)

    def get_object(self, type_: type[Any], path: str) -> Any:
        self.asked.append(path)
        raise GONE

    def list_objects(
        self, type_: type[Any], path: str, *, label_selector: str = "", field_selector: str = ""
    ) -> ListResult[Any]:
        self.asked.append(path)
        plural = path.rpartition("/")[2]
        if plural in self.refused:
            raise self.refused[plural]
        pods = (pod("web-1"), pod("web-2", "node-b"), pod("host", host_network=True))
        return ListResult(pods if type_ is Pod else (), "1")


class Node:
    """A node that answers every probe with its name."""

    def __init__(self, node: str, plans: list[tuple[str, Plan]], *, is_whole: bool) -> None:
        self.node = node
        self.privilege = Privilege.SYSADMIN
        self._plans = plans
        self._is_whole = is_whole

    def run(self, plan: Plan, sinks: Sinks | None = None) -> NodeAnswer:
        self._plans.append((self.node, plan))
        results = [result(each.name, each.name.encode()) for each in plan.node_probes]
        results += [
            CommandResult(each.key, 7, "process", probe.name, 1, b"")
            for each in plan.pods
            for probe in each.probes
        ]
        return NodeAnswer(NODE_NETNS, tuple(results), self._is_whole)


def snapshot(
    api: FakeApi, *nodes: str, namespace: str = "", lost: tuple[str, ...] = (), is_whole: bool = True
) -> tuple[Any, list[tuple[str, Plan]], list[str]]:
    plans: list[tuple[str, Plan]] = []
    told: list[str] = []

    @contextmanager
    def open_node(node: str, privilege: Privilege) -> Iterator[NodeSource]:
        assert privilege is Privilege.SYSADMIN
        if node in lost:
            raise DebugPodError(f"no pod on {node}")
        yield Node(node, plans, is_whole=is_whole)

    wish = SnapshotWish(nodes=nodes or ("node-a", "node-b"), namespace=namespace)
    return take_snapshot(api, open_node, wish, lambda: None, told.append), plans, told


def test_each_node_is_asked_for_its_own_pods_once() -> None:
    report, plans, told = snapshot(FakeApi())
    first = dict(reversed(plans))  # what dns asks comes later
    assert {node: [each.key for each in plan.pods] for node, plan in first.items()} == {
        "node-a": [pod("web-1").metadata.uid],
        "node-b": [pod("web-2").metadata.uid],
    }
    assert [(each.node, each.pods, each.netns, each.unanswered) for each in report.items] == [
        ("node-a", 1, 1, 2),
        ("node-b", 1, 1, 2),
    ]
    assert told[0] == "reading the API: 11 lists"
    assert told[-1].endswith(": 2 of 2")


def test_lists_that_change_are_read_before_and_after_the_nodes() -> None:
    api = FakeApi()
    snapshot(api)
    twice = [path for path in list_paths("") if api.asked.count(path) > 1]
    assert twice == [
        "/api/v1/nodes",
        "/api/v1/pods",
        "/api/v1/services",
        "/apis/discovery.k8s.io/v1/endpointslices",
    ]
    assert {*list_paths("")} <= {*api.asked}


def test_of_a_namespace_what_dns_and_kube_proxy_need_is_asked_too() -> None:
    paths = list_paths("shop")
    assert {path.split("/")[4] for path in paths if path.startswith("/api/v1/namespaces")} == {
        "shop",
        "kube-system",
    }
    assert "/api/v1/nodes" in paths
    assert "/api/v1/pods" not in paths
    assert "/apis/apps/v1/namespaces/kube-system/daemonsets" in paths
    assert list_paths("kube-system").keys() == {each for each in paths if "/shop/" not in each}


def test_a_list_that_is_refused_is_a_gap() -> None:
    report, _, _ = snapshot(FakeApi(networkpolicies=REFUSED, services=GONE))
    assert (
        Gap(
            "cluster",
            "the list /apis/networking.k8s.io/v1/networkpolicies",
            Reason.PERMISSION_DENIED,
            "Error from server (Forbidden): no",
        )
        in report.gaps
    )
    assert [each.fact for each in report.gaps].count("the list /api/v1/services") == 1
    assert len(report.items) == 2


def test_without_pods_there_is_no_snapshot() -> None:
    with pytest.raises(ClusterError, match="Forbidden") as caught:
        snapshot(FakeApi(pods=REFUSED))
    assert "the role needs to list them" in caught.value.hint


def test_a_node_that_fails_is_a_gap_and_the_others_are_kept() -> None:
    report, _, told = snapshot(FakeApi(), lost=("node-a",))
    assert [each.node for each in report.items] == ["node-b"]
    assert Gap("node/node-a", "the node", Reason.FAILED, "no pod on node-a") in report.gaps
    assert told[-1] == "read node node-b: 1 of 2"


def test_an_answer_that_is_cut_is_a_gap() -> None:
    report, _, _ = snapshot(FakeApi(), "node-a", is_whole=False)
    assert "the end of the node's answer" in [each.fact for each in report.gaps]


def test_dns_that_cannot_be_asked_is_a_gap() -> None:
    """There is no DNS Service in this cluster."""
    report, _, _ = snapshot(FakeApi(), "node-a")
    [gap] = [each for each in report.gaps if each.fact == "answers of the cluster's DNS"]
    assert "no Service has a known name" in gap.detail


def test_a_row_counts_what_came() -> None:
    results = (
        result("links", b"12345"),
        result("flows", b"", code=None),
        result("links", b"1", key="uid", netns=7),
        result("links", b"", key="uid", netns=8, code=1, stderr=b"no"),
    )
    row = summarize("node-a", NodeAnswer(NODE_NETNS, results, is_whole=True), 3)
    assert (row.pods, row.netns, row.probes, row.unanswered, row.size_bytes) == (3, 2, 4, 2, 8)
