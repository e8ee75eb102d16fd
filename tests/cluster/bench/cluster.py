"""Bring the cluster up and take it down."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.cluster.bench import (
    cgroups,
    control_plane,
    golang,
    host,
    images,
    kubeconfig,
    network,
    node,
    paths,
    pki,
    ready,
    sandbox,
)
from tests.cluster.bench.kubectl import kubectl
from tests.cluster.bench.sandbox import Gate, Sandbox
from tests.cluster.bench.shell import BenchError
from tests.cluster.bench.topology import CONTROL_PLANE, NODES, Node

SANDBOXES = (CONTROL_PLANE, *(each.name for each in NODES))
API_TIMEOUT = 120.0
READY_TIMEOUT = 240.0
# A cluster that has stood for a while is whole after this time, or it is worth less than a new one.
REPAIR_TIMEOUT = 60.0
POLL = 0.3


@contextlib.contextmanager
def lock() -> Iterator[None]:
    """Let one `up` or `down` after the other work; the kernel lets go of a killed one's lock."""
    paths.cache().mkdir(parents=True, exist_ok=True)
    with (paths.cache() / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def up() -> None:
    """Make sure that a whole cluster runs: complete one that answers, replace anything else."""
    host.prepare()
    if _answers():
        try:
            _complete(REPAIR_TIMEOUT)
            return
        except BenchError as failure:
            print(f"replacing the cluster that runs: {failure}", flush=True)
    golang.build_kubernetes()
    archives = images.make_all()
    down()
    _start(archives)
    _complete(READY_TIMEOUT)


def down() -> None:
    """End what runs and remove what it left, whatever state it is in."""
    for name in SANDBOXES:
        running = sandbox.find(name)
        if running:
            running.end()
    cgroups.remove()
    shutil.rmtree(paths.state(), ignore_errors=True)


def log_files() -> Iterator[Path]:
    """Every log of the running cluster, or of the one that failed to start."""
    for name in SANDBOXES:
        yield paths.sandbox(name) / "init.log"
    for folder in (control_plane.logs(), *(node.logs(each) for each in NODES)):
        yield from sorted(folder.glob("*.log"))


def _answers() -> bool:
    """Whether all sandboxes live and the API says that it is ready."""
    return all(sandbox.find(name) for name in SANDBOXES) and not _missing_api()


def _start(archives: list[Path]) -> None:
    """Start everything, from an empty state folder to an API that answers and kubelets that ask it."""
    paths.state().mkdir(parents=True, mode=0o700)  # keys are in it
    pki.make_all()
    control_plane.write_files()
    for each in NODES:
        node.write_files(each)
    gates = _launch(archives)
    _wait_until("API server", _missing_api, API_TIMEOUT)
    _apply("namespace.yaml")
    for gate in gates:
        gate.open()


def _complete(timeout: float) -> None:
    """Have the nodes and workloads in the API, and wait until all of them work."""
    # Both nodes first: while there is one, all pods that are to be spread over the nodes would go to it.
    _wait_until("nodes", _missing_pod_ranges, timeout)
    _apply("coredns.yaml")
    _apply("demo.yaml")
    _wait_until("objects", ready.missing_objects, timeout)
    _wait_until("paths", ready.missing_paths, timeout)


def _launch(archives: list[Path]) -> list[Gate]:
    """Start the three sandboxes, and let them go on once they are joined to one network."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kubeconfig.write(paths.kubeconfig(), f"https://127.0.0.1:{listener.getsockname()[1]}", pki.ADMIN)
        descriptor = listener.fileno()
        master, gate = sandbox.launch(
            CONTROL_PLANE, lambda gate: control_plane.run_init(gate, descriptor), keep=[descriptor]
        )
    gates = [gate]
    nodes: dict[Node, Sandbox] = {}
    for each in NODES:
        nodes[each], gate = sandbox.launch(each.name, _node_body(each, archives))
        gates.append(gate)
    network.wire(master, nodes)
    for gate in gates:
        gate.open()
    return gates


def _node_body(each: Node, archives: list[Path]) -> sandbox.Body:
    return lambda gate: node.run_init(gate, each, archives)


def _missing_pod_ranges() -> list[str]:
    """Give each node its pod ranges; says which nodes have not registered yet.

    Not the controller manager's work here, because the routes between the nodes are fixed before they register.
    """
    missing = []
    for each in NODES:
        ranges = {"spec": {"podCIDR": each.pods_v4, "podCIDRs": [each.pods_v4, each.pods_v6]}}
        try:
            kubectl("patch", "node", each.name, "--type=merge", f"--patch={json.dumps(ranges)}")
        except BenchError as failure:
            missing.append(str(failure).splitlines()[-1])
    return missing


def _apply(manifest: str) -> None:
    text = (paths.MANIFESTS / manifest).read_text()
    kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=text)


def _missing_api() -> list[str]:
    try:
        said = kubectl("get", "--raw=/readyz", timeout=5)
    except BenchError as failure:
        return [str(failure).splitlines()[-1]]
    return [] if said == "ok" else [said]


def _wait_until(what: str, missing: Callable[[], list[str]], timeout: float) -> None:
    """Poll until nothing is missing; a sandbox that ended meanwhile ends the waiting."""
    deadline = time.monotonic() + timeout
    while lacking := missing():
        for name in SANDBOXES:
            if not sandbox.find(name):
                raise BenchError(f"{name} ended before the cluster was ready")
        if time.monotonic() > deadline:
            raise BenchError(f"{what}: not ready after {timeout:g} s:\n" + "\n".join(lacking))
        time.sleep(POLL)
