"""`dns` as a process: a fake API server, the real node side, the real dig, and name servers of our own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from netinspect.models.codec import encode_json, json_decoder
from netinspect.models.dns_report import DnsReport
from tests.fake.api import FakeApi
from tests.fake.dns_server import Record, Reply, serve_dns
from tests.fake.messages import Object
from tests.fake.programs import STDERR, STDOUT, ExecCall
from tests.unit.usecases.dns_world import LONG_AGO, meta, node, service

NAME = "kubernetes.default.svc.cluster.local."
TABLE = {(NAME, "A"): Reply(answer=(Record("A", "10.96.0.1"),)), (NAME, "AAAA"): Reply()}
ADDRESSES = ("127.0.0.1", "::1")

# Our servers have no port 53.
_DIG = """#!/bin/sh
for word; do
  shift
  case $word in
  @127.0.0.1) port={0} ;;
  @::1) port={1} ;;
  esac
  set -- "$@" "$word"
done
exec {2} "$@" -p "$port"
"""


@dataclass
class World:
    """A cluster whose DNS Service has addresses of this host."""

    api: FakeApi
    kubeconfig: Path
    tools: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the program as a user does."""
        return subprocess.run(
            [sys.executable, "-m", "netinspect", "dns", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            timeout=60,
        )

    def exec(self, call: ExecCall) -> None:
        """Run what an exec runs, with our dig first on the path."""
        env = {**os.environ, "PATH": f"{self.tools}:{os.environ['PATH']}"}
        done = subprocess.run(
            call.argv, input=b"".join(call.stdin()), capture_output=True, env=env, check=False
        )
        call.write(STDOUT, done.stdout)
        call.write(STDERR, done.stderr)
        call.finish(done.returncode)


@pytest.fixture
def world(fake_api: FakeApi, kubeconfig: Path, tmp_path: Path) -> Iterator[World]:
    dig = shutil.which("dig")
    if dig is None:
        pytest.skip("dig is not installed (Debian: bind9-dnsutils)")
    made = World(fake_api, kubeconfig, tmp_path / "tools")
    made.tools.mkdir()
    fake_api.program = made.exec
    fake_api.store.add("nodes", node("node-a"))
    service(fake_api, "kube-dns", ADDRESSES, namespace="kube-system", port=53)
    service(fake_api, "kubernetes", ["10.96.0.1"], namespace="default")
    for family, address in zip(("IPv4", "IPv6"), ("10.244.1.2", "fd00::2"), strict=True):
        fake_api.store.add("endpointslices", slice_of(family, address))
    corefile = ".:53 {\n  kubernetes cluster.local\n}\n"
    fake_api.store.add(
        "configmaps", {"metadata": meta("coredns", "kube-system"), "data": {"Corefile": corefile}}
    )
    with ExitStack() as stack:
        ports = [stack.enter_context(serve_dns(TABLE, address=address)).port for address in ADDRESSES]
        (made.tools / "dig").write_text(_DIG.format(*ports, dig))
        (made.tools / "dig").chmod(0o755)
        yield made


def slice_of(family: str, address: str) -> Object:
    labels = {"kubernetes.io/service-name": "kube-dns"}
    metadata = {**meta(f"kube-dns-{family.lower()}", "kube-system", LONG_AGO), "labels": labels}
    endpoint = {"addresses": [address], "conditions": {"ready": True}}
    return {"metadata": metadata, "addressType": family, "endpoints": [endpoint], "ports": []}


def test_names_are_asked_and_shown(world: World) -> None:
    """The table on stdout, how it was read on stderr, and no debug pod is left."""
    done = world.run()
    assert (done.returncode, done.stderr) == (0, "read with privilege netadmin on node-a\n")
    rows = [line.split()[:5] for line in done.stdout.splitlines() if line.startswith(NAME)]
    assert rows == [
        [NAME, "A,AAAA", server, protocol, "NOERROR"] for protocol in ("udp", "tcp") for server in ADDRESSES
    ]
    assert done.stdout.endswith("nothing wrong was found\n")
    assert world.api.store.list("pods", "") == []


def test_what_is_printed_as_json_follows_its_model(world: World) -> None:
    """Read and written again, it is the same."""
    printed = json.loads(world.run("-o", "json").stdout)
    read = json_decoder(DnsReport).decode(json.dumps(printed).encode())
    assert json.loads(encode_json(read)) == printed
    assert printed["kind"] == "DnsLookupList"


def test_a_finding_ends_it_with_3_if_that_is_wanted(world: World) -> None:
    """A name with a dot at its end."""
    assert world.run("kubernetes.default.").returncode == 0
    assert world.run("kubernetes.default.", "--fail-on", "high").returncode == 0
    done = world.run("kubernetes.default.", "--fail-on", "med")
    assert done.returncode == 3
    assert "[med] dns-nxdomain-search-list: node/node-a" in done.stdout


def test_a_dig_that_does_not_run_is_a_gap(world: World) -> None:
    """And exit code 4."""
    (world.tools / "dig").write_text("#!/bin/sh\necho dig: not found >&2\nexit 127\n")
    done = world.run()
    assert done.returncode == 4
    assert "gap: node/node-a: 20 of 20 answers for kubernetes.default.svc could not be read" in done.stderr
    assert "(tool-missing)" in done.stderr
    assert "nothing wrong was found in what could be read" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--pod", "a", "--node", "b"), "--pod and --node exclude each other"),
        (("--type", "a b"), "is no record type"),
        (("--fail-on", "bogus"), "--fail-on"),
        (("--output", "dot"), "--output"),
        (("",), "a name is empty"),
    ],
)
def test_a_wrong_command_line_is_an_error_of_usage(
    world: World, arguments: tuple[str, ...], message: str
) -> None:
    """Before any debug pod is made."""
    done = world.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert world.api.seen("POST", "/pods") == []
