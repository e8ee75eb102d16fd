"""What was read of links and namespaces, indexed for matching, and cut down to what an answer tells."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from netinspect.models.fact import Fact, Known
from netinspect.models.link import Link
from netinspect.models.netns import NamespaceRow
from netinspect.models.veth import HostLink, NodeReading, PodLink


class Namespaces(msgspec.Struct, frozen=True):
    """`lsns` output of one netns, indexed.

    Attributes:
        by_inode: every namespace listed.
        by_netnsid: those to which the netns has given an id.
        missing: why nothing is known, "" where the output was read.
    """

    by_inode: Mapping[int, NamespaceRow]
    by_netnsid: Mapping[int, NamespaceRow]
    missing: str = ""


class NodeIndex(msgspec.Struct, frozen=True):
    """What was read on the node, indexed so that a match costs a few look-ups.

    Attributes:
        links: the node's links by ifindex; None where they could not be read.
        missing: why they could not, "" where they were.
        namespaces: `lsns` run in the node's netns.
        netns: the inode of the node's netns.
        pod_of: inode -> `NAMESPACE/NAME` of the pod that it is the netns of.
    """

    links: Mapping[int, Link] | None
    missing: str
    namespaces: Namespaces
    netns: int | None
    pod_of: Mapping[int, str]


class PodNamespaces(msgspec.Struct, frozen=True):
    """The netns of one pod, as the matching sees it: its inode, and `lsns` run in it."""

    inode: int
    namespaces: Namespaces


def index_namespaces(fact: Fact[tuple[NamespaceRow, ...]] | None) -> Namespaces:
    """Index an `lsns` listing; None stands for "was not asked"."""
    if not isinstance(fact, Known):
        return Namespaces({}, {}, fact.detail if fact is not None else "it was not run")
    rows = fact.value
    return Namespaces(
        {row.inode: row for row in rows},
        {row.netnsid: row for row in rows if row.netnsid is not None},
    )


def index_node(node: NodeReading, pod_of: Mapping[int, str]) -> NodeIndex:
    """Index what was read on the node."""
    known = node.links.value if isinstance(node.links, Known) else None
    return NodeIndex(
        links=None if known is None else {link.ifindex: link for link in known},
        missing=node.links.detail if not isinstance(node.links, Known) else "",
        namespaces=index_namespaces(node.namespaces),
        netns=node.netns,
        pod_of=pod_of,
    )


def build_pod_link(link: Link) -> PodLink:
    """Take from a link what is told of a pod's end."""
    return PodLink(
        ifname=link.ifname,
        ifindex=link.ifindex,
        mtu=link.mtu,
        operstate=link.operstate,
        mac=link.mac,
        kind=link.kind,
        mode=link.mode,
        flags=link.flags,
        addresses=link.addresses,
        link_index=link.peer_index,
        link_netnsid=link.link_netnsid,
        parentdev=link.parentdev,
    )


def build_host_link(link: Link) -> HostLink:
    """Take from a link what is told of a node's end."""
    return HostLink(
        ifname=link.ifname,
        ifindex=link.ifindex,
        mtu=link.mtu,
        operstate=link.operstate,
        mac=link.mac,
        kind=link.kind,
        master=link.master,
        flags=link.flags,
    )
