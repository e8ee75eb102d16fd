"""Which pods are listed, and with which of their fields."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from netinspect.cluster.listing import ListResult
from netinspect.errors import UsageError
from netinspect.models.kubernetes import Node, Pod, Workload
from netinspect.models.listing import PodEntry
from netinspect.models.report import Report
from netinspect.parse.api import parse_object
from netinspect.usecases.pods import list_pods
from netinspect.usecases.targets import Targets


class FakeApi:
    """An API server with two pods in each of two namespaces; every Deployment selects `app=web`."""

    namespace = "demo"

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def get_object(self, type_: type[Any], path: str) -> Any:
        self.asked.append((path, ""))
        name = path.rpartition("/")[2]
        if type_ is Workload:
            spec = {"selector": {"matchLabels": {"app": "web"}}}
            return self._read(Workload, {"metadata": {"name": name}, "spec": spec})
        if type_ is Node:
            return self._read(Node, {"metadata": {"name": name}})
        return self._pod(type_, name, "demo")

    def list_objects(
        self, type_: type[Any], path: str, *, label_selector: str = "", field_selector: str = ""
    ) -> ListResult[Any]:
        assert issubclass(type_, Pod)
        self.asked.append((path, label_selector or field_selector))
        pods = [
            self._pod(type_, name, namespace)
            for namespace in ("demo", "other")
            for name in ("web-1", "web-2")
        ]
        return ListResult(
            tuple(
                pod
                for pod in pods
                if path in ("/api/v1/pods", f"/api/v1/namespaces/{pod.metadata.namespace}/pods")
            ),
            "1",
        )

    def _pod(self, type_: type[Any], name: str, namespace: str) -> Any:
        spec = {
            "nodeName": "node-a",
            "containers": [{"name": "c"}],
            "initContainers": [{"name": "proxy", "restartPolicy": "Always"}],
        }
        return self._read(
            type_,
            {
                "metadata": {"name": name, "namespace": namespace, "uid": f"{namespace}-{name}"},
                "spec": spec,
                "status": {"phase": "Running", "podIPs": [{"ip": "fd00::7"}, {"ip": "10.0.0.7"}]},
            },
        )

    def _read(self, type_: type[Any], value: Any) -> Any:
        return parse_object(type_, msgspec.json.encode(value))


def run(api: FakeApi, **wishes: Any) -> Report[PodEntry]:
    return list_pods(cast("Any", api), Targets(**wishes))


def names(report: Report[PodEntry]) -> list[str]:
    return [f"{entry.namespace}/{entry.name}" for entry in report.items]


def test_without_a_target_the_namespaces_pods_are_listed() -> None:
    """Unlike the commands that go to nodes, which want to be told."""
    api = FakeApi()
    assert names(run(api)) == ["demo/web-1", "demo/web-2"]
    assert api.asked == [("/api/v1/namespaces/demo/pods", "")]


@pytest.mark.parametrize(
    ("wishes", "asked"),
    [
        ({"names": ("web-1",)}, [("/api/v1/namespaces/demo/pods/web-1", "")]),
        ({"namespace": "other"}, [("/api/v1/namespaces/other/pods", "")]),
        ({"selector": "app=web"}, [("/api/v1/namespaces/demo/pods", "app=web")]),
        ({"all_namespaces": True}, [("/api/v1/pods", "")]),
        ({"all_nodes": True}, [("/api/v1/pods", "")]),
        (
            {"nodes": ("node-a",)},
            [("/api/v1/nodes/node-a", ""), ("/api/v1/pods", "spec.nodeName=node-a")],
        ),
        (
            {"names": ("deploy/web",)},
            [
                ("/apis/apps/v1/namespaces/demo/deployments/web", ""),
                ("/api/v1/namespaces/demo/pods", "app=web"),
            ],
        ),
    ],
)
def test_targets_mean_what_they_mean_to_the_other_commands(
    wishes: dict[str, Any], asked: list[tuple[str, str]]
) -> None:
    """No call more than it takes to find the pods."""
    api = FakeApi()
    run(api, **wishes)
    assert api.asked == asked


def test_pods_are_read_with_their_init_containers_whichever_way_they_are_found() -> None:
    """READY counts sidecars, which other commands do not read."""
    for wishes in ({}, {"names": ("web-1",)}, {"names": ("deploy/web",)}):
        assert {entry.total_containers for entry in run(FakeApi(), **wishes).items} == {2}


def test_targets_that_exclude_each_other_are_refused() -> None:
    """Before the server is asked."""
    api = FakeApi()
    with pytest.raises(UsageError):
        run(api, names=("web-1",), nodes=("node-a",))
    assert api.asked == []
