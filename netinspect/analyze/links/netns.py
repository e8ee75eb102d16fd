"""From a node's processes (or its pinned namespaces) to each pod's netns.

A pod's processes are found by container id first, because a path seen from a private cgroup namespace has lost the
UID, and by UID second, because the API knows no sandbox's id. A pod without any process (CRI-O between two starts of
a crashing container) can still have a netns, kept by a mount.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from netinspect.models.fact import Fact, Known, Reason, Unavailable
from netinspect.models.kubernetes import Pod
from netinspect.models.link import Link
from netinspect.models.netns import (
    NetnsSource,
    PinnedNetns,
    PodNetns,
    PodProcess,
    ProcessCgroup,
    ProcessTable,
)

_PAUSE = "pause"


def locate_all(pods: Sequence[Pod], table: ProcessTable) -> dict[str, Fact[PodNetns]]:
    """Find the netns of each of one node's pods, by `metadata.uid`."""
    groups = group_by_pod(pods, table.cgroups)
    return {pod.metadata.uid: locate(pod, groups[pod.metadata.uid], table) for pod in pods}


def group_by_pod(
    pods: Sequence[Pod], cgroups: Iterable[ProcessCgroup]
) -> Mapping[str, Sequence[ProcessCgroup]]:
    """Give each pod (by `metadata.uid`) its processes: by container id first, by the node's UID second."""
    by_container = {id_: pod.metadata.uid for pod in pods for id_ in pod.container_ids}
    by_uid = {pod.node_uid: pod.metadata.uid for pod in pods}
    groups: dict[str, list[ProcessCgroup]] = defaultdict(list)
    for process in cgroups:
        owner = by_container.get(process.container_id or "") or by_uid.get(process.pod_uid or "")
        if owner is not None:
            groups[owner].append(process)
    return groups


def locate(pod: Pod, cgroups: Sequence[ProcessCgroup], table: ProcessTable) -> Fact[PodNetns]:
    """Find one pod's netns, given its processes.

    A pod that has ended but whose processes still run has its netns: the processes are the better witness.
    """
    processes = _processes(cgroups, table)
    if pod.spec.host_network:
        return _host_netns(processes, table.node_netns)
    own = [process for process in processes if process.netns != table.node_netns]
    if own:
        return Known(_choose(pod, own, strays=len(processes) - len(own)))
    return _absent(pod, cgroups, processes)


def find_pinned(
    pod: Pod, candidates: Iterable[tuple[PinnedNetns, Sequence[Link]]], taken: Collection[int] = ()
) -> Fact[PodNetns]:
    """Find the netns of a pod without processes: the pinned one whose links bear all of the pod's addresses.

    `candidates` are pinned namespaces with the links read in them; `taken` are the inodes of namespaces known to be
    other pods' or the node's. Ended pods are refused: their addresses may serve other pods by now.
    """
    if pod.is_completed or pod.spec.host_network:
        return Unavailable(Reason.NOT_APPLICABLE, _no_address_match(pod))
    wanted = set(pod.addresses)
    if not wanted:
        return Unavailable(
            Reason.NOT_FOUND, "the pod has no process, and no address by which to know its netns"
        )
    found = {
        pinned.inode: pinned
        for pinned, links in candidates
        if pinned.inode not in taken and wanted <= {each.local for link in links for each in link.addresses}
    }
    shown = ", ".join(str(address) for address in pod.addresses)
    if len(found) == 1:
        pinned = next(iter(found.values()))
        return Known(PodNetns(inode=pinned.inode, source=NetnsSource.PINNED, path=pinned.path))
    if not found:
        return Unavailable(Reason.NOT_FOUND, f"the pod has no process, and no pinned netns bears {shown}")
    paths = ", ".join(sorted(pinned.path for pinned in found.values()))
    return Unavailable(
        Reason.NOT_FOUND, f"the pod has no process, and several pinned netns bear {shown}: {paths}"
    )


def _processes(cgroups: Sequence[ProcessCgroup], table: ProcessTable) -> list[PodProcess]:
    """Return those whose netns could be read, by PID."""
    return sorted(
        (
            PodProcess(each.pid, each.container_id, table.netns[each.pid], table.comms.get(each.pid, ""))
            for each in cgroups
            if each.pid in table.netns
        ),
        key=lambda process: process.pid,
    )


def _host_netns(processes: Sequence[PodProcess], node_netns: int | None) -> Fact[PodNetns]:
    inode = node_netns if node_netns is not None else _most_common(processes)
    if inode is None:
        return Unavailable(
            Reason.NOT_FOUND, "the pod uses the node's netns (hostNetwork), whose inode could not be read"
        )
    others = [process for process in processes if process.netns != inode]
    warnings = (_strays_of_host(others),) if others else ()
    return Known(
        PodNetns(
            inode=inode,
            source=NetnsSource.HOST,
            is_node=True,
            processes=tuple(process for process in processes if process.netns == inode),
            warnings=warnings,
        )
    )


