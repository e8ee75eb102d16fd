"""The way back: from a node link, or from an address, to the pods behind it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from netinspect.analyze.links.index import Namespaces, build_host_link, index_namespaces
from netinspect.models.address import Address
from netinspect.models.fact import Fact, Known, Reason, Unavailable
from netinspect.models.kubernetes import Pod
from netinspect.models.link import Link
from netinspect.models.netns import NamespaceRow
from netinspect.models.veth import (
    Confidence,
    NetnsHolder,
    NodeLinkOwner,
    NodeReading,
    PodAttachment,
)


def find_link_owner(
    ifname: str, node: NodeReading, attachments: Sequence[PodAttachment]
) -> Fact[NodeLinkOwner]:
    """Name the pods that a node link leads to, given the answers for all pods of that node.

    Returns:
        Unavailable where the node has no such link, or where its links could not be read.
    """
    if isinstance(node.links, Unavailable):
        return node.links
    link = next((link for link in node.links.value if link.ifname == ifname), None)
    if link is None:
        return Unavailable(Reason.NOT_FOUND, f'link "{ifname}" not found in the node\'s netns')
    joined = _joined(link, attachments)
    if joined:
        return Known(NodeLinkOwner(host_link=build_host_link(link), pods=joined))
    return Known(_explain(link, node, attachments))


def find_by_address(address: Address, attachments: Sequence[PodAttachment]) -> tuple[PodAttachment, ...]:
    """Return the pods whose own links bear an address, each with only those links.

    A pod with hostNetwork bears its node's addresses in the API and none of its own, so it is not named.
    """
    found = []
    for pod in attachments:
        links = tuple(
            match for match in pod.links if any(each.local == address for each in match.pod_link.addresses)
        )
        if links:
            found.append(replace(pod, links=links))
    return tuple(found)


def list_claimants(address: Address, pods: Sequence[Pod]) -> tuple[Pod, ...]:
    """Return the pods that the API gives an address to: where to look, before any node was asked.

    Ended pods are left out, as their addresses are given to others, and pods with hostNetwork, as theirs are the
    node's.
    """
    return tuple(
        pod for pod in pods if address in pod.addresses and not pod.is_completed and not pod.spec.host_network
    )


def _joined(link: Link, attachments: Sequence[PodAttachment]) -> tuple[PodAttachment, ...]:
    """Return the pods with a link that has its node end here, each with only those links."""
    found = []
    for pod in attachments:
        links = tuple(
            match
            for match in pod.links
            if match.host_link is not None and match.host_link.ifindex == link.ifindex
        )
        if links:
            found.append(replace(pod, links=links))
    return tuple(found)


def _explain(link: Link, node: NodeReading, attachments: Sequence[PodAttachment]) -> NodeLinkOwner:
    """Say why no pod's link has its node end here."""
    host = build_host_link(link)
    if not link.is_paired:
        what = f"a {link.kind}" if link.kind else "hardware or loopback"
        return NodeLinkOwner(host_link=host, reason=f"{link.ifname} is {what}: it is no end of a pair")
    if link.link_netnsid is None:
        where = f"is {link.link_name}, in the node's netns itself" if link.link_name else "is not named"
        return NodeLinkOwner(host_link=host, reason=f"the peer of {link.ifname} {where}")
    undecided = _undecided(link, attachments)
    if undecided:
        reason = f"{link.ifname} is claimed with the same numbers by {', '.join(undecided)}: not decided"
        return NodeLinkOwner(host_link=host, reason=reason)
    return _by_namespace(link, index_namespaces(node.namespaces), attachments)


def _undecided(link: Link, attachments: Sequence[PodAttachment]) -> list[str]:
    return [
        pod.key
        for pod in attachments
        for match in pod.links
        if match.confidence is Confidence.UNKNOWN
        and (match.pod_link.link_index, match.pod_link.ifindex) == (link.ifindex, link.peer_index)
    ]


def _by_namespace(link: Link, namespaces: Namespaces, attachments: Sequence[PodAttachment]) -> NodeLinkOwner:
    """Name the netns that holds the peer, by the node's id for it."""
    host = build_host_link(link)
    peer = f"the peer of {link.ifname} is link {link.peer_index} in netnsid {link.link_netnsid}"
    if namespaces.missing:
        return NodeLinkOwner(
            host_link=host, reason=f"{peer}; lsns on the node is missing: {namespaces.missing}"
        )
    row = namespaces.by_netnsid.get(link.link_netnsid if link.link_netnsid is not None else -1)
    if row is None:
        reason = (
            f"{peer}; lsns on the node lists no process in that netns, and no pod that was read has that link"
        )
        return NodeLinkOwner(host_link=host, reason=reason)
    owner = next((pod for pod in attachments if _is_in(pod, row)), None)
    if owner is not None:
        reason = f"{peer}, which is {owner.key}'s netns; that link bears no address"
        return NodeLinkOwner(host_link=host, pods=(replace(owner, links=()),), reason=reason)
    holder = NetnsHolder(inode=row.inode, pid=row.pid, command=row.command)
    reason = f"{peer}, which is netns {row.inode} and no pod's that is known here"
    return NodeLinkOwner(host_link=host, peer_holder=holder, reason=reason)


def _is_in(pod: PodAttachment, row: NamespaceRow) -> bool:
    return pod.netns is not None and not pod.netns.is_node and pod.netns.inode == row.inode
