"""When what a kube-proxy of the lab has written is whole."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.netns.world import Netns

TIMEOUT_S = 120.0
_POLL_S = 1.5
_METRICS_PORT, _HEALTH_PORT = 10249, 10256
# Without counters, which packets change.
_NFT = ("nft", "-j", "-s", "list", "ruleset")
_GET = (
    "import sys, urllib.request as r;"
    "print(r.build_opener(r.ProxyHandler({})).open(sys.argv[1], timeout=5).read().decode(), end='')"
)


def ask(node: Netns, path: str) -> str:
    """Return what kube-proxy answers at its metrics' port."""
    return _get(node, _METRICS_PORT, path)


def wait_until_whole(
    node: Netns, process: subprocess.Popen[bytes], log: Path, saves: tuple[str, str]
) -> None:
    """Wait until kube-proxy says that it is healthy, and its rules of both families stay as they are.

    It begins when it knows all Services and slices, so what it writes first is whole. `saves` are the programs that
    print its iptables' rules.
    """
    seen: list[list[bytes]] = [[]]

    def is_whole() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"kube-proxy ended:\n{log.read_text()[-2000:]}")
        if not _is_healthy(node):
            return False
        seen.append([*(node.enter(save) for save in saves), node.enter(*_NFT)])
        return _texts(seen[-1]) == _texts(seen[-2]) and _has_services(seen[-1])

    try:
        wait_until("kube-proxy's rules", is_whole)
    except TimeoutError as late:
        raise RuntimeError(f"{late}:\n{log.read_text()[-2000:]}") from late


def wait_until(what: str, is_true: Callable[[], bool]) -> None:
    """Poll until it is true."""
    end = time.monotonic() + TIMEOUT_S
    while not is_true():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not there after {TIMEOUT_S:g} s")
        time.sleep(_POLL_S)


def _get(node: Netns, port: int, path: str) -> str:
    return node.enter("python3", "-c", _GET, f"http://127.0.0.1:{port}{path}").decode()


def _is_healthy(node: Netns) -> bool:
    """Whether it answers at all, and well: urllib takes any other status than 200 for an error."""
    with contextlib.suppress(RuntimeError):
        _get(node, _HEALTH_PORT, "/healthz")
        return True
    return False


def _texts(saved: list[bytes]) -> list[list[bytes]]:
    """Return the rules without comments, which name the time, and without the policies' counters."""
    return [[line for line in each.splitlines() if not line.startswith((b"#", b":"))] for each in saved]


def _has_services(saved: list[bytes]) -> bool:
    """Whether rules of Services are there in both families, in either language."""
    *iptables, nft = saved
    return all(b"-A KUBE-SERVICES -d" in each for each in iptables) or _families_in(nft) == {"ip", "ip6"}


def _families_in(nft: bytes) -> set[str]:
    """Return the families in which kube-proxy's map of Services holds something."""
    maps = (each["map"] for each in json.loads(nft)["nftables"] if "map" in each)
    return {each["family"] for each in maps if each["name"] == "service-ips" and each.get("elem")}
