"""From processes, or pinned namespaces, to each pod's netns."""

from __future__ import annotations

import pytest

from netinspect.analyze.links.netns import find_pinned, locate_all
from netinspect.models.fact import Fact, Known, Reason, Unavailable
from netinspect.models.kubernetes import Pod
from netinspect.models.netns import NetnsSource, PinnedNetns, PodNetns, ProcessCgroup, ProcessTable
from tests.unit.analyze.build import NODE_NETNS, link, pod


def table(
    *processes: tuple[int, str | None, str | None, int | None], comms: dict[int, str] | None = None
) -> ProcessTable:
    """Processes as (pid, pod UID, container id, netns)."""
    return ProcessTable(
        cgroups=tuple(ProcessCgroup(pid, uid, container) for pid, uid, container, _ in processes),
        netns={pid: netns for pid, _, _, netns in processes if netns is not None},
        comms=comms or {},
        node_netns=NODE_NETNS,
    )


def locate(of: Pod, processes: ProcessTable) -> Fact[PodNetns]:
    return locate_all([of], processes)[of.metadata.uid]


def found(fact: Fact[PodNetns]) -> PodNetns:
    assert isinstance(fact, Known), fact
    return fact.value


def missing(fact: Fact[PodNetns]) -> Unavailable:
    assert isinstance(fact, Unavailable), fact
    return fact


def test_finds_a_pod_by_container_id_where_the_path_has_lost_the_uid() -> None:
    """In a private cgroup namespace the UID is out of sight, and the id alone leads to the pod."""
    netns = found(locate(pod(containers=["app"]), table((10, None, "app", 501))))
    assert (netns.inode, netns.source, netns.is_node, netns.warnings) == (501, NetnsSource.PROCESS, False, ())


def test_finds_a_pod_by_uid_where_its_container_is_dead() -> None:
    """A crash-looping pod's id in the API is that of a dead container; its sandbox is found by UID."""
    netns = found(locate(pod(containers=["dead"]), table((10, "uid-of-web-1", "sandbox", 501))))
    assert netns.inode == 501
    assert [(each.pid, each.container_id) for each in netns.processes] == [(10, "sandbox")]


def test_a_container_id_outweighs_a_uid() -> None:
    """Where the two name different pods, the id is the runtime's own word for one container."""
    one, two = pod("one", containers=["app"]), pod("two")
    both = locate_all([one, two], table((10, "uid-of-two", "app", 501)))
    assert found(both["uid-of-one"]).inode == 501
    assert isinstance(both["uid-of-two"], Unavailable)


def test_finds_a_static_pod_by_its_hash() -> None:
    """The node knows a static pod by the hash in its annotation, not by the API object's UID."""
    static = pod(static_hash="9a3f5c21d07be4486f2f1c0d9e8b7a65")
    netns = locate(static, table((10, "9a3f5c21d07be4486f2f1c0d9e8b7a65", "pause", 501)))
    assert found(netns).inode == 501


def test_takes_the_nodes_netns_for_a_pod_with_host_network() -> None:
    """A pod with hostNetwork is in the node's netns, whether or not a process of it was seen."""
    netns = found(locate(pod(host_network=True), table((10, "uid-of-web-1", "app", NODE_NETNS))))
    assert (netns.inode, netns.source, netns.is_node) == (NODE_NETNS, NetnsSource.HOST, True)
    assert found(locate(pod(host_network=True), table())).inode == NODE_NETNS


def test_says_so_where_a_process_with_host_network_is_elsewhere() -> None:
    """A netns that such a process made for itself is not the pod's, and is worth a word."""
    processes = table((10, "uid-of-web-1", "app", NODE_NETNS), (11, "uid-of-web-1", "app", 777))
    netns = found(locate(pod(host_network=True), processes))
    assert netns.inode == NODE_NETNS
    assert [each.pid for each in netns.processes] == [10]
    assert "11 (netns 777)" in netns.warnings[0]


