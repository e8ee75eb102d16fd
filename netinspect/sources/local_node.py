"""This host as a node: the node side runs here, as a child process, and not in a debug pod."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from netinspect.cluster.signals import shielded
from netinspect.errors import CommandError, NoApiError
from netinspect.models.command import NodeAnswer
from netinspect.models.debug_pod import Privilege
from netinspect.parse.frames import Sinks, parse_frames
from netinspect.probes.plan import Plan, encode_plan, node_script
from netinspect.sources.interface import NodeSource

if TYPE_CHECKING:
    from netinspect.cluster.deadline import Deadline

_CHUNK = 65536
_MAX_STDERR = 65536
_END_S = 5.0
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HINT = "this host must have sh, awk, grep, gzip, timeout, readlink and nsenter"


class LocalNodes:
    """Opens this host, the only node that can be asked without an API server."""

    def __init__(self, node: str, deadline: Deadline) -> None:
        self._node = node
        self._deadline = deadline

    @contextmanager
    def open(self, node: str, privilege: Privilege) -> Iterator[NodeSource]:
        """Give this host as a source; how much is seen is our own to have, not to be asked for.

        Raises:
            NoApiError: it is another node that is meant.
        """
        if node != self._node:
            raise NoApiError(f'node "{node}" is not this host, which is {self._node}')
        yield LocalNode(node, self._deadline)


class LocalNode:
    """Runs plans on this host."""

    def __init__(self, node: str, deadline: Deadline, path: str = "") -> None:
        """Prepare it.

        Args:
            node: the host's name as a node.
            deadline: for the whole command.
            path: where programs are looked for; "" is our own PATH and the system's places, which a user's may lack.
        """
        self.node = node
        self._deadline = deadline
        self._path = path or f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}".lstrip(":")

    @property
    def privilege(self) -> Privilege:
        """Root sees other users' processes, others do not."""
        return Privilege.SYSADMIN if os.geteuid() == 0 else Privilege.NETADMIN

    def run(self, plan: Plan, sinks: Sinks | None = None) -> NodeAnswer:
        """Run the plan in a session of its own, and leave nothing of it behind.

        Raises:
            CommandError: the node side could not begin.
            ParseError: its stream is broken.
            DeadlineError: time is up.
        """
        complaints: list[bytes] = []
        with self._started() as process:
            threading.Thread(target=_feed, args=(process.stdin, encode_plan(plan)), daemon=True).start()
            answer = parse_frames(self._read(process, complaints), sinks)
            exit_code = process.wait()
        if answer.netns is None and not answer.results:
            text = b"".join(complaints).decode("utf-8", "replace").strip() or f"exit code {exit_code}"
            raise CommandError(f"the node side did not start on node {self.node}: {text}", _HINT)
        return answer

    @contextmanager
    def _started(self) -> Iterator[subprocess.Popen[bytes]]:
        """Start the node side. Its environment is as bare as a debug pod's: variables change what tools print."""
        try:
            process = subprocess.Popen(
                ["sh", "-c", node_script()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={"PATH": self._path},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise CommandError(
                f"the node side did not start on node {self.node}: sh: {error.strerror}", _HINT
            ) from error
        is_over = False
        try:
            yield process
            is_over = True
        finally:
            if not is_over:
                with shielded():
                    end_session(process)
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()

    def _read(self, process: subprocess.Popen[bytes], complaints: list[bytes]) -> Iterator[bytes]:
        """Yield stdout as it comes, until whoever may write to it is gone."""
        size = 0
        with selectors.DefaultSelector() as selector:
            for pipe in (process.stdout, process.stderr):
                selector.register(_opened(pipe), selectors.EVENT_READ)
            while selector.get_map():
                self._deadline.check(f"the answer of node {self.node}")
                for key, _ in selector.select(self._deadline.slice_s()):
                    data = os.read(key.fd, _CHUNK)
                    if not data:
                        selector.unregister(key.fileobj)
                    elif key.fileobj is process.stdout:
                        yield data
                    elif size < _MAX_STDERR:
                        size += len(data)
                        complaints.append(data)


def end_session(process: subprocess.Popen[bytes], proc: Path = Path("/proc")) -> None:
    """Kill all that a process that leads a session has started. `timeout` puts its command in a group of its own.

    They only read: nothing is lost by it.
    """
    end = time.monotonic() + _END_S
    while (members := _members(process.pid, proc)) and time.monotonic() < end:
        for pid in members:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    process.wait()


def _members(session: int, proc: Path) -> list[int]:
    """Return the processes of a session that have not ended (proc(5): field 6 of stat, behind the name in brackets)."""
    found = []
    for name in os.listdir(proc):
        if not name.isdecimal():
            continue
        with suppress(OSError):
            state, _, _, of, *_ = (proc / name / "stat").read_bytes().rpartition(b")")[2].split()
            if int(of) == session and state not in (b"Z", b"X"):
                found.append(int(name))
    return found


def _opened(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _feed(pipe: IO[bytes], plan: bytes) -> None:
    """Send the plan. In a thread of its own: the node side answers while it still reads."""
    with suppress(BrokenPipeError), pipe:
        pipe.write(plan)
