"""From the API's pods, through their nodes, to what was read in each pod's netns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from netinspect.analyze.links.netns import find_pinned, locate_all
from netinspect.collect.node import collect
from netinspect.models.debug_pod import Privilege
from netinspect.models.fact import Fact, Gap, Known, Reason, Unavailable
from netinspect.models.kubernetes import Pod
from netinspect.models.netns import PinnedNetns, PodNetns
from netinspect.models.snapshot import NetnsSnapshot, NodeSnapshot
from netinspect.models.veth import NodeReading, PodReading
from netinspect.probes.plan import Plan
from netinspect.usecases.nodes import ask_nodes

if TYPE_CHECKING:
    from netinspect.sources.interface import NodeSource, OpenNode

_BLIND = Unavailable(
    Reason.PERMISSION_DENIED,
    "no process of the node is seen: pods' netns need --privilege sysadmin, or a --via pod with hostPID",
)
_ABSENT = Unavailable(Reason.NOT_FOUND, "the pod's netns was not found on the node")


class NodeReadings(msgspec.Struct, frozen=True, kw_only=True):
    """What was read on one node.

    Attributes:
        node: the node's own netns.
        pods: the pods that were asked about there.
    """

    node: NodeReading
    pods: tuple[PodReading, ...]


class Readings(msgspec.Struct, frozen=True, kw_only=True):
    """What was read on all nodes that the pods are on.

    Attributes:
        pods: all pods that were asked about, in the order in which answers are given.
        nodes: by node, what was read there.
        unread: pods that no node had to be asked about (hostNetwork, ended, not bound yet), or whose node did
            not answer.
        gaps: what could not be read.
    """

    pods: tuple[Pod, ...]
    nodes: dict[str, NodeReadings]
    unread: tuple[PodReading, ...]
    gaps: tuple[Gap, ...]

    def place_of(self) -> dict[tuple[str, str], int]:
        """Return each pod's place in the answer, by namespace and name."""
        return {(pod.metadata.namespace, pod.metadata.name): place for place, pod in enumerate(self.pods)}


def read_pods(
    pods: Sequence[Pod],
    open_node: OpenNode,
    build_plan: Callable[[tuple[Pod, ...]], Plan],
    cancel: Callable[[], None],
    privilege: Privilege | None = None,
) -> Readings:
    """Read the netns of pods, one trip to each node that runs one of them.

    Args:
        pods: the pods.
        open_node: opens a node.
        build_plan: what to ask a node about its pods.
        cancel: tells running trips to come to their end.
        privilege: the user's choice; None is the least that serves.
    """
    by_node = group_by_node(pods)
    jobs = {
        node: _job(node, members, open_node, build_plan, privilege or Privilege.SYSADMIN)
        for node, members in by_node.items()
    }
    answers, gaps = ask_nodes(jobs, cancel)
    found = {node: _readings(snapshot, by_node[node]) for node, snapshot in answers.items()}
    asked = {pod.metadata.uid for readings in found.values() for pod in (each.pod for each in readings.pods)}
    unread = tuple(_unread(pod) for pod in pods if pod.metadata.uid not in asked)
    trip_gaps = tuple(gap for snapshot in answers.values() for gap in snapshot.gaps)
    return Readings(pods=tuple(pods), nodes=found, unread=unread, gaps=(*gaps, *trip_gaps))


def read_node(source: NodeSource, plan: Plan, pods: tuple[Pod, ...]) -> NodeReadings:
    """Read the netns of pods on one node that is open already."""
    return _readings(_read(source, plan, pods), pods)


def group_by_node(pods: Sequence[Pod]) -> dict[str, tuple[Pod, ...]]:
    """Group the pods that have a netns of their own to be found, by node."""
    by_node: dict[str, tuple[Pod, ...]] = {}
    for pod in pods:
        if has_own_netns(pod):
            by_node[pod.spec.node_name] = (*by_node.get(pod.spec.node_name, ()), pod)
    return by_node


def has_own_netns(pod: Pod) -> bool:
    """Whether a node has to be asked for the pod's netns: it is bound, has not ended, and is not the node's own."""
    return bool(pod.spec.node_name) and not pod.is_completed and not pod.spec.host_network


