"""`conntrack top` as a process: a fake API server, the real node side, and a `conntrack` that replays."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from netinspect.models.codec import encode_json, json_decoder, to_builtins
from netinspect.models.fact import Known
from netinspect.models.flow_counts import NodeFlowCounts
from netinspect.models.report import JudgedReport
from tests.fake.api import FakeApi
from tests.fake.conntrack import need_conntrack
from tests.fake.programs import STDERR, STDOUT, ExecCall
from tests.unit.flow_world import PODS, STATE, TCP_V4, TCP_V6, UNREPLIED_V6, pod

# The second time that a family is listed, it prints the file that ends in .again, where there is one.
_TOOL = """#!/bin/sh
echo "$*" >>"$0.calls"
file="$0.$3"
[ "$(grep -c -e "-f $3" "$0.calls")" -gt 1 ] && [ -e "$file.again" ] && file="$file.again"
cat "$file"
echo "conntrack v1.4.7 (conntrack-tools): $(wc -l <"$file") flow entries have been shown." >&2
"""
_GREP = """#!/bin/sh
case $* in
*/proc/sys/net/netfilter/*) echo /proc/sys/net/netfilter/nf_conntrack_max:1000 ;;
*) exec /usr/bin/grep "$@" ;;
esac
"""
_SYN = (
    "ipv6     10 tcp      6 99 SYN_SENT src=fd00:244:1::3 dst=fd00:96::20 sport={0} dport=80 [UNREPLIED] "
    "src=fd00:96::20 dst=fd00:244:1::3 sport=80 dport={0} mark=0 use=1 id={0}"
)


@dataclass
class World:
    """A cluster of which each node has the same table."""

    api: FakeApi
    kubeconfig: Path
    tools: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the program as a user does."""
        return subprocess.run(
            [sys.executable, "-m", "netinspect", "conntrack", "top", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            timeout=60,
        )

    def groups(self, *arguments: str, by: str, code: int = 0) -> dict[str, Any]:
        """The groups of one kind that it lists as JSON."""
        done = self.run(*arguments, "-o", "json")
        assert done.returncode == code, done.stderr
        (item,) = json.loads(done.stdout)["items"]
        return {group["name"]: group for group in item["groups"] if group["by"] == by}

    def table(self, *lines: str, suffix: str = "") -> None:
        """Give the nodes a table."""
        for family in ("ipv4", "ipv6"):
            own = "".join(f"{line}\n" for line in lines if line.startswith(family))
            (self.tools / f"conntrack.{family}{suffix}").write_text(own)

    def exec(self, call: ExecCall) -> None:
        """Run what an exec runs, with the made-up tools first on the path."""
        env = {**os.environ, "PATH": f"{self.tools}:{os.environ['PATH']}"}
        done = subprocess.run(
            call.argv, input=b"".join(call.stdin()), capture_output=True, env=env, check=False
        )
        for channel, data in ((STDOUT, done.stdout), (STDERR, done.stderr)):
            if data:
                call.write(channel, data)
        call.finish(done.returncode)


@pytest.fixture
def world(fake_api: FakeApi, kubeconfig: Path, tmp_path: Path) -> World:
    need_conntrack()
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("conntrack", _TOOL), ("ip", "#!/bin/sh\necho '[]'\n"), ("grep", _GREP)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    assert isinstance(STATE.nodes, Known)
    assert isinstance(STATE.services, Known)
    for plural, objects in (("nodes", STATE.nodes.value), ("pods", PODS), ("services", STATE.services.value)):
        for each in objects:
            whole = to_builtins(each)
            if plural == "nodes":
                whole["status"] |= {
                    "conditions": [{"type": "Ready", "status": "True"}],
                    "nodeInfo": {"operatingSystem": "linux"},
                }
            fake_api.store.add(plural, whole)
    made = World(fake_api, kubeconfig, tools)
    fake_api.program = made.exec
    made.table(TCP_V4, TCP_V6, UNREPLIED_V6)
    return made


def test_a_nodes_entries_are_counted_by_whose_they_are(world: World) -> None:
    """A table with shares; the least privilege; the debug pod is gone afterwards."""
    done = world.run("--node", "node-a")
    assert done.returncode == 0, done.stderr
    header, every, *lines = done.stdout.splitlines()
    assert header.split() == ["NODE", "BY", "GROUP", "ENTRIES", "OF", "TABLE", "OF", "MAX", "REMARK"]
    assert every.split() == ["node-a", "all", "<none>", "3", "100.0%", "0.3%", "<none>"]
    assert re.fullmatch(r"node-a +pod +demo/tools +3 +100.0% +0.3% +client in 3, backend in 0", lines[0])
    assert re.fullmatch(r"node-a +pod +demo/web-2 +2 +66.7% +0.2% +client in 0, backend in 2", lines[1])
    assert re.fullmatch(r"node-a +service +demo/web +3 +100.0% +0.3% +<none>", lines[2])
    assert "node node-a: 3 of 3 entries were counted; nf_conntrack_max is 1000" in done.stderr
    (created,) = world.api.seen("POST", "/pods$")
    spec = json.loads(created.body)["spec"]
    assert spec["hostPID"] is False
    assert world.api.seen("DELETE", "/pods/")


def test_growth_between_two_listings_of_one_trip(world: World) -> None:
    """The fastest first."""
    world.table(TCP_V4, TCP_V6, *(_SYN.format(number) for number in (1, 2, 3)), suffix=".again")
    done = world.run("--node", "node-a", "--for", "1s", "--sort", "growth", "--by", "state")
    assert done.returncode == 0, done.stderr
    header, every, first, *_ = done.stdout.splitlines()
    assert "CHANGE    PER SECOND" in header
    assert every.split()[3:5] == ["5", "+2"]
    assert re.fullmatch(r"node-a +state +tcp SYN_SENT \[UNREPLIED\] +3 +\+3 +\+[0-9.]+ .*", first)
    assert len(world.api.calls) == 1


def test_filters_and_pods_choose_what_counts(world: World) -> None:
    """Shares stay those of the table, of which only the pod's lines travelled."""
    assert list(world.groups("--node", "node-a", "--proto", "udp", by="state")) == ["udp [UNREPLIED]"]
    pods = world.groups("web-2", "-n", "demo", by="pod")
    assert {name: group["entries"] for name, group in pods.items()} == {"demo/tools": 2, "demo/web-2": 2}
    assert pods["demo/web-2"]["percentOfTable"] == 66.67


def test_a_pod_that_comes_while_the_table_is_read_is_named_among_the_peers(world: World) -> None:
    """The API is read again after the node answered."""
    world.table(TCP_V6.replace("fd00:244:2::7", "fd00:244:2::99"))

    def create_and_list(call: ExecCall) -> None:
        world.api.store.add("pods", to_builtins(pod("new", "fd00:244:2::99", node="node-b")))
        world.exec(call)

    world.api.program = create_and_list
    done = world.run("--node", "node-a", "--by", "peer")
    assert done.returncode == 0, done.stderr
    assert re.search(r"node-a +peer +fd00:244:2::99 +1 +.* pod demo/new$", done.stdout, re.MULTILINE)
    assert "1 peer is a pod that was created" in done.stderr


def test_connections_without_an_answer_end_it_with_3_if_that_is_wanted(world: World) -> None:
    """The finding stands below the table."""
    world.table(*(_SYN.format(number) for number in range(1, 31)))
    done = world.run("--node", "node-a", "--fail-on", "high", "--by", "pod")
    assert done.returncode == 3
    assert (
        "[high] conntrack-unreplied-syn: pod/demo/tools on node node-a\n  30 TCP connections" in done.stdout
    )
    assert world.run("--node", "node-a", "--fail-on", "crit").returncode == 0
    assert world.run("--node", "node-a").returncode == 0


def test_what_is_printed_as_json_follows_its_model(world: World) -> None:
    """Every key is one that the schema names."""
    done = world.run("--all-nodes", "-o", "json")
    report = json_decoder(JudgedReport[NodeFlowCounts]).decode(done.stdout.encode())
    assert [item.node for item in report.items] == ["node-a", "node-b"]
    assert report.kind == "NodeFlowCountsList"
    assert encode_json(report) == encode_json(json.loads(done.stdout))
    assert world.run("--all-nodes", "-o", "name").stdout == "node/node-a\nnode/node-b\n"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--node node-a --by pods", '--by: "pods" is none of: pod, service, peer, state, protocol'),
        ("--node node-a --by pod,", '--by: "" is none of'),
        ("--node node-a --limit 0", "--limit 0: name a number from 1 on"),
        ("--node node-a --for 0.5s", "--for 0.5s: name whole seconds"),
        ("--node node-a --sort growth", "--sort growth needs two listings"),
        ("--node node-a --sort size", '--sort "size" is none of'),
        ("--node node-a --fail-on bad", '--fail-on "bad" is none of'),
        ("--node node-a --state GONE", '--state: "GONE" is no state'),
        ("", "no target is named"),
    ],
)
def test_usage(flags: str, words: str, world: World) -> None:
    """A flag without meaning ends it before a pod is made."""
    done = world.run(*flags.split())
    assert done.returncode == 2
    assert words in done.stderr
    assert not world.api.seen("POST", "/pods$")