def test_follows_the_processes_where_the_nodes_netns_could_not_be_read() -> None:
    """Without the node's inode, that of the pod's own processes is its netns, if there are any."""
    processes = table((10, "uid-of-web-1", "app", 900))
    blind = ProcessTable(processes.cgroups, processes.netns)
    assert found(locate(pod(host_network=True), blind)).inode == 900
    assert missing(locate(pod(host_network=True), ProcessTable((), {}))).reason is Reason.NOT_FOUND


def test_prefers_the_pause_process_over_the_majority() -> None:
    """docker in docker: most of the pod's processes are in namespaces that they made themselves."""
    processes = table(
        (10, "uid-of-web-1", "sandbox", 501),
        *((pid, "uid-of-web-1", "app", 777) for pid in range(20, 25)),
        comms={10: "pause"},
    )
    netns = found(locate(pod(containers=["app"]), processes))
    assert netns.inode == 501
    assert "777 (5 processes)" in netns.warnings[0]


def test_knows_the_sandbox_by_an_id_that_the_api_does_not_name() -> None:
    """Not every sandbox's process is called pause; the API lists every container but the sandbox."""
    processes = table(
        (10, "uid-of-web-1", "sandbox", 501),
        (20, "uid-of-web-1", "app", 777),
        (21, "uid-of-web-1", "app", 777),
    )
    assert found(locate(pod(containers=["app"]), processes)).inode == 501


def test_takes_the_majority_where_nothing_tells_the_sandbox() -> None:
    """Without a sandbox's process (CRI-O) the netns of most processes is the pod's; the lowest PID breaks a tie."""
    crowd = table(*((pid, "uid-of-web-1", "app", 501 if pid < 13 else 777) for pid in range(10, 15)))
    assert found(locate(pod(containers=["app"]), crowd)).inode == 501
    tie = table((10, "uid-of-web-1", "app", 777), (11, "uid-of-web-1", "app", 501))
    assert found(locate(pod(containers=["app"]), tie)).inode == 777


def test_takes_the_new_sandbox_while_the_old_one_goes() -> None:
    """Of two sandboxes the one that the API's container shares its netns with is the pod's."""
    processes = table(
        (10, "uid-of-web-1", "old", 501),
        (30, "uid-of-web-1", "new", 502),
        (31, "uid-of-web-1", "app", 502),
        comms={10: "pause", 30: "pause"},
    )
    assert found(locate(pod(containers=["app"]), processes)).inode == 502


def test_leaves_processes_in_the_nodes_netns_aside() -> None:
    """A privileged container may enter the node's netns (nsenter); that does not make it the pod's."""
    processes = table(
        (10, "uid-of-web-1", "app", 501),
        *((pid, "uid-of-web-1", "app", NODE_NETNS) for pid in (11, 12, 13)),
    )
    netns = found(locate(pod(containers=["app"]), processes))
    assert netns.inode == 501
    assert netns.warnings == ("3 of the pod's processes run in the node's netns and were left aside",)


def test_never_takes_the_nodes_netns_for_a_pod_of_its_own() -> None:
    """What answered for such a pod would be the node's links, told as the pod's."""
    absent = missing(locate(pod(), table((10, "uid-of-web-1", "app", NODE_NETNS))))
    assert (absent.reason, "all its processes run in the node's netns: 10" in absent.detail) == (
        Reason.NOT_FOUND,
        True,
    )


def test_a_running_process_outweighs_a_phase() -> None:
    """A pod that the API calls ended and whose processes run has a netns; the contradiction is told."""
    netns = found(locate(pod(phase="Failed"), table((10, "uid-of-web-1", "app", 501))))
    assert "ended (Failed)" in netns.warnings[0]


