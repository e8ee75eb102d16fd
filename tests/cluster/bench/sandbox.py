"""A sandbox: an init process in network, mount, PID and UTS namespaces of its own.

The namespaces are never pinned to a file, so they and all they hold (processes, links, mounts) go away with the
init process. Ending a sandbox is therefore one signal, and a killed `up` leaves nothing that has to be searched for.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tests.cluster.bench import cgroups, linux, paths
from tests.cluster.bench.shell import BenchError, run

NAMESPACES = linux.CLONE_NEWNET | linux.CLONE_NEWNS | linux.CLONE_NEWPID | linux.CLONE_NEWUTS
END_TIMEOUT = 30.0


class Gate:
    """Holds a sandbox's init at a point until `up` has done something outside.

    When `up` ends before the last gate is open, the init reads end-of-file and ends too: no half cluster stays.
    """

    def __init__(self) -> None:
        self.inner, self._outer = os.pipe()

    def wait(self) -> None:
        """In the init: wait until `up` opens the gate."""
        if not os.read(self.inner, 1):
            raise SystemExit("cluster-up ended before the cluster was whole")

    def open(self) -> None:
        """In `up`: let the init pass its present gate, or its next one if it is not there yet."""
        try:
            os.write(self._outer, b".")
        except BrokenPipeError:
            raise BenchError("a sandbox ended early") from None


Body = Callable[[Gate], NoReturn]


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox, known by its init's process id and, as ids are used again, the init's start time."""

    name: str
    pid: int
    start_time: int

    def alive(self) -> bool:
        return _start_time(self.pid) == self.start_time

    def enter(self, *argv: str, stdin: str | None = None) -> str:
        """Run a program of this machine in the sandbox's network namespace."""
        return run(["nsenter", "--target", str(self.pid), "--net", *argv], stdin=stdin)

    def end(self) -> None:
        """Kill the init; the kernel then kills whatever is in its PID namespace before the init is gone."""
        deadline = time.monotonic() + END_TIMEOUT
        while self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name}: process {self.pid} does not end")
            time.sleep(0.02)


def launch(name: str, body: Body, keep: Collection[int] = ()) -> tuple[Sandbox, Gate]:
    """Start a sandbox whose init runs `body`; `keep` are the file descriptors that stay open in it.

    A socket made before keeps its network namespace: that is how the relay listens on this machine's loopback.
    """
    paths.sandbox(name).mkdir(parents=True, exist_ok=True)
    gate = Gate()
    answer, answer_inner = os.pipe()
    sys.stdout.flush()
    middle = os.fork()
    if middle == 0:
        _exit_after(lambda: _become(name, body, gate, answer_inner, keep))
    os.close(gate.inner)
    os.close(answer_inner)
    os.waitpid(middle, 0)
    with os.fdopen(answer) as said:
        pid = said.read()
    if not pid:
        raise BenchError(f"{name}: no namespaces; see {_log(name)}")
    sandbox = Sandbox(name, int(pid), _start_time(int(pid)) or 0)
    _record(name).write_text(f"{sandbox.pid} {sandbox.start_time}\n")
    return sandbox, gate


def find(name: str) -> Sandbox | None:
    """The running sandbox of this name, or None."""
    try:
        pid, start_time = map(int, _record(name).read_text().split())
    except (FileNotFoundError, ValueError):
        return None
    sandbox = Sandbox(name, pid, start_time)
    return sandbox if sandbox.alive() else None


def _become(name: str, body: Body, gate: Gate, answer: int, keep: Collection[int]) -> None:
    """Turn the forked process into the init's parent, which ends as soon as it has named its child."""
    os.setsid()
    _only_keep({gate.inner, answer, *keep})
    _write_to(_log(name))
    # The parent of a new PID namespace stays outside it: only its child is inside, as process 1.
    linux.unshare(NAMESPACES)
    init = os.fork()
    if init:
        os.write(answer, str(init).encode())
        return
    os.close(answer)
    linux.set_process_name(name)
    gate.wait()
    cgroups.join(name)
    body(gate)


def _exit_after(action: Callable[[], None]) -> NoReturn:
    """Run a forked process's work; never return into the code that forked."""
    status = 1
    try:
        action()
        status = 0
    except BaseException:  # noqa: BLE001 (also SystemExit: its message belongs into the log)
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(status)


def _only_keep(wanted: Collection[int]) -> None:
    """Close what the forked process got by chance: another sandbox's gate must close with `up`, not with us."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in wanted:
            with contextlib.suppress(OSError):  # the listing's own descriptor is closed already
                os.close(int(name))


def _write_to(log: Path) -> None:
    """Let go of the terminal or pipe that `up` was given, so that whoever reads it sees its end."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for source, target in ((nothing, 0), (file, 1), (file, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(file)


def _start_time(pid: int) -> int | None:
    """Clock ticks from boot to the process's start (proc(5), field 22); None when it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in brackets may hold blanks and brackets itself; the fields after it do not.
    state, *fields = stat.rpartition(")")[2].split()
    return None if state == "Z" else int(fields[18])


def _record(name: str) -> Path:
    return paths.sandbox(name) / "init.pid"


def _log(name: str) -> Path:
    return paths.sandbox(name) / "init.log"
