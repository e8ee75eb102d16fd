"""Pods, nodes, Services and endpoints: what is a change of them, and what only moves."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from msgspec.structs import replace

from netinspect.analyze.differences.pods import compare_nodes, compare_pods
from netinspect.analyze.differences.services import compare_endpoints, compare_services
from netinspect.cluster.debug_pod import SELECTOR
from netinspect.models.cluster_state import ClusterState
from netinspect.models.difference import Change, Difference
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.models.kubernetes import Pod
from netinspect.parse.api import parse_object
from tests.unit.analyze.service_world import endpoint, node, service, slices, state

UNREAD = Unavailable(Reason.NOT_RECORDED, "not asked")


def pod(
    name: str = "web-1", *, ready: bool = True, node_name: str = "node-a", uid: str = "u", **meta: Any
) -> Pod:
    status = {
        "phase": "Running",
        "podIPs": [{"ip": "fd00::5"}],
        "containerStatuses": [
            {"name": "c", "ready": ready, "restartCount": meta.pop("restarts", 0), "state": {"running": {}}}
        ],
    }
    base = {"name": name, "namespace": "demo", "uid": uid, **meta}
    spec = {"nodeName": node_name, "containers": [{"name": "c"}]}
    return parse_object(Pod, json.dumps({"metadata": base, "spec": spec, "status": status}).encode())


def pods(*listed: Pod) -> ClusterState:
    return replace(state([]), pods=Known(listed))


def told(found: Iterable[Difference]) -> list[tuple[str, str, dict[str, tuple[str, str]]]]:
    """Each difference in short: name, change, and what is different."""
    return [
        (
            f"{each.name} {each.at}".rstrip(),
            each.change.value,
            {field.field: (field.before, field.after) for field in each.fields},
        )
        for each in found
    ]


def test_a_pod_that_only_got_older_has_not_changed() -> None:
    old = pod(resourceVersion="1", creationTimestamp="2026-11-27T05:00:00Z")
    new = pod(resourceVersion="9", managedFields=[{"time": "2026-11-27T06:00:00Z"}], restarts=3)
    assert told(compare_pods(pods(old), pods(new))) == []


@pytest.mark.parametrize(
    ("new", "field", "values"),
    [
        (pod(ready=False), "ready", ("1/1", "0/1")),
        (pod(node_name="node-b"), "node", ("node-a", "node-b")),
        (pod(uid="v"), "uid", ("u", "v")),
        (pod(deletionTimestamp="2026-11-27T05:00:00Z"), "status", ("Running", "Terminating")),
    ],
)
def test_what_a_pod_is_otherwise_is_a_change(new: Pod, field: str, values: tuple[str, str]) -> None:
    assert told(compare_pods(pods(pod()), pods(new))) == [("demo/web-1", "changed", {field: values})]


def test_pods_come_and_go_by_name() -> None:
    came, went = compare_pods(pods(pod("b")), pods(pod("a")))
    assert (came.name, came.change, came.node) == ("demo/a", Change.ADDED, "node-a")
    assert (went.name, went.change, went.namespace) == ("demo/b", Change.REMOVED, "demo")
    assert {each.field: each.before for each in went.fields} == {
        "addresses": "fd00::5",
        "status": "Running",
        "ready": "1/1",
    }


def test_debug_pods_of_this_program_are_no_change() -> None:
    key, _, value = SELECTOR.partition("=")
    own = pod("netinspect-x", labels={key: value})
    other = pod("tool", labels={"app.kubernetes.io/managed-by": "helm"})
    assert [name for name, *_ in told(compare_pods(pods(), pods(own, other)))] == ["demo/tool"]


def test_what_could_not_be_listed_is_compared_with_nothing() -> None:
    full, empty = pods(pod()), replace(pods(), pods=UNREAD, services=UNREAD, slices=UNREAD, nodes=UNREAD)
    both = replace(full, services=Known((service(),)), slices=Known(slices()))
    for compare in (compare_pods, compare_services, compare_endpoints, compare_nodes):
        assert told(compare(both, empty)) == told(compare(empty, both)) == []


def test_nodes_come_go_and_get_other_addresses() -> None:
    old = state([], nodes=[node("node-a", 11), node("node-b", 12)])
    new = state([], nodes=[node("node-a", 13), node("node-c", 14)])
    assert [(name, change) for name, change, _ in told(compare_nodes(old, new))] == [
        ("node-a", "changed"),
        ("node-b", "removed"),
        ("node-c", "added"),
    ]
    first = next(iter(compare_nodes(old, new)))
    assert ("addresses", "node-a, 10.99.0.11, fd00:99::11", "node-a, 10.99.0.13, fd00:99::13") in [
        (each.field, each.before, each.after) for each in first.fields
    ]


@pytest.mark.parametrize(
    ("spec", "field", "values"),
    [
        ({"type": "NodePort"}, "type", ("ClusterIP", "NodePort")),
        ({"externalTrafficPolicy": "Local"}, "external policy", ("", "Local")),
        ({"clusterIPs": ["fd00::1"]}, "addresses", ("10.96.0.10, fd00:10:96::a", "fd00::1")),
        ({"selector": {"b": "2", "a": "1"}}, "selector", ("", "a=1,b=2")),
        ({"sessionAffinity": "ClientIP"}, "session affinity", ("", "ClientIP")),
        ({"ingress": ["192.0.2.1"]}, "load balancer", ("", "192.0.2.1")),
        (
            {"ports": [{"name": "http", "port": 80, "nodePort": 30080, "targetPort": 8080}]},
            "ports",
            ("http 80/TCP to 80", "http 80/TCP to 8080 (node port 30080)"),
        ),
    ],
)
def test_what_a_service_asks_for_otherwise_is_a_change(
    spec: dict[str, Any], field: str, values: tuple[str, str]
) -> None:
    found = told(compare_services(state([service()]), state([service(**spec)])))
    assert found == [("demo/web", "changed", {field: values})]


def test_labels_of_a_service_are_no_change() -> None:
    assert told(compare_services(state([service()]), state([service(labels={"a": "b"})]))) == []


def test_an_endpoint_is_each_of_its_ports() -> None:
    old = state([], slices(endpoints=[endpoint(1), endpoint(2)]))
    new = state([], slices(endpoints=[endpoint(2, ready=False, terminating=True), endpoint(3)]))
    assert told(compare_endpoints(old, new)) == [
        ("demo/web:http 10.244.1.1:8080/tcp", "removed", {"conditions": ("ready, serving", "")}),
        (
            "demo/web:http 10.244.1.2:8080/tcp",
            "changed",
            {"conditions": ("ready, serving", "not ready, serving, terminating")},
        ),
        ("demo/web:http 10.244.2.3:8080/tcp", "added", {"conditions": ("", "ready, serving")}),
        ("demo/web:http [fd00:10:244:1::1]:8080/tcp", "removed", {"conditions": ("ready, serving", "")}),
        (
            "demo/web:http [fd00:10:244:1::2]:8080/tcp",
            "changed",
            {"conditions": ("ready, serving", "not ready, serving, terminating")},
        ),
        ("demo/web:http [fd00:10:244:2::3]:8080/tcp", "added", {"conditions": ("", "ready, serving")}),
    ]
    assert [(each.node, each.family) for each in compare_endpoints(old, new)][::3] == [
        ("node-a", 4),
        ("node-a", 6),
    ]


def test_how_endpoints_are_spread_over_slices_is_no_change() -> None:
    together = state([], slices(endpoints=[endpoint(1), endpoint(2)]))
    apart = state([], slices(endpoints=[endpoint(2)]), slices(endpoints=[endpoint(1)]))
    assert told(compare_endpoints(together, apart)) == []
