"""From what the user names to pods, against the fake API server."""

from __future__ import annotations

from typing import Any

import pytest

from netinspect.cluster.client import ClusterClient
from netinspect.errors import ClusterError, TargetError, UsageError
from netinspect.models.address import parse_address
from netinspect.models.kubernetes import LabelSelector, LabelSelectorRequirement
from netinspect.usecases.targets import (
    Targets,
    find_pod_by_address,
    format_selector,
    parse_references,
    resolve_pods,
)
from tests.fake.api import FakeApi
from tests.unit.usecases.fake_node import names


@pytest.fixture
def shop(fake_api: FakeApi) -> FakeApi:
    """Two pods of a Deployment on two nodes, one of a Job in another namespace, one that is not bound yet."""
    add = fake_api.store.add
    for name in ("node-a", "node-b"):
        add("nodes", {"metadata": {"name": name}})
    pod(fake_api, "web-1", app="web")
    pod(fake_api, "web-2", node="node-b", app="web")
    pod(fake_api, "db-0", app="db")
    pod(fake_api, "batch-1", namespace="jobs", app="batch")
    pod(fake_api, "waiting", node="", app="web2")
    add("services", {"metadata": {"name": "web", "namespace": "demo"}, "spec": {"selector": {"app": "web"}}})
    add("services", {"metadata": {"name": "bare", "namespace": "demo"}, "spec": {}})
    add(
        "services", {"metadata": {"name": "idle", "namespace": "demo"}, "spec": {"selector": {"app": "none"}}}
    )
    for plural, namespace, app in (
        ("deployments", "demo", "web"),
        ("statefulsets", "demo", "db"),
        ("jobs", "jobs", "batch"),
    ):
        selector = {"matchLabels": {"app": app}}
        add(plural, {"metadata": {"name": app, "namespace": namespace}, "spec": {"selector": selector}})
    return fake_api


def pod(
    api: FakeApi,
    name: str,
    namespace: str = "demo",
    node: str = "node-a",
    status: Any = None,
    spec: Any = None,
    **labels: str,
) -> None:
    api.store.add(
        "pods",
        {
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {"nodeName": node, **(spec or {})},
            "status": {"phase": "Running", **(status or {})},
        },
    )


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (Targets(names=("web-1",)), ["web-1"]),
        (Targets(names=("web-2", "web-1")), ["web-2", "web-1"]),
        (
            Targets(
                names=(
                    "web-1",
                    "web-1",
                )
            ),
            ["web-1"],
        ),
        (Targets(names=("pod/web-1", "deploy/web")), ["web-1", "web-2"]),
        (Targets(names=("deploy/web",)), ["web-1", "web-2"]),
        (Targets(names=("deployment", "web")), ["web-1", "web-2"]),
        (Targets(names=("svc/web",)), ["web-1", "web-2"]),
        (Targets(names=("sts/db",)), ["db-0"]),
        (Targets(names=("job/batch",), namespace="jobs"), ["batch-1"]),
        (Targets(names=("pods",)), ["web-1", "web-2", "db-0", "waiting"]),
        (Targets(names=("pods",), selector="app=db"), ["db-0"]),
        (Targets(selector="app=web"), ["web-1", "web-2"]),
        (Targets(all_namespaces=True), ["web-1", "web-2", "db-0", "batch-1", "waiting"]),
        (Targets(selector="app in (web, batch)", all_namespaces=True), ["web-1", "web-2", "batch-1"]),
        (Targets(nodes=("node-b",)), ["web-2"]),
        (Targets(nodes=("node-a", "node-b", "node-a")), ["web-1", "db-0", "batch-1", "web-2"]),
        (Targets(nodes=("node-a",), namespace="jobs"), ["batch-1"]),
        (Targets(nodes=("node-a",), selector="app=db"), ["db-0"]),
        (Targets(all_nodes=True), ["web-1", "web-2", "db-0", "batch-1"]),
        (Targets(all_nodes=True, namespace="jobs"), ["batch-1"]),
    ],
)
def test_what_is_named_leads_to_pods(
    client: ClusterClient, shop: FakeApi, targets: Targets, expected: list[str]
) -> None:
    """Each pod once, and in the order named; nodes mean all namespaces unless one is named."""
    found = names(resolve_pods(client, targets))
    assert sorted(found) == sorted(expected)
    if targets.names and targets.names != ("pods",):
        assert found[0] == expected[0]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (Targets(names=("nope",)), 'Error from server (NotFound): pods "nope" not found'),
        (Targets(names=("deploy/nope",)), "Error from server (NotFound): deployments"),
        (Targets(names=("svc/nope",)), 'Error from server (NotFound): services "nope" not found'),
        (Targets(nodes=("nope",)), 'Error from server (NotFound): nodes "nope" not found'),
    ],
)
def test_what_does_not_exist_is_told_in_the_servers_words(
    client: ClusterClient, shop: FakeApi, targets: Targets, message: str
) -> None:
    """As kubectl tells it."""
    with pytest.raises(ClusterError) as caught:
        resolve_pods(client, targets)
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("svc/bare", 'service "bare" has no selector: its endpoints are not made from pods'),
        ("svc/idle", 'service "idle" has no pods (selector app=none)'),
    ],
)
def test_what_leads_to_no_pod_is_an_error(
    client: ClusterClient, shop: FakeApi, name: str, message: str
) -> None:
    """Not an empty answer."""
    with pytest.raises(TargetError) as caught:
        resolve_pods(client, Targets(names=(name,)))
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (Targets(), "no target is named"),
        (Targets(names=("a",), nodes=("n",)), "name pods, or nodes with --node or --all-nodes, not both"),
        (Targets(names=("a",), all_nodes=True), "name pods, or nodes with --node or --all-nodes, not both"),
        (Targets(nodes=("n",), all_nodes=True), "--node and --all-nodes exclude each other"),
        (
            Targets(names=("a",), all_namespaces=True),
            "a resource cannot be retrieved by name across all namespaces",
        ),
        (Targets(names=("a",), selector="x=y"), "name cannot be provided when a selector is specified"),
        (Targets(names=("a/b/c",)), "arguments in resource/name form must have a single resource and name"),
        (Targets(names=("deploy/",)), "arguments in resource/name form must have a single resource and name"),
        (Targets(names=("/web",)), "arguments in resource/name form must have a single resource and name"),
        (
            Targets(names=("deploy/web", "web-1")),
            "arguments in resource/name form must have a single resource and name",
        ),
        (Targets(names=("cm/x",)), 'the server doesn\'t have a resource type "cm" that leads to pods'),
        (
            Targets(names=("pod", "pod/web-1")),
            "there is no need to specify a resource type as a separate argument when passing arguments in "
            "resource/name form",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_asked(
    client: ClusterClient, fake_api: FakeApi, targets: Targets, message: str
) -> None:
    """In kubectl's words; not one request is made."""
    with pytest.raises(UsageError) as caught:
        resolve_pods(client, targets)
    assert caught.value.message == message
    assert fake_api.requests == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), ()),
        (("a", "b"), (("pod", "a"), ("pod", "b"))),
        (("po/a",), (("pod", "a"),)),
        (("deploy", "a", "b"), (("deployment", "a"), ("deployment", "b"))),
        (("svc/a", "sts/b"), (("service", "a"), ("statefulset", "b"))),
        (("pods",), ()),
    ],
)
def test_references_are_read_as_kubectl_reads_them(
    given: tuple[str, ...], expected: tuple[tuple[str, str], ...]
) -> None:
    """NAME, TYPE/NAME, TYPE NAME..., TYPE."""
    assert parse_references(given) == expected


