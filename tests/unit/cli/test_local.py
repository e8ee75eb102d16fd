"""`--local` on the command line: which flags go together, and what is meant where nothing is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from netinspect.cli.app import build_app, list_commands
from netinspect.cli.flags import DebugPodFlags, NodeFlags, TableNodeFlags
from netinspect.cli.local import LocalSession, list_pod_gaps
from netinspect.cli.nodes import visit_nodes
from netinspect.cli.source_flags import SourceFlags, or_host
from netinspect.errors import UsageError
from netinspect.models.debug_pod import Privilege
from netinspect.models.fact import Reason
from netinspect.probes.plan import Plan, Probe
from netinspect.sources.interface import NodeSource
from tests.unit.cli.test_record import READING

LOCAL = SourceFlags(local=True)


def run(*arguments: str) -> Any:
    """Run the program in this process; return its result."""
    return CliRunner().invoke(build_app(arguments[:2]), list(arguments), prog_name="kubectl netinspect")


def test_commands_that_read_have_the_flag_and_no_other_has() -> None:
    """The same that can be replayed."""
    for command in list_commands():
        assert ("--local" in run(*command.split(), "--help").stdout) == (command in READING), command


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--record", "x"), "--local and --record exclude each other"),
        (("--from", "x"), "--local and --from exclude each other"),
        (("--all-nodes",), "--local reads this host only"),
        (("--context", "c"), "--context has no effect with --local"),
        (("--token", "hidden"), "--token has no effect with --local"),
        (("--image", "x"), "--image has no effect with --local"),
        (("--via", "x"), "--via has no effect with --local"),
        (("--dry-run",), "--dry-run has no effect with --local"),
        (("--privilege", "netadmin"), "--privilege has no effect with --local"),
    ],
)
def test_flags_about_a_cluster_exclude_this_host(flags: tuple[str, ...], named: str) -> None:
    """Each by its name, and without its value."""
    error = run("netns", "--local", *flags).exception
    assert isinstance(error, UsageError)
    assert error.message.startswith(named)
    assert "hidden" not in error.message


def test_a_change_is_not_made_by_this_host() -> None:
    """`conntrack limit --apply` is not of the commands that read."""
    error = run("conntrack", "limit", "--node", "a", "--set", "5", "--apply", "--local").exception
    assert isinstance(error, UsageError)


def test_nothing_named_is_this_host() -> None:
    """Without `--local` nothing is nothing, and what is named is what is meant."""
    assert or_host(NodeFlags(), LOCAL) == NodeFlags(all_nodes=True)
    assert or_host(TableNodeFlags(), LOCAL, None, "", False) == TableNodeFlags(all_nodes=True)
    assert or_host(NodeFlags(), LOCAL, ["web-1"]) == NodeFlags()
    assert or_host(NodeFlags(node=["a"]), LOCAL) == NodeFlags(node=["a"])
    assert or_host(NodeFlags(), SourceFlags()) == NodeFlags()


def test_this_host_is_asked_as_a_node() -> None:
    """One trip, under the host's own name; the note says by whom it was read."""
    session = LocalSession("demo")
    assert session.api.namespace == "demo"
    name = session.api.host.node
    plan = Plan((Probe("echo", ("echo", "here")),))

    def job(source: NodeSource) -> bytes:
        return source.run(plan).results[0].stdout

    answers, gaps, notes = visit_nodes(
        session, {name: plan}, DebugPodFlags(), job, privilege=Privilege.NETADMIN
    )
    user = "root" if os.geteuid() == 0 else f"user {os.geteuid()}"
    assert (answers, gaps) == ({name: b"here\n"}, ())
    assert notes == (f"read locally as {user} on {name}",)


def test_a_listing_of_pods_says_what_it_lacks() -> None:
    """Readiness and restarts are known to nobody on the host."""
    assert [gap.reason for gap in list_pod_gaps(LocalSession())] == [Reason.NO_API]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_behind(signum: signal.Signals) -> None:
    """What the command waits for on this host is ended with it."""
    seconds = str(80_000 + signum)
    process = subprocess.Popen(
        [sys.executable, "-m", "netinspect", "conntrack", "limit", "--local", "--for", f"{seconds}s"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    end = time.monotonic() + 30
    while not sleeping(seconds) and time.monotonic() < end:
        time.sleep(0.05)
    assert sleeping(seconds)
    process.send_signal(signum)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (128 + signum, b""), err
    assert not sleeping(seconds)


def sleeping(seconds: str) -> bool:
    """Whether a process sleeps for so long."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if path.read_bytes() == f"sleep\0{seconds}\0".encode():
                return True
    return False


def test_no_cluster_is_looked_for() -> None:
    """Neither a kubeconfig nor the Kubernetes client is loaded."""
    code = (
        "import sys\n"
        "from netinspect.cli.main import run\n"
        "run(['dataplane', '--local'])\n"
        "found = [each for each in ('kubernetes', 'urllib3', 'websocket') if each in sys.modules]\n"
        "sys.exit(' '.join(found) or 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "KUBECONFIG": "/nowhere/kubeconfig"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "read locally as" in done.stderr
