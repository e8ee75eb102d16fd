"""Real cgroups, made below one of our own so that no kubelet takes them for its."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Where cgroup v2 is mounted: alone, or beside v1 (systemd's hybrid layout).
_ROOTS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))


def find_root() -> Path | None:
    """Return the mount point of cgroup v2, None where there is none that we may write to."""
    for root in _ROOTS:
        if (root / "cgroup.controllers").exists() and os.access(root, os.W_OK):
            return root
    return None


@contextmanager
def new_tree(root: Path) -> Iterator[Path]:
    """Make an empty cgroup, and remove it and all below it at the end, once its processes are gone."""
    tree = root / f"netinspect-test-{os.getpid()}"
    tree.mkdir()
    try:
        yield tree
    finally:
        for path in sorted((path for path in tree.rglob("*") if path.is_dir()), reverse=True):
            path.rmdir()
        tree.rmdir()


def move(pid: int, cgroup: Path) -> None:
    """Put a process into a cgroup, which is made where it is missing."""
    cgroup.mkdir(parents=True, exist_ok=True)
    (cgroup / "cgroup.procs").write_text(f"{pid}\n")
