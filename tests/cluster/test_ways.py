"""The other ways onto a node: a pod's log instead of exec, and a pod that is there already."""

from __future__ import annotations

import pytest

from tests.cluster.kit import Cluster, observer_name
from tests.cluster.test_veth import host_links, simple_pod

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def pod(cluster: Cluster) -> str:
    """A pod to look at, on the first node."""
    cluster.apply(simple_pod(cluster, "seen-from"))
    cluster.kubectl(
        "wait", "-n", cluster.namespace, "--for=condition=Ready", "pod/seen-from", "--timeout=60s"
    )
    return "seen-from"


def test_logs_and_exec_tell_the_same(cluster: Cluster, pod: str) -> None:
    """What comes through a pod's log is what comes through exec."""
    command = ("veth", pod, "-n", cluster.namespace, "-o", "json")
    by_logs = host_links(cluster.netinspect(*command, "--transport", "logs"))
    assert by_logs == host_links(cluster.netinspect(*command))


def test_a_privileged_pod_that_runs_there_serves_as_well(cluster: Cluster, pod: str) -> None:
    """With --via nothing is created, and the answer is the same."""
    via = f"{cluster.namespace}/{observer_name(cluster.nodes()[0])}"
    command = ("veth", pod, "-n", cluster.namespace, "-o", "json")
    expected = host_links(cluster.netinspect(*command))
    # An image that nobody can pull proves that no pod of ours was tried.
    seen = host_links(cluster.netinspect(*command, "--via", via, "--image", "netinspect.test/none:0"))
    assert seen == expected


def test_a_pod_without_what_it_takes_leaves_listed_gaps(cluster: Cluster, pod: str) -> None:
    """A host-network pod that is not privileged sees no process of the node: exit code 4, and the reason."""
    cluster.apply(simple_pod(cluster, "plain", hostNetwork=True))
    cluster.kubectl("wait", "-n", cluster.namespace, "--for=condition=Ready", "pod/plain", "--timeout=60s")
    ran = cluster.netinspect("veth", pod, "-n", cluster.namespace, "--via", f"{cluster.namespace}/plain")
    assert ran.code == 4
    assert "permission-denied" in ran.err


def test_a_pod_with_a_network_of_its_own_is_no_way_in(cluster: Cluster, pod: str) -> None:
    """--via wants the node's network."""
    ran = cluster.netinspect("veth", pod, "-n", cluster.namespace, "--via", f"{cluster.namespace}/{pod}")
    assert ran.code == 1
    assert "--via needs a pod with hostNetwork" in ran.err


def test_a_dry_run_prints_the_pod_and_creates_none(cluster: Cluster, pod: str) -> None:
    """The manifest is one that the API server would take."""
    ran = cluster.netinspect("veth", pod, "-n", cluster.namespace, "--dry-run").ok()
    assert cluster.debug_pods() == []
    cluster.kubectl("create", "--dry-run=server", "-f", "-", stdin=ran.out)


@pytest.mark.parametrize("privilege", ["netadmin"])
def test_too_little_privilege_is_a_listed_gap(cluster: Cluster, pod: str, privilege: str) -> None:
    """What the level cannot see is said, with the level that can."""
    ran = cluster.netinspect("netns", pod, "-n", cluster.namespace, "--privilege", privilege)
    assert ran.code == 4
    assert "--privilege sysadmin" in ran.err


def test_an_address_that_could_not_be_looked_for_is_a_gap_too(cluster: Cluster, pod: str) -> None:
    """`--ip` narrows the answer, not what is said to be missing."""
    address = cluster.get("pod", pod, "-n", cluster.namespace)["status"]["podIP"]
    ran = cluster.netinspect("veth", "--ip", address, "--privilege", "netadmin", "-o", "json")
    assert ran.code == 4
    assert ran.json["gaps"]