def _job(
    node: str,
    pods: tuple[Pod, ...],
    open_node: OpenNode,
    build_plan: Callable[[tuple[Pod, ...]], Plan],
    privilege: Privilege,
) -> Callable[[], NodeSnapshot]:
    def read() -> NodeSnapshot:
        with open_node(node, privilege) as source:
            return _read(source, build_plan(pods), pods)

    return read


def _read(source: NodeSource, plan: Plan, pods: tuple[Pod, ...]) -> NodeSnapshot:
    snapshot = collect(source, plan, pods)
    if source.privilege is Privilege.SYSADMIN:
        return snapshot
    return replace(snapshot, processes=_BLIND)


def _readings(snapshot: NodeSnapshot, pods: tuple[Pod, ...]) -> NodeReadings:
    located = _locate(snapshot, pods)
    taken = {netns.value.inode for netns in located.values() if isinstance(netns, Known)}
    return NodeReadings(
        node=NodeReading(
            links=snapshot.own.links, namespaces=snapshot.own.namespaces, netns=snapshot.own.inode or None
        ),
        pods=tuple(_reading(snapshot, pod, located[pod.metadata.uid], taken) for pod in pods),
    )


def _locate(snapshot: NodeSnapshot, pods: tuple[Pod, ...]) -> dict[str, Fact[PodNetns]]:
    if isinstance(snapshot.processes, Unavailable):
        return dict.fromkeys((pod.metadata.uid for pod in pods), snapshot.processes)
    return locate_all(pods, snapshot.processes.value)


def _reading(snapshot: NodeSnapshot, pod: Pod, netns: Fact[PodNetns], taken: set[int]) -> PodReading:
    tried = snapshot.pods.get(pod.metadata.uid, ())
    unrecorded = _find_unrecorded(tried)
    if unrecorded is not None:
        return PodReading(pod=pod, netns=unrecorded, links=unrecorded)
    if isinstance(netns, Unavailable):
        netns = _find_pinned(pod, tried, taken, otherwise=netns)
    if isinstance(netns, Unavailable):
        return PodReading(pod=pod, netns=netns, links=netns)
    inode = netns.value.inode
    own = next((each for each in tried if each.inode == inode), None)
    if own is None:
        gone = Unavailable(
            Reason.NOT_FOUND,
            f"netns {inode} was not entered: it was gone by then, or one of more than three of the pod",
        )
        return PodReading(pod=pod, netns=netns, links=gone)
    return PodReading(pod=pod, netns=netns, links=own.links, namespaces=own.namespaces)


def _find_unrecorded(tried: tuple[NetnsSnapshot, ...]) -> Unavailable | None:
    """Return what a recording says of a pod that nobody looked for when it was made."""
    for each in tried:
        is_lost = isinstance(each.links, Unavailable) and each.links.reason is Reason.NOT_RECORDED
        if is_lost and not each.inode:  # no netns was tried: nobody looked
            return Unavailable(
                Reason.NOT_RECORDED, "nothing of the pod was read on its node for the recording"
            )
    return None


def _find_pinned(
    pod: Pod, tried: tuple[NetnsSnapshot, ...], taken: set[int], *, otherwise: Unavailable
) -> Fact[PodNetns]:
    candidates = [
        (PinnedNetns(each.inode, each.pinned_path), each.links.value)
        for each in tried
        if each.pinned_path is not None and isinstance(each.links, Known)
    ]
    return find_pinned(pod, candidates, taken) if candidates else otherwise


def _unread(pod: Pod) -> PodReading:
    return PodReading(pod=pod, netns=_why_unread(pod), links=_ABSENT)


def _why_unread(pod: Pod) -> Unavailable:
    if pod.spec.host_network:
        return Unavailable(Reason.NOT_APPLICABLE, "the pod uses its node's network (hostNetwork)")
    if pod.is_completed:
        return Unavailable(
            Reason.NOT_APPLICABLE, f"the pod has ended ({pod.status.phase}): its netns is gone"
        )
    if not pod.spec.node_name:
        return Unavailable(Reason.NOT_APPLICABLE, "the pod is not bound to a node yet")
    return Unavailable(Reason.FAILED, f"node {pod.spec.node_name} could not be asked")
