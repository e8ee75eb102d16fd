"""From a host's processes and the names of its logs to the pods that run there, as the API would say them.

A pod is what has a process: one whose logs are all that is left has ended, or is gone. Labels, owners, conditions and
restarts are known to the API server alone and stay empty.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace

from netinspect.analyze.links.netns import locate
from netinspect.models.address import Address, address_key
from netinspect.models.fact import Fact, Gap, Known, Reason, Unavailable
from netinspect.models.kubernetes import (
    ContainerState,
    ContainerStateRunning,
    ContainerStatus,
    Node,
    NodeAddress,
    NodeStatus,
    NodeSystemInfo,
    ObjectMeta,
    Pod,
    PodIP,
    PodSpec,
    PodStatus,
)
from netinspect.models.local_host import ContainerLog, LocalHost, LocalPod, PodLogFolder
from netinspect.models.netns import ProcessCgroup, ProcessTable

_LISTED_PIDS = 5
_MOST_NAMED = 3


def build_local_pods(
    host: LocalHost,
    table: ProcessTable,
    folders: Collection[PodLogFolder],
    logs: Collection[ContainerLog],
) -> tuple[LocalPod, ...]:
    """Return the pods that have processes, by namespace and name; without their addresses.

    Args:
        host: where they run.
        table: the processes.
        folders: of pods' logs: they give a UID its name.
        logs: of containers: they give an id its name.
    """
    by_uid: dict[str, list[ProcessCgroup]] = {}
    for process in table.cgroups:
        if process.pod_uid is not None:
            by_uid.setdefault(process.pod_uid, []).append(process)
    names = {folder.uid: folder for folder in folders}
    containers = {log.id: log.container for log in logs}
    pods = (
        _build_pod(host, uid, names.get(uid), processes, table, containers)
        for uid, processes in by_uid.items()
    )
    return tuple(sorted(pods, key=lambda each: (each.pod.metadata.namespace, each.pod.metadata.name)))


def list_unknown(host: LocalHost, table: ProcessTable) -> tuple[Gap, ...]:
    """Return a gap for processes of containers whose cgroups do not say of which pod."""
    pids = [str(each.pid) for each in table.cgroups if each.pod_uid is None]
    if not pids:
        return ()
    rest = f" and {len(pids) - _LISTED_PIDS} more" if len(pids) > _LISTED_PIDS else ""
    detail = f"the cgroups of processes {', '.join(pids[:_LISTED_PIDS])}{rest} name a container, but no pod"
    return (Gap(f"node/{host.node}", "the pods of all containers", Reason.NOT_FOUND, detail),)


def describe_left(local: Collection[LocalPod], folders: Collection[PodLogFolder]) -> tuple[str, ...]:
    """Say of which pods only logs are left. None has a process, so none is shown."""
    running = {each.pod.metadata.uid for each in local}
    left = [f"{each.namespace}/{each.name}" for each in folders if each.uid not in running]
    if not left:
        return ()
    rest = f" and {len(left) - _MOST_NAMED} more" if len(left) > _MOST_NAMED else ""
    return (
        f"not shown, as only their logs are left on this host: pods {', '.join(left[:_MOST_NAMED])}{rest} "
        "(ended, gone, or between two starts)",
    )


def find_entrance(local: LocalPod, table: ProcessTable) -> int | None:
    """Return a process in the pod's own netns; None where it has none: it shares the host's, or it is not known."""
    pod = local.pod
    if pod.spec.host_network:
        return None
    own = [each for each in table.cgroups if each.pod_uid == pod.metadata.uid]
    netns = locate(pod, own, table)
    return netns.value.processes[0].pid if isinstance(netns, Known) else None


def with_addresses(local: LocalPod, host: LocalHost, found: Fact[tuple[Address, ...]]) -> LocalPod:
    """Return the pod with its addresses, where they are beyond doubt.

    A pod has at most one address a family in the API. Of several in its netns (further networks, a program's own
    links) it is not known here which one that is.

    Args:
        local: the pod.
        host: whose address a pod with hostNetwork bears.
        found: the addresses of the pod's own netns.
    """
    if local.pod.spec.host_network:
        return _bearing(local, host.addresses)
    if isinstance(found, Unavailable):
        return _lacking(local, found.reason, found.detail)
    single = [
        each for each in found.value if sum(other.version == each.version for other in found.value) == 1
    ]
    local = _bearing(local, sorted(single, key=address_key))
    several = [str(each) for each in found.value if each not in single]
    if several:
        detail = f"of several in its netns it is not known which is the pod's: {', '.join(several)}"
        return _lacking(local, Reason.NO_API, detail)
    return local if single else _lacking(local, Reason.NOT_FOUND, "no link of its netns bears one")


def build_local_node(host: LocalHost) -> Node:
    """Return the host as the API would say it."""
    addresses = tuple(NodeAddress(type="InternalIP", address=str(each)) for each in host.addresses)
    return Node(
        metadata=ObjectMeta(name=host.node),
        status=NodeStatus(
            addresses=(*addresses, NodeAddress(type="Hostname", address=host.node)),
            node_info=NodeSystemInfo(
                operating_system="linux", architecture=host.architecture, kernel_version=host.kernel
            ),
        ),
    )


def _build_pod(
    host: LocalHost,
    uid: str,
    folder: PodLogFolder | None,
    processes: Sequence[ProcessCgroup],
    table: ProcessTable,
    containers: Mapping[str, str],
) -> LocalPod:
    ids = dict.fromkeys(each.container_id for each in processes if each.container_id in containers)
    statuses = tuple(
        ContainerStatus(
            name=containers[id_],
            container_id=f"cri://{id_}",
            state=ContainerState(running=ContainerStateRunning()),
        )
        for id_ in ids
        if id_ is not None
    )
    pod = Pod(
        metadata=ObjectMeta(
            name=folder.name if folder else uid, namespace=folder.namespace if folder else "", uid=uid
        ),
        spec=PodSpec(node_name=host.node, host_network=_is_in_host_netns(processes, table)),
        status=PodStatus(
            phase="Running",
            host_ip=str(host.addresses[0]) if host.addresses else "",
            container_statuses=statuses,
        ),
    )
    detail = "no folder of /var/log/pods is of its UID"
    return LocalPod(
        pod=pod, gaps=() if folder else (Gap(f"pod/{uid}", "its name", Reason.NOT_FOUND, detail),)
    )


def _is_in_host_netns(processes: Sequence[ProcessCgroup], table: ProcessTable) -> bool:
    """Whether all of a pod's processes are in the host's netns, and some: one alone may have gone there by itself."""
    seen = {table.netns[each.pid] for each in processes if each.pid in table.netns}
    return seen == {table.node_netns}


def _bearing(local: LocalPod, addresses: Sequence[Address]) -> LocalPod:
    status = replace(local.pod.status, pod_ips=tuple(PodIP(ip=each) for each in addresses))
    return LocalPod(pod=replace(local.pod, status=status), gaps=local.gaps)


def _lacking(local: LocalPod, reason: Reason, detail: str) -> LocalPod:
    meta = local.pod.metadata
    subject = f"pod/{meta.namespace}/{meta.name}" if meta.namespace else f"pod/{meta.name}"
    return LocalPod(pod=local.pod, gaps=(*local.gaps, Gap(subject, "its addresses", reason, detail)))
