"""`dataplane` with an API that knows network agents, Cilium's setting and Services, or refuses to tell."""

from __future__ import annotations

from typing import Any

import pytest

from netinspect.cluster.client import ClusterClient
from netinspect.collect.dataplane import collect_dataplane
from netinspect.models.command import CommandResult
from netinspect.models.dataplane import Confidence, Dataplane, DataplaneReading
from netinspect.models.fact import Gap, Known, Reason, Unavailable
from netinspect.probes.dataplane import build_dataplane_plan
from netinspect.render.dataplane import COLUMNS, name_of
from netinspect.render.table import render_table
from netinspect.usecases.dataplane import read_cluster_hints, report_dataplanes
from tests.fake.api import FakeApi
from tests.fake.plugin import pod
from tests.unit.collect.test_dataplane import whole
from tests.unit.usecases.fake_node import LO, FakeNode, answer, result

CILIUM_LINKS = LO.replace(b'"lo"', b'"cilium_host"')


def read(*changed: CommandResult) -> DataplaneReading:
    results = {**whole(), **{each.name: each for each in changed}}
    return collect_dataplane(FakeNode(answer(*results.values())), build_dataplane_plan())


def service(name: str, *addresses: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "demo"}, "spec": {"clusterIPs": list(addresses)}}


def labelled(name: str, namespace: str, **labels: str) -> dict[str, Any]:
    made = pod(name, namespace)
    made["metadata"]["labels"] = {key.replace("_", "-"): value for key, value in labels.items()}
    return made


def put_cilium(fake_api: FakeApi, setting: str, namespace: str = "networking") -> None:
    fake_api.store.add("pods", labelled("cilium-x", namespace, k8s_app="cilium"))
    meta = {"name": "cilium-config", "namespace": namespace}
    fake_api.store.add("configmaps", {"metadata": meta, "data": {"kube-proxy-replacement": setting}})


def test_hints_are_counted_by_family_and_node(client: ClusterClient, fake_api: FakeApi) -> None:
    """A headless Service has no address; a pod that is no network agent is none."""
    for each in (service("a", "10.96.0.1", "fd00::1"), service("b", "fd00::2"), service("c", "None")):
        fake_api.store.add("services", each)
    for each in (
        labelled("kube-proxy-1", "kube-system", k8s_app="kube-proxy"),
        labelled("anetd-1", "kube-system", k8s_app="cilium"),
        labelled("antrea-1", "kube-system", component="antrea-agent"),
        labelled("ovn-1", "ovn", app="ovnkube-node"),
        labelled("web", "demo", app="web"),
        {**labelled("cilium-old", "kube-system", k8s_app="cilium"), "status": {"phase": "Failed"}},
    ):
        fake_api.store.add("pods", each)
    hints = read_cluster_hints(client)
    assert hints.services == Known({4: 1, 6: 2})
    assert isinstance(hints.pods, Known)
    agents = {each.name: each.agent for each in hints.pods.value["node-a"]}
    assert agents == {
        "kube-proxy-1": "kube-proxy",
        "anetd-1": "anetd",
        "antrea-1": "antrea-agent",
        "ovn-1": "ovnkube-node",
    }
    assert hints.of_node("node-b").pods == Known(())


def test_nothing_is_asked_of_cilium_where_it_is_not(client: ClusterClient, fake_api: FakeApi) -> None:
    """Its ConfigMap is read only where a pod of it is, in that pod's namespace."""
    assert read_cluster_hints(client).kube_proxy_replacement == Known(None)
    assert fake_api.seen("GET", "configmaps") == []
    put_cilium(fake_api, "true")
    assert read_cluster_hints(client).kube_proxy_replacement == Known("true")


def test_cilium_without_its_config_map(client: ClusterClient, fake_api: FakeApi) -> None:
    """Not there is not refused."""
    fake_api.store.add("pods", labelled("cilium-x", "kube-system", k8s_app="cilium"))
    assert read_cluster_hints(client).kube_proxy_replacement == Known(None)
    fake_api.deny("get", "configmaps")
    refused = read_cluster_hints(client).kube_proxy_replacement
    assert isinstance(refused, Unavailable)
    assert refused.reason is Reason.PERMISSION_DENIED


def test_a_node_has_a_row_for_each_family(client: ClusterClient, fake_api: FakeApi) -> None:
    """And findings and gaps of all nodes are in one report."""
    fake_api.store.add("services", service("a", "10.96.0.1", "fd00::1"))
    failed = Gap("node/node-b", "the node", Reason.FAILED, "no pod started")
    report = report_dataplanes(read_cluster_hints(client), {"node-a": read()}, (failed,), ("read so",))
    assert [(each.node, each.family) for each in report.items] == [("node-a", 4), ("node-a", 6)]
    assert {each.dataplane for each in report.items} == {Dataplane.NONE}
    assert [each.id for each in report.findings] == ["dataplane-rules-missing"] * 2
    assert (report.gaps, report.notes) == ((failed,), ("read so",))


def test_cilium_in_kube_proxys_place(client: ClusterClient, fake_api: FakeApi) -> None:
    """From the link on the node and the setting in the API; kube-proxy's silence is no gap then."""
    put_cilium(fake_api, "true")
    silent = result("kube-proxy-mode", code=7, stderr=b"connection refused")
    reading = read(result("links", CILIUM_LINKS), silent)
    report = report_dataplanes(read_cluster_hints(client), {"node-a": reading})
    assert {(each.dataplane, each.confidence) for each in report.items} == {
        (Dataplane.CILIUM, Confidence.CERTAIN)
    }
    assert report.gaps == ()
    assert {each.id for each in report.findings} >= {"dataplane-not-readable"}


@pytest.mark.parametrize(
    ("resource", "fact"), [("pods", "network agents on the node"), ("services", "Services")]
)
def test_what_the_api_refuses_is_a_gap(
    resource: str, fact: str, client: ClusterClient, fake_api: FakeApi
) -> None:
    """The verdict stands on what is there."""
    fake_api.deny("list", resource)
    report = report_dataplanes(read_cluster_hints(client), {"node-a": read()})
    assert [(gap.fact, gap.reason) for gap in report.gaps] == [(fact, Reason.PERMISSION_DENIED)]


def test_as_text(client: ClusterClient) -> None:
    """Both families of a node; a wide row has the evidence."""
    report = report_dataplanes(read_cluster_hints(client), {"node-a": read()})
    lines = render_table(COLUMNS, report.items).splitlines()
    assert lines[0].split() == [
        *("NODE", "FAMILY", "DATAPLANE", "READABLE", "CONFIDENCE", "KUBE-PROXY", "RULES", "IN", "LEFTOVERS")
    ]
    assert lines[2].split()[:6] == ["node-a", "IPv6", "none", "false", "certain", "nftables"]
    wide = render_table(COLUMNS, report.items, is_wide=True)
    assert "iptables-nft nat PREROUTING at prerouting, 1 rules" in wide
    assert [name_of(each) for each in report.items] == ["node/node-a/IPv4/none", "node/node-a/IPv6/none"]