@pytest.mark.parametrize("name", ["web-1?watch=true", "..", "pod/..", "web-1,spec.nodeName=x", "a b", "ä"])
def test_a_name_cannot_leave_its_place_in_the_path(client: ClusterClient, shop: FakeApi, name: str) -> None:
    """What is no name of an object is refused before anything is asked: no query, no other resource."""
    with pytest.raises(UsageError, match="invalid name"):
        resolve_pods(client, Targets(names=(name,)))
    with pytest.raises(UsageError, match="invalid name"):
        resolve_pods(client, Targets(nodes=(name,)))
    assert shop.requests == []


def test_a_selector_of_a_workload_is_written_as_a_query() -> None:
    """Both kinds of requirement, all four operators."""
    selector = LabelSelector(
        match_labels={"app": "web", "tier": "front"},
        match_expressions=(
            LabelSelectorRequirement(key="zone", operator="In", values=("a", "b")),
            LabelSelectorRequirement(key="env", operator="NotIn", values=("test",)),
            LabelSelectorRequirement(key="live", operator="Exists"),
            LabelSelectorRequirement(key="old", operator="DoesNotExist"),
        ),
    )
    assert format_selector(selector) == "app=web,tier=front,zone in (a,b),env notin (test),live,!old"


def with_ips(*ips: str) -> Any:
    return {"podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips]}


def test_a_pod_is_found_by_an_address_of_either_family(client: ClusterClient, fake_api: FakeApi) -> None:
    """The server can search by the first only; an ended pod's address may be another's by now."""
    pod(fake_api, "web-1", status=with_ips("10.244.1.7", "fd00::7"))
    pod(fake_api, "ended", status={"phase": "Succeeded", **with_ips("10.244.1.7")})
    for address in ("10.244.1.7", "fd00::7", "fd00:0::0007"):
        assert find_pod_by_address(client, parse_address(address)).metadata.name == "web-1"


def test_an_address_that_is_a_nodes_or_nobodys_is_no_pods(client: ClusterClient, fake_api: FakeApi) -> None:
    """Each is told for what it is."""
    pod(fake_api, "proxy", status=with_ips("10.0.0.1"), spec={"hostNetwork": True})
    pod(fake_api, "ended", status={"phase": "Failed", **with_ips("10.244.1.8")})
    with pytest.raises(TargetError, match=r"10\.0\.0\.1 is the address of node node-a, not of a pod"):
        find_pod_by_address(client, parse_address("10.0.0.1"))
    for address in ("10.244.1.8", "10.244.1.9"):
        with pytest.raises(TargetError, match=f"no running pod has the address {address}"):
            find_pod_by_address(client, parse_address(address))
