"""What a host knows of itself without an API server, on made-up trees of /proc and /var/log."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from netinspect.errors import ClusterError, NoApiError
from netinspect.models.address import parse_address
from netinspect.models.fact import Reason
from netinspect.models.kubernetes import Node, Pod, Service
from netinspect.sources.local_api import LocalApi
from netinspect.sources.local_proc import read_process_table
from tests.unit.sources.local_tree import LocalTree

UID = "15125da0-1b3b-4424-8985-85ba50a3d740"
OTHER_UID = "37ee5f7f-35ee-4f08-ad88-6697eaab81ca"
STATIC_UID = "43333e445f4c8d815a2eac0020e4956c"
SANDBOX, APP = "5f0e7c1d" * 8, "a1b2c3d4" * 8
FD00_3 = "fd000010024400010000000000000003"
SYSTEMD = f"kubepods-besteffort-pod{UID.replace('-', '_')}.slice"
CGROUPS = {
    "v2, cgroupfs": "0::/kubepods/besteffort/pod{uid}/{id}\n",
    "v1, cgroupfs": "3:cpu:/kubepods/burstable/pod{uid}/{id}\n1:name=systemd:/kubepods/burstable/pod{uid}/{id}\n0::/\n",
    "v2, systemd, containerd": f"0::/kubepods.slice/kubepods-besteffort.slice/{SYSTEMD}/cri-containerd-{{id}}.scope\n",
    "v2, systemd, CRI-O": f"0::/kubepods.slice/kubepods-besteffort.slice/{SYSTEMD}/crio-{{id}}.scope\n",
    "v1, systemd, docker": f"4:memory:/kubepods.slice/kubepods-besteffort.slice/{SYSTEMD}/docker-{{id}}.scope\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> LocalTree:
    made = LocalTree(tmp_path)
    made.add_process(1, "0::/init.scope\n", comm="systemd")
    return made


@pytest.fixture
def api(tree: LocalTree) -> LocalApi:
    return LocalApi("demo", proc=tree.proc, logs=tree.logs)


def cgroup(uid: str = UID, id_: str = APP) -> str:
    return CGROUPS["v2, cgroupfs"].format(uid=uid, id=id_)


def add_web(tree: LocalTree, form: str = "v2, cgroupfs") -> None:
    """A pod as it is nearly always: a sandbox, a container, one address a family."""
    tree.add_process(
        20, CGROUPS[form].format(uid=UID, id=SANDBOX), 7, comm="pause", ipv4=("10.0.0.3",), ipv6=(FD00_3,)
    )
    tree.add_process(21, CGROUPS[form].format(uid=UID, id=APP), 7, ipv4=("10.0.0.3",), ipv6=(FD00_3,))
    tree.add_logs(f"demo_web-1_{UID}", f"web-1_demo_app-{APP}.log")


def pods_of(api: LocalApi, path: str = "/api/v1/pods", **selectors: str) -> list[str]:
    return [pod.metadata.name for pod in api.list_objects(Pod, path, **selectors).items]


@pytest.mark.parametrize("form", CGROUPS)
def test_a_pod_by_every_form_of_cgroups(tree: LocalTree, api: LocalApi, form: str) -> None:
    """Its UID from the cgroups, its name from its logs, its addresses from its netns."""
    add_web(tree, form)
    pod = api.get_object(Pod, "/api/v1/namespaces/demo/pods/web-1")
    assert (pod.metadata.namespace, pod.metadata.name, pod.metadata.uid) == ("demo", "web-1", UID)
    assert (pod.spec.node_name, pod.spec.host_network) == (api.host.node, False)
    assert pod.addresses == (parse_address("10.0.0.3"), parse_address("fd00:10:244:1::3"))
    assert pod.container_ids == (APP,)
    assert [each.name for each in pod.status.container_statuses] == ["app"]
    assert pod.status.phase == "Running"
    assert api.gaps == ()


def test_a_static_pod_has_the_uid_that_its_node_knows(tree: LocalTree, api: LocalApi) -> None:
    """Cgroups and logs bear the hash of its manifest, not the UID of its mirror in the API."""
    tree.add_process(30, cgroup(STATIC_UID), 8, ipv4=("10.0.0.2",))
    tree.add_logs(f"kube-system_etcd-node-a_{STATIC_UID}")
    (pod,) = api.list_objects(Pod, "/api/v1/pods").items
    assert (pod.metadata.name, pod.node_uid) == ("etcd-node-a", STATIC_UID)


def test_a_pod_in_the_hosts_netns_has_hostnetwork(tree: LocalTree, api: LocalApi) -> None:
    """And the address that the kubelet was told to be the node's."""
    tree.add_process(9, "0::/system.slice\n", comm="kubelet", argv=("kubelet", "--node-ip=10.99.0.11"))
    tree.add_process(40, cgroup(OTHER_UID))
    tree.add_logs(f"demo_proxy_{OTHER_UID}")
    pod = api.get_object(Pod, "/api/v1/namespaces/demo/pods/proxy")
    assert pod.spec.host_network
    assert pod.addresses == (parse_address("10.99.0.11"),)


