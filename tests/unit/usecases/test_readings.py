"""From pods, through their nodes, to what was read in each pod's netns."""

from __future__ import annotations

import pytest

from netinspect.errors import ClusterError
from netinspect.models.debug_pod import Privilege
from netinspect.models.fact import Gap, Known, Reason, Unavailable
from netinspect.models.kubernetes import Pod
from netinspect.models.netns import NetnsSource
from netinspect.models.veth import PodReading
from netinspect.probes.catalog import build_netns_plan
from netinspect.usecases.readings import Readings, group_by_node, has_own_netns, read_node, read_pods
from tests.unit.usecases.fake_node import (
    LO,
    FakeNode,
    FakeNodes,
    answer,
    listings,
    names,
    pod,
    result,
    uid_of,
)

C1 = "a1b2c3d4" * 8


def process(name: str, netns: int = 7, pid: int = 11) -> tuple[int, str, int]:
    return (pid, f"/kubepods/pod{uid_of(name)}/{C1}", netns)


def read(pods: list[Pod], nodes: FakeNodes, **options: Privilege) -> Readings:
    return read_pods(pods, nodes.open, build_netns_plan, lambda: None, **options)


def reading_of(readings: Readings, name: str) -> PodReading:
    everything = [*readings.unread, *(each for node in readings.nodes.values() for each in node.pods)]
    return next(each for each in everything if each.pod.metadata.name == name)


def why(readings: Readings, name: str) -> tuple[Reason, str]:
    netns = reading_of(readings, name).netns
    assert isinstance(netns, Unavailable)
    return netns.reason, netns.detail


def test_a_pod_is_read_in_its_own_netns() -> None:
    """The links are those of the netns that its processes are in."""
    web = result("links", LO, key=uid_of("web-1"), netns=7, how="process")
    nodes = FakeNodes({"node-a": answer(*listings(process("web-1")), web)})
    reading = reading_of(read([pod("web-1")], nodes), "web-1")
    assert isinstance(reading.netns, Known)
    assert (reading.netns.value.inode, reading.netns.value.source) == (7, NetnsSource.PROCESS)
    assert isinstance(reading.links, Known)
    assert nodes.events == [("open", "node-a", "sysadmin"), ("close", "node-a", "sysadmin")]


def test_each_node_is_visited_once() -> None:
    """With all of its pods; two nodes are two trips."""
    pods = [pod("a"), pod("b", "node-b"), pod("c")]
    nodes = FakeNodes({name: answer(*listings()) for name in ("node-a", "node-b")})
    readings = read(pods, nodes)
    assert sorted(event[:2] for event in nodes.events if event[0] == "open") == [
        ("open", "node-a"),
        ("open", "node-b"),
    ]
    shown = {node: names([each.pod for each in reading.pods]) for node, reading in readings.nodes.items()}
    assert shown == {"node-a": ["a", "c"], "node-b": ["b"]}


@pytest.mark.parametrize(
    ("unread", "detail"),
    [
        (pod("x", host_network=True), "the pod uses its node's network (hostNetwork)"),
        (pod("x", phase="Succeeded"), "the pod has ended (Succeeded): its netns is gone"),
        (pod("x", ""), "the pod is not bound to a node yet"),
    ],
)
def test_no_node_is_asked_about_a_pod_without_a_netns_of_its_own(unread: Pod, detail: str) -> None:
    """It has none, and that is no gap."""
    assert not has_own_netns(unread)
    assert group_by_node([unread]) == {}
    readings = read([unread], FakeNodes({}))
    assert why(readings, "x") == (Reason.NOT_APPLICABLE, detail)
    assert (readings.nodes, readings.gaps) == ({}, ())


def test_pods_of_a_node_that_failed_are_listed_as_unread() -> None:
    """Beside the answers of the others; none of them is lost from the list."""
    nodes = FakeNodes({"node-a": answer(*listings()), "node-b": ClusterError("refused")})
    readings = read([pod("a"), pod("b", "node-b")], nodes)
    assert why(readings, "b") == (Reason.FAILED, "node node-b could not be asked")
    assert readings.gaps == (Gap("node/node-b", "the node", Reason.FAILED, "refused"),)


def test_a_pod_whose_netns_could_not_be_entered_keeps_its_inode() -> None:
    """It was found in /proc and gone a moment later."""
    nodes = FakeNodes({"node-a": answer(*listings(process("web-1")))})
    reading = reading_of(read([pod("web-1")], nodes), "web-1")
    assert isinstance(reading.netns, Known)
    assert reading.links == Unavailable(
        Reason.NOT_FOUND, "netns 7 was not entered: it was gone by then, or one of more than three of the pod"
    )


def test_without_a_process_table_every_pods_netns_is_unknown() -> None:
    """Not "not found": what was not read cannot be missed."""
    nodes = FakeNodes({"node-a": answer(*(each for each in listings() if each.name != "netns"))})
    assert why(read([pod("web-1")], nodes), "web-1") == (Reason.TRUNCATED, "no answer came")


def test_a_cut_stream_is_a_gap_of_the_whole() -> None:
    """However much of it came."""
    readings = read([pod("web-1")], FakeNodes({"node-a": answer(*listings(), is_whole=False)}))
    assert [gap.reason for gap in readings.gaps] == [Reason.TRUNCATED]


def test_with_too_little_privilege_no_process_is_seen() -> None:
    """An empty /proc of our own is not the node's: the pod is not "gone"."""
    nodes = FakeNodes({"node-a": answer(*listings())})
    reason, detail = why(read([pod("web-1")], nodes, privilege=Privilege.NETADMIN), "web-1")
    assert reason is Reason.PERMISSION_DENIED
    assert "--privilege sysadmin" in detail
    assert nodes.events[0] == ("open", "node-a", "netadmin")


def test_a_node_that_is_open_already_is_read_as_any_other() -> None:
    """One trip, with the plan that was given."""
    source = FakeNode(answer(*listings(process("web-1"))))
    plan = build_netns_plan((pod("web-1"),))
    readings = read_node(source, plan, (pod("web-1"),))
    assert names([each.pod for each in readings.pods]) == ["web-1"]
    assert source.plans == [plan]
