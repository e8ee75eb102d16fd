"""watch.sh: a command without an end of its own ends with its listener, in each shell that an image may have."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netinspect.models.conntrack import FlowEventType
from netinspect.probes.conntrack_watch import build_watch_probe
from netinspect.probes.plan import Probe
from netinspect.probes.watch import HUNG_UP, build_watch_argv
from tests.unit.probes.processes import is_running, until
from tests.unit.probes.shells import SHELLS, Shell, new_shell, why_missing

# Notes its PID, so that the test can see whether it is still there; talks, and never ends. Like conntrack it takes
# SIGTERM as a reason to print, which a full pipe makes last for ever.
TALKS = """#!/bin/sh
trap 'while :; do echo goodbye; done' TERM
echo $$ >"$PIDS/$$"
echo "$@"
n=0
while :; do
  n=$((n + 1))
  echo "line $n" || exit
  sleep 0.05
done
"""
FLOODS = TALKS.replace("sleep 0.05", ":")


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Shell:
    reason = why_missing(request.param)
    if reason is not None:
        pytest.skip(reason)
    applets = tmp_path / "applets"
    applets.mkdir()
    return new_shell(request.param, applets)


class Runner:
    """Runs watch.sh around a `conntrack` of the test's own."""

    def __init__(self, shell: Shell, folder: Path, program: str) -> None:
        self.shell = shell
        self.pids = folder / "pids"
        self.pids.mkdir()
        self.bin = folder / "bin"
        self.bin.mkdir()
        (self.bin / "conntrack").write_text(program)
        (self.bin / "conntrack").chmod(0o755)
        self.started: list[subprocess.Popen[bytes]] = []

    def start(
        self, *, limit_s: int = 60, silence_s: int = 60, argv: tuple[str, ...] = ("conntrack", "-E")
    ) -> subprocess.Popen[bytes]:
        sh, *rest = build_watch_argv(Probe("events", argv, limit_s), silence_s)
        assert sh == "sh"
        process = subprocess.Popen(
            [*self.shell.argv, *rest],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={"PATH": f"{self.bin}{os.pathsep}{self.shell.path}", "PIDS": str(self.pids)},
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def alive(self) -> list[int]:
        """The PIDs of conntrack that still run."""
        return [pid for pid in (int(each.name) for each in self.pids.iterdir()) if is_running(pid)]

    def tidy(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()
        for pid in self.alive():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def make(shell: Shell, tmp_path: Path) -> Iterator[Callable[[str], Runner]]:
    made: list[Runner] = []

    def new(program: str) -> Runner:
        made.append(Runner(shell, tmp_path, program))
        return made[-1]

    yield new
    for each in made:
        each.tidy()


def line_of(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


def beat(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b".")


def test_output_comes_while_it_runs_and_arguments_are_data(make: Callable[[str], Runner]) -> None:
    """A line is there as soon as the command wrote it; what is in the arguments is not evaluated."""
    runner = make(TALKS)
    process = runner.start(argv=("conntrack", "-E", "$(id)", "a b;'\n"))
    assert line_of(process) + line_of(process) == b"-E $(id) a b;'\n\n"
    assert line_of(process) == b"line 1\n"
    assert len(runner.alive()) == 1


@pytest.mark.parametrize("program", [TALKS, FLOODS])
def test_it_ends_when_standard_input_ends(make: Callable[[str], Runner], program: str) -> None:
    """A lost listener: also where the command is stuck in a pipe that nobody reads."""
    runner = make(program)
    process = runner.start()
    line_of(process)
    assert process.stdin is not None
    process.stdin.close()
    until(lambda: not runner.alive())
    assert process.stdout is not None
    process.stdout.read()
    assert process.wait(5) == HUNG_UP


def test_it_goes_on_while_there_are_signs_of_life_and_ends_without(make: Callable[[str], Runner]) -> None:
    """A network that swallows everything leaves stdin open: silence ends it all the same."""
    runner = make(TALKS)
    process = runner.start(silence_s=1)
    for _ in range(6):
        beat(process)
        time.sleep(0.4)
    assert len(runner.alive()) == 1
    until(lambda: not runner.alive())
    assert process.stdout is not None
    process.stdout.read()
    assert process.wait(5) == HUNG_UP


def test_nothing_runs_longer_than_its_limit(make: Callable[[str], Runner]) -> None:
    """The last resort, whatever else fails; a command that does not heed it is killed."""
    runner = make(TALKS)
    process = runner.start(limit_s=1)
    assert process.stdout is not None
    process.stdout.read()
    assert process.wait(5) in (124, 137, 143)
    until(lambda: not runner.alive())


def test_a_reader_that_closes_ends_it(make: Callable[[str], Runner]) -> None:
    """SIGPIPE, as in any pipeline."""
    runner = make(TALKS)
    process = runner.start()
    line_of(process)
    assert process.stdout is not None
    process.stdout.close()
    until(lambda: not runner.alive())
    assert process.wait(5) != 0


def test_it_ends_though_the_shell_itself_was_killed(make: Callable[[str], Runner]) -> None:
    """By a runtime that kills the process that it started, and leaves its children."""
    runner = make(TALKS)
    process = runner.start()
    # The first lines may come before the shell has done all that it has to: half a second later it waits.
    for _ in range(10):
        line_of(process)
    process.kill()
    process.wait()
    assert process.stdin is not None
    process.stdin.close()
    until(lambda: not runner.alive())


def test_exit_code_and_stderr_are_the_commands(make: Callable[[str], Runner]) -> None:
    """As if it had been run alone, also while stdin stays open."""
    runner = make("#!/bin/sh\necho out\necho 'mnl_socket_bind: Operation not permitted' >&2\nexit 7\n")
    process = runner.start()
    assert process.wait(5) == 7
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read() == b"out\n"
    assert process.stderr.read() == b"mnl_socket_bind: Operation not permitted\n"


def test_the_end_is_not_held_up_by_what_waits_for_the_listener(make: Callable[[str], Runner]) -> None:
    """The streams close with the command: an exec ends only when they do."""
    runner = make("#!/bin/sh\nexit 0\n")
    process = runner.start()
    begin = time.monotonic()
    assert process.stdout is not None
    assert process.stdout.read() == b""
    assert time.monotonic() - begin < 3


def test_a_missing_tool_is_named(make: Callable[[str], Runner]) -> None:
    """As a shell says it, so that it is known for what it is."""
    process = make(TALKS).start(argv=("no-such-conntrack",))
    assert process.wait(5) == 127
    assert process.stderr is not None
    assert process.stderr.read() == b"no-such-conntrack: not found\n"


def test_the_real_argv_arrives_whole(make: Callable[[str], Runner]) -> None:
    """What the probe asks is what conntrack is asked."""
    probe = build_watch_probe(60, (FlowEventType.NEW,))
    process = make(TALKS).start(argv=probe.argv)
    assert line_of(process).decode().split() == list(probe.argv[1:])