def test_one_process_that_went_to_the_hosts_netns_makes_no_hostnetwork(
    tree: LocalTree, api: LocalApi
) -> None:
    """All of a pod's processes have to be there."""
    add_web(tree)
    tree.add_process(22, cgroup())
    assert not api.get_object(Pod, "/api/v1/namespaces/demo/pods/web-1").spec.host_network


def test_a_pod_with_logs_and_no_process_is_not_listed(tree: LocalTree, api: LocalApi) -> None:
    """It is told as what is left; asked for by its name, it is neither there nor unknown to the API."""
    add_web(tree)
    tree.add_logs(f"demo_done_{OTHER_UID}")
    assert pods_of(api) == ["web-1"]
    (note,) = api.notes
    assert "demo/done" in note
    assert "web-1" not in note
    with pytest.raises(NoApiError, match="has left its logs"):
        api.get_object(Pod, "/api/v1/namespaces/demo/pods/done")


def test_a_pod_elsewhere_is_not_said_to_be_nowhere(tree: LocalTree, api: LocalApi) -> None:
    """There is no NotFound without an API server."""
    add_web(tree)
    with pytest.raises(NoApiError) as caught:
        api.get_object(Pod, "/api/v1/namespaces/demo/pods/web-2")
    assert caught.value.status is None
    assert "web-2 has no process on this host" in caught.value.message


def test_a_process_of_no_known_name_is_shown_by_its_uid(tree: LocalTree, api: LocalApi) -> None:
    """With a gap; it is in no namespace, so only a listing of all shows it."""
    tree.add_process(50, cgroup(), 9, ipv4=("10.0.0.5",))
    (pod,) = api.list_objects(Pod, "/api/v1/pods").items
    assert (pod.metadata.namespace, pod.metadata.name) == ("", UID)
    assert [(gap.subject, gap.fact, gap.reason) for gap in api.gaps] == [
        (f"pod/{UID}", "its name", Reason.NOT_FOUND)
    ]
    assert pods_of(api, "/api/v1/namespaces/demo/pods") == []


def test_of_several_addresses_none_is_chosen(tree: LocalTree, api: LocalApi) -> None:
    """The family that has one is known; the other is a gap that names them."""
    tree.add_process(60, cgroup(), 9, ipv4=("10.0.0.5", "192.0.2.5"), ipv6=(FD00_3,))
    tree.add_logs(f"demo_multi_{UID}")
    pod = api.get_object(Pod, "/api/v1/namespaces/demo/pods/multi")
    assert pod.addresses == (parse_address("fd00:10:244:1::3"),)
    (gap,) = api.gaps
    assert (gap.subject, gap.fact) == ("pod/demo/multi", "its addresses")
    assert "10.0.0.5, 192.0.2.5" in gap.detail


def test_a_pod_without_addresses_is_a_gap(tree: LocalTree, api: LocalApi) -> None:
    """Its network may not be made yet."""
    tree.add_process(60, cgroup(), 9)
    tree.add_logs(f"demo_new_{UID}")
    assert api.get_object(Pod, "/api/v1/namespaces/demo/pods/new").addresses == ()
    assert [gap.fact for gap in api.gaps] == ["its addresses"]


def test_gaps_are_of_pods_that_were_given_out(tree: LocalTree, api: LocalApi) -> None:
    """What is not known of another pod is no gap of this answer."""
    add_web(tree)
    tree.add_process(60, cgroup(OTHER_UID), 9)
    api.get_object(Pod, "/api/v1/namespaces/demo/pods/web-1")
    assert api.gaps == ()


