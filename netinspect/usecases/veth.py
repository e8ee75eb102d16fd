"""Which node link is the other end of a pod's link, and whose a node link is."""

from __future__ import annotations

from collections.abc import Iterable

from netinspect.analyze.links.owner import find_by_address, find_link_owner
from netinspect.analyze.links.veth import attach_pods
from netinspect.errors import CommandError, TargetError
from netinspect.models.address import Address
from netinspect.models.fact import Gap, Reason, Unavailable
from netinspect.models.report import Report
from netinspect.models.veth import NodeLinkOwner, NodeReading, PodAttachment
from netinspect.usecases.readings import NodeReadings, Readings

KIND = "PodAttachmentList"
OWNER_KIND = "NodeLinkOwnerList"

_NO_READING = NodeReading(
    links=Unavailable(Reason.NOT_APPLICABLE, "the node was not asked"),
    namespaces=Unavailable(Reason.NOT_APPLICABLE, "the node was not asked"),
)


def report_veth(
    readings: Readings, notes: tuple[str, ...] = (), address: Address | None = None
) -> Report[PodAttachment]:
    """Say for each pod what its links are joined to; with an address, only the links that bear it."""
    attached = [pod for node in readings.nodes.values() for pod in attach_pods(node.node, node.pods)]
    attached += attach_pods(_NO_READING, readings.unread)
    place = readings.place_of()
    attached.sort(key=lambda pod: place[pod.namespace, pod.name])
    gaps = [*readings.gaps, *_node_gaps(readings), *_pod_gaps(attached)]
    if address is not None:
        bearers = find_by_address(address, attached)
        if not bearers and not gaps:
            detail = "the API gives it to the pod, and no link of the pod's netns bears it"
            gaps = [
                Gap(f"pod/{pod.key}", f"the link of {address}", Reason.NOT_FOUND, detail) for pod in attached
            ]
        attached = list(bearers)
    return Report(kind=KIND, items=tuple(attached), notes=notes, gaps=tuple(gaps))


def report_link_owner(
    readings: Readings, node: str, ifname: str, notes: tuple[str, ...] = ()
) -> Report[NodeLinkOwner]:
    """Say which pod a node link leads to.

    Raises:
        TargetError: the node has no such link.
        CommandError: the node's links could not be read.
    """
    found: NodeReadings | None = readings.nodes.get(node)
    if found is None:
        raise TargetError(f"node {node} runs no pod with a netns of its own")
    if isinstance(found.node.links, Unavailable):
        raise CommandError(f"the links of node {node} could not be read: {found.node.links.detail}")
    attached = attach_pods(found.node, found.pods)
    owner = find_link_owner(ifname, found.node, attached)
    if isinstance(owner, Unavailable):
        raise TargetError(f"node {node}: {owner.detail}")
    gaps = (*readings.gaps, *_node_gaps(readings), *_pod_gaps(attached))
    return Report(kind=OWNER_KIND, items=(owner.value,), notes=notes, gaps=gaps)


def _node_gaps(readings: Readings) -> Iterable[Gap]:
    for name, node in readings.nodes.items():
        for fact, what in ((node.node.links, "its links"), (node.node.namespaces, "its ids of netns (lsns)")):
            if isinstance(fact, Unavailable):
                yield Gap(f"node/{name}", what, fact.reason, fact.detail)


def _pod_gaps(attached: Iterable[PodAttachment]) -> Iterable[Gap]:
    for pod in attached:
        if pod.missing is not None and pod.missing.reason is not Reason.NOT_APPLICABLE:
            yield Gap(f"pod/{pod.key}", "its links", pod.missing.reason, pod.missing.detail)
