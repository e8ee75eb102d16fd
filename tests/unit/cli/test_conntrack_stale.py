"""`conntrack stale` as a process: a fake API server, the real node side, and a `conntrack` that replays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from netinspect.models.codec import to_builtins
from tests.fake.api import FakeApi
from tests.fake.conntrack import need_conntrack
from tests.fake.programs import STDERR, STDOUT, ExecCall
from tests.unit.analyze.stale_build import CLIENT, HEIR, NODES, SLICES, flow, service, slice_
from tests.unit.cli.test_main import cli

V6, V4 = "fd00:244:2::7", "10.244.2.7"

# The second listing of a family is another file; the pause between them is short.
_TOOL = """#!/bin/sh
echo "$*" >>"$0.calls"
times=$(grep -c -e "-L -f $3 " "$0.calls")
cat "$0.$3.$times"
echo "conntrack v1.4.7 (conntrack-tools): $(wc -l <"$0.$3.$times") flow entries have been shown." >&2
"""
_SYSCTLS = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream:120"
_LINK = (
    '[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK"],"mtu":65536,"operstate":"UNKNOWN",'
    '"link_type":"loopback","addr_info":[]}]'
)
_TOOLS = {
    "sleep": "#!/bin/sh\nexec /bin/sleep 0.3\n",
    "conntrack": _TOOL,
    "ip": f"#!/bin/sh\necho '{_LINK}'\n",
    "grep": f'#!/bin/sh\ncase "$*" in *netfilter/nf_conntrack*) echo "{_SYSCTLS}" ;; *) exec /bin/grep "$@" ;; esac\n',
}


@dataclass
class World:
    """A cluster of which each node has the same two listings."""

    api: FakeApi
    kubeconfig: Path
    tools: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the program as a user does, on node-a."""
        (self.tools / "conntrack.calls").write_text("")
        return subprocess.run(
            [sys.executable, "-m", "netinspect", "conntrack", "stale", "--for", "5s", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            timeout=60,
        )

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
    for name, text in _TOOLS.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    for number, timeout in ((1, 60), (2, 118)):
        for family, backend in (("ipv6", V6), ("ipv4", V4)):
            line = flow(backend, timeout=timeout).raw
            (tools / f"conntrack.{family}.{number}").write_text(f"{line}\n")
    for plural, objects in (
        ("nodes", NODES),
        ("pods", (CLIENT, HEIR)),
        ("services", (service(),)),
        ("endpointslices", SLICES),
    ):
        for each in objects:
            fake_api.store.add(plural, _ready(to_builtins(each)))
    made = World(fake_api, kubeconfig, tools)
    fake_api.program = made.exec
    return made


def _ready(whole: Any) -> Any:
    if "podCIDRs" in whole.get("spec", {}):
        whole["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    return whole


def test_findings_are_told_with_all_that_shows_them(world: World) -> None:
    """A table, then a block each; the least privilege, and the debug pod is gone afterwards."""
    done = world.run("--node", "node-a")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split()[:3] == ["NODE", "PROTO", "CLIENT"]
    assert "pod shop/client" in lines[1]
    assert "shop/dns:53/udp" in lines[1]
    assert f"{V4}:5353 (no pod)" in lines[1]
    assert f"[{V6}]:5353 (no pod)" in lines[2]
    assert "sends" in lines[2]
    assert "2s" in lines[2]
    assert done.stdout.count("[crit] conntrack-stale-udp: pod/shop/client on node node-a") == 2
    assert "command, not run: conntrack -D -f ipv6 -p udp --orig-src fd00:244:1::5" in done.stdout
    assert "endpointslice/dns-6 resourceVersion " in done.stdout
    assert "in 2 samples 0 s apart" in done.stderr
    (created,) = world.api.seen("POST", "/pods$")
    spec = json.loads(created.body)["spec"]
    assert spec["hostPID"] is False
    assert "NET_ADMIN" in spec["containers"][0]["securityContext"]["capabilities"]["add"]
    assert world.api.seen("DELETE", "/pods/")


def test_scripts_get_an_exit_code_and_json(world: World) -> None:
    """3 with --fail-on; names are the entries' ids."""
    done = world.run("--node", "node-a", "--fail-on", "crit", "-o", "json")
    assert done.returncode == 3, done.stderr
    report = json.loads(done.stdout)
    assert report["kind"] == "StaleFlowList"
    assert [(each["id"], each["severity"]) for each in report["findings"]] == [
        ("conntrack-stale-udp", "crit")
    ] * 2
    first, second = report["items"]
    assert (first["status"], first["isGone"], first["idleS"]) == ("sends", True, 2)
    assert second["endpoints"] == ["[fd00:244:2::9]:5353"]
    assert world.run("--node", "node-a", "-o", "name").stdout == "flow/node-a/77\n"


def test_nothing_that_changes_the_table_is_run(world: World) -> None:
    """The tool was asked for four listings, and for nothing else."""
    world.run("--node", "node-a")
    calls = (world.tools / "conntrack.calls").read_text().splitlines()
    assert calls == [f"-L -f {family} -o extended,id" for family in ("ipv4", "ipv6")] * 2


def test_a_change_of_the_api_while_the_node_is_read_silences_it(world: World) -> None:
    """The pod comes back between the two readings: nothing is stale."""

    def program(call: ExecCall) -> None:
        # It was read once by now, and will be again once the node has answered.
        late = slice_(V6, name="dns-7", family="IPv6")
        world.api.store.add("endpointslices", to_builtins(late))
        world.exec(call)

    world.api.program = program
    done = world.run("--node", "node-a", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert [item["named"]["flow"]["family"] for item in json.loads(done.stdout)["items"]] == ["ipv4"]


@pytest.mark.parametrize("resource", ["services", "endpointslices"])
def test_without_the_rights_nothing_is_judged_and_no_pod_is_made(world: World, resource: str) -> None:
    """A gap, exit code 4."""
    world.api.deny("list", resource)
    done = world.run("--node", "node-a")
    assert done.returncode == 4
    assert done.stdout == ""
    assert f"gap: cluster: the list of {resource} could not be read" in done.stderr
    assert not world.api.seen("POST", "/pods$")


def test_a_dry_run_prints_the_debug_pod(world: World) -> None:
    """And creates none."""
    done = world.run("--node", "node-a", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "kind: Pod" in done.stdout
    assert not world.api.seen("POST", "/pods$")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--node a --for 4s", "at least 5"),
        ("--node a --for 7.5s", "whole seconds"),
        ("--node a --for x", "--for"),
        ("--node a --for 1m --timeout 60s", "not longer than --for"),
        ("--node a --fail-on awful", "--fail-on"),
        ("--node a -o table,wide", "--output"),
        ("", "--all-nodes"),
        ("web --node a", "not both"),
    ],
)
def test_usage(flags: str, words: str, kubeconfig: Path, fake_api: FakeApi) -> None:
    """Exit code 2, the flag that is wrong, and no debug pod."""
    done = cli("conntrack", "stale", *flags.split(), kubeconfig=kubeconfig)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""
    assert not fake_api.seen("POST", "/pods$")


def test_what_is_printed_as_json_follows_its_model(world: World) -> None:
    """It can be read back."""
    from netinspect.models.codec import json_decoder
    from netinspect.models.report import JudgedReport
    from netinspect.models.stale_flow import StaleFlow

    done = world.run("--node", "node-a", "-o", "json")
    report = json_decoder(JudgedReport[StaleFlow]).decode(done.stdout.encode())
    assert len(report.items) == len(report.findings) == 2
    assert msgspec.json.decode(done.stdout)["items"][0]["command"] == report.items[0].command
