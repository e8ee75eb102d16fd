"""From what the user names to nodes and to the addresses meant there, against the fake API server."""

from __future__ import annotations

from typing import Any

import pytest

from netinspect.cluster.client import ClusterClient
from netinspect.errors import ClusterError, TargetError, UsageError
from netinspect.usecases.node_targets import NodeTargets, resolve_flow_targets, resolve_nodes
from netinspect.usecases.targets import Targets
from tests.fake.api import FakeApi


@pytest.fixture(autouse=True)
def world(fake_api: FakeApi) -> None:
    for name, system in (("node-a", "linux"), ("node-b", ""), ("win-1", "windows")):
        status = {"nodeInfo": {"operatingSystem": system}}
        fake_api.store.add("nodes", {"metadata": {"name": name}, "status": status})
    pod(fake_api, "web-1", "fd00::5", "10.0.0.5", app="web")
    pod(fake_api, "web-2", "fd00::6", node="node-b", app="web")
    pod(fake_api, "web-3", "fd00::7", app="web")
    pod(fake_api, "hostnet", "10.99.0.11", spec={"hostNetwork": True}, app="host")
    pod(fake_api, "done", "10.0.0.9", phase="Succeeded", app="done")
    pod(fake_api, "waiting", node="", phase="Pending", app="waiting")
    pod(fake_api, "starting", phase="Pending", app="starting")


def pod(
    api: FakeApi,
    name: str,
    *ips: str,
    node: str = "node-a",
    phase: str = "Running",
    spec: Any = None,
    **labels: str,
) -> None:
    api.store.add(
        "pods",
        {
            "metadata": {"name": name, "namespace": "demo", "labels": labels},
            "spec": {"nodeName": node, **(spec or {})},
            "status": {"phase": phase, "podIPs": [{"ip": ip} for ip in ips]},
        },
    )


def resolved(client: ClusterClient, *names: str, **wishes: Any) -> NodeTargets:
    return resolve_flow_targets(client, Targets(names=names, **wishes))


def test_pods_lead_to_their_nodes_and_their_addresses_there(client: ClusterClient) -> None:
    """Of both families, each on its own node only."""
    found = resolved(client, selector="app=web")
    assert found.nodes == ("node-a", "node-b")
    assert list(map(str, found.addresses_on("node-a"))) == ["fd00::5", "10.0.0.5", "fd00::7"]
    assert list(map(str, found.addresses_on("node-b"))) == ["fd00::6"]
    assert found.notes == ()


def test_whole_nodes_have_no_pods(client: ClusterClient) -> None:
    """Every flow is meant there; a node named twice is asked once."""
    found = resolved(client, nodes=("node-b", "node-a", "node-b"))
    assert (found.nodes, found.pods, found.addresses_on("node-a")) == (("node-b", "node-a"), (), ())


def test_all_nodes_are_those_that_run_linux(client: ClusterClient) -> None:
    """The others are told; a node that does not say is taken for one."""
    found = resolved(client, all_nodes=True)
    assert found.nodes == ("node-a", "node-b")
    assert found.notes == ("not asked, as they do not run Linux: win-1",)


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        (
            "hostnet",
            "pod demo/hostnet uses its node's network (hostNetwork): its flows are those of node node-a",
            "for the flows of the node: --node node-a",
        ),
        ("done", "pod demo/done has ended (Succeeded): it has no address any more", ""),
        ("waiting", "pod demo/waiting is not bound to a node yet", ""),
        ("starting", "pod demo/starting has no address yet", ""),
    ],
)
def test_a_pod_without_flows_of_its_own_is_explained(
    client: ClusterClient, name: str, message: str, hint: str
) -> None:
    """With where to look instead."""
    with pytest.raises(TargetError) as caught:
        resolved(client, name)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_beside_others_it_is_a_note(client: ClusterClient) -> None:
    """The others are answered."""
    found = resolved(client, "hostnet", "web-1", "done")
    assert [each.metadata.name for each in found.pods] == ["web-1"]
    assert found.nodes == ("node-a",)
    assert [note.split(" ")[1] for note in found.notes] == ["demo/hostnet", "demo/done"]


def test_many_that_are_left_out_are_counted(client: ClusterClient, fake_api: FakeApi) -> None:
    """A whole cluster has dozens."""
    for number in range(4):
        pod(fake_api, f"agent-{number}", "fd00:99::11", spec={"hostNetwork": True})
    found = resolved(client, all_namespaces=True)
    assert found.notes == (
        "left out are pods without flows of their own: "
        "5 on their node's network, 1 that have ended, 2 without an address yet",
    )


def test_of_several_the_one_that_leads_on_is_explained(client: ClusterClient) -> None:
    """A hostNetwork pod's node can be asked."""
    with pytest.raises(TargetError, match="hostnet uses its node's network") as caught:
        resolved(client, "done", "hostnet")
    assert "--node node-a" in caught.value.hint


def test_what_is_not_there_is_said_as_kubectl_says_it(client: ClusterClient) -> None:
    """Pods, nodes, selectors that meet nothing."""
    with pytest.raises(ClusterError, match=r'\(NotFound\): pods "nope" not found'):
        resolved(client, "nope")
    with pytest.raises(ClusterError, match=r'\(NotFound\): nodes "nope" not found'):
        resolved(client, nodes=("node-a", "nope"))
    with pytest.raises(TargetError, match="no pod was found"):
        resolved(client, selector="app=none")


@pytest.mark.parametrize(
    "wishes",
    [
        {},
        {"names": ("web-1",), "nodes": ("node-a",)},
        {"selector": "app=web", "all_nodes": True},
        {"all_namespaces": True, "nodes": ("node-a",)},
        {"nodes": ("node-a",), "all_nodes": True},
        {"nodes": ("",)},
    ],
)
def test_wishes_that_make_no_sense_end_before_any_request(
    client: ClusterClient, fake_api: FakeApi, wishes: Any
) -> None:
    """Nothing named, or things that exclude each other."""
    with pytest.raises(UsageError):
        resolve_flow_targets(client, Targets(**wishes))
    assert fake_api.requests == []


def test_nodes_alone_can_be_asked_for(client: ClusterClient) -> None:
    """As commands do that know no pods."""
    assert resolve_nodes(client, ["node-a"]).nodes == ("node-a",)
    with pytest.raises(UsageError, match="no node is named"):
        resolve_nodes(client, [])


def test_a_cluster_without_linux_is_told(client: ClusterClient, fake_api: FakeApi) -> None:
    """There is nothing to ask."""
    for name in ("node-a", "node-b"):
        fake_api.store.remove("nodes", "", name)
    with pytest.raises(TargetError, match="no node that runs Linux"):
        resolve_nodes(client, [], all_nodes=True)
