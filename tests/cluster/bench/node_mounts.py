"""A node's file tree: the machine's own, with /etc, /var, /run, /proc and /sys replaced in a mount namespace."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.bench import cgroups, paths
from tests.cluster.bench.mounts import leave_machine, mount, unmount

CACHE_INSIDE = Path("/run/bench-cache")
# The kubelet writes these knobs of the whole machine when they hold something else
# (pkg/kubelet/cm/container_manager_linux.go, setupKernelTunables).
KERNEL_TUNABLES = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def own_etc(name: str) -> Path:
    """The folder of what the node's /etc has beyond the machine's."""
    return paths.sandbox(name) / "etc"


def inside(path: Path) -> Path:
    """Where the node finds a file of the cache."""
    return CACHE_INSIDE / path.relative_to(paths.cache())


def mount_all(name: str) -> None:
    """Build the node's tree around the calling process, which has just got a mount namespace of its own."""
    files = paths.sandbox(name)
    leave_machine()
    _mount_sys(files / "sys", name)
    _hide_kernel_tunables(files / "tunables")
    _mount_etc(files)
    mount("--bind", files / "var", "/var")
    _mount_run(files / "run")
    # Shared last, as on a node with systemd: a pod that asks for HostToContainer propagation sees later mounts.
    mount("--make-rshared", "/")


def make_var(name: str) -> None:
    """Make the skeleton of the node's /var."""
    var = paths.sandbox(name) / "var"
    for folder in ("lib", "log", "tmp"):
        (var / folder).mkdir(parents=True)
    (var / "run").symlink_to("/run")


def _mount_sys(stage: Path, name: str) -> None:
    """A sysfs that shows the links of the node's network namespace, with only the node's own cgroups in it."""
    stage.mkdir()
    mount("-t", "sysfs", "sysfs", stage)
    folder = stage / "fs" / "cgroup"
    if not cgroups.is_unified():
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", folder)
    for hierarchy in cgroups.hierarchies():
        place = folder / hierarchy.relative_to("/sys/fs/cgroup")
        place.mkdir(exist_ok=True)
        mount("--bind", cgroups.branch(hierarchy, name), place)
    # Away with the machine's, instead of hiding it: runc takes the first cgroup mount that it finds in the list.
    unmount("--recursive", "/sys")
    mount("--move", stage, "/sys")


def _hide_kernel_tunables(stage: Path) -> None:
    """Put files that already hold what the kubelet wants in the place of the machine's knobs."""
    for knob, value in KERNEL_TUNABLES.items():
        file = stage / knob
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")
        mount("--bind", file, Path("/proc/sys") / knob)


def _mount_etc(files: Path) -> None:
    work = files / "etc.work"
    work.mkdir()
    layers = f"lowerdir=/etc,upperdir={files / 'etc'},workdir={work}"
    mount("-t", "overlay", "-o", layers, "overlay", "/etc")


def _mount_run(stage: Path) -> None:
    """An empty /run, but for the cache: its usual path may be below what is hidden now."""
    stage.mkdir()
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", stage)
    cache = stage / CACHE_INSIDE.relative_to("/run")
    cache.mkdir()
    mount("-o", "bind,ro", paths.cache(), cache)
    mount("--move", stage, "/run")
