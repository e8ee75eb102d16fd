"""Pods and nodes of two states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netinspect.analyze.differences.pairs import change_of, compare_fields, pair, show_all
from netinspect.analyze.pods import build_pod_entry
from netinspect.models.cluster_state import ClusterState
from netinspect.models.difference import Difference, Subject
from netinspect.models.fact import Known
from netinspect.models.kubernetes import Node, Pod

_MANAGED_BY = "app.kubernetes.io/managed-by"
_OWN = "kubectl-netinspect"
_TOLD = ("node", "uid")
"""Of a pod that came or went its node is told already, and its UID says nothing."""


def compare_pods(before: ClusterState, after: ClusterState) -> Iterator[Difference]:
    """Yield pods that came, went, moved, became ready or unready, or have other addresses.

    Debug pods of this program come and go with every command: they are left aside. So are restarts and ages.
    """
    if not isinstance(before.pods, Known) or not isinstance(after.pods, Known):
        return
    for (namespace, name), old, new in pair(_by_name(before.pods.value), _by_name(after.pods.value)):
        fields = compare_fields(_describe_pod(old), _describe_pod(new))
        shown = new or old
        if fields and shown:
            is_moving = old is not None and new is not None
            yield Difference(
                what=Subject.POD,
                name=f"{namespace}/{name}",
                namespace=namespace,
                node=shown.spec.node_name,
                change=change_of(old, new),
                fields=fields if is_moving else tuple(each for each in fields if each.field not in _TOLD),
            )


def is_debug_pod(pod: Pod) -> bool:
    """Whether the pod is one that this program started."""
    return pod.metadata.labels.get(_MANAGED_BY) == _OWN


def _by_name(pods: Iterable[Pod]) -> dict[tuple[str, str], Pod]:
    return {(pod.metadata.namespace, pod.metadata.name): pod for pod in pods if not is_debug_pod(pod)}


def _describe_pod(pod: Pod | None) -> dict[str, str] | None:
    if pod is None:
        return None
    entry = build_pod_entry(pod)
    return {
        "addresses": show_all(entry.pod_ips),
        "status": entry.status,
        "ready": f"{entry.ready_containers}/{entry.total_containers}",
        "node": entry.node,
        "uid": pod.metadata.uid,
    }


def compare_nodes(before: ClusterState, after: ClusterState) -> Iterator[Difference]:
    """Yield nodes that came, went, became ready or not, or have other addresses."""
    if not isinstance(before.nodes, Known) or not isinstance(after.nodes, Known):
        return
    old_nodes, new_nodes = (
        {node.metadata.name: node for node in nodes} for nodes in (before.nodes.value, after.nodes.value)
    )
    for name, old, new in pair(old_nodes, new_nodes):
        fields = compare_fields(_describe_node(old), _describe_node(new))
        if fields:
            yield Difference(
                what=Subject.NODE, name=name, node=name, change=change_of(old, new), fields=fields
            )


def _describe_node(node: Node | None) -> dict[str, str] | None:
    if node is None:
        return None
    ready = node.ready_condition
    return {
        "ready": ready.status if ready else "Unknown",
        "schedulable": str(not node.spec.unschedulable).lower(),
        "addresses": show_all(each.address for each in node.status.addresses),
        "podCIDRs": show_all(node.spec.pod_cidrs),
    }
