"""What this machine must have: root, and a few packages of the distribution."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.cluster.bench.shell import BenchError, run

# A program that the bench or one of its daemons runs, and the Debian package that has it.
PROGRAMS = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "iptables": "iptables",
    "nft": "nftables",
    "conntrack": "conntrack",
    "nsenter": "util-linux",
    "mount": "mount",
    "sysctl": "procps",
    "openssl": "openssl",
    "debootstrap": "debootstrap",
    # Of the tests that need no cluster: real name servers' clients, resolvers and shells.
    "dig": "bind9-dnsutils",
    "busybox": "busybox",
    "musl-gcc": "musl-tools",
}
CNI_PACKAGE = "containernetworking-plugins"
# Debian's place, and the one that CNI's own releases are unpacked to.
CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
# The variables that keep an installation from starting daemons: the first for init scripts (invoke-rc.d(8)), the
# second for systemd units (systemctl ignores "start" then, as in a chroot).
START_NOTHING = {"RUNLEVEL": "1", "SYSTEMD_OFFLINE": "1", "DEBIAN_FRONTEND": "noninteractive"}


def prepare() -> None:
    """Check for root and install the packages that are missing."""
    if os.geteuid() != 0:
        raise BenchError("the test cluster needs root: it makes namespaces, mounts and cgroups")
    # Not everybody has the administrator's folders on PATH, and the daemons inherit ours.
    os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    missing = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
    if not (cni_bin() / "bridge").exists():
        missing.append(CNI_PACKAGE)
    if missing:
        install(missing)


def cni_bin() -> Path:
    """The folder of the CNI plugins."""
    return next((folder for folder in CNI_FOLDERS if (folder / "bridge").exists()), CNI_FOLDERS[0])


def install(packages: list[str]) -> None:
    """Install packages of the distribution; none of them may start a daemon."""
    if not shutil.which("apt-get"):
        raise BenchError(f"missing, and no apt-get to install them with: {' '.join(packages)}")
    print(f"installing {' '.join(packages)} ...", flush=True)
    env = {**os.environ, **START_NOTHING}
    run(["apt-get", "update"], env=env)
    run(["apt-get", "install", "--yes", "--no-install-recommends", *packages], env=env)
