"""From what the user names to nodes: `--node`, `--all-nodes`, or the nodes of pods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from netinspect.errors import TargetError, UsageError
from netinspect.models.address import Address
from netinspect.models.kubernetes import Node, Pod
from netinspect.usecases.targets import Targets, resolve_pods

if TYPE_CHECKING:
    from netinspect.sources.interface import ApiSource

_LINUX = "linux"
_MOST_OBSTACLES = 5


class NodeTargets(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes to ask, and whose flows are meant there.

    Attributes:
        nodes: names of nodes, each once, in the order named.
        pods: the pods that were named; empty where whole nodes are meant.
        notes: sentences about what was left out.
    """

    nodes: tuple[str, ...]
    pods: tuple[Pod, ...] = ()
    notes: tuple[str, ...] = ()

    def addresses_on(self, node: str) -> tuple[Address, ...]:
        """Return the addresses of the pods that were named and run on this node; none means every address."""
        return tuple(address for pod in self.pods if pod.spec.node_name == node for address in pod.addresses)


def resolve_nodes(api: ApiSource, names: Sequence[str], *, all_nodes: bool = False) -> NodeTargets:
    """Return the nodes that are meant: those named, or all that run Linux.

    Raises:
        UsageError: both are given, or neither.
        TargetError: there is no node that runs Linux.
        ClusterError: the API server refused or failed; a named node does not exist.
    """
    if names and all_nodes:
        raise UsageError("--node and --all-nodes exclude each other")
    if not names and not all_nodes:
        raise UsageError("no node is named", "name one with --node, or all with --all-nodes")
    if not all(names):
        raise UsageError("a name is empty", "is the variable set that it comes from?")
    if names:
        unique = tuple(dict.fromkeys(names))
        found = tuple(api.get_object(Node, f"/api/v1/nodes/{quote(name, safe='')}") for name in unique)
        return NodeTargets(nodes=tuple(node.metadata.name for node in found))
    listed = api.list_objects(Node, "/api/v1/nodes").items
    linux = tuple(
        node.metadata.name for node in listed if node.status.node_info.operating_system in ("", _LINUX)
    )
    if not linux:
        raise TargetError("the cluster has no node that runs Linux")
    others = [node.metadata.name for node in listed if node.metadata.name not in linux]
    notes = (f"not asked, as they do not run Linux: {', '.join(others)}",) if others else ()
    return NodeTargets(nodes=linux, notes=notes)


def resolve_flow_targets(api: ApiSource, targets: Targets) -> NodeTargets:
    """Return the nodes whose tables hold the flows that are meant: of pods, or of whole nodes.

    A pod's flows are tracked on its own node, whoever they go to.

    Raises:
        UsageError: nothing is named, or pods and nodes.
        TargetError: a pod has no address of its own: hostNetwork, completed, not bound yet.
        ClusterError: the API server refused or failed.
    """
    if not (targets.names or targets.selector or targets.all_namespaces):
        if not (targets.nodes or targets.all_nodes):
            raise UsageError(
                "no target is named", "name a pod, TYPE/NAME, -l SELECTOR, --node NODE or --all-nodes"
            )
        return resolve_nodes(api, targets.nodes, all_nodes=targets.all_nodes)
    if targets.nodes or targets.all_nodes:
        raise UsageError("name pods, or nodes with --node or --all-nodes, not both")
    pods = resolve_pods(api, targets)
    usable = tuple(pod for pod in pods if not _obstacle(pod))
    if not usable:
        raise _no_flows(pods)
    nodes = tuple(dict.fromkeys(pod.spec.node_name for pod in usable))
    return NodeTargets(nodes=nodes, pods=usable, notes=_left_out(pods))


def _no_flows(pods: Sequence[Pod]) -> TargetError:
    """Explain why none of the pods has flows of its own, and where to look instead."""
    if not pods:
        return TargetError(
            "no pod was found", "does kubectl get pods list one with this selector and namespace?"
        )
    shared = next((pod for pod in pods if _shares_node_network(pod)), None)
    if shared is None:
        return TargetError(_obstacle(pods[0]))
    return TargetError(_obstacle(shared), f"for the flows of the node: --node {shared.spec.node_name}")


def _left_out(pods: Sequence[Pod]) -> tuple[str, ...]:
    """Say which pods have no flows of their own, or of many how many they are."""
    obstacles = tuple(obstacle for pod in pods if (obstacle := _obstacle(pod)))
    if len(obstacles) <= _MOST_OBSTACLES:
        return obstacles
    shared = sum(_shares_node_network(pod) for pod in pods)
    ended = sum(pod.is_completed for pod in pods)
    kinds = ((shared, "on their node's network"), (ended, "that have ended"))
    rest = len(obstacles) - shared - ended
    counts = ", ".join(
        f"{count} {what}" for count, what in (*kinds, (rest, "without an address yet")) if count
    )
    return (f"left out are pods without flows of their own: {counts}",)


def _obstacle(pod: Pod) -> str:
    name, node = f"pod {pod.metadata.namespace}/{pod.metadata.name}", pod.spec.node_name
    if pod.is_completed:
        return f"{name} has ended ({pod.status.phase}): it has no address any more"
    if not node:
        return f"{name} is not bound to a node yet"
    if _shares_node_network(pod):
        return f"{name} uses its node's network (hostNetwork): its flows are those of node {node}"
    return "" if pod.addresses else f"{name} has no address yet"


def _shares_node_network(pod: Pod) -> bool:
    return pod.spec.host_network and bool(pod.spec.node_name) and not pod.is_completed
