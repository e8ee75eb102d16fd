"""Find out whose resolver is asked for: a pod's, read on its node, or that of a pod as the kubelet would make it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netinspect.analyze.dns.origin import assume_origin, describe_other_files, find_origin
from netinspect.analyze.links.netns import locate_all
from netinspect.collect.dns import collect_resolver
from netinspect.errors import CommandError, TargetError
from netinspect.models.debug_pod import Privilege
from netinspect.models.dns_cluster import DnsCluster
from netinspect.models.dns_report import DnsOrigin
from netinspect.models.fact import Fact, Gap, Reason, Unavailable
from netinspect.models.kubernetes import Pod
from netinspect.models.netns import PodNetns, ProcessTable
from netinspect.probes.dns import build_resolver_plan
from netinspect.usecases.attempts import attempt
from netinspect.usecases.dns_targets import with_search_domain
from netinspect.usecases.dns_wish import DnsWish

if TYPE_CHECKING:
    from netinspect.sources.interface import ApiSource, NodeSource

_BLIND = (
    "no process of the node is seen: a pod's netns needs --privilege sysadmin, or a --via pod with hostPID"
)
_WHERE = "the search list of pod"


def read_pod_origin(source: NodeSource, pod: Pod) -> tuple[DnsOrigin, PodNetns, tuple[str, ...]]:
    """Read a pod's netns and resolv.conf, in one trip.

    Returns:
        its resolver, its netns, and notes on both.

    Raises:
        CommandError: one of them was not found, and why.
    """
    name = pod.metadata.name
    if source.privilege is not Privilege.SYSADMIN:
        raise CommandError(f"the netns of pod {name} was not found: {_BLIND}")
    reading = collect_resolver(source, build_resolver_plan(pod), pod)
    netns = _locate(reading.snapshot.processes, pod)
    if isinstance(netns, Unavailable):
        raise CommandError(f"the netns of pod {name} was not found: {netns.detail}")
    if isinstance(reading.files, Unavailable):
        raise CommandError(f"the resolv.conf of pod {name} could not be read: {reading.files.detail}")
    origin = find_origin(pod, netns.value, reading.files.value)
    if isinstance(origin, Unavailable):
        raise CommandError(f"the resolv.conf of pod {name} could not be read: {origin.detail}")
    notes = (
        *netns.value.warnings,
        *describe_other_files(pod, netns.value, reading.files.value, origin.value),
    )
    return origin.value, netns.value, notes


def assume_pod_origin(wish: DnsWish, cluster: DnsCluster) -> DnsOrigin:
    """Return the resolver of a pod that the kubelet would start now.

    Raises:
        TargetError: the DNS Service is not known, or has no address.
    """
    if isinstance(cluster.service, Unavailable):
        raise TargetError(
            f"the cluster's DNS Service was not found: {cluster.service.detail}",
            "with --pod, the pod's own name servers are asked",
        )
    service = cluster.service.value
    if not service.cluster_ips:
        raise TargetError(
            f"service {service.key} has no address", "with --pod, the pod's own name servers are asked"
        )
    domain = cluster.domain.name if cluster.domain is not None else None
    return assume_origin(wish.node, wish.namespace, service.cluster_ips[0], domain)


def ask_a_pod_for_the_domain(
    api: ApiSource, source: NodeSource, cluster: DnsCluster
) -> tuple[DnsCluster, tuple[Gap, ...]]:
    """Where the Corefile does not say the cluster domain, read it in the search list of a pod of the node."""
    if cluster.domain is not None:
        return cluster, ()
    pod = _choose_witness(api, source.node)
    if isinstance(pod, Unavailable):
        return cluster, (Gap("cluster", "the cluster domain", pod.reason, pod.detail),)
    key = f"{pod.metadata.namespace}/{pod.metadata.name}"
    try:
        origin, _, _ = read_pod_origin(source, pod)
    except CommandError as error:
        return cluster, (Gap("cluster", "the cluster domain", Reason.FAILED, error.message),)
    found = with_search_domain(cluster, pod.metadata.namespace, origin.conf.search, f"{_WHERE} {key}")
    if found.domain is not None:
        return found, ()
    detail = f"{_WHERE} {key} does not have it: {' '.join(origin.conf.search) or 'it is empty'}"
    return cluster, (Gap("cluster", "the cluster domain", Reason.NOT_FOUND, detail),)


def _choose_witness(api: ApiSource, node: str) -> Pod | Unavailable:
    """Return a running pod of the node whose search list is the kubelet's own."""
    found = attempt(
        lambda: api.list_objects(Pod, "/api/v1/pods", field_selector=f"spec.nodeName={node}").items
    )
    if isinstance(found, Unavailable):
        return found
    usable = [
        pod
        for pod in found.value
        if pod.status.phase == "Running"
        and not pod.spec.host_network
        and pod.spec.dns_policy in ("ClusterFirst", "")
        and pod.spec.dns_config is None
    ]
    if not usable:
        return Unavailable(Reason.NOT_FOUND, f"no running pod of node {node} has dnsPolicy ClusterFirst")
    return min(usable, key=lambda pod: (pod.metadata.namespace, pod.metadata.name))


def _locate(processes: Fact[ProcessTable], pod: Pod) -> Fact[PodNetns]:
    if isinstance(processes, Unavailable):
        return processes
    return locate_all((pod,), processes.value)[pod.metadata.uid]
