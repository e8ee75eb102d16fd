"""What /proc and /var/log of this host say: processes of pods, their netns, names of logs, the kubelet's flags.

A process may end while it is looked at: then it is left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from netinspect.errors import ClusterError, ParseError
from netinspect.models.address import Address
from netinspect.models.fact import Fact, Known, Reason, Unavailable
from netinspect.models.local_host import ContainerLog, KubeletFlags, PodLogFolder
from netinspect.models.netns import ProcessCgroup, ProcessTable
from netinspect.parse.cgroup import parse_proc_cgroup
from netinspect.parse.kubelet_flags import parse_kubelet_flags
from netinspect.parse.pod_logs import parse_container_log, parse_pod_log_folder
from netinspect.parse.proc_addresses import parse_fib_trie, parse_if_inet6

T = TypeVar("T")

_NETNS = re.compile(r"net:\[([0-9]+)\]")
_FORBIDDEN = 403
_ROOT_HINT = "run it as root, on the node itself"


def read_process_table(proc: Path) -> ProcessTable:
    """Read which processes belong to pods, and in which netns they are.

    Raises:
        ClusterError: /proc does not show other users' processes.
        ParseError: a process's cgroups are in another format.
    """
    found = [each for pid in _pids(proc) if (each := _read_cgroup(proc, pid)) is not None]
    netns = {each.pid: inode for each in found if (inode := _read_netns(proc, str(each.pid))) is not None}
    comms = {each.pid: _read_text(proc / str(each.pid) / "comm").removesuffix("\n") for each in found}
    if found and not netns:
        raise ClusterError(
            f"the netns of processes in {proc} could not be read: permission denied",
            _ROOT_HINT,
            status=_FORBIDDEN,
        )
    return ProcessTable(tuple(found), netns, comms, _read_netns(proc, "self"))


def read_pod_folders(logs: Path) -> tuple[PodLogFolder, ...]:
    """Read the names of pods' folders of logs.

    Raises:
        ClusterError: they may not be read, or there is no such folder: no kubelet works here.
    """
    place = logs / "pods"
    try:
        names = sorted(os.listdir(place))
    except OSError as error:
        status = _FORBIDDEN if isinstance(error, PermissionError) else None
        hint = _ROOT_HINT if status else "--local reads the host that it runs on: is that a node?"
        raise ClusterError(
            f"the names of pods ({place}) could not be read: {error.strerror}", hint, status=status
        ) from error
    return tuple(folder for name in names if (folder := parse_pod_log_folder(name)) is not None)


def read_container_logs(logs: Path) -> tuple[ContainerLog, ...]:
    """Read the names of containers' logs; none where the folder is not to be had: only containers' names come of it."""
    with suppress(OSError):
        names = sorted(os.listdir(logs / "containers"))
        return tuple(log for name in names if (log := parse_container_log(name)) is not None)
    return ()


def read_addresses(proc: Path, pid: int) -> Fact[tuple[Address, ...]]:
    """Read the addresses of a process's netns. A kernel without IPv6 has no file for it."""
    folder = proc / str(pid) / "net"
    try:
        ipv4 = parse_fib_trie((folder / "fib_trie").read_text("utf-8"))
        ipv6 = parse_if_inet6(_read_text(folder / "if_inet6"))
    except OSError as error:
        return Unavailable(Reason.FAILED, f"{folder}: {error.strerror}")
    except ParseError as error:
        return Unavailable(Reason.UNPARSABLE, error.message)
    return Known((*ipv4, *ipv6))


def find_kubelet_flags(proc: Path) -> KubeletFlags:
    """Read the command line of the kubelet that works in our own netns; nothing where there is none."""
    own = _read_netns(proc, "self")
    for pid in _pids(proc):
        folder = proc / str(pid)
        if _read_text(folder / "comm") == "kubelet\n" and _read_netns(proc, str(pid)) == own:
            return parse_kubelet_flags(_read_text(folder / "cmdline").split("\0"))
    return KubeletFlags()


def _pids(proc: Path) -> Iterator[int]:
    try:
        names = os.listdir(proc)
    except OSError as error:
        raise ClusterError(f"{proc} could not be read: {error.strerror}", "--local needs Linux") from error
    return iter(sorted(int(name) for name in names if name.isdecimal()))


def _read_cgroup(proc: Path, pid: int) -> ProcessCgroup | None:
    return parse_proc_cgroup(pid, _read_text(proc / str(pid) / "cgroup"))


def _read_netns(proc: Path, pid: str) -> int | None:
    link = _or_none(lambda: os.readlink(proc / pid / "ns" / "net"))
    match = _NETNS.fullmatch(link or "")
    return int(match[1]) if match else None


def _read_text(path: Path) -> str:
    return _or_none(lambda: path.read_text("utf-8", "backslashreplace")) or ""


def _or_none(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except OSError:
        return None