def test_a_container_of_no_known_pod_is_a_gap(tree: LocalTree, api: LocalApi) -> None:
    """Its cgroup names a runtime of pods, but no pod: a private cgroup namespace hides what is above."""
    tree.add_process(70, f"0::/../cri-containerd-{APP}.scope\n", 9)
    assert pods_of(api) == []
    assert [gap.fact for gap in api.gaps] == ["the pods of all containers"]


def test_lists_are_narrowed(tree: LocalTree, api: LocalApi) -> None:
    """By namespace, node, name and address; the list of this node's own pods lacks nothing."""
    add_web(tree)
    tree.add_process(30, cgroup(STATIC_UID), 8, ipv4=("10.0.0.2",))
    tree.add_logs(f"kube-system_etcd-node-a_{STATIC_UID}")
    assert pods_of(api) == ["web-1", "etcd-node-a"]
    assert pods_of(api, "/api/v1/namespaces/kube-system/pods") == ["etcd-node-a"]
    assert pods_of(api, field_selector="status.podIP=10.0.0.3") == ["web-1"]
    assert pods_of(api, field_selector="metadata.name!=web-1") == ["etcd-node-a"]
    assert pods_of(api, field_selector="spec.nodeName=another") == []
    own = api.list_objects(Pod, "/api/v1/pods", field_selector=f"spec.nodeName={api.host.node}")
    assert (len(own.items), own.missing) == (2, "")
    assert api.list_objects(Pod, "/api/v1/pods").missing
    assert api.list_objects(Node, "/api/v1/nodes").missing


def test_what_only_the_api_knows_is_an_error(tree: LocalTree, api: LocalApi) -> None:
    """Never an empty list."""
    add_web(tree)
    for type_, path in (
        (Service, "/api/v1/services"),
        (dict[str, Any], "/apis/discovery.k8s.io/v1/endpointslices"),
    ):
        with pytest.raises(NoApiError):
            api.list_objects(type_, path)
    with pytest.raises(NoApiError):
        api.get_object(Service, "/api/v1/namespaces/demo/services/web")
    with pytest.raises(NoApiError, match="labels"):
        api.list_objects(Pod, "/api/v1/pods", label_selector="app=web")


def test_the_nodes_name_is_the_kubelets(tree: LocalTree, api: LocalApi) -> None:
    """Of the kubelet in our own netns: another's is that of a node that is a container on this host."""
    tree.add_process(8, "0::/x\n", 99, comm="kubelet", argv=("kubelet", "--hostname-override=inner"))
    tree.add_process(9, "0::/x\n", comm="kubelet", argv=("kubelet", "--hostname-override=node-a"))
    assert api.get_object(Node, "/api/v1/nodes/node-a").metadata.name == "node-a"
    with pytest.raises(NoApiError, match="is not this host, which is node-a"):
        api.get_object(Node, "/api/v1/nodes/inner")


def test_without_a_kubelet_the_host_names_itself(api: LocalApi) -> None:
    """As the kubelet would take it: in small letters."""
    assert api.host.node == os.uname().nodename.lower()


def test_a_host_without_a_kubelets_logs_is_told_so(tmp_path: Path) -> None:
    """It is no node, or its kubelet keeps logs elsewhere: no pod is named, and none is said not to exist."""
    made = LocalTree(tmp_path / "node")
    api = LocalApi(proc=made.proc, logs=tmp_path / "nothing")
    assert api.namespace == "default"
    with pytest.raises(ClusterError) as caught:
        api.list_objects(Pod, "/api/v1/pods")
    assert "No such file" in caught.value.message
    assert caught.value.hint


def test_a_host_without_proc_is_told_so(tmp_path: Path) -> None:
    """Another system than Linux has none."""
    with pytest.raises(ClusterError, match="could not be read") as caught:
        read_process_table(tmp_path / "proc")
    assert "Linux" in caught.value.hint


def test_processes_that_may_not_be_looked_at_are_no_empty_host(tree: LocalTree) -> None:
    """As for users other than root: cgroups are shown to all, netns are not."""
    tree.add_process(20, cgroup(), None)
    with pytest.raises(ClusterError) as caught:
        read_process_table(tree.proc)
    assert caught.value.status == 403
    assert "root" in caught.value.hint


def test_what_ends_while_it_is_looked_at_is_left_out(tree: LocalTree, api: LocalApi) -> None:
    """One process has lost its files, another its netns (a zombie)."""
    add_web(tree)
    (tree.proc / "666").mkdir()
    tree.add_process(23, cgroup(OTHER_UID), None)
    assert pods_of(api, "/api/v1/namespaces/demo/pods") == ["web-1"]
