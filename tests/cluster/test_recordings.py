"""Each command that reads, recorded on the real cluster, and again from its recording where there is no cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.kit import Cluster, Ran
from tests.cluster.test_veth import deployment

pytestmark = pytest.mark.cluster

_WORK = ("recorded to ", "starting debug pods ", "waiting for ", "warning: ")


@dataclass
class Recorder:
    """Records commands, and replays them.

    Attributes:
        cluster: the real one.
        file: where recordings are written.
        web: a pod with a network of its own.
        node: its node.
    """

    cluster: Cluster
    file: Path
    web: str
    node: str

    def record(self, *arguments: str) -> Ran:
        """Run a command on the cluster, and record it."""
        return self.cluster.netinspect(*arguments, "--record", str(self.file))

    def replay(self, *arguments: str) -> Ran:
        """Run a command on the recording, with neither configuration nor any other program at hand."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("NETINSPECT_")}
        # As part of what limit --set prints: whoever repeats the command needs it.
        env |= {key: value for key, value in self.cluster.env.items() if key.startswith("NETINSPECT_")}
        done = subprocess.run(
            [sys.executable, "-m", "netinspect", *arguments, "--from", str(self.file)],
            capture_output=True,
            text=True,
            env={**env, "KUBECONFIG": "/nowhere/kubeconfig", "PATH": "/nowhere", "HOME": "/nowhere"},
            timeout=180,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def compare(self, *arguments: str, only_live: tuple[str, ...] = ()) -> Ran:
        """Record and replay, make sure that both say the same, and return what was live."""
        live = self.record(*arguments, *only_live)
        again = self.replay(*arguments)
        assert again.out == live.out
        assert told(again.err) == told(live.err)
        assert again.code == live.code
        return live


def told(text: str) -> list[str]:
    """What stderr says of the answer: without the lines about the work."""
    return [line for line in text.splitlines() if not line.startswith(_WORK)]


@pytest.fixture
def recorder(cluster: Cluster, tmp_path: Path) -> Recorder:
    name = deployment(cluster)
    first = cluster.get("pods", "-n", cluster.namespace, "-l", f"app={name}")["items"][0]
    return Recorder(cluster, tmp_path / "recording", first["metadata"]["name"], first["spec"]["nodeName"])


Words = Callable[[Recorder], tuple[str, ...]]


@pytest.mark.parametrize(
    "words",
    [
        lambda _: ("pods", "-A", "-o", "wide"),
        lambda _: ("services", "-A", "-o", "json"),
        lambda _: ("netns", "--all-nodes", "-o", "wide"),
        lambda _: ("veth", "--all-nodes", "-o", "json"),
        lambda kit: ("veth", kit.web),
        lambda _: ("conntrack", "list", "--all-nodes"),
        lambda kit: ("conntrack", "list", kit.web, "-o", "json"),
        lambda _: ("conntrack", "top", "--all-nodes", "--for", "2s"),
        lambda _: ("conntrack", "stale", "--all-nodes", "--for", "5s", "-o", "wide"),
        lambda _: ("conntrack", "limit", "--all-nodes", "--for", "1s", "-o", "wide"),
        lambda kit: ("conntrack", "limit", "--node", kit.node, "--set", "262144"),
        lambda _: ("dns",),
        lambda kit: ("dns", "kubernetes.default", "--pod", kit.web, "-o", "json"),
        lambda _: ("dns", "--servers", "--count", "2"),
        lambda kit: ("dns", "--servers", "--count", "2", "--pod", kit.web),
        lambda _: ("rules", "--all-nodes"),
        lambda kit: ("rules", "kubernetes", "--node", kit.node, "-o", "wide"),
        lambda _: ("iptables", "--all-nodes"),
        lambda kit: ("iptables", "--node", kit.node, "--raw"),
        lambda kit: ("iptables", "--node", kit.node, "--table", "nat", "-o", "json"),
        lambda _: ("nftables", "--all-nodes", "-o", "json"),
        lambda kit: ("nftables", "--node", kit.node, "--raw"),
        lambda _: ("ipvs", "--all-nodes"),
        lambda _: ("dataplane", "--all-nodes", "-o", "wide"),
    ],
    ids=lambda words: " ".join(words(Recorder(None, Path(), "POD", "NODE"))),  # type: ignore[arg-type]
)
def test_a_command_on_its_recording_prints_what_it_printed(recorder: Recorder, words: Words) -> None:
    """The same bytes, the same notes and gaps, the same exit code."""
    arguments = words(recorder)
    where = () if {"-A", "--all-nodes", "--node"} & set(arguments) else ("-n", recorder.cluster.namespace)
    live = recorder.compare(*arguments, *where)
    assert live.code in (0, 4), live.err


@pytest.mark.parametrize("words", [("veth", "nosuch"), ("rules", "--node", "nosuch"), ("pods", "-l", "a=((")])
def test_a_refused_question_is_refused_again(recorder: Recorder, words: tuple[str, ...]) -> None:
    """In the API server's own words."""
    assert recorder.compare(*words).code == 1


def test_a_debug_pod_that_does_not_start_fails_again(recorder: Recorder) -> None:
    """On both nodes: the command fails with the same sentence and hint."""
    flags = ("--image", "nosuch.invalid/tools:1", "--image-pull-policy", "Never", "--timeout", "30s")
    live = recorder.record("conntrack", "list", "--all-nodes", *flags)
    again = recorder.replay("conntrack", "list", "--all-nodes")
    assert (live.code, again.code) == (1, 1)
    assert "is not on the node" in live.err
    assert told(again.err) == told(live.err)


def test_less_privilege_leaves_the_same_gaps(recorder: Recorder) -> None:
    """The kernel's log takes more than was given; the recording knows what was given."""
    wanted = ("conntrack", "limit", "--node", recorder.node, "--for", "1s")
    live = recorder.compare(*wanted, only_live=("--privilege", "netadmin"))
    assert live.code == 4
    assert "gap: " in live.err


def test_another_question_to_a_recording_is_answered_as_far_as_it_goes(recorder: Recorder) -> None:
    """Pods of a recorded listing; what no node was asked is a gap, and an unknown node an error."""
    recorder.record("rules", "--node", recorder.node).ok()
    pods = recorder.replay("pods", "-n", recorder.cluster.namespace, "-o", "name").ok()
    assert recorder.web in pods.out
    flows = recorder.replay("conntrack", "list", "--node", recorder.node)
    assert flows.code == 4
    assert "the recording does not hold flows-ipv4 (not-recorded)" in flows.err
    others = [node for node in recorder.cluster.nodes() if node != recorder.node]
    for node in others:
        refused = recorder.replay("rules", "--node", node)
        assert (refused.code, refused.out) == (1, "")
        assert f"the recording holds nothing of node {node}" in refused.err
    assert others
