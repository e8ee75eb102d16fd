"""The table of the README: what netinspect takes beside what kubectl takes, on the same cluster in the same run.

The two commands of a pair are run alternately, so that what else the machine does hits both alike.
"""

from __future__ import annotations

import compileall
import hashlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import netinspect
from tests.cluster.conftest import cluster_from_environment
from tests.cluster.kit import Cluster

NAMESPACE = "netinspect-bench"
POD = "target"
MEGABYTES = 200


@dataclass(frozen=True)
class Pair:
    """Two commands that are compared.

    Attributes:
        what: of ours and of theirs, as the table words it.
        ours: the command of netinspect.
        theirs: the command of kubectl.
        rounds: how often each is run.
        limit: the ratio that is promised.
    """

    what: tuple[str, str]
    ours: Callable[[], None]
    theirs: Callable[[], None]
    rounds: int
    limit: float


def main() -> None:
    """Run all pairs and print the table."""
    cluster = cluster_from_environment(NAMESPACE)
    if cluster is None:
        sys.exit("no cluster: set KUBECONFIG, or run `make cluster-up`")
    # With PYTHONDONTWRITEBYTECODE set, each run would compile the package anew.
    compileall.compile_dir(Path(netinspect.__file__).parent, quiet=1)
    cluster.kubectl("create", "namespace", NAMESPACE)
    try:
        prepare(cluster)
        print("| netinspect | s | kubectl | s | ratio | promised |")
        print("| --- | --- | --- | --- | --- | --- |")
        for pair in pairs(cluster):
            print(row(pair), flush=True)
    finally:
        cluster.netinspect("cleanup")
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def pairs(cluster: Cluster) -> list[Pair]:
    """Return what is compared; the kept pod comes last, as it would warm the cold ones."""
    node = cluster.nodes()[0]
    run = kubectl_run(cluster, node)
    size = f"head -c {MEGABYTES}000000 /dev/urandom"
    return [
        Pair(
            ("`kubectl-netinspect --help`", "`kubectl --help`"),
            quiet(cluster, "kubectl-netinspect", "--help"),
            quiet(cluster, "kubectl", "--help"),
            21,
            3,
        ),
        Pair(
            ("`veth POD`, cold", "`kubectl run --rm -i` of `ip link`, same privileged pod"),
            quiet(cluster, "kubectl", "netinspect", "veth", POD, "-n", NAMESPACE),
            quiet(cluster, *run),
            9,
            1,
        ),
        Pair(
            ("`veth POD`, warm (`--keep`)", "`kubectl exec POD -- true`"),
            quiet(cluster, "kubectl", "netinspect", "veth", POD, "-n", NAMESPACE, "--keep", "10m"),
            quiet(cluster, "kubectl", "exec", "-n", NAMESPACE, POD, "--", "true"),
            21,
            5,
        ),
        Pair(
            (f"`exec POD --`, {MEGABYTES} MB of random bytes", "`kubectl exec` of the same"),
            checked(cluster, "kubectl", "netinspect", "exec", "-n", NAMESPACE, POD, "--", *hashed(size)),
            # Not checked: now and then kubectl exec itself loses the last bytes of such a stream.
            quiet(cluster, "kubectl", "exec", "-n", NAMESPACE, POD, "--", *hashed(size)),
            5,
            1.5,
        ),
    ]


def row(pair: Pair) -> str:
    """Run one pair and return its line of the table."""
    ours: list[float] = []
    theirs: list[float] = []
    for turn in range(pair.rounds + 1):
        for command, seconds in ((pair.ours, ours), (pair.theirs, theirs)):
            begin = time.perf_counter()
            command()
            if turn:  # the first turn fills caches
                seconds.append(time.perf_counter() - begin)
    mine, other = statistics.median(ours), statistics.median(theirs)
    ratio = f"{mine / other:.2f}"
    return f"| {pair.what[0]} | {mine:.2f} | {pair.what[1]} | {other:.2f} | {ratio} | {pair.limit:g} |"


def quiet(cluster: Cluster, *argv: str) -> Callable[[], None]:
    """Return a call that runs a command, makes sure that it succeeded, and drops its output."""

    def call() -> None:
        subprocess.run(argv, env=cluster.env, stdin=subprocess.DEVNULL, capture_output=True, check=True)

    return call


def checked(cluster: Cluster, *argv: str) -> Callable[[], None]:
    """Return a call that compares the digest of a command's stdout with the one on its stderr."""

    def call() -> None:
        done = subprocess.run(
            argv, env=cluster.env, stdin=subprocess.DEVNULL, capture_output=True, check=True
        )
        digest = hashlib.sha256(done.stdout).hexdigest()
        if digest not in done.stderr.decode():
            raise AssertionError(
                f"{argv[1]}: {len(done.stdout)} bytes arrived, and they are not what was sent"
            )

    return call


def hashed(command: str) -> list[str]:
    """Return a command that sends the bytes of another to stdout and their digest to stderr."""
    return ["sh", "-c", f"{command} | {{ tee /dev/fd/3 | sha256sum >&2; }} 3>&1"]


def kubectl_run(cluster: Cluster, node: str) -> list[str]:
    """Return a `kubectl run` of the pod that netinspect would make."""
    container = {
        "name": "bench",
        "image": cluster.image,
        "command": ["ip", "link"],
        "stdin": True,
        "securityContext": {"privileged": True},
    }
    spec = {"nodeName": node, "hostNetwork": True, "hostPID": True, "containers": [container]}
    overrides = json.dumps({"apiVersion": "v1", "spec": spec})
    flags = ["--rm", "-i", "--quiet", "--restart=Never", f"--image={cluster.image}"]
    return ["kubectl", "run", "bench", "-n", NAMESPACE, *flags, f"--overrides={overrides}"]


def prepare(cluster: Cluster) -> None:
    """Start the pod that is looked at."""
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": POD, "namespace": NAMESPACE},
            "spec": {
                "nodeName": cluster.nodes()[0],
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "main", "image": cluster.image, "command": ["sleep", "3600"]}],
            },
        }
    )
    cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Ready", f"pod/{POD}", "--timeout=60s")


if __name__ == "__main__":
    main()
