"""`conntrack list` as a process: a fake API server, the real node side, and a `conntrack` that replays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fake.api import FakeApi
from tests.fake.conntrack import need_conntrack
from tests.fake.programs import STDERR, STDOUT, ExecCall
from tests.unit.flow_world import (
    NEIGHBOUR_V4,
    NODE_PORT_V4,
    PING_V6,
    PODS,
    TCP_V4,
    TCP_V6,
    UNREPLIED_V6,
)

_TOOL = """#!/bin/sh
echo "$*" >>"$0.calls"
cat "$0.$3"
echo "conntrack v1.4.7 (conntrack-tools): $(wc -l <"$0.$3") flow entries have been shown." >&2
exit "$(cat "$0.code")"
"""
_LINKS = (
    '[{"ifindex":5,"ifname":"cni0","flags":["UP"],"mtu":1500,"operstate":"UP","link_type":"ether",'
    '"address":"0a:00:00:00:00:01","addr_info":[{"family":"inet","local":"10.244.1.1","prefixlen":24,"scope":"global"}]}]'
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
            [sys.executable, "-m", "netinspect", "conntrack", "list", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            timeout=60,
        )

    def flows(self, *arguments: str, code: int = 0) -> list[Any]:
        """The flows that it lists as JSON."""
        done = self.run(*arguments, "-o", "json")
        assert done.returncode == code, done.stderr
        items: list[Any] = json.loads(done.stdout)["items"]
        return items

    def table(self, *lines: str, code: int = 0) -> None:
        """Give the nodes a table."""
        for family in ("ipv4", "ipv6"):
            own = "".join(f"{line}\n" for line in lines if line.startswith(family))
            (self.tools / f"conntrack.{family}").write_text(own)
        (self.tools / "conntrack.code").write_text(str(code))

    def calls(self) -> list[str]:
        """How the tool was called."""
        path = self.tools / "conntrack.calls"
        return path.read_text().splitlines() if path.exists() else []

    def exec(self, call: ExecCall) -> None:
        """Run what an exec runs, with the made-up tools first on the path."""
        env = {**os.environ, "PATH": f"{self.tools}:{os.environ['PATH']}"}
        plan = b"".join(call.stdin())
        done = subprocess.run(call.argv, input=plan, capture_output=True, env=env, check=False)
        for channel, data in ((STDOUT, done.stdout), (STDERR, done.stderr)):
            if data:
                call.write(channel, data)
        call.finish(done.returncode)


@pytest.fixture
def world(fake_api: FakeApi, kubeconfig: Path, tmp_path: Path) -> World:
    need_conntrack()
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("conntrack", _TOOL), ("ip", f"#!/bin/sh\necho '{_LINKS}'\n")):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    for number, name in enumerate(("node-a", "node-b"), 1):
        fake_api.store.add("nodes", _node(name, number))
    for each in PODS:
        fake_api.store.add("pods", _pod(each))
    ports = [
        {"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080},
        {"name": "echo", "port": 80, "protocol": "UDP"},
    ]
    spec = {"clusterIPs": ["10.96.0.20", "fd00:96::20"], "ports": ports}
    fake_api.store.add("services", {"metadata": {"name": "web", "namespace": "demo"}, "spec": spec})
    made = World(fake_api, kubeconfig, tools)
    fake_api.program = made.exec
    made.table(TCP_V4, TCP_V6, NODE_PORT_V4, UNREPLIED_V6, PING_V6, NEIGHBOUR_V4)
    return made


def _node(name: str, number: int) -> Any:
    addresses = [
        {"type": "InternalIP", "address": f"{prefix}{10 + number}"} for prefix in ("10.99.0.", "fd00:99::")
    ]
    return {
        "metadata": {"name": name},
        "spec": {"podCIDRs": [f"10.244.{number}.0/24", f"fd00:244:{number}::/64"]},
        "status": {
            "addresses": addresses,
            "nodeInfo": {"operatingSystem": "linux"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def _pod(pod: Any) -> Any:
    return {
        "metadata": {"name": pod.metadata.name, "namespace": "demo"},
        "spec": {"nodeName": pod.spec.node_name, "hostNetwork": pod.spec.host_network},
        "status": {
            "phase": pod.status.phase,
            "podIPs": [{"ip": str(address)} for address in pod.addresses],
        },
    }


def ids(flows: list[Any]) -> list[int]:
    return [each["flow"]["id"] for each in flows]


def test_a_pods_flows_are_listed_with_both_names(world: World) -> None:
    """Both families, in words; the debug pod is gone afterwards, and had no more than NET_ADMIN."""
    done = world.run("tools", "-n", "demo")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split()[:4] == ["NODE", "PROTO", "STATE", "TIMEOUT"]
    assert lines[1].endswith("pod demo/tools -> service demo/web:http -> pod demo/web-2")
    assert "[fd00:244:2::7]:8080 -> [fd00:244:1::3]:42548" in done.stdout
    assert "node node-a: 5 flows of 6 entries in its table" in done.stderr
    assert "own netns" in done.stderr
    (created,) = world.api.seen("POST", "/pods$")
    spec = json.loads(created.body)["spec"]
    assert spec["hostPID"] is False
    assert "NET_ADMIN" in spec["containers"][0]["securityContext"]["capabilities"]["add"]
    assert world.api.seen("DELETE", "/pods/")


def test_json_has_the_whole_flow_and_every_owner(world: World) -> None:
    """Tuples, flags, names, the tool's line."""
    (item,) = world.flows("--node", "node-a", "--dport", "30080")
    assert item["node"] == "node-a"
    assert item["flow"]["reply"]["dst"] == "10.244.1.1"
    assert item["flow"]["assured"] is True
    assert item["flow"]["raw"] == NODE_PORT_V4
    assert item["source"] == {"kind": "pod", "namespace": "demo", "name": "tools", "node": "node-a"}
    assert item["destination"]["detail"] == "nodePort 30080"
    assert item["backend"]["name"] == "web-2"
    assert item["replyTo"] == {"kind": "node", "name": "node-a", "detail": "cni0"}


