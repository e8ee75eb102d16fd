"""`conntrack watch` as a process: a fake API server, the real node side, a `conntrack` that tells made-up events."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from netinspect.models.kubernetes import Pod
from tests.fake import pods, programs
from tests.fake.api import FakeApi
from tests.fake.conntrack import need_conntrack
from tests.unit.flow_world import PODS, TCP_V4, TCP_V6, UNREPLIED_V6

# Tells what it was told to, and goes on without a word, unless it has an exit code.
_TOOL = """#!/bin/sh
echo "$*" >>"$0.calls"
cat "$0.lines"
cat "$0.err" >&2
[ -e "$0.code" ] && exit "$(cat "$0.code")"
exec sleep 60
"""
# The sysctl of the machine that runs the test is not asked.
_GREP = """#!/bin/sh
case $* in
*/nf_conntrack_events) echo "/proc/sys/net/netfilter/nf_conntrack_events:$(cat "$0.mode")" ;;
*) exec {grep} "$@" ;;
esac
"""


def event(tag: str, flow: str) -> str:
    return f"[1795333880.198052]\t{f'[{tag}]':>9} {flow}"


EVENTS = (event("NEW", TCP_V6), event("UPDATE", TCP_V4), event("NEW", UNREPLIED_V6), event("DESTROY", TCP_V6))


@dataclass
class World:
    """A cluster each of whose nodes tells the same events."""

    api: FakeApi
    kubeconfig: Path
    tools: Path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the program as a user does."""
        return subprocess.Popen(
            [sys.executable, "-m", "netinspect", "conntrack", "watch", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def tells(self, *lines: str, err: str = "", code: int | None = None, mode: str = "2") -> None:
        """Give the nodes events."""
        (self.tools / "conntrack.lines").write_text("".join(f"{line}\n" for line in lines))
        (self.tools / "conntrack.err").write_text(err)
        (self.tools / "grep.mode").write_text(mode)
        if code is not None:
            (self.tools / "conntrack.code").write_text(str(code))

    def calls(self) -> list[str]:
        """How the tool was called."""
        return (self.tools / "conntrack.calls").read_text().splitlines()

    def left(self) -> list[str]:
        """The debug pods that are still there."""
        return [name for name in self.api.store.names("pods") if name.startswith("netinspect-")]


@pytest.fixture
def world(fake_api: FakeApi, kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    need_conntrack()
    tools = tmp_path / "tools"
    tools.mkdir()
    grep = shutil.which("grep")
    for name, text in (
        ("conntrack", _TOOL),
        ("grep", _GREP.format(grep=grep)),
        ("ip", "#!/bin/sh\necho '[]'\n"),
    ):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    for number, name in enumerate(("node-a", "node-b"), 1):
        fake_api.store.add("nodes", _node(name, number))
    for each in PODS:
        fake_api.store.add("pods", _pod(each))
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}, {"name": "echo", "port": 80, "protocol": "UDP"}]
    spec = {"clusterIPs": ["10.96.0.20", "fd00:96::20"], "ports": ports}
    fake_api.store.add("services", {"metadata": {"name": "web", "namespace": "demo"}, "spec": spec})
    fake_api.evolve = pods.becomes_running
    fake_api.program = programs.run_locally
    made = World(fake_api, kubeconfig, tools)
    made.tells(*EVENTS)
    return made


def _node(name: str, number: int) -> Any:
    return {
        "metadata": {"name": name},
        "spec": {"podCIDRs": [f"10.244.{number}.0/24", f"fd00:244:{number}::/64"]},
        "status": {
            "nodeInfo": {"operatingSystem": "linux"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def _pod(pod: Pod) -> Any:
    return {
        "metadata": {"name": pod.metadata.name, "namespace": "demo"},
        "spec": {"nodeName": pod.spec.node_name, "hostNetwork": pod.spec.host_network},
        "status": {"phase": pod.status.phase, "podIPs": [{"ip": str(each)} for each in pod.addresses]},
    }


def test_a_line_an_event_with_names(world: World) -> None:
    """The header once; on stderr what to expect; the debug pod has no more than NET_ADMIN, and is gone at the end."""
    done = world.run("--node", "node-a", "--count", "4")
    assert done.returncode == 0, done.stderr
    header, *rows = done.stdout.splitlines()
    assert header.split() == ["TIME", "EVENT", "PROTO", "STATE", "WHO"]
    assert [row.split()[1] for row in rows] == ["NEW", "UPDATE", "NEW", "DESTROY"]
    assert rows[0].startswith(
        "07:51:20.198Z  NEW      tcp     ESTABLISHED,ASSURED  pod demo/tools [fd00:244:1::3]:42548"
    )
    assert "service demo/web:http [fd00:96::20]:80 -> pod demo/web-2 [fd00:244:2::7]:8080" in rows[0]
    assert done.stderr.splitlines() == [
        "watching node-a with privilege netadmin: nf_conntrack_events is 2: flows that began while nobody listened "
        "send no UPDATE and no DESTROY"
    ]
    (created,) = world.api.seen("POST", "/pods$")
    spec = json.loads(created.body)["spec"]
    assert (spec["hostPID"], spec["activeDeadlineSeconds"]) == (False, 4 * 3600 + 30)
    assert world.left() == []


def test_jsonl_of_two_nodes(world: World) -> None:
    """Each line is an object of its own."""
    done = world.run("--all-nodes", "--count", "8", "-o", "jsonl")
    assert done.returncode == 0, done.stderr
    items = [json.loads(line) for line in done.stdout.splitlines()]
    for node in ("node-a", "node-b"):
        own = [each for each in items if each["node"] == node]
        assert [each["event"] for each in own] == ["NEW", "UPDATE", "NEW", "DESTROY"]
    assert items[0]["time"] == "2026-11-22T07:51:20.198052Z"
    assert items[0]["destination"]["name"] == "web"
    assert world.left() == []


def test_no_headers_and_a_column_for_several_nodes(world: World) -> None:
    """As other tables have them."""
    done = world.run("--all-nodes", "--count", "8", "--no-headers")
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"node-a", "node-b"}


def test_flags_choose_events(world: World) -> None:
    """On the node where that is exact, and here in any case (this conntrack heeds no flag)."""
    flags = ("--event", "destroy,new", "--proto", "tcp", "-d", "fd00:96::20", "--for", "2s")
    done = world.run("tools", "-n", "demo", *flags)
    assert done.returncode == 0, done.stderr
    assert [row.split()[1] for row in done.stdout.splitlines()[1:]] == ["NEW", "DESTROY"]
    assert world.calls() == [
        "-E -o extended,id,timestamp -b 8388608 -e DESTROY,NEW -p tcp -d fd00:96::20",
    ]
    (created,) = world.api.seen("POST", "/pods$")
    assert json.loads(created.body)["spec"]["activeDeadlineSeconds"] <= 2 + 2 * 120 + 30


def test_gaps_are_told_and_are_exit_code_4(world: World) -> None:
    """Events that the kernel dropped, and lines that are none."""
    world.tells(
        EVENTS[0], "[NEW] \x1b[2J", EVENTS[1], err="WARNING: We have hit ENOBUFS! We are losing events.\n"
    )
    done = world.run("--node", "node-a", "--for", "2s", "-o", "jsonl")
    assert done.returncode == 4
    assert len(done.stdout.splitlines()) == 2
    gaps = [line for line in done.stderr.splitlines() if line.startswith("gap: node/node-a: ")]
    assert len(gaps) == 2
    assert "warning: node node-a: a line that is no event" in done.stderr
    assert "ENOBUFS" in gaps[0]
    assert "\x1b" not in done.stderr


def test_no_events_at_all(world: World) -> None:
    """It is said why that may be."""
    world.tells(mode="0")
    done = world.run("--node", "node-a", "--for", "1s")
    assert (done.returncode, done.stdout) == (0, "")
    assert "warning: watching node-a with privilege netadmin: nf_conntrack_events is 0" in done.stderr
    assert done.stderr.endswith("No events were seen\n")


def test_a_tool_that_fails_is_the_commands_failure(world: World) -> None:
    """In the tool's own words."""
    world.tells(err="mnl_socket_bind: Operation not permitted\n", code=1)
    done = world.run("--node", "node-a")
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: the events of node node-a could not be watched: " in done.stderr
    assert "mnl_socket_bind: Operation not permitted" in done.stderr
    assert world.left() == []


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_after_cleaning_up(world: World, signum: signal.Signals, code: int) -> None:
    """What was seen stays printed, and what was missed is told."""
    world.tells(*EVENTS, "broken")
    process = world.start("--all-nodes", "-o", "jsonl")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(8)]
    process.send_signal(signum)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert all(json.loads(line) for line in [*lines, *out.splitlines()])
    assert "gap: node/node-a: 1 line of its events could not be read" in err
    assert world.left() == []


def test_the_time_limit_is_exit_code_124(world: World) -> None:
    """The user's, or that which every watch has."""
    done = world.run("--node", "node-a", "--timeout", "3s")
    assert done.returncode == 124
    assert len(done.stdout.splitlines()) == 5
    assert "error: the watch of node node-a reached its time limit" in done.stderr
    assert world.left() == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--node node-a -o json", "hint: events are printed as they come: jsonl is for programs"),
        ("--node node-a -o yaml", '--output "yaml" is none of: table, wide, jsonl'),
        ("--node node-a --event GONE", '--event "GONE" is none of: NEW, UPDATE, DESTROY'),
        ("--node node-a --count -1", "--count -1: expected how many events"),
        ("--node node-a --for never", '--for: invalid duration "never"'),
        ("--node node-a --transport logs", "events are watched live: that needs --transport exec"),
        ("--node node-a --timeout never", '--timeout: invalid duration "never"'),
        ("--node node-a --dst 10.0.0.300", "is no address"),
        ("", "no target is named"),
    ],
)
def test_usage(flags: str, words: str, world: World) -> None:
    """What makes no sense is refused before anything is asked."""
    done = world.run(*flags.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert world.api.requests == []


def test_a_dry_run_prints_the_pods(world: World) -> None:
    """And creates none."""
    done = world.run("--all-nodes", "--for", "1m", "--dry-run")
    assert done.returncode == 0
    assert done.stdout.count("kind: Pod") == 2
    assert world.api.seen("POST", "/pods$") == []