def _most_common(processes: Sequence[PodProcess]) -> int | None:
    counts = Counter(process.netns for process in processes)
    return counts.most_common(1)[0][0] if counts else None


def _strays_of_host(others: Sequence[PodProcess]) -> str:
    shown = ", ".join(f"{process.pid} (netns {process.netns})" for process in others[:5])
    return f"the pod has hostNetwork, yet {len(others)} of its processes run in another netns: {shown}"


def _choose(pod: Pod, processes: Sequence[PodProcess], strays: int) -> PodNetns:
    """Choose among the netns of a pod's processes, none of which is the node's.

    A process can make a netns of its own (docker in docker, a VPN client), and a sandbox that is being replaced lives
    on beside its successor. So the sandbox's netns goes first, of two the one with a container that the API names,
    and then the one with most processes.
    """
    by_netns: dict[int, list[PodProcess]] = defaultdict(list)
    for process in processes:
        by_netns[process.netns].append(process)
    api_ids = frozenset(pod.container_ids)
    ranked = sorted(by_netns, key=lambda inode: _rank(by_netns[inode], api_ids))
    chosen = ranked[0]
    warnings = [_several(chosen, ranked[1:], by_netns)] if len(ranked) > 1 else []
    if strays:
        warnings.append(f"{strays} of the pod's processes run in the node's netns and were left aside")
    if pod.is_completed:
        warnings.append(
            f"the API says that the pod has ended ({pod.status.phase}), yet its processes still run"
        )
    return PodNetns(
        inode=chosen,
        source=NetnsSource.PROCESS,
        processes=tuple(by_netns[chosen]),
        warnings=tuple(warnings),
    )


def _rank(processes: Sequence[PodProcess], api_ids: Collection[str]) -> tuple[bool, bool, bool, int, int]:
    """Return a key that sorts the likeliest netns first; the lowest PID settles what nothing else does."""
    # A workload may have a `pause` of its own: the sandbox's is in no container that the API knows.
    has_pause = any(process.comm == _PAUSE and process.container_id not in api_ids for process in processes)
    has_sandbox = any(_is_sandbox(process, api_ids) for process in processes)
    has_container = any(process.container_id in api_ids for process in processes)
    lowest = min(process.pid for process in processes)
    return not has_pause, not has_sandbox, not has_container, -len(processes), lowest


def _is_sandbox(process: PodProcess, api_ids: Collection[str]) -> bool:
    """Whether the API names some containers of the pod and not this one: then it is the sandbox (or a dead one's)."""
    return bool(api_ids) and process.container_id is not None and process.container_id not in api_ids


def _several(chosen: int, others: Sequence[int], by_netns: Mapping[int, Sequence[PodProcess]]) -> str:
    shown = ", ".join(f"{inode} ({len(by_netns[inode])} processes)" for inode in others[:5])
    return (
        f"the pod's processes are in {len(others) + 1} netns; {chosen} ({len(by_netns[chosen])} processes) was taken "
        f"for the pod's, beside it: {shown}"
    )


def _absent(pod: Pod, cgroups: Sequence[ProcessCgroup], processes: Sequence[PodProcess]) -> Unavailable:
    """Say why a pod has no netns that could be named."""
    if processes:
        pids = ", ".join(str(process.pid) for process in processes[:5])
        return Unavailable(
            Reason.NOT_FOUND,
            f"the pod has no hostNetwork, yet all its processes run in the node's netns: {pids}",
        )
    if cgroups:
        pids = ", ".join(str(process.pid) for process in cgroups[:5])
        return Unavailable(
            Reason.PERMISSION_DENIED, f"the netns of the pod's processes could not be read: {pids}"
        )
    if pod.is_completed:
        return Unavailable(
            Reason.NOT_APPLICABLE, f"the pod has ended ({pod.status.phase}) and has no netns any more"
        )
    if not pod.spec.node_name:
        return Unavailable(Reason.NOT_APPLICABLE, "the pod is not bound to a node yet")
    if pod.status.phase == "Pending" and not pod.container_ids:
        return Unavailable(
            Reason.NOT_FOUND, "the pod has no process on the node: its sandbox was not started yet"
        )
    return Unavailable(Reason.NOT_FOUND, "no process on the node belongs to the pod")


def _no_address_match(pod: Pod) -> str:
    if pod.is_completed:
        return f"the pod has ended ({pod.status.phase}); its addresses may serve other pods by now"
    return "the pod uses the node's netns (hostNetwork)"