def test_addresses_are_exact(world: World) -> None:
    """10.244.1.50 is no flow of the pod 10.244.1.5, which has none at all."""
    assert world.flows("web-1") == []
    assert ids(world.flows("--node", "node-a", "-s", "10.244.1.50")) == [106]
    assert ids(world.flows("--node", "node-a", "-s", "10.244.1.5")) == []


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("-d", "fd00:96::20"), [102, 104]),
        (("--dst", "fd00:96::/64", "-p", "udp"), [104]),
        (("--src", "10.244.1.3", "--sport", "42548"), [101]),
        (("--state", "syn_sent", "--state", "UNREPLIED"), [106, 104]),
        (("--proto", "58"), [105]),
        (("--mark", "0x4000/0x4000"), [103]),
        (("--zone", "7"), []),
    ],
)
def test_each_filter_chooses(world: World, flags: tuple[str, ...], expected: list[int]) -> None:
    """On a node, as on the command line of conntrack-tools."""
    assert ids(world.flows("--node", "node-a", *flags)) == expected


def test_the_tool_is_asked_for_both_families_and_nothing_else(world: World) -> None:
    """No filter of its own decides."""
    world.run("--node", "node-a", "-d", "fd00:96::20")
    assert world.calls() == ["-L -f ipv4 -o extended,id", "-L -f ipv6 -o extended,id"]


def test_several_nodes_are_asked_each_for_its_own_pods(world: World) -> None:
    """And all nodes for theirs."""
    flows = world.flows("tools", "web-2")
    assert [each["node"] for each in flows].count("node-a") == 5
    assert {each["flow"]["id"] for each in flows if each["node"] == "node-b"} == {101, 102, 103, 105}
    assert len(world.flows("--all-nodes")) == 12


