"""Captures of `iptables-save` and `ip6tables-save`, of both backends, with and without counters.

The rules stand in iptables_lab.py; what real kube-proxies write is in `dataplanes` (capture_dataplanes.py). Times and
counters run, so a case that is there stays: to capture one anew, remove its files first.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.captures.iptables_lab import (
    FAMILIES,
    KUBERNETES,
    NETWORKS,
    OF_IPV4,
    OF_IPV6,
    OTHERS,
    prepare,
    program,
    write_rules,
)
from tests.netns.world import Netns, new_world

Save = Callable[[str, str, str, bytes, str], None]

TOOLS = Path(__file__).parent / "tools"
LINE_FEEDS = {
    "filter": """-A INPUT -m comment --comment "$(printf 'one\\n-A INPUT -j DROP\\nCOMMIT\\n\\n\\\\"end')" -j ACCEPT"""
}


def capture_iptables(save: Save) -> None:
    """Make every case that is not there yet: each family has each group, of one backend or the other."""
    for family in FAMILIES:
        mine, other = ("legacy", "nft") if family == 4 else ("nft", "legacy")
        own = OF_IPV4 if family == 4 else OF_IPV6
        _capture(save, family, mine, "kubernetes", (KUBERNETES,), counters=True)
        _capture(save, family, other, "networks", (NETWORKS,))
        _capture(save, family, mine, "others", (OTHERS, own))
        _capture(save, family, other, "line-feeds", (LINE_FEEDS,))
        _capture(save, family, "nft", "incompatible", (KUBERNETES,), native=True)
        _capture(save, family, other, "no-tables", ())


def _capture(
    save: Save,
    family: int,
    backend: str,
    case: str,
    groups: tuple[Mapping[str, str], ...],
    *,
    counters: bool = False,
    native: bool = False,
) -> None:
    tool, name = f"{program(family)}-save", f"{backend}-{case}"
    if (TOOLS / tool / f"{name}.out").exists():
        return
    saver = program(family, backend, "-save")
    argv = [saver, "-c"] if counters else [saver]
    with new_world() as world:
        prepare(world.node, family)
        write_rules(world.node, family, backend, *groups)
        if native:
            _write_native_rules(world.node, family)
        if counters:
            _send_packets(world.node, family)
        save(tool, name, " ".join(argv), world.node.enter(*argv), _version(saver))


def _write_native_rules(netns: Netns, family: int) -> None:
    """Put into two of iptables' tables what iptables cannot print: a chain of nft's own, and a rule."""
    kind = "ip" if family == 4 else "ip6"
    netns.enter("nft", f"add chain {kind} nat own {{ type nat hook output priority 5; }}")
    netns.enter("nft", f"add rule {kind} mangle KUBE-PROXY-CANARY fib daddr type local meta mark set 1")


def _send_packets(netns: Netns, family: int) -> None:
    """Send to the node itself what its rules count."""
    netns.ip("link set lo up")
    ping, address = ("ping", "127.0.0.1") if family == 4 else ("ping6", "::1")
    netns.enter("busybox", ping, "-c", "2", address)


def _version(tool: str) -> str:
    done = subprocess.run([tool, "--version"], capture_output=True, check=True)
    return done.stdout.decode().strip()
