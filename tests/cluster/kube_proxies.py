"""The bench's kube-proxies, one a node, which a test may hold and let go on."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.bench import paths, sandbox
from tests.cluster.kit import Cluster

_POLL_S = 0.5


def find_kube_proxies(cluster: Cluster) -> dict[str, int]:
    """Return by node the PID of its kube-proxy, as this machine counts; skip the test where there is no bench."""
    if Path(cluster.kubeconfig) != paths.kubeconfig():
        pytest.skip("the cluster is not the test bench: its kube-proxy cannot be held")
    return {node: _find_in(node) for node in cluster.nodes()}


@contextmanager
def held(pids: dict[str, int]) -> Iterator[None]:
    """Stop kube-proxies for as long as the block runs: rules and flows then stay as they are."""
    try:
        for pid in pids.values():
            os.kill(pid, signal.SIGSTOP)
        for pid in pids.values():
            _wait_until_stopped(pid)
        yield
    finally:
        for pid in pids.values():
            os.kill(pid, signal.SIGCONT)


def wait_until_synced(cluster: Cluster) -> None:
    """Wait until each node has the rules of what the API has now, as far as its kube-proxy's metrics tell."""
    for node in cluster.nodes():
        cluster.until(lambda n=node: _is_synced(cluster, n))


def _is_synced(cluster: Cluster, node: str) -> bool:
    """Say whether the last synchronization asked for is done, in each family, and none was asked for in a second."""
    first = read_syncs(cluster, node)
    if any(first[key] < asked for key, asked in read_syncs(cluster, node, "last_queued").items()):
        return False
    time.sleep(1)
    return read_syncs(cluster, node) == first


def read_syncs(cluster: Cluster, node: str, what: str = "last") -> dict[str, float]:
    """Return by label (the family, or none) when rules were written (or that was queued), in seconds since 1970."""
    metrics = cluster.on_node(node, "curl", "-sf", "-m", "5", "http://127.0.0.1:10249/metrics")
    pattern = rf"^kubeproxy_sync_proxy_rules_{what}_timestamp_seconds(\{{.*\}})? (\S+)$"
    found = {labels: float(value) for labels, value in re.findall(pattern, metrics, re.MULTILINE)}
    assert found, metrics
    return found


class Watch:
    """Notes when a kube-proxy was last seen stopped, whoever stopped it: what is true then is not health."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = tuple(pids.values())
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.last_stopped = float("-inf")

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(_POLL_S):
            if any(_is_stopped(pid) for pid in self._pids):
                self.last_stopped = time.monotonic()


def _find_in(node: str) -> int:
    box = sandbox.find(node)
    assert box is not None, f"node {node} has no sandbox"
    namespace = os.readlink(f"/proc/{box.pid}/ns/pid")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            is_one = (process / "comm").read_text().strip() == "kube-proxy"
            if is_one and os.readlink(process / "ns/pid") == namespace:
                return int(process.name)
        except OSError:
            continue  # ended meanwhile
    raise AssertionError(f"no kube-proxy runs on {node}")


def _wait_until_stopped(pid: int) -> None:
    for _ in range(100):
        if _is_stopped(pid):
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} does not stop")


def _is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False
