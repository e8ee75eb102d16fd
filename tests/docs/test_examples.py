"""The recordings in examples/ show what is said of them, with neither a cluster nor another program at hand."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from netinspect.archive.reader import read_recording
from tests.docs.markdown import ROOT

EXAMPLES = ROOT / "examples"
NAMES = ("healthy", "faulty")
README = (ROOT / "README.md").read_text("utf-8")
LARGEST = 300_000


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("NETINSPECT_", "KUBE"))}
    return subprocess.run(
        [sys.executable, "-m", "netinspect", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**env, "KUBECONFIG": "/nowhere", "PATH": "/nowhere", "HOME": "/nowhere"},
        timeout=120,
    )


def ask(name: str, *arguments: str) -> Any:
    done = run(*arguments, "-o", "json", "--from", f"examples/{name}.tar.gz")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ids(report: Any) -> set[str]:
    return {each["id"] for each in report["findings"]}


def host_states(report: Any) -> list[str]:
    return sorted(link["hostLink"]["operstate"] for pod in report["items"] for link in pod["links"])


def test_a_link_that_is_down_is_shown() -> None:
    states = {name: host_states(ask(name, "veth", "-n", "demo", "deploy/web")) for name in NAMES}
    assert states["healthy"] == ["UP"] * 4
    assert states["faulty"] == ["DOWN", "UP", "UP", "UP"]


def test_a_port_that_lost_its_rule_is_shown() -> None:
    for name in NAMES:
        report = ask(name, "rules", "web:http", "-n", "demo", "--all-nodes", "--family", "4")
        outcomes = {
            each["node"]: {branch["outcome"] for branch in each["branches"]} for each in report["items"]
        }
        lost = [note for note in report["notes"] if "no rule is for demo/web:http" in note]
        assert outcomes["node-a"] == {"backends"}
        assert outcomes["node-b"] == ({"reject"} if name == "faulty" else {"backends"})
        assert bool(lost) == (name == "faulty")


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("conntrack", "stale", "--all-nodes"), {"conntrack-stale-udp"}),
        (("dns",), {"dns-no-endpoints", "dns-server-unreachable"}),
    ],
)
def test_findings_are_those_of_what_was_planted(arguments: tuple[str, ...], found: set[str]) -> None:
    assert ids(ask("healthy", *arguments)) == set()
    assert ids(ask("faulty", *arguments)) == found


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_small_and_names_no_machine(name: str) -> None:
    path = EXAMPLES / f"{name}.tar.gz"
    assert path.stat().st_size < LARGEST
    recording = read_recording(path)
    assert {trip.node for trip in recording.trips} == {"node-a", "node-b"}
    assert "kernel-log" not in {each.outcome.name for trip in recording.trips for each in trip.results}
    data = gzip.decompress(path.read_bytes())
    releases = set(re.findall(rb"/osrelease:(\S+)", data)) | set(
        re.findall(rb'"kernelVersion": ?"([^"]+)"', data)
    )
    assert releases
    assert all(re.fullmatch(rb"[0-9.]+", each) for each in releases)
    for word in ("machineID", "systemUUID", "bootID", "last-applied-configuration", str(ROOT)):
        assert word.encode() not in data


@pytest.mark.parametrize("sample", ["veth", "rules", "diff"])
def test_a_sample_of_the_readme_is_what_is_printed(sample: str) -> None:
    block = rf"<!-- sample: {sample} -->.*?```console\n\$ kubectl netinspect (.*?)\n(.*?)```"
    found = re.search(block, README, re.DOTALL)
    assert found is not None
    assert "examples/" in found[1]
    assert run(*found[1].split(" ")).stdout.rstrip("\n") == found[2].rstrip("\n")


def test_make_demo_asks_what_the_readme_shows() -> None:
    recipe = re.search(r"^demo: .*?\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert recipe is not None
    commands = [line.partition("kubectl-netinspect ")[2] for line in recipe[1].splitlines()]
    assert [each.split()[0] for each in commands] == ["veth", "rules", "dns"]
    for each in commands:
        assert run(*each.split(" ")).returncode == 0
    assert all(f"$ kubectl netinspect {each}\n" in README for each in commands[:2])