def test_a_hostnetwork_pod_is_refused_with_the_way_on(world: World) -> None:
    """No debug pod is made for it; and no flow of its node is given its name."""
    done = world.run("hostnet")
    assert (done.returncode, done.stdout) == (1, "")
    assert "uses its node's network (hostNetwork)" in done.stderr
    assert "--node node-a" in done.stderr
    assert world.api.seen("POST", "/pods$") == []
    assert "hostnet" not in world.run("--node", "node-a", "-o", "json").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("done",), 1, "error: pod demo/done has ended (Succeeded)"),
        (("nope",), 1, 'Error from server (NotFound): pods "nope" not found'),
        (("--node", "nope"), 1, 'Error from server (NotFound): nodes "nope" not found'),
        ((), 2, "error: no target is named"),
        (("tools", "--node", "node-a"), 2, "error: name pods, or nodes"),
        (("--node", "node-a", "-p", "http"), 2, 'error: --proto: "http" is no protocol'),
        (("--node", "node-a", "-s", "https://10.0.0.1"), 2, "is no address and no network"),
        (("--node", "node-a", "-o", "xml"), 2, 'error: --output "xml"'),
    ],
)
def test_what_makes_no_sense_ends_without_a_debug_pod(
    world: World, arguments: tuple[str, ...], code: int, message: str
) -> None:
    """With the reason."""
    done = world.run(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert world.api.seen("POST", "/pods$") == []


def test_rights_that_are_missing_are_gaps(world: World) -> None:
    """Without Services their addresses are unknown, not external; the flows are listed, exit code 4."""
    world.api.deny("list", "services")
    done = world.run("tools")
    assert done.returncode == 4
    assert "pod demo/tools -> unknown" in done.stdout
    assert "external" not in done.stdout
    assert done.stderr.count("gap: cluster: the list of services could not be read") == 1


def test_the_api_is_read_before_and_after_the_node(world: World) -> None:
    """A pod that is replaced meanwhile is told of."""

    def replace_then_answer(call: ExecCall) -> None:
        world.api.store.remove("pods", "demo", "tools")
        world.exec(call)

    world.api.program = replace_then_answer
    done = world.run("--node", "node-a", "-d", "fd00:96::20", "-p", "tcp")
    assert "pod demo/tools -> service demo/web:http" in done.stdout
    assert "fd00:244:1::3 changed from pod demo/tools to no pod" in done.stderr


def test_a_tool_that_fails_is_a_gap_and_never_an_empty_table(world: World) -> None:
    """Also behind the filter on the node."""
    world.table(TCP_V6, code=1)
    for target in (("tools",), ("--node", "node-a")):
        done = world.run(*target)
        assert (done.returncode, done.stdout) == (4, "")
        assert "gap: node/node-a: the IPv6 flows could not be read" in done.stderr
        assert "No flows found" not in done.stderr


def test_a_node_that_cannot_be_asked_is_a_gap_beside_the_other(world: World) -> None:
    """And is not said to have been read."""

    def fail_on_node_b(call: ExecCall) -> None:
        name = call.request.path.split("/")[6]
        if world.api.store.get("pods", "demo", name)["spec"]["nodeName"] == "node-b":
            call.write(STDERR, b"no space left")
            call.finish(1)
        else:
            world.exec(call)

    world.api.program = fail_on_node_b
    done = world.run("--all-nodes", "-p", "58")
    assert done.returncode == 4
    assert len(done.stdout.splitlines()) == 2
    assert "gap: node/node-b: the node could not be read: the node side did not start" in done.stderr
    assert "read with privilege netadmin on node-a\n" in done.stderr


def test_no_flow_is_said_on_stderr(world: World) -> None:
    """And is no failure."""
    done = world.run("--node", "node-a", "--dport", "1")
    assert (done.returncode, done.stdout) == (0, "")
    assert "No flows found" in done.stderr
    assert "node node-a: 0 flows of 6 entries in its table" in done.stderr


def test_other_formats(world: World) -> None:
    """Names are nodes and ids; wide has a line a flow with the tool's own."""
    assert world.run("--node", "node-a", "-p", "58", "-o", "name").stdout == "flow/node-a/105\n"
    wide = world.run("--node", "node-a", "-p", "58", "-o", "wide", "--no-headers").stdout
    assert wide.rstrip().endswith(PING_V6)
    assert "id: 105" in world.run("--node", "node-a", "-p", "58", "-o", "yaml").stdout


def test_a_dry_run_creates_nothing(world: World) -> None:
    """The manifest is printed."""
    done = world.run("tools", "--dry-run")
    assert done.returncode == 0
    assert "kind: Pod" in done.stdout
    assert world.api.seen("POST", "/pods$") == []
