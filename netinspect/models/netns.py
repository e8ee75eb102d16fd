"""Network namespaces of a node, and the processes that lead to them."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class ProcessCgroup(msgspec.Struct, frozen=True):
    """A process that belongs to a pod, by its cgroup path.

    Attributes:
        pid: its PID in the node's PID namespace.
        pod_uid: the pod's UID as the node knows it, with dashes (or 32 hex digits of a static pod); None
            where the path, seen from a private cgroup namespace, does not reach up to it.
        container_id: the runtime's id of the container, None where the path names none.
        runtime: the prefix of a systemd scope (`cri-containerd`, `crio`, `docker`, `libpod`), or None.
    """

    pid: int
    pod_uid: str | None
    container_id: str | None
    runtime: str | None = None


class NamespaceRow(msgspec.Struct, frozen=True):
    """One network namespace as `lsns -t net -J` lists it.

    Attributes:
        inode: the namespace's inode number, its identity on the node.
        netnsid: the id by which the netns that `lsns` ran in refers to it; None where it has none.
        pid: one process in it.
        command: that process's command.
    """

    inode: int
    netnsid: int | None
    pid: int | None = None
    command: str = ""


class PinnedNetns(msgspec.Struct, frozen=True, rename="camel"):
    """A netns that a mount keeps alive, with or without a process in it.

    Attributes:
        inode: the namespace's inode number.
        path: where it is mounted, in the mount namespace that the mount table was read in.
    """

    inode: int
    path: str


class PodProcess(msgspec.Struct, frozen=True, rename="camel"):
    """A process of a pod and the netns that it is in.

    Attributes:
        pid: its PID on the node.
        container_id: the runtime's container id, None where unknown.
        netns: the inode of its network namespace.
        comm: the process's name (`/proc/PID/comm`, at most 15 bytes), "" where unread.
    """

    pid: int
    container_id: str | None
    netns: int
    comm: str = ""


class ProcessTable(msgspec.Struct, frozen=True):
    """What one node's /proc says of its processes.

    Attributes:
        cgroups: the processes that belong to pods.
        netns: PID -> inode of its netns; without the processes whose link the node would not let us read.
        comms: PID -> process name; may be empty.
        node_netns: the inode of the node's own netns, None where unread.
    """

    cgroups: tuple[ProcessCgroup, ...]
    netns: dict[int, int]
    comms: dict[int, str] = {}
    node_netns: int | None = None


class NetnsSource(StrEnum):
    """What led to a pod's netns."""

    PROCESS = "process"
    PINNED = "pinned"
    HOST = "host"


class PodNetns(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The netns of a pod.

    Attributes:
        inode: its inode number.
        source: how it was found: by a process of the pod, by its mount, or because the pod has hostNetwork.
        is_node: whether it is the node's own netns.
        processes: the pod's processes in it, by PID.
        path: where it is mounted, None where it was found by a process.
        warnings: what was odd on the way, in sentences.
    """

    inode: int
    source: NetnsSource
    is_node: bool = False
    processes: tuple[PodProcess, ...] = ()
    path: str | None = None
    warnings: tuple[str, ...] = ()
