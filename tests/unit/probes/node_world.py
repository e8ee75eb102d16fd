"""A node in a PID namespace of its own: its /proc shows nothing but the test's processes.

PID 1 there is a sleeper; when it is killed, the kernel ends everything with it, however a test ends. The node's netns,
mounts and PIDs are its own; its cgroups are real ones, below a tree that the test makes and removes.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.netns import cgroups
from tests.netns.world import why_not

# Mounts of its own: no pin of the machine is to be seen, and /run is where `ip netns` puts ours.
_SET_UP = """
mount --make-rprivate /
awk '/ - nsfs / { print $5 }' /proc/self/mountinfo | while read -r pin; do umount -l "$pin"; done
mount -t tmpfs none /run
echo ready
exec sleep 86400
"""

_JOIN = """
[ -z "$1" ] || echo 0 >"$1/cgroup.procs" || exit
shift
exec "$@"
"""

_HOLD = 'echo "$$ $(readlink /proc/self/ns/net)"; exec sleep 86400'


@dataclass(frozen=True)
class Process:
    """A process on the node: its PID there, and the inode of its netns."""

    pid: int
    netns: int


class NodeWorld:
    """The node."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree
        self._clients: list[subprocess.Popen[bytes]] = []
        flags = ["--pid", "--fork", "--kill-child", "--mount-proc", "--net"]
        root = self._start(["setpriv", "--pdeathsig", "KILL", "unshare", *flags, "sh", "-c", _SET_UP])
        assert _line_of(root) == "ready"
        children = Path(f"/proc/{root.pid}/task/{root.pid}/children").read_text()
        self._init = int(children)
        self.netns = os.stat(f"/proc/{self._init}/ns/net").st_ino

    @property
    def entry(self) -> tuple[str, ...]:
        """The command line that runs another on the node."""
        return ("nsenter", "-t", str(self._init), "--pid", "--mount", "--net", "--")

    def run(self, *argv: str) -> bytes:
        """Run a command on the node to its end."""
        return subprocess.run([*self.entry, *argv], stdout=subprocess.PIPE, check=True).stdout

    def cgroup(self, path: str) -> Path:
        """Make a cgroup."""
        made = self._tree / path
        made.mkdir(parents=True, exist_ok=True)
        return made

    def start(self, cgroup: str, netns: Process | None = None) -> Process:
        """Start a process in a cgroup, in a new netns or in that of another process."""
        enter = ["unshare", "--net"] if netns is None else ["nsenter", f"--net=/proc/{netns.pid}/ns/net"]
        return self._hold(cgroup, [*enter, "--"] if netns else enter)

    def start_in_nodes_netns(self, cgroup: str) -> Process:
        """Start a process in a cgroup, in the netns of the node."""
        return self._hold(cgroup, [])

    def pin(self, name: str, address: str = "") -> int:
        """Keep a netns by a mount, with no process in it; return its inode."""
        self.run("ip", "netns", "add", name)
        if address:
            self.run("ip", "-n", name, "addr", "add", address, "dev", "lo")
        return int(self.run("stat", "-c", "%i", f"/run/netns/{name}"))

    def close(self) -> None:
        """End PID 1, and with it all others; what entered the node from here then ends, too."""
        os.kill(self._init, signal.SIGKILL)
        for client in self._clients:
            client.communicate()

    def _hold(self, cgroup: str, enter: list[str]) -> Process:
        argv = [*self.entry, "sh", "-c", _JOIN, "sh", str(self.cgroup(cgroup)), *enter, "sh", "-c", _HOLD]
        pid, netns = _line_of(self._start(argv)).split()
        return Process(int(pid), int(netns.removeprefix("net:[").removesuffix("]")))

    def _start(self, argv: list[str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self._clients.append(process)
        return process


def why_no_node() -> str | None:
    """Say why no such node can be made here; None where it can."""
    if cgroups.find_root() is None:
        return "no cgroup v2 to write to"
    if shutil.which("awk") is None:
        return "not installed: awk"
    return why_not()


@contextmanager
def new_node() -> Iterator[NodeWorld]:
    """Make a node, and take everything of it away."""
    root = cgroups.find_root()
    assert root is not None
    with cgroups.new_tree(root) as tree:
        node = NodeWorld(tree)
        try:
            yield node
        finally:
            node.close()


def _line_of(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().decode().strip()
    if not line:
        raise RuntimeError(f"{process.args!r} ended with {process.wait()}")
    return line
