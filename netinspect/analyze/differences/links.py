"""Links of two states: pods' by the pods' names, which stay when the names of links do not; nodes' own by ifname."""

from __future__ import annotations

from collections.abc import Iterator

from netinspect.analyze.differences.pairs import change_of, compare_fields, pair
from netinspect.models.difference import Difference, Subject
from netinspect.models.fact import Known
from netinspect.models.link import Link
from netinspect.models.network_state import NodeState
from netinspect.models.veth import LinkMatch, PodAttachment


def compare_pod_links(before: NodeState, after: NodeState) -> Iterator[Difference]:
    """Yield links of pods that are there in both states and could be read in both.

    A pod that came or went is told as a pod.
    """
    old_pods, new_pods = _by_pod(before), _by_pod(after)
    for key in sorted(old_pods.keys() & new_pods.keys()):
        namespace, _ = key
        old_links, new_links = _by_ifname(old_pods[key]), _by_ifname(new_pods[key])
        for ifname, old, new in pair(old_links, new_links):
            fields = compare_fields(_describe_match(old), _describe_match(new))
            if fields:
                yield Difference(
                    what=Subject.LINK,
                    name=ifname,
                    namespace=namespace,
                    pod=new_pods[key].key,
                    node=after.node,
                    change=change_of(old, new),
                    fields=fields,
                )


def compare_node_links(before: NodeState, after: NodeState) -> Iterator[Difference]:
    """Yield a node's links that are no pod's; the other end of a pod's link is told with the pod."""
    if not isinstance(before.links, Known) or not isinstance(after.links, Known):
        return
    of_pods = _host_links(before) | _host_links(after)
    old_links, new_links = (
        {link.ifname: link for link in links if link.ifname not in of_pods}
        for links in (before.links.value, after.links.value)
    )
    for ifname, old, new in pair(old_links, new_links):
        fields = compare_fields(_describe_link(old), _describe_link(new))
        if fields:
            yield Difference(
                what=Subject.LINK,
                name=ifname,
                node=after.node,
                change=change_of(old, new),
                fields=fields,
            )


def _by_pod(state: NodeState) -> dict[tuple[str, str], PodAttachment]:
    return {(each.namespace, each.name): each for each in state.attachments if each.missing is None}


def _by_ifname(pod: PodAttachment) -> dict[str, LinkMatch]:
    return {match.pod_link.ifname: match for match in pod.links}


def _host_links(state: NodeState) -> set[str]:
    return {
        match.host_link.ifname
        for pod in state.attachments
        for match in pod.links
        if match.host_link is not None and match.host_link.kind in ("veth", "netkit")
    }


def _describe_match(match: LinkMatch | None) -> dict[str, str] | None:
    if match is None:
        return None
    own, host = match.pod_link, match.host_link
    described = {"attachment": match.attachment.value, "mtu": str(own.mtu), "state": own.operstate}
    if host is None:
        return described
    return {
        **described,
        "host link": host.ifname,
        "master": host.master or "",
        "host mtu": str(host.mtu),
        "host state": host.operstate,
    }


def _describe_link(link: Link | None) -> dict[str, str] | None:
    if link is None:
        return None
    return {
        "kind": link.kind or "",
        "mtu": str(link.mtu),
        "state": link.operstate,
        "master": link.master or "",
    }
