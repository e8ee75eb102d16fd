"""Make the recordings in examples/ anew: `python -m tests.cluster.make_examples`, with the test cluster up.

Both are snapshots of the two-node cluster with a shop in it. Before the second, faults are planted that `rules`,
`veth`, `conntrack stale` and `dns` show; all of it is undone afterwards. The kernel's log, which names the machine,
is left out.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from netinspect.archive.reader import read_recording
from netinspect.archive.writer import RecordingWriter
from netinspect.models.recording import RecordedResult, Recording
from netinspect.probes.conntrack import KERNEL_LOG
from tests.cluster.bench import sandbox
from tests.cluster.conftest import cluster_from_environment
from tests.cluster.kit import Cluster, observer_name
from tests.cluster.kube_proxies import find_kube_proxies, held
from tests.cluster.test_conntrack_stale import (
    _UDP_CLIENT,
    addresses_of,
    build_service,
    flows_to,
    pod_addresses,
    start_client,
    start_endpoint,
    wait_for_rules,
    wait_until_settled,
)

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMESPACE = "shop"
_SERVICE = "echo"


def main() -> int:
    """Write examples/healthy.tar.gz and examples/faulty.tar.gz."""
    found = cluster_from_environment(NAMESPACE)
    if found is None:
        sys.stderr.write("no cluster: run `make cluster-up`\n")
        return 1
    EXAMPLES.mkdir(exist_ok=True)
    with shop(found) as service:
        record(found, "healthy.tar.gz")
        with faults(found, service):
            record(found, "faulty.tar.gz")
    return 0


@contextmanager
def shop(cluster: Cluster) -> Iterator[dict[str, str]]:
    """Give a Service with one endpoint, and a client on each node that goes on sending to it."""
    cluster.kubectl("create", "namespace", NAMESPACE)
    try:
        cluster.start_observers()
        cluster.apply(build_service(cluster, _SERVICE))
        service = addresses_of(cluster, _SERVICE)
        start_endpoint(cluster, "echo-old", "node-b")
        for node in cluster.nodes():
            start_client(cluster, f"client-{node}", node, _UDP_CLIENT, service)
        old = pod_addresses(cluster, "echo-old")
        cluster.until(lambda: all(flows_to(cluster, node, ip) for node in cluster.nodes() for ip in old), 60)
        yield service
    finally:
        cluster.kubectl("delete", "namespace", NAMESPACE, "--wait")


@contextmanager
def faults(cluster: Cluster, service: dict[str, str]) -> Iterator[None]:
    """Plant them: DNS has no pod, a link is down, an element of a map is gone, clients send to a pod that is dead."""
    start_endpoint(cluster, "echo-new", "node-a")
    wait_for_rules(cluster, pod_addresses(cluster, "echo-new"), tuple(cluster.nodes()), service)
    with ExitStack() as stack:
        stack.enter_context(no_dns(cluster))
        stack.enter_context(held(find_kube_proxies(cluster)))
        stack.enter_context(without_element(cluster))
        stack.enter_context(link_down(cluster))
        cluster.kubectl("delete", "pod", "echo-old", "-n", NAMESPACE, "--now")
        wait_until_settled(cluster, _SERVICE)
        yield


@contextmanager
def no_dns(cluster: Cluster) -> Iterator[None]:
    """Leave the cluster's DNS without a pod."""
    scale = ("scale", "deployment", "coredns", "-n", "kube-system")
    pods = ("wait", "--for=delete", "pod", "-l", "k8s-app=kube-dns", "-n", "kube-system", "--timeout=90s")
    cluster.kubectl(*scale, "--replicas=0")
    cluster.kubectl(*pods)
    try:
        yield
    finally:
        cluster.kubectl(*scale, "--replicas=2")


@contextmanager
def without_element(cluster: Cluster) -> Iterator[None]:
    """Take demo/web's HTTP port out of node-b's map."""
    box = sandbox.find("node-b")
    assert box is not None
    address = next(
        each for each in cluster.get("service", "web", "-n", "demo")["spec"]["clusterIPs"] if ":" not in each
    )
    key = f"{address} . tcp . 80"
    listed = box.enter("nft", "list", "map", "ip", "kube-proxy", "service-ips")
    element = key + listed.partition(key)[2].partition(",")[0].partition("}")[0]
    box.enter("nft", "delete", "element", "ip", "kube-proxy", "service-ips", f"{{ {key} }}")
    try:
        yield
    finally:
        box.enter("nft", "add", "element", "ip", "kube-proxy", "service-ips", f"{{ {element} }}")


@contextmanager
def link_down(cluster: Cluster) -> Iterator[None]:
    """Take down the node's end of a link of demo/web."""
    listed = json.loads(cluster.netinspect("veth", "-n", "demo", "deploy/web", "-o", "json").ok().out)[
        "items"
    ]
    chosen = next(each for each in listed if each["node"] == "node-a")
    box = sandbox.find("node-a")
    assert box is not None
    ifname = chosen["links"][0]["hostLink"]["ifname"]
    box.enter("ip", "link", "set", ifname, "down")
    try:
        yield
    finally:
        box.enter("ip", "link", "set", ifname, "up")


def record(cluster: Cluster, name: str) -> None:
    """Take a snapshot, and keep it without what names the machine."""
    for node in cluster.nodes():
        cluster.kubectl("delete", "pod", observer_name(node), "-n", NAMESPACE, "--now", "--ignore-not-found")
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        sys.stdout.write(
            cluster.netinspect("snapshot", "-o", str(path), "--debug-namespace", NAMESPACE).out + "\n"
        )
        write(read_recording(path), EXAMPLES / name)
    cluster.start_observers()


def write(recording: Recording, path: Path) -> None:
    """Write a recording without the kernel's log."""
    writer = RecordingWriter(
        path,
        made_at=recording.made_at,
        made_by=recording.made_by,
        command="snapshot",
        is_snapshot=True,
        namespace=recording.namespace,
    )
    for request in recording.requests:
        writer.add_request(replace(request, body=unnamed(request.body)))
    for trip in recording.trips:
        kept = (each for each in trip.results if each.outcome.name != KERNEL_LOG.name)
        writer.add_trip(replace(trip, results=tuple(map(_unnamed_result, kept))))
    for seconds in recording.clock:
        writer.add_time(seconds)
    writer.finish()
    path.chmod(0o644)


def unnamed(data: bytes) -> bytes:
    """Leave of the kernel's release its version: what stands behind it is this machine's."""
    release = os.uname().release
    return data.replace(release.encode(), release.partition("-")[0].encode())


def _unnamed_result(result: RecordedResult) -> RecordedResult:
    outcome = result.outcome
    return replace(
        result, outcome=replace(outcome, stdout=unnamed(outcome.stdout), stderr=unnamed(outcome.stderr))
    )


if __name__ == "__main__":
    sys.exit(main())
