"""One pod's links -> the node's ends of them.

The trap: ifindexes and netnsids are numbers of one netns each. In every pod eth0 is link 2 or 3, so looking on the
node for a link that names index 2 finds all of them; and the node link with the number that the pod's link names is
the peer only if the peer is on the node at all. So both sides are compared (step 1 and 2), and then it is asked whose
netns the ids mean (step 3): `lsns` run on the node says which id the node has for the pod's netns, `lsns` run in the
pod which netns is behind the pod's id. Either decides alone, since a peer is one link in one netns.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from netinspect.analyze.links.index import NodeIndex, PodNamespaces, build_host_link, build_pod_link
from netinspect.models.link import Link
from netinspect.models.netns import NamespaceRow
from netinspect.models.veth import Attachment, Confidence, LinkMatch, NetnsHolder

_CHILD_KINDS = {
    "macvlan": Attachment.MACVLAN,
    "macvtap": Attachment.MACVLAN,
    "ipvlan": Attachment.IPVLAN,
    "ipvtap": Attachment.IPVLAN,
    "vlan": Attachment.VLAN,
}
_PAIR_KINDS = {"veth": Attachment.VETH, "netkit": Attachment.NETKIT}


def match_links(links: Sequence[Link], pod: PodNamespaces, node: NodeIndex) -> tuple[LinkMatch, ...]:
    """Match links of one pod's netns with the node's."""
    matches = tuple(_match_link(link, pod, node) for link in links)
    return tuple(_settle_by_siblings(match, matches) for match in matches)


def _match_link(link: Link, pod: PodNamespaces, node: NodeIndex) -> LinkMatch:
    if link.kind is None:
        return _physical(link)
    if link.link_name is not None and link.link_netnsid is None:
        return _internal(link, f"{link.ifname} ({link.kind}) sits on {link.link_name} in the pod's own netns")
    if link.kind in _PAIR_KINDS:
        return _match_pair(link, pod, node)
    if link.kind in _CHILD_KINDS:
        return _match_child(link, pod, node)
    return _internal(link, f"{link.ifname} is a {link.kind}: software that ends in the pod's own netns")


def _physical(link: Link) -> LinkMatch:
    if link.parentdev is not None:
        evidence = f"{link.ifname} is hardware at {link.parentdev}, which left the node's netns for the pod's"
        return _build(link, Attachment.PHYSICAL, Confidence.CONFIRMED, (evidence,))
    evidence = f"{link.ifname} has no info_kind, as hardware has none; its bus address was not printed"
    return _build(link, Attachment.PHYSICAL, Confidence.LIKELY, (evidence,))


def _internal(link: Link, evidence: str) -> LinkMatch:
    return _build(link, Attachment.INTERNAL, Confidence.CONFIRMED, (evidence,))


def _match_pair(link: Link, pod: PodNamespaces, node: NodeIndex) -> LinkMatch:
    attachment = _PAIR_KINDS[link.kind or ""]
    if link.peer_index is None:
        unnamed = f"the kernel names no peer of {link.ifname}"
        return _build(link, attachment, Confidence.UNKNOWN, (unnamed,))
    if node.links is None:
        unread = f"the node's links could not be read: {node.missing}"
        return _build(link, attachment, Confidence.UNKNOWN, (unread,))
    candidate = node.links.get(link.peer_index)
    holder = _holder(link, pod, node)
    if candidate is None or not _names_back(candidate, link):
        return _build(
            link, Attachment.PEER_ELSEWHERE, Confidence.CONFIRMED, (_refusal(link, candidate),), holder=holder
        )
    numbers = (
        f"{link.ifname} is link {link.ifindex} of the pod and names link {link.peer_index}; "
        f"{candidate.ifname} is link {candidate.ifindex} of the node and names link {candidate.peer_index}"
    )
    votes = (*_ask_node(candidate, pod, node), *_ask_pod(link, pod, node))
    evidence = (numbers, *(sentence for _, sentence in votes))
    verdicts = {vote for vote, _ in votes}
    if verdicts == {True}:
        return _build(link, attachment, Confidence.CONFIRMED, evidence, candidate)
    if verdicts == {False}:
        return _build(link, Attachment.PEER_ELSEWHERE, Confidence.CONFIRMED, evidence, holder=holder)
    if verdicts:
        return _build(link, attachment, Confidence.UNKNOWN, (*evidence, "the two contradict each other"))
    return _build(link, attachment, Confidence.LIKELY, (*evidence, _not_asked(pod, node)), candidate)


def _names_back(candidate: Link, link: Link) -> bool:
    """Step 2: the candidate is of the same kind, its peer is in another netns and bears the link's number."""
    return (
        candidate.kind == link.kind
        and candidate.peer_index == link.ifindex
        and candidate.link_netnsid is not None
    )


