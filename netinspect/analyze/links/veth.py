"""A node's pods -> how each is joined to the node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from msgspec.structs import replace

from netinspect.analyze.links.cni import suggest_cni
from netinspect.analyze.links.index import NodeIndex, PodNamespaces, index_namespaces, index_node
from netinspect.analyze.links.match import match_links, peer_elsewhere
from netinspect.analyze.links.notes import MasterCounts, count_masters, describe_ends, describe_master
from netinspect.analyze.links.sandbox import describe_sandbox, find_sandbox_runtime
from netinspect.models.fact import Known, Unavailable
from netinspect.models.kubernetes import Pod
from netinspect.models.link import Link
from netinspect.models.netns import PodNetns
from netinspect.models.veth import (
    Attachment,
    Confidence,
    LinkMatch,
    NodeReading,
    PodAttachment,
    PodReading,
    SandboxRuntime,
)

# Links that the kernel puts into every netns once the module is loaded.
_FALLBACK_TUNNELS = frozenset(
    {"tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0"}
)


def attach_pods(node: NodeReading, pods: Sequence[PodReading]) -> tuple[PodAttachment, ...]:
    """Answer for all pods of one node that were asked about, in their order.

    The more of a node's pods are given, the more is certain: two pods that claim one node end show that at least one
    of them has its peer elsewhere. Time is linear in the number of links.
    """
    pod_of = {
        reading.netns.value.inode: f"{reading.pod.metadata.namespace}/{reading.pod.metadata.name}"
        for reading in pods
        if isinstance(reading.netns, Known) and not reading.netns.value.is_node
    }
    index = index_node(node, pod_of)
    settled = _settle_rivals([_attach(reading, index) for reading in pods])
    masters = count_masters([match for pod in settled for match in pod.links])
    return tuple(
        _finish(reading.pod, attached, masters) for reading, attached in zip(pods, settled, strict=True)
    )


def _finish(pod: Pod, attached: PodAttachment, masters: MasterCounts) -> PodAttachment:
    """Add what can be said only when all matches of the node are settled."""
    if not attached.links:
        return attached
    links = tuple(
        replace(match, notes=(*describe_ends(match), *describe_master(match, masters)))
        for match in attached.links
    )
    return replace(attached, links=links, attachment=_main_attachment(pod, links))


def _attach(reading: PodReading, node: NodeIndex) -> PodAttachment:
    pod = reading.pod
    if pod.spec.host_network and not pod.is_completed:
        return _without_links(pod, Attachment.HOST_NETWORK, reading)
    if isinstance(reading.netns, Unavailable):
        return replace(_without_links(pod, _explain_absence(pod), reading), missing=reading.netns)
    if isinstance(reading.links, Unavailable):
        return replace(_without_links(pod, Attachment.UNKNOWN, reading), missing=reading.links)
    netns = reading.netns.value
    sandbox = find_sandbox_runtime(pod, netns.processes)
    chosen = select_links(reading.links.value, sandbox)
    own = PodNamespaces(netns.inode, index_namespaces(reading.namespaces))
    matches = tuple(_with_cni(match, pod, netns) for match in match_links(chosen, own, node))
    return replace(
        _without_links(pod, Attachment.NO_LINK, reading),
        links=matches,
        sandbox=sandbox,
        notes=_pod_notes(pod, reading.links.value, matches, sandbox),
    )


def _without_links(pod: Pod, attachment: Attachment, reading: PodReading) -> PodAttachment:
    return PodAttachment(
        namespace=pod.metadata.namespace,
        name=pod.metadata.name,
        node=pod.spec.node_name,
        attachment=attachment,
        netns=reading.netns.value if isinstance(reading.netns, Known) else None,
    )


def _explain_absence(pod: Pod) -> Attachment:
    """Name the ordinary reasons for which a pod has no netns."""
    if pod.is_completed:
        return Attachment.COMPLETED
    if not pod.spec.node_name or (pod.status.phase == "Pending" and not pod.container_ids):
        return Attachment.NOT_STARTED
    return Attachment.UNKNOWN


def select_links(links: Sequence[Link], sandbox: SandboxRuntime | None = None) -> tuple[Link, ...]:
    """Choose the links of a pod's netns to answer for: those that bear addresses, by ifindex.

    Where none does, or where a sandboxed runtime may have taken the addresses over, all but `lo` and the tunnels that
    the kernel makes by itself.
    """
    real = [link for link in links if not link.is_loopback and link.ifname not in _FALLBACK_TUNNELS]
    bearing = [link for link in links if not link.is_loopback and link.addresses]
    chosen = bearing if bearing and sandbox is None else real
    return tuple(sorted(chosen, key=lambda link: link.ifindex))


def _main_attachment(pod: Pod, matches: Sequence[LinkMatch]) -> Attachment:
    """Return that of the link with the primary address, of the first link where none has it."""
    primary = pod.addresses[0] if pod.addresses else None
    bearing = (each for each in matches if any(at.local == primary for at in each.pod_link.addresses))
    return next(bearing, matches[0]).attachment


def _pod_notes(
    pod: Pod, links: Sequence[Link], matches: Sequence[LinkMatch], sandbox: SandboxRuntime | None
) -> tuple[str, ...]:
    if sandbox is not None:
        return (describe_sandbox(sandbox),)
    if not matches:
        return ("the netns has no link but lo: the CNI plugin failed, or has torn the pod down already",)
    present = {address.local for link in links for address in link.addresses}
    lost = [str(address) for address in pod.addresses if address not in present]
    return (f"no link of the netns bears {', '.join(lost)}, which the API gives the pod",) if lost else ()


def _with_cni(match: LinkMatch, pod: Pod, netns: PodNetns) -> LinkMatch:
    if match.host_link is None or match.attachment not in (Attachment.VETH, Attachment.NETKIT):
        return match
    ids = dict.fromkeys(each.container_id for each in netns.processes if each.container_id)
    hint = suggest_cni(match.host_link, pod.metadata.namespace, pod.metadata.name, ids)
    return replace(match, cni=hint)


_Claims = dict[int, list[tuple[str, LinkMatch]]]


def _settle_rivals(pods: Sequence[PodAttachment]) -> list[PodAttachment]:
    """Decide between pods that claim the same node end: the confirmed one has it, of several unconfirmed none."""
    claims: _Claims = defaultdict(list)
    for pod in pods:
        for match in pod.links:
            if match.host_link is not None and match.attachment in (Attachment.VETH, Attachment.NETKIT):
                claims[match.host_link.ifindex].append((pod.key, match))
    return [_judge_pod(pod, claims) for pod in pods]


def _judge_pod(pod: PodAttachment, claims: _Claims) -> PodAttachment:
    return replace(pod, links=tuple(_judge_claim(match, claims) for match in pod.links))


def _judge_claim(match: LinkMatch, claims: _Claims) -> LinkMatch:
    if match.host_link is None or match.confidence is not Confidence.LIKELY:
        return match
    rivals = [(key, each) for key, each in claims.get(match.host_link.ifindex, ()) if each is not match]
    if not rivals or match.attachment not in (Attachment.VETH, Attachment.NETKIT):
        return match
    ifname = match.host_link.ifname
    owner = next((key for key, each in rivals if each.confidence is Confidence.CONFIRMED), None)
    if owner is not None:
        return peer_elsewhere(
            match, (*match.evidence, f"{ifname} is confirmed to be the node end of {owner}")
        )
    others = ", ".join(sorted({key for key, _ in rivals}))
    undecided = f"{ifname} is claimed with the same numbers by {others}: not decided"
    return replace(
        match, confidence=Confidence.UNKNOWN, host_link=None, cni=None, evidence=(*match.evidence, undecided)
    )
