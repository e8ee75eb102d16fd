"""Every sandbox's own branch of every cgroup hierarchy, which the sandbox itself sees as the root.

Works on cgroup v1, on v1 with a v2 mount beside it, and (by the kernel's documentation only) on v2 alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.bench import linux, paths
from tests.cluster.bench.shell import BenchError

CPUSET_FILES = ("cpuset.cpus", "cpuset.mems")
END_TIMEOUT = 10.0


def hierarchies() -> list[Path]:
    """The mount points of all cgroup hierarchies."""
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return [Path(fields[1]) for fields in mounts if fields[2] in ("cgroup", "cgroup2")]


def is_unified() -> bool:
    """Whether cgroup v2 is all there is."""
    return hierarchies() == [Path("/sys/fs/cgroup")]


def branch(hierarchy: Path, sandbox: str) -> Path:
    """The cgroup, of one hierarchy, that all of a sandbox is in."""
    return _trunk(hierarchy) / sandbox


def join(sandbox: str) -> None:
    """Move the calling process into the sandbox's branches and make them the root of what it sees of cgroups.

    So a node's pods are in `/kubepods/...`, as on a machine of its own, and no kubelet watches another's pods.
    """
    for hierarchy in hierarchies():
        for group in (_trunk(hierarchy), branch(hierarchy, sandbox)):
            _make(group)
        _move_to(branch(hierarchy, sandbox))
    linux.unshare(linux.CLONE_NEWCGROUP)
    for hierarchy in hierarchies():
        # The daemons go into a leaf: in cgroup v2 a group with processes cannot have children with limits.
        leaf = branch(hierarchy, sandbox) / "system"
        _make(leaf)
        _move_to(leaf)
        _hand_down_controllers(leaf.parent)


def remove() -> None:
    """End what is still in the branches, all of it ours, and remove them."""
    deadline = time.monotonic() + END_TIMEOUT
    for trunk in map(_trunk, hierarchies()):
        while not _remove_tree(trunk):
            if time.monotonic() > deadline:
                raise BenchError(f"{trunk} still holds processes")
            for pid in _processes(trunk):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            # The kernel lets go of a group a moment after its last process has ended.
            time.sleep(0.05)


def _trunk(hierarchy: Path) -> Path:
    """The bench's branch of one hierarchy: one for each state folder, and never a name that others use.

    All that is in it may be killed, so it must not be, say, `system.slice` because somebody named a folder so.
    """
    key = hashlib.sha256(str(paths.state()).encode()).hexdigest()[:8]
    return hierarchy / f"netinspect-bench-{key}"


def _make(group: Path) -> None:
    _hand_down_controllers(group.parent)
    group.mkdir(exist_ok=True)
    # In cgroup v1 a new cpuset is empty, and an empty one takes no process: copy the parent's.
    for name in CPUSET_FILES:
        file = group / name
        if file.exists() and not (group / "cgroup.controllers").exists():
            file.write_text((group.parent / name).read_text())


def _move_to(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))


def _hand_down_controllers(group: Path) -> None:
    """Let children of a cgroup v2 group have limits; a v2 mount beside v1 has no controllers to hand down."""
    control = group / "cgroup.subtree_control"
    if control.exists() and not (group / "cgroup.procs").read_text().strip():
        available = (group / "cgroup.controllers").read_text().split()
        control.write_text(" ".join(f"+{name}" for name in available))


def _processes(trunk: Path) -> Iterator[int]:
    for folder, _, _ in os.walk(trunk):
        yield from map(int, (Path(folder) / "cgroup.procs").read_text().split())


def _remove_tree(group: Path) -> bool:
    if not group.exists():
        return True
    try:
        for folder, _, _ in os.walk(group, topdown=False):
            os.rmdir(folder)
    except OSError:
        return False
    return True
