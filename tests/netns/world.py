"""A node and its pods, made of real network namespaces.

Every namespace is held by one process, and every process is told to die with the one that made it (PDEATHSIG), so
nothing outlives a test however it ends. The machine's own netns is never touched: the "node" is a namespace, too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TOOLS = ("ip", "lsns", "nsenter", "unshare", "setpriv")


def why_not() -> str | None:
    """Say why no namespaces can be made here; None where they can."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


@dataclass(frozen=True)
class Netns:
    """A network namespace and the process that holds it."""

    pid: int

    @property
    def inode(self) -> int:
        return os.stat(f"/proc/{self.pid}/ns/net").st_ino

    def enter(self, *argv: str) -> bytes:
        """Run a command in it, and return its output."""
        return run("nsenter", f"--net=/proc/{self.pid}/ns/net", "--", *argv)

    def ip(self, command: str) -> bytes:
        """Run `ip COMMAND` in it."""
        return self.enter("ip", *command.split())

    def lsns(self) -> bytes:
        return self.enter("lsns", "-t", "net", "-J", "-o", "NS,NETNSID,PID,COMMAND")

    def links(self) -> bytes:
        return self.ip("-j -d addr show")


class World:
    """A node's netns and as many more as are asked for."""

    def __init__(self) -> None:
        self._holders: list[subprocess.Popen[bytes]] = []
        self.node = self.new_netns()

    def new_netns(self, *, holder: str = "sleep", mounts: bool = False) -> Netns:
        """Make a namespace with `lo` only; `holder` is the program that keeps it, `sleep` or a copy of it."""
        flags = ["--net", "--mount", "--propagation", "private"] if mounts else ["--net"]
        process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "unshare", *flags, holder, "86400"])
        self._holders.append(process)
        _wait_until_held(process, Path(holder).name)
        return Netns(process.pid)

    def join(self, netns: Netns, holder: str = "sleep") -> int:
        """Start one more process in a namespace, and return its PID."""
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "nsenter", f"--net=/proc/{netns.pid}/ns/net", holder, "86400"]
        )
        self._holders.append(process)
        _wait_until_held(process, Path(holder).name)
        return process.pid

    def pair(self, pod: Netns, host_name: str, pod_name: str = "eth0", address: str = "") -> None:
        """Join a pod to the node by a veth pair, both ends up."""
        self.node.ip(f"link add {host_name} type veth peer name {pod_name} netns {pod.pid}")
        self.node.ip(f"link set {host_name} up")
        pod.ip("link set lo up")
        pod.ip(f"link set {pod_name} up")
        if address:
            pod.ip(
                f"addr add {address} dev {pod_name} nodad"
                if ":" in address
                else f"addr add {address} dev {pod_name}"
            )

    def bridge(self, name: str, *ports: str) -> None:
        """Make a bridge on the node, with ports."""
        self.node.ip(f"link add {name} type bridge")
        self.node.ip(f"link set {name} up")
        for port in ports:
            self.node.ip(f"link set {port} master {name}")

    def end(self, pid: int) -> None:
        """End one process; a namespace that nothing else holds goes with it."""
        holder = next(holder for holder in self._holders if holder.pid == pid)
        holder.kill()
        holder.wait()

    def close(self) -> None:
        """End the holders; the kernel takes the namespaces and their links away."""
        for process in self._holders:
            process.kill()
        for process in self._holders:
            process.wait()


@contextmanager
def new_world() -> Iterator[World]:
    """Make a world, and end it."""
    world = World()
    try:
        yield world
    finally:
        world.close()


def run(*argv: str) -> bytes:
    """Run a command to its end and return its output; a failure shows what it complained of."""
    done = subprocess.run(argv, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: exit code {done.returncode}: {done.stderr.decode()}")
    return done.stdout


def wait_for_carrier(netns: Netns, ifname: str) -> None:
    """Wait until a link is up with its carrier: the kernel tells of it a moment after the last end came up."""
    for _ in range(100):
        if b"LOWER_UP" in netns.ip(f"-o link show dev {ifname}"):
            return
        time.sleep(0.02)
    raise TimeoutError(f"{ifname} got no carrier")


def _wait_until_held(process: subprocess.Popen[bytes], comm: str) -> None:
    """Wait until the chain of programs has become the last one: from then on it is in its namespace."""
    for _ in range(500):
        if Path(f"/proc/{process.pid}/comm").read_text().strip() == comm[:15]:
            return
        if process.poll() is not None:
            raise RuntimeError(f"{comm} ended with {process.returncode} instead of holding a namespace")
        time.sleep(0.01)
    raise TimeoutError(f"{comm} did not start")