@pytest.mark.parametrize(
    ("of", "reason", "words"),
    [
        (pod(phase="Succeeded"), Reason.NOT_APPLICABLE, "has ended (Succeeded)"),
        (pod(phase="Pending", node=""), Reason.NOT_APPLICABLE, "not bound to a node"),
        (pod(phase="Pending"), Reason.NOT_FOUND, "not started yet"),
        (pod(containers=["app"]), Reason.NOT_FOUND, "no process on the node belongs to the pod"),
        (pod(), Reason.NOT_FOUND, "no process on the node belongs to the pod"),
        (pod(phase="Pending", containers=["init"]), Reason.NOT_FOUND, "no process on the node belongs"),
    ],
    ids=["completed", "unscheduled", "not started", "no process", "no container", "lost while starting"],
)
def test_says_why_there_is_none(of: Pod, reason: Reason, words: str) -> None:
    """Each ordinary reason for a pod without a netns has its own words."""
    absent = missing(locate(of, table()))
    assert absent.reason is reason
    assert words in absent.detail


def test_an_unreadable_link_is_not_an_absent_netns() -> None:
    """A sandbox may refuse to read /proc/PID/ns/net: that is "cannot tell", with the PIDs."""
    absent = missing(locate(pod(), table((10, "uid-of-web-1", "app", None))))
    assert absent.reason is Reason.PERMISSION_DENIED
    assert "10" in absent.detail


PIN = PinnedNetns(501, "/run/netns/a")
OTHER = PinnedNetns(502, "/run/netns/b")
DUAL = ("10.244.1.5", "fd00::5")


def test_finds_a_pod_without_processes_by_all_its_addresses() -> None:
    """Every address of the pod must be on links of the pinned netns, of either family and on any link."""
    links = [link("eth0", 2, ips=["10.244.1.5/24"]), link("net1", 3, ips=["fd00::5/64"])]
    half = [link("eth0", 2, ips=["10.244.1.5/24"])]
    netns = found(find_pinned(pod(ips=DUAL), [(OTHER, half), (PIN, links)]))
    assert (netns.inode, netns.source, netns.path) == (501, NetnsSource.PINNED, "/run/netns/a")


def test_a_pin_that_is_mounted_twice_is_one_netns() -> None:
    """A mount that propagated to a second place pins the same namespace."""
    links = [link("eth0", 2, ips=["10.244.1.5/24"])]
    twice = [(PIN, links), (PinnedNetns(501, "/var/run/netns/a"), links)]
    assert found(find_pinned(pod(ips=DUAL[:1]), twice)).inode == 501


def test_leaves_out_the_namespaces_of_others() -> None:
    """A netns that is known to be another pod's is not looked at."""
    links = [link("eth0", 2, ips=["10.244.1.5/24"])]
    assert isinstance(find_pinned(pod(ips=DUAL[:1]), [(PIN, links)], taken={501}), Unavailable)


def test_does_not_choose_between_two_pins_with_the_same_address() -> None:
    """Host-port and CNI faults can leave an address twice; then nothing is chosen and both are named."""
    links = [link("eth0", 2, ips=["10.244.1.5/24"])]
    absent = missing(find_pinned(pod(ips=DUAL[:1]), [(PIN, links), (OTHER, links)]))
    assert "several" in absent.detail
    assert "/run/netns/a, /run/netns/b" in absent.detail


@pytest.mark.parametrize(
    "of",
    [
        pod(ips=DUAL, phase="Succeeded"),
        pod(ips=DUAL, phase="Failed"),
        pod(ips=DUAL, host_network=True),
        pod(),
    ],
    ids=["succeeded", "failed", "host network", "no address"],
)
def test_never_maps_by_an_address_that_is_not_the_pods_own(of: Pod) -> None:
    """An ended pod's address may be another's, and one with hostNetwork has the node's."""
    links = [link("eth0", 2, ips=["10.244.1.5/24", "fd00::5/64"])]
    assert isinstance(find_pinned(of, [(PIN, links)]), Unavailable)
