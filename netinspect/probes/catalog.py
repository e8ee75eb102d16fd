"""The questions that can be put to a node, by name. The only place where an argv is written.

Every command here only reads (docs/security.md): `ip` and `lsns` change nothing and load no module.
"""

from __future__ import annotations

from netinspect.models.kubernetes import Pod
from netinspect.probes.plan import Plan, Probe, build_pod_scope

CGROUPS = "cgroups"
NETNS = "netns"
COMMS = "comms"
LISTINGS = (CGROUPS, NETNS, COMMS)
"""The listings of /proc that the node side makes by itself where a plan has pods."""

LINKS = Probe("links", ("ip", "-j", "-d", "addr", "show"))
"""Links and addresses of a netns. All of them: `ip` prints `{}` for what a filter of its own hides."""

NAMESPACES = Probe("namespaces", ("lsns", "-t", "net", "-J", "-o", "NS,NETNSID,PID,COMMAND"))
"""The netns that have processes, with the id by which the netns that asks refers to each."""


def build_netns_plan(pods: tuple[Pod, ...]) -> Plan:
    """Ask which netns is whose. The links are needed for pods without any process, known by their addresses."""
    return Plan(pods=tuple(build_pod_scope(pod, (LINKS,)) for pod in pods))


def build_veth_plan(pods: tuple[Pod, ...], *, peers_of_pods: bool) -> Plan:
    """Ask for both ends of every pod link.

    Args:
        pods: the pods of one node.
        peers_of_pods: also ask, from inside each pod, which netns it refers to by which id: that names the
            netns of a peer that is not on the node. Costs a walk through /proc a pod.
    """
    pod_probes = (LINKS, NAMESPACES) if peers_of_pods else (LINKS,)
    return Plan((LINKS, NAMESPACES), tuple(build_pod_scope(pod, pod_probes) for pod in pods))
