"""How the time to parse and match a node's links grows with its pods.

`python bench/parse_links.py [PODS]`: the outputs of `ip` and `lsns` for a node with so many pods of one link each are
made up, parsed and matched; then the same for eight times as many. The ratio of the two times, divided by eight, is
about 1 where time is linear, and about 8 where it is quadratic.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))

from netinspect.analyze.links.netns import locate_all
from netinspect.analyze.links.veth import attach_pods
from netinspect.models.fact import Known
from netinspect.models.kubernetes import ContainerStatus, ObjectMeta, Pod, PodSpec, PodStatus
from netinspect.models.netns import ProcessTable
from netinspect.models.veth import Confidence, NodeReading, PodReading
from netinspect.parse.cgroup import parse_cgroup_grep
from netinspect.parse.ip_addr import parse_ip_addr
from netinspect.parse.lsns import parse_lsns
from netinspect.parse.proc import parse_netns_listing

FACTOR = 8
ROUNDS = 5
NODE_NETNS = 4026531840
FIRST_NETNS = 4026540000
CAPTURES = Path(__file__).parents[1] / "tests" / "captures" / "tools" / "ip-addr"


class Outputs(msgspec.Struct):
    """What the tools print on a node."""

    node_links: bytes
    namespaces: bytes
    cgroups: bytes
    listing: bytes
    pod_links: list[bytes]
    pods: list[Pod]


def print_outputs(count: int) -> Outputs:
    """Print a node with `count` pods, from the captured links of a real one."""
    host = msgspec.json.decode((CAPTURES / "node-bridge.out").read_bytes())[1]
    lo, eth0 = msgspec.json.decode((CAPTURES / "pod-veth.out").read_bytes())
    numbers = range(count)
    hosts = [
        {**host, "ifindex": 10 + n, "ifname": f"veth{n:08x}", "link_index": 2, "link_netnsid": n}
        for n in numbers
    ]
    rows = [{"ns": FIRST_NETNS + n, "netnsid": str(n), "pid": 1000 + n, "command": "/pause"} for n in numbers]
    paths = [f"/proc/{1000 + n}/cgroup:0::/kubepods/pod{_uid(n)}/{n:064x}" for n in numbers]
    links = [
        f"lrwxrwxrwx 1 root root 0 Jan 1 00:00 /proc/{1000 + n}/ns/net -> net:[{FIRST_NETNS + n}]"
        for n in numbers
    ]
    return Outputs(
        node_links=msgspec.json.encode([lo, *hosts]),
        namespaces=msgspec.json.encode({"namespaces": rows}),
        cgroups="\n".join(paths).encode(),
        listing="\n".join(links).encode(),
        pod_links=[msgspec.json.encode([lo, {**eth0, "link_index": 10 + n}]) for n in numbers],
        pods=[_pod(n) for n in numbers],
    )


def _uid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def _pod(number: int) -> Pod:
    status = ContainerStatus(name="app", container_id=f"containerd://{number:064x}")
    return Pod(
        metadata=ObjectMeta(name=f"web-{number}", namespace="demo", uid=_uid(number)),
        spec=PodSpec(node_name="node-a"),
        status=PodStatus(phase="Running", container_statuses=(status,)),
    )


def work(outputs: Outputs) -> int:
    """Parse and match everything, and return how many matches are confirmed."""
    table = ProcessTable(
        parse_cgroup_grep(outputs.cgroups), parse_netns_listing(outputs.listing), node_netns=NODE_NETNS
    )
    netns = locate_all(outputs.pods, table)
    node = NodeReading(
        links=Known(parse_ip_addr(outputs.node_links)),
        namespaces=Known(parse_lsns(outputs.namespaces)),
        netns=NODE_NETNS,
    )
    readings = [
        PodReading(pod=pod, netns=netns[pod.metadata.uid], links=Known(parse_ip_addr(stdout)))
        for pod, stdout in zip(outputs.pods, outputs.pod_links, strict=True)
    ]
    matches = [match for attached in attach_pods(node, readings) for match in attached.links]
    return sum(match.confidence is Confidence.CONFIRMED for match in matches)


def best_of(rounds: int, action: Callable[[], object]) -> float:
    """Return the shortest time of several, in seconds: the others were disturbed."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print both times and their ratio."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    small, large = print_outputs(count), print_outputs(count * FACTOR)
    confirmed = work(small), work(large)
    if confirmed != (count, count * FACTOR):
        sys.exit(f"expected all of {count} and {count * FACTOR} matches to be confirmed, got {confirmed}")
    small_s = best_of(ROUNDS, lambda: work(small))
    large_s = best_of(ROUNDS, lambda: work(large))
    print(f"{count} pods: {small_s * 1000:.0f} ms; {count * FACTOR} pods: {large_s * 1000:.0f} ms")
    print(f"growth over linear: {large_s / small_s / FACTOR:.2f}")


if __name__ == "__main__":
    main()
