"""Run a command in a pod's netns, as the pod would: with its own resolv.conf and hosts."""

from __future__ import annotations

from netinspect.errors import CommandError, TargetError
from netinspect.models.fact import Unavailable
from netinspect.models.kubernetes import Pod
from netinspect.models.netns import PodNetns
from netinspect.probes.catalog import build_netns_plan
from netinspect.sources.interface import NodeSource
from netinspect.usecases.readings import has_own_netns, read_node


def choose_pod(pods: tuple[Pod, ...]) -> Pod:
    """Return the pod to run the command in: of several (`deploy/web`), one that runs, as kubectl does.

    Raises:
        TargetError: there is none.
    """
    if not pods:
        raise TargetError("no pod was found to run the command in")
    return min(
        pods, key=lambda pod: (not has_own_netns(pod), pod.status.phase != "Running", pod.metadata.name)
    )


def check_can_enter(pod: Pod) -> None:
    """Make sure that a command can be run in the pod.

    Raises:
        TargetError: the pod has no netns of its own.
    """
    name = pod.metadata.name
    if pod.is_completed:
        raise TargetError(f"cannot exec in a completed pod; current phase of {name} is {pod.status.phase}")
    if pod.spec.host_network:
        node = pod.spec.node_name
        raise TargetError(f"pod {name} has no netns of its own: it uses that of node {node} (hostNetwork)")
    if not has_own_netns(pod):
        raise TargetError(f"pod {name} is not bound to a node yet")


def find_netns(source: NodeSource, pod: Pod) -> PodNetns:
    """Find the pod's netns on its node.

    Raises:
        CommandError: it was not found, and why.
    """
    readings = read_node(source, build_netns_plan((pod,)), (pod,))
    netns = readings.pods[0].netns
    if isinstance(netns, Unavailable):
        raise CommandError(f"the netns of pod {pod.metadata.name} was not found: {netns.detail}")
    return netns.value
