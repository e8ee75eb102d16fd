"""Mounts of a sandbox, all of them in its own mount namespace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.cluster.bench.shell import run

# Where iproute2 keeps its pins; the folder itself is a mount once `ip netns add` has run.
NETNS_PINS = "/run/netns"


def mount(*words: str | Path) -> None:
    """Run mount(8) without its notes in /run/mount, which are the machine's."""
    run(["mount", "--no-mtab", *words])


def unmount(*words: str | Path) -> None:
    """Take mounts out of the tree at once, whoever still uses them."""
    run(["umount", "--no-mtab", "--lazy", *words])


def leave_machine() -> None:
    """Cut the caller's mount namespace, a copy of the machine's, off from the machine."""
    # Private first: nothing that is mounted from here on reaches the machine, nor the other way round.
    mount("--make-rprivate", "/")
    # A copied pin would keep somebody else's network namespace alive for as long as this sandbox.
    for pin in list(_copied_pins()):
        unmount(pin)
    mount("-t", "proc", "proc", "/proc")


def _copied_pins() -> Iterator[str]:
    """Pinned namespaces, the latest mounted first (fields: proc(5), /proc/pid/mountinfo)."""
    for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
        fields, _, source = line.partition(" - ")
        target = fields.split()[4]
        if source.startswith("nsfs ") or target == NETNS_PINS:
            yield target
