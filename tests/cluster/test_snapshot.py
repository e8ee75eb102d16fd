"""One snapshot of the real cluster serves every command, and holds no secret."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from netinspect.archive.reader import read_recording
from netinspect.models.fact import Reason
from tests.cluster.kit import Cluster, Ran
from tests.cluster.planted import NAME, SECRET, find_leaks
from tests.cluster.test_veth import deployment

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def taken(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot of everything."""
    deployment(cluster)
    path = tmp_path_factory.mktemp("snapshot") / "all.tar.gz"
    done = cluster.netinspect("snapshot", "-o", str(path)).ok()
    assert f"recorded to {path}" in done.err
    assert "read node " in done.err
    assert ": 2 of 2" in done.err
    rows = [line.split()[0] for line in done.out.splitlines()]
    assert rows == ["NODE", "node-a", "node-b"]
    return path


def replay(path: Path, *arguments: str) -> Ran:
    """Run a command on a snapshot, where there is neither a cluster nor any other program."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("NETINSPECT_", "KUBE"))}
    done = subprocess.run(
        [sys.executable, "-m", "netinspect", *arguments, "--from", str(path)],
        capture_output=True,
        text=True,
        env={**env, "KUBECONFIG": "/nowhere/kubeconfig", "PATH": "/nowhere", "HOME": "/nowhere"},
        timeout=180,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    "words",
    [
        ("services", "-A", "-o", "wide"),
        ("netns", "-n", "demo", "deploy/web", "-o", "json"),
        ("veth", "-n", "demo", "deploy/web", "-o", "wide"),
        ("dataplane", "--all-nodes", "-o", "wide"),
        ("nftables", "--node", "node-b", "-t", "kube-proxy", "--chain", "services"),
        ("ipvs", "--all-nodes"),
    ],
    ids=" ".join,
)
def test_what_does_not_move_is_the_same_bytes_live(
    cluster: Cluster, taken: Path, words: tuple[str, ...]
) -> None:
    live, again = cluster.netinspect(*words), replay(taken, *words)
    assert (again.code, again.out) == (live.code, live.out), again.err
    assert again.code == 0


def without_counters(value: Any) -> Any:
    """Leave out what moves."""
    if isinstance(value, dict):
        return {
            key: without_counters(each)
            for key, each in value.items()
            if key not in ("packets", "bytes", "raw")
        }
    return [without_counters(each) for each in value] if isinstance(value, list) else value


def test_rules_are_the_same_but_for_their_counters(cluster: Cluster, taken: Path) -> None:
    words = ("rules", "-n", "demo", "--all-nodes", "-o", "json")
    live, again = (json.loads(each.ok().out) for each in (cluster.netinspect(*words), replay(taken, *words)))
    assert len(live["items"]) > 10
    assert without_counters(again["items"]) == without_counters(live["items"])


@pytest.mark.parametrize(
    "words",
    [
        ("pods", "-A"),
        ("pods", "-n", "demo", "deploy/web"),
        ("conntrack", "list", "--all-nodes"),
        ("conntrack", "list", "-n", "demo", "deploy/web", "-o", "json"),
        ("conntrack", "top", "--all-nodes"),
        ("conntrack", "stale", "--all-nodes"),
        ("conntrack", "limit", "--all-nodes"),
        ("dns", "--node", "node-a"),
        ("dns", "--node", "node-b", "-o", "json"),
        ("iptables", "--node", "node-a", "--raw"),
        ("iptables", "--node", "node-a", "-t", "nat", "--chain", "KUBE-SERVICES"),
        ("nftables", "--node", "node-b", "--raw"),
    ],
    ids=" ".join,
)
def test_what_moves_is_served_without_a_gap(taken: Path, words: tuple[str, ...]) -> None:
    done = replay(taken, *words)
    assert done.code == 0, done.err
    assert "gap: " not in done.err
    assert len(done.out.splitlines()) > 1 or words[1] == "stale"


def test_what_was_not_asked_is_not_made_up(taken: Path) -> None:
    done = replay(taken, "dns", "other.example", "--node", "node-a")
    assert done.code in (1, 4)
    assert "the recording does not hold" in done.err


def test_no_planted_secret_is_in_it(taken: Path) -> None:
    data = gzip.decompress(taken.read_bytes())
    assert f'"{NAME}"'.encode() in data
    assert SECRET.encode() not in data
    found = [each.path for each in read_recording(taken).requests if b"PASSWORD" in each.body]
    assert found
    assert set(found) == {"/api/v1/pods"}
    assert find_leaks(taken.parent) == ([taken], [])


def test_a_node_that_fails_does_not_sink_the_rest(cluster: Cluster, tmp_path: Path) -> None:
    """A node that is not there any more, as far as the API knows, has no kubelet that could start a pod."""
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-gone"}}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(node)).ok()
    path = tmp_path / "it"
    try:
        done = cluster.netinspect(
            "snapshot", "-o", str(path), "--node", "node-a", "--node", "node-gone", "--timeout", "40s"
        )
    finally:
        cluster.kubectl("delete", "node", "node-gone").ok()
    assert done.code == 4, done.err
    assert "gap: node/node-gone: the node" in done.err
    assert replay(path, "rules", "--node", "node-a").code == 0
    lost = replay(path, "rules", "--all-nodes")
    assert lost.code == 4
    assert "gap: node/node-gone: the node" in lost.err


def test_one_namespace_and_one_node(cluster: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "it"
    cluster.netinspect("snapshot", "-o", str(path), "--node", "node-b", "-n", "demo").ok()
    held = {each.path for each in read_recording(path).requests}
    assert "/api/v1/namespaces/demo/pods" in held
    assert "/api/v1/pods" not in held
    assert replay(path, "veth", "-l", "app=web").code in (0, 4)
    elsewhere = replay(path, "pods", "-A")
    assert elsewhere.code == 1
    assert "the recording does not hold" in elsewhere.err
    flows = json.loads(replay(path, "conntrack", "list", "--node", "node-b", "-o", "json").out)
    assert Reason.NOT_RECORDED.value in {each["reason"] for each in flows["gaps"]}


def test_a_role_that_may_not_list_pods_gets_no_snapshot(cluster: Cluster, tmp_path: Path) -> None:
    done = cluster.netinspect("snapshot", "-o", str(tmp_path / "it"), "--node", "node-a", "--as", "nobody")
    assert done.code == 1
    assert "forbidden" in done.err


def test_flags_that_make_no_sense_are_refused(cluster: Cluster) -> None:
    both = cluster.netinspect("snapshot", "-A", "-n", "demo")
    assert (both.code, "exclude each other" in both.err) == (2, True)
    empty = cluster.netinspect("snapshot", "-o", "")
    assert (empty.code, "names no file" in empty.err) == (2, True)
    dry = cluster.netinspect("snapshot", "--dry-run", "--node", "node-a").ok()
    assert "kind: Pod" in dry.out
