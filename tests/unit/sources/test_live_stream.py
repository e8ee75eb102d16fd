"""A command's output from a live node, line by line, and that it ends when nobody listens.

The fake API server runs an exec's argv on this host, so the real watch.sh answers.
"""

from __future__ import annotations

import threading
import time
import tracemalloc
from pathlib import Path

import pytest

from netinspect.cluster.access import Handle
from netinspect.cluster.client import ClusterClient
from netinspect.cluster.deadline import Deadline
from netinspect.errors import ClusterError, DeadlineError
from netinspect.models.debug_pod import Privilege
from netinspect.probes.plan import Probe
from netinspect.probes.watch import BEAT, build_watch_argv
from netinspect.sources.live import ExecNode
from netinspect.sources.live_stream import listening
from tests.fake import programs
from tests.fake.api import FakeApi
from tests.fake.programs import STDERR, STDOUT, ExecCall
from tests.unit.probes.processes import is_running, until

HANDLE = Handle("demo", "netinspect-x", "netinspect", "node-a", Privilege.NETADMIN, is_new=True)


@pytest.fixture
def node(client: ClusterClient, fake_api: FakeApi) -> ExecNode:
    """A node whose pod runs on this host."""
    fake_api.store.add("pods", {"metadata": {"name": "netinspect-x", "namespace": "demo"}})
    fake_api.program = programs.run_locally
    return ExecNode(client, HANDLE, Deadline.after(20))


def shell(text: str) -> Probe:
    return Probe("events", ("sh", "-c", text), 15)


def test_lines_come_as_they_are_made(node: ExecNode, fake_api: FakeApi) -> None:
    """The first is there while the command still runs; stdin is open, and the argv is watch.sh's."""
    probe = shell("echo one; echo two; exec sleep 30")
    with node.stream(probe) as stream:
        lines = stream.lines()
        assert (next(lines), next(lines)) == ("one", "two")
        assert stream.exit_code is None
    (call,) = fake_api.calls
    assert tuple(call.argv) == build_watch_argv(probe)
    assert call.request.one("stdin") == "true"


def test_leaving_the_block_ends_the_command(node: ExecNode, tmp_path: Path) -> None:
    """Nothing goes on on the node."""
    with node.stream(shell("echo $$; exec sleep 30")) as stream:
        pid = int(next(stream.lines()))
        assert is_running(pid)
    until(lambda: not is_running(pid))


def test_exit_code_and_stderr_come_back(node: ExecNode) -> None:
    """A last line without its end is none: it may be half of one."""
    with node.stream(shell("echo whole; printf half; echo 'no way' >&2; exit 3")) as stream:
        assert list(stream.lines()) == ["whole"]
    assert (stream.exit_code, stream.stderr) == (3, "no way\n")


def test_a_line_may_come_in_pieces(node: ExecNode, fake_api: FakeApi) -> None:
    """Cut anywhere, also within a character; what is no UTF-8 is written as an escape."""

    def program(call: ExecCall) -> None:
        for piece in (b"fi", b"rst\nse\xc3", b"\xa9cond\n\n", b"\xff\nrest"):
            call.write(STDOUT, piece)
        call.finish()

    fake_api.program = program
    with node.stream(shell("")) as stream:
        assert list(stream.lines()) == ["first", "se\xe9cond", "", "\\xff"]


def test_output_without_lines_does_not_fill_the_memory(node: ExecNode, fake_api: FakeApi) -> None:
    """Something else writes there: what is longer than any line comes cut; stderr is kept up to a bound."""

    def program(call: ExecCall) -> None:
        for _ in range(600):
            call.write(STDOUT, b"x" * 30_000)
            call.write(STDERR, b"y" * 3_000)
        call.write(STDOUT, b"\nnext\n")
        call.finish()

    fake_api.program = program
    tracemalloc.start()
    with node.stream(shell("")) as stream:
        first, second = stream.lines()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 9_000_000
    assert (set(first), len(first) < 10_000, second) == ({"x"}, True, "next")
    assert len(stream.stderr) == 65536


def test_a_pod_without_a_shell_is_told_as_a_missing_tool(node: ExecNode, fake_api: FakeApi) -> None:
    """In the runtime's words: there is nothing there that would end the command, so none is begun."""
    fake_api.program = programs.refuses('exec: "sh": executable file not found in $PATH')
    with node.stream(shell("")) as stream:
        assert list(stream.lines()) == []
    assert stream.exit_code == 127
    assert 'exec: "sh": executable file not found' in stream.stderr


def test_a_connection_that_breaks_is_no_end(node: ExecNode, fake_api: FakeApi) -> None:
    """What came is kept, and no exit code is made up."""
    fake_api.program = programs.no_status(b"one\ntw")
    with node.stream(shell("")) as stream:
        assert list(stream.lines()) == ["one"]
    assert stream.exit_code is None
    assert stream.stderr != ""


def test_signs_of_life_are_given(node: ExecNode, fake_api: FakeApi) -> None:
    """At once, then again and again, so that the node side knows that somebody listens."""
    heard: list[bytes] = []
    enough = threading.Event()

    def program(call: ExecCall) -> None:
        for data in call.stdin():
            heard.append(data)
            if len(heard) == 3:
                enough.set()

    fake_api.program = program
    with node.exec(("x",), stdin=True) as stream:
        with listening(stream, every_s=0.05):
            assert enough.wait(10)
        time.sleep(0.3)
        count = len(heard)
        time.sleep(0.3)
        assert (set(heard), len(heard)) == ({BEAT}, count)


def test_time_and_cancellation_end_the_reading(client: ClusterClient, fake_api: FakeApi) -> None:
    """In bounded time, though the command says nothing."""
    fake_api.store.add("pods", {"metadata": {"name": "netinspect-x", "namespace": "demo"}})
    fake_api.program = programs.run_locally
    with (
        ExecNode(client, HANDLE, Deadline.after(1)).stream(shell("exec sleep 30")) as stream,
        pytest.raises(DeadlineError),
    ):
        list(stream.lines())
    deadline = Deadline.after(20)
    timer = threading.Timer(0.3, deadline.cancel)
    timer.start()
    begin = time.monotonic()
    with (
        ExecNode(client, HANDLE, deadline).stream(shell("exec sleep 30")) as stream,
        pytest.raises(ClusterError, match="stopped while waiting"),
    ):
        list(stream.lines())
    assert time.monotonic() - begin < 5