def _refusal(link: Link, candidate: Link | None) -> str:
    start = f"{link.ifname} (link {link.ifindex}) names link {link.peer_index} as its peer"
    if candidate is None:
        return f"{start}; the node has no link {link.peer_index}"
    kind = candidate.kind or "hardware"
    if candidate.kind != link.kind:
        return (
            f"{start}; on the node that number is {candidate.ifname}, of kind {kind} instead of {link.kind}"
        )
    if candidate.link_netnsid is None:
        return f"{start}; on the node that number is {candidate.ifname}, whose peer is in the node's netns itself"
    return f"{start}; on the node that number is {candidate.ifname}, which names link {candidate.peer_index}"


_Vote = tuple[bool, str]


def _ask_node(candidate: Link, pod: PodNamespaces, node: NodeIndex) -> tuple[_Vote, ...]:
    """Step 3 from the node's side: is the id that the candidate gives its peer's netns that of the pod's netns?"""
    if node.namespaces.missing:
        return ()
    netnsid = candidate.link_netnsid
    row = node.namespaces.by_inode.get(pod.inode)
    said = f"lsns on the node: {candidate.ifname}'s peer is in netnsid {netnsid}"
    if row is not None and row.netnsid is not None:
        return ((row.netnsid == netnsid, f"{said}, the pod's netns {pod.inode} has netnsid {row.netnsid}"),)
    other = node.namespaces.by_netnsid.get(netnsid) if netnsid is not None else None
    if other is not None:
        return ((False, f"{said}, which is netns {other.inode}, not the pod's {pod.inode}"),)
    # Without any id in the listing it is more likely that lsns could not ask than that there is none.
    if row is not None and node.namespaces.by_netnsid:
        return ((False, f"{said}, and the pod's netns {pod.inode} has no netnsid on the node"),)
    return ()


def _ask_pod(link: Link, pod: PodNamespaces, node: NodeIndex) -> tuple[_Vote, ...]:
    """Step 3 from the pod's side: is the netns behind the id that the pod's link gives the node's?"""
    row = _behind(link, pod)
    if row is None or node.netns is None:
        return ()
    said = f"lsns in the pod's netns: netnsid {link.link_netnsid} is netns {row.inode}"
    if row.inode == node.netns:
        return ((True, f"{said}, the node's own"),)
    return ((False, f"{said}, not the node's own {node.netns}"),)


def _behind(link: Link, pod: PodNamespaces) -> NamespaceRow | None:
    """Return the netns that holds a pod link's peer or parent, where `lsns` was run in the pod's netns."""
    return None if link.link_netnsid is None else pod.namespaces.by_netnsid.get(link.link_netnsid)


def _holder(link: Link, pod: PodNamespaces, node: NodeIndex) -> NetnsHolder | None:
    row = _behind(link, pod)
    if row is None or row.inode == node.netns:
        return None
    return NetnsHolder(inode=row.inode, pod=node.pod_of.get(row.inode), pid=row.pid, command=row.command)


