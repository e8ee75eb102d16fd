"""Whose resolver is asked for: a process of a pod, or a pod that is assumed."""

from __future__ import annotations

from collections.abc import Sequence

from netinspect.models.address import Address
from netinspect.models.dns_report import DnsOrigin
from netinspect.models.fact import Fact, Known, Reason, Unavailable
from netinspect.models.kubernetes import Pod
from netinspect.models.netns import PodNetns, PodProcess
from netinspect.models.resolver import ResolvConf
from netinspect.models.resolver_file import ResolverFile

CLUSTER_NDOTS = 5
"""What the kubelet writes (pkg/kubelet/network/dns/dns.go, defaultDNSOptions)."""


def assume_origin(node: str, namespace: str, nameserver: Address, domain: str | None) -> DnsOrigin:
    """Return the resolver that a pod of this namespace has by default, as if it asked from the node.

    Args:
        node: the node.
        namespace: the pod's.
        nameserver: what the kubelet would write: the DNS Service's primary address.
        domain: the cluster domain; None leaves the search list empty.
    """
    search = (f"{namespace}.svc.{domain}", f"svc.{domain}", domain) if domain else ()
    conf = ResolvConf(
        nameservers=(nameserver,),
        search=search,
        musl_search=search,
        options=(f"ndots:{CLUSTER_NDOTS}",),
        ndots=CLUSTER_NDOTS,
    )
    return DnsOrigin(
        node=node,
        namespace=namespace,
        source=f"as the kubelet writes it for a pod of namespace {namespace}",
        conf=conf,
    )


def find_origin(pod: Pod, netns: PodNetns, files: Sequence[ResolverFile]) -> Fact[DnsOrigin]:
    """Return the resolver of a pod: the resolv.conf of a container's process, else that of the sandbox."""
    by_pid = {each.pid: each for each in files}
    for process in _in_order(pod, netns.processes):
        file = by_pid.get(process.pid)
        if file is None:
            continue
        if isinstance(file.conf, Unavailable):
            return file.conf
        container = _container_of(pod, process)
        whose = (
            f"container {container}" if container else f"process {process.comm or process.pid} of the sandbox"
        )
        return Known(
            DnsOrigin(
                node=pod.spec.node_name,
                namespace=pod.metadata.namespace,
                pod=pod.metadata.name,
                netns=None if netns.is_node else netns.inode,
                host_network=pod.spec.host_network,
                dns_policy=pod.spec.dns_policy,
                has_dns_config=pod.spec.dns_config is not None,
                source=f"/etc/resolv.conf of {whose} (PID {process.pid})",
                text=file.text,
                conf=file.conf.value,
                container=container,
                pid=process.pid,
            )
        )
    pids = ", ".join(str(each.pid) for each in netns.processes[:5]) or "none"
    return Unavailable(
        Reason.NOT_FOUND, f"no process of the pod has a resolv.conf that could be read (PIDs: {pids})"
    )


def describe_other_files(
    pod: Pod, netns: PodNetns, files: Sequence[ResolverFile], origin: DnsOrigin
) -> list[str]:
    """Say which containers of the pod see another resolv.conf than the one taken."""
    by_pid = {each.pid: each for each in files}
    differing = [
        _container_of(pod, process)
        for process in _in_order(pod, netns.processes)
        if process.pid in by_pid and by_pid[process.pid].text.strip() != origin.text.strip()
    ]
    named = ", ".join(name for name in dict.fromkeys(differing) if name)
    if not named:
        return []
    taken = origin.container or "the sandbox"
    return [f"pod {pod.metadata.name}: other containers have another resolv.conf than {taken}: {named}"]


def _in_order(pod: Pod, processes: Sequence[PodProcess]) -> list[PodProcess]:
    """Put processes of the pod's containers first, in the order of its spec, and the sandbox's own last."""
    names = [each.name for each in (*pod.spec.containers, *pod.spec.init_containers)]

    def rank(process: PodProcess) -> tuple[int, int]:
        container = _container_of(pod, process)
        place = names.index(container) if container in names else len(names) + (not container)
        return place, process.pid

    return sorted(processes, key=rank)


def _container_of(pod: Pod, process: PodProcess) -> str:
    """Return the name of a process's container; "" for what the API does not know: the sandbox."""
    status = pod.status
    statuses = (
        *status.container_statuses,
        *status.init_container_statuses,
        *status.ephemeral_container_statuses,
    )
    own = process.container_id
    return next((each.name for each in statuses if own and each.container_id.partition("://")[2] == own), "")
