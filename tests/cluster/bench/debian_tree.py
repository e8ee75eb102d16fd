"""The node-tools image's file tree: a small Debian with the tools that look at a node's network."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from tests.cluster.bench.shell import run

# One release for every machine: what the tools print is part of what the tests check.
SUITE = "bookworm"
PACKAGES = (
    "bind9-dnsutils",
    "conntrack",
    "curl",
    "ethtool",
    "ipset",
    "iproute2",
    "iptables",
    "iputils-ping",
    "ipvsadm",
    "netbase",
    "nftables",
    "procps",
    "tcpdump",
    "util-linux",
)
# What a container never reads and what makes two runs differ.
NOT_KEPT = (
    "dev",
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
)


def recipe_key() -> str:
    """A key that changes with whatever the tree is made from."""
    return hashlib.sha256("\n".join((SUITE, *PACKAGES, *NOT_KEPT)).encode()).hexdigest()[:12]


def write_layer(work: Path) -> Path:
    """Make the tree below `work` and return its tar (about 100 s, most of it unpacking packages)."""
    tree = work / "tree"
    include = "--include=" + ",".join(PACKAGES)
    # In a mount namespace of its own: debootstrap mounts /proc and /sys in the tree, and when it is killed those
    # mounts would stay.
    run(["unshare", "--mount", "debootstrap", "--variant=minbase", include, SUITE, tree])
    for name in NOT_KEPT:
        shutil.rmtree(tree / name, ignore_errors=True)
        (tree / name).mkdir(parents=True)
    layer = work / "layer.tar"
    run(["tar", "--numeric-owner", "--sort=name", "-C", tree, "-cf", layer, "."])
    return layer