def _not_asked(pod: PodNamespaces, node: NodeIndex) -> str:
    if node.namespaces.missing:
        return f"not confirmed: lsns on the node is missing: {node.namespaces.missing}"
    return f"not confirmed: lsns on the node lists no process in the pod's netns {pod.inode}"


def _match_child(link: Link, pod: PodNamespaces, node: NodeIndex) -> LinkMatch:
    """Name the parent of a macvlan, ipvlan or vlan. A parent does not point back, so only step 3 can confirm it."""
    attachment = _CHILD_KINDS[link.kind or ""]
    if node.links is None:
        unread = f"the node's links could not be read: {node.missing}"
        return _build(link, attachment, Confidence.UNKNOWN, (unread,))
    if link.link_index is None:
        unnamed = f"the kernel names no parent of {link.ifname}"
        return _build(link, attachment, Confidence.UNKNOWN, (unnamed,))
    parent = node.links.get(link.link_index)
    votes = _ask_pod(link, pod, node)
    numbers = f"{link.ifname} ({_described(link)}) names link {link.link_index} as its parent"
    evidences = (numbers, *(sentence for _, sentence in votes))
    if parent is None or any(not vote for vote, _ in votes):
        evidences = (*evidences, "its parent is not in the node's netns")
        return _build(link, attachment, Confidence.CONFIRMED, evidences, holder=_holder(link, pod, node))
    evidences = (f"{numbers}, on the node {parent.ifname}", *evidences[1:])
    if votes:
        return _build(link, attachment, Confidence.CONFIRMED, evidences, parent)
    evidences = (
        *evidences,
        "not confirmed: a parent does not name its children, and lsns was not run in the pod",
    )
    return _build(link, attachment, Confidence.LIKELY, evidences, parent)


def _described(link: Link) -> str:
    return f"{link.kind}, mode {link.mode}" if link.mode else f"{link.kind}"


def _settle_by_siblings(match: LinkMatch, matches: Sequence[LinkMatch]) -> LinkMatch:
    """Use a confirmed link of the same pod: it tells by which id this netns knows the node's."""
    if match.confidence is not Confidence.LIKELY or match.host_link is None:
        return match
    known = next((each for each in matches if _shows_node_id(each)), None)
    if known is None:
        return match
    node_id, own_id = known.pod_link.link_netnsid, match.pod_link.link_netnsid
    said = f"{known.pod_link.ifname} is joined to the node and its netnsid is {node_id}"
    kept = match.evidence[:-1]
    if own_id == node_id:
        evidence = (*kept, f"{said}, as is that of {match.pod_link.ifname}")
        return replace(match, confidence=Confidence.CONFIRMED, evidence=evidence)
    evidence = (*kept, f"{said}, that of {match.pod_link.ifname} is {own_id}")
    return peer_elsewhere(match, evidence)


def _shows_node_id(match: LinkMatch) -> bool:
    return (
        match.confidence is Confidence.CONFIRMED
        and match.host_link is not None
        and match.pod_link.link_netnsid is not None
    )


def peer_elsewhere(match: LinkMatch, evidence: tuple[str, ...]) -> LinkMatch:
    """Return the match with its node end withdrawn."""
    is_pair = match.attachment in (Attachment.VETH, Attachment.NETKIT)
    return replace(
        match,
        attachment=Attachment.PEER_ELSEWHERE if is_pair else match.attachment,
        confidence=Confidence.CONFIRMED,
        host_link=None,
        evidence=evidence,
    )


def _build(
    link: Link,
    attachment: Attachment,
    confidence: Confidence,
    evidence: tuple[str, ...],
    host: Link | None = None,
    *,
    holder: NetnsHolder | None = None,
) -> LinkMatch:
    return LinkMatch(
        attachment=attachment,
        confidence=confidence,
        pod_link=build_pod_link(link),
        host_link=None if host is None else build_host_link(host),
        evidence=evidence,
        peer_holder=holder,
    )
