"""`pods` and `services` against kubectl's own JSON. They create no pod."""

from __future__ import annotations

import pytest

from tests.cluster.kit import Cluster
from tests.cluster.test_veth import deployment

pytestmark = pytest.mark.cluster


def test_pods_have_the_addresses_node_and_phase_that_the_api_gives_them(cluster: Cluster) -> None:
    """Both families in the API's order, for every pod of the cluster."""
    items = cluster.netinspect("pods", "-A", "-o", "json").ok().json["items"]
    shown = {(each["namespace"], each["name"]): each for each in items}
    for pod in cluster.get("pods", "-A")["items"]:
        entry = shown[pod["metadata"]["namespace"], pod["metadata"]["name"]]
        assert entry["podIPs"] == [each["ip"] for each in pod["status"].get("podIPs", [])]
        assert entry.get("node", "") == pod["spec"].get("nodeName", "")


def test_services_have_the_endpoints_of_their_slices(cluster: Cluster) -> None:
    """The ready endpoints of each family are counted as the EndpointSlices say."""
    deployment(cluster)
    items = cluster.netinspect("services", "-A", "-o", "json").ok().json["items"]
    slices = cluster.get("endpointslices", "-A")["items"]
    services = cluster.get("services", "-A")["items"]
    assert {(each["namespace"], each["name"]) for each in items} == {
        (each["metadata"]["namespace"], each["metadata"]["name"]) for each in services
    }
    for entry in items:
        for counts in entry["counts"]:
            addresses = {
                endpoint["addresses"][0]
                for each in slices
                if each["metadata"]["namespace"] == entry["namespace"]
                and each["metadata"]["labels"].get("kubernetes.io/service-name") == entry["name"]
                and each["addressType"] == counts["family"]
                for endpoint in each.get("endpoints") or []
                if endpoint["conditions"].get("ready", True)
            }
            assert counts["ready"] == len(addresses), entry["name"]


def test_an_empty_namespace_is_said_on_stderr(cluster: Cluster) -> None:
    """kubectl's sentence, and exit code 0."""
    ran = cluster.netinspect("services", "-n", "kube-node-lease")
    assert (ran.code, ran.out) == (0, "")
    assert "No resources found in kube-node-lease namespace." in ran.err
