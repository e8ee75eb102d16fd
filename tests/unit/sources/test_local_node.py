"""The node side as a child process of this host."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from netinspect.cluster.deadline import CancelledError, Deadline
from netinspect.errors import CommandError, DeadlineError, NoApiError
from netinspect.models.debug_pod import Privilege
from netinspect.probes.plan import NODE, Plan, PodScope, Probe
from netinspect.sources.local_node import LocalNode, LocalNodes

ECHO = Probe("echo", ("printf", "%s", "$(id)\nhere"))
FALSE = Probe("false", ("sh", "-c", "echo no >&2; exit 3"))
MARK = "86399.25"


@pytest.fixture
def node() -> LocalNode:
    return LocalNode("node-a", Deadline.after(20))


def sleepers() -> list[str]:
    """Return the processes that sleep for as long as only these tests let any."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if MARK in path.read_text().split("\0"):
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def test_a_plan_is_run_here(node: LocalNode) -> None:
    """As in a pod: the same script, the same answer, in our own netns."""
    answer = node.run(Plan((ECHO, FALSE)))
    assert answer.is_whole
    assert [(each.name, each.exit_code, each.stdout, each.stderr) for each in answer.results] == [
        ("echo", 0, b"$(id)\nhere", b""),
        ("false", 3, b"", b"no\n"),
    ]
    assert f"net:[{answer.netns}]" == os.readlink("/proc/self/ns/net")


def test_pods_are_looked_for_in_the_hosts_processes(node: LocalNode) -> None:
    """The listings of /proc are made, though no process is of such a pod."""
    scope = PodScope("x", ("11111111-2222-3333-4444-555555555555",), (ECHO,))
    answer = node.run(Plan((), (scope,)))
    assert [each.name for each in answer.results if each.key == NODE] == ["cgroups", "netns", "comms"]
    assert answer.is_whole


def test_a_sink_takes_what_may_be_long(node: LocalNode) -> None:
    """Piece by piece, and all of it; a plan longer than a pipe holds is fed meanwhile."""
    pieces: list[bytes] = []
    long = Probe("long", ("sh", "-c", "yes | head -c 3000000", "x" * 100_000))
    answer = node.run(Plan((long,)), {(NODE, "long"): pieces.append})
    assert b"".join(pieces) == b"y\n" * 1_500_000
    assert answer.results[0].exit_code == 0


def test_variables_of_ours_do_not_reach_the_tools(node: LocalNode) -> None:
    """They change what tools print; a pod has none of them either."""
    ours = Probe("env", ("env",))
    names = {line.partition(b"=")[0] for line in node.run(Plan((ours,))).results[0].stdout.splitlines()}
    assert {b"PATH", b"LC_ALL"} <= names <= {b"PATH", b"LC_ALL", b"PWD", b"OLDPWD", b"SHLVL", b"_"}


def test_a_deadline_leaves_nothing_behind() -> None:
    """Not even what `timeout` runs in a process group of its own."""
    sleep = Probe("sleep", ("sleep", MARK), timeout_s=60)
    began = time.monotonic()
    with pytest.raises(DeadlineError, match="the answer of node node-a"):
        LocalNode("node-a", Deadline.after(0.5)).run(Plan((sleep,)))
    assert time.monotonic() - began < 10
    assert sleepers() == []


def test_a_command_that_ends_leaves_nothing_behind() -> None:
    """A cancelled trip ends what it has started, though that runs."""
    deadline = Deadline.after(20)

    def cancel() -> None:
        while not sleepers():
            time.sleep(0.02)
        deadline.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(CancelledError):
        LocalNode("node-a", deadline).run(Plan((Probe("sleep", ("sleep", MARK), timeout_s=60),)))
    canceller.join()
    assert sleepers() == []


def test_a_host_without_a_shell(tmp_path: Path) -> None:
    """The error says what a host has to have, as it does of an image."""
    with pytest.raises(CommandError, match="did not start on node node-a: sh: No such file") as caught:
        LocalNode("node-a", Deadline.after(5), path=str(tmp_path)).run(Plan((ECHO,)))
    assert "awk" in caught.value.hint


def test_a_host_without_a_tool_of_the_node_side(tmp_path: Path) -> None:
    """The tool is named."""
    sh = shutil.which("sh")
    assert sh is not None
    (tmp_path / "sh").symlink_to(sh)
    with pytest.raises(CommandError, match="not found"):
        LocalNode("node-a", Deadline.after(5), path=str(tmp_path)).run(Plan((ECHO,)))


def test_a_missing_tool_of_a_probe_is_an_outcome(node: LocalNode) -> None:
    """127, as in a pod: a gap, no error."""
    (result,) = node.run(Plan((Probe("none", ("no-such-tool-here",)),))).results
    assert result.exit_code == 127


def test_only_this_host_is_to_be_had() -> None:
    """Another node is not taken for it; how much is seen is what the user may see."""
    nodes = LocalNodes("node-a", Deadline.after(5))
    with nodes.open("node-a", Privilege.SYSADMIN) as source:
        assert source.node == "node-a"
        assert source.privilege is (Privilege.SYSADMIN if os.geteuid() == 0 else Privilege.NETADMIN)
    with pytest.raises(NoApiError, match="is not this host"), nodes.open("node-b", Privilege.NETADMIN):
        pass
