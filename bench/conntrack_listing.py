"""Make up the table of a busy node, as `conntrack -L -o extended,id` prints it, the same each time.

`python -m bench.conntrack_listing PATH ENTRIES` writes PATH.txt (the lines), PATH.gz (the same, compressed) and
PATH.frames (the node side's answer). No line is invented freely: each has the form of a captured one
(tests/captures/tools/conntrack-list), with other addresses, ports, states and numbers.
"""

from __future__ import annotations

import gzip
import random
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from netinspect.models.address import parse_address
from netinspect.models.cluster_state import ClusterState
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.models.kubernetes import (
    Node,
    NodeAddress,
    NodeSpec,
    NodeStatus,
    ObjectMeta,
    Pod,
    PodIP,
    PodSpec,
    PodStatus,
    Service,
    ServicePort,
    ServiceSpec,
)

NODE_NAME = "node-a"
_PODS, _SERVICES, _PEERS = 250, 60, 120_000
_BATCH = 2000
_LIMITS = b"/proc/sys/net/netfilter/nf_conntrack_max:1048576\n"
_LINKS = (
    b'[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP"],"mtu":65536,"operstate":"UNKNOWN",'
    b'"link_type":"loopback","address":"00:00:00:00:00:00","addr_info":[]}]'
)
_TCP_STATES = (
    "ESTABLISHED",
    "ESTABLISHED",
    "ESTABLISHED",
    "TIME_WAIT",
    "TIME_WAIT",
    "CLOSE_WAIT",
    "FIN_WAIT",
)


class _Family(NamedTuple):
    """How a family's lines begin, and its addresses, by number."""

    head: str
    pod: str
    service: str
    node: str
    icmp: str


_FAMILIES = {
    4: _Family("ipv4     2", "10.244.{0}.{1}", "10.96.0.{1}", "10.99.0.11", "icmp     1"),
    6: _Family("ipv6     10", "fd00:244:{0:x}::{1:x}", "fd00:96::{1:x}", "fd00:99::b", "icmpv6   58"),
}


def make_state() -> ClusterState:
    """Return what the API says of the cluster whose node has the table."""
    nodes = tuple(
        Node(
            metadata=ObjectMeta(name=name),
            spec=NodeSpec(pod_cidrs=(f"10.244.{number}.0/24", f"fd00:244:{number}::/64")),
            status=NodeStatus(
                addresses=tuple(
                    NodeAddress("InternalIP", text)
                    for text in (f"10.99.0.{10 + number}", f"fd00:99::{10 + number:x}")
                )
            ),
        )
        for number, name in enumerate((NODE_NAME, "node-b"), 1)
    )
    return ClusterState(
        pods=Known(tuple(_make_pod(number) for number in range(_PODS))),
        services=Known(tuple(_make_service(number) for number in range(_SERVICES))),
        slices=Unavailable(Reason.NOT_APPLICABLE, "not asked for"),
        nodes=Known(nodes),
    )


def _make_pod(number: int) -> Pod:
    addresses = tuple(PodIP(parse_address(_pod(version, number))) for version in (4, 6))
    return Pod(
        metadata=ObjectMeta(name=f"web-{number}", namespace="shop", uid=f"{number:032x}"),
        spec=PodSpec(node_name=NODE_NAME),
        status=PodStatus(phase="Running", pod_ips=addresses),
    )


def _make_service(number: int) -> Service:
    return Service(
        metadata=ObjectMeta(name=f"web-{number}", namespace="shop"),
        spec=ServiceSpec(
            cluster_ips=(_service(4, number), _service(6, number)),
            ports=(
                ServicePort(name="http", port=80, node_port=30000 + number),
                ServicePort(name="dns", port=53, protocol="UDP"),
            ),
        ),
    )


def _pod(version: int, number: int) -> str:
    return _FAMILIES[version].pod.format(1 + number % 2, 2 + number // 2)


def _service(version: int, number: int) -> str:
    return _FAMILIES[version].service.format(0, 10 + number)


def _peer(version: int, number: int) -> str:
    if version == 6:
        return f"2001:db8:{number >> 12:x}:{number & 0xFFF:x}::1"
    return f"{20 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.{1 + number % 250}"


def print_entries(version: int, entries: int) -> Iterator[str]:
    """Yield the lines of one family."""
    chance = random.Random(version)
    makers = (_through_service, _from_outside, _dns, _to_outside, _other)
    for _ in range(entries):
        (make,) = chance.choices(makers, (45, 20, 15, 14, 6))
        yield f"{_FAMILIES[version].head} {make(version, chance)} use=1 id={chance.randrange(2**32)}\n"


def _tcp(chance: random.Random, tuples: str, reply: str) -> str:
    if chance.random() < 0.05:
        return f"tcp      6 {chance.randrange(120)} SYN_SENT {tuples} [UNREPLIED] {reply} mark=0"
    state = chance.choice(_TCP_STATES)
    return f"tcp      6 {chance.randrange(86400)} {state} {tuples} {reply} [ASSURED] mark=0"


def _through_service(version: int, chance: random.Random) -> str:
    client, backend = (_pod(version, chance.randrange(_PODS)) for _ in range(2))
    service, port = _service(version, chance.randrange(_SERVICES)), chance.randrange(32768, 61000)
    return _tcp(
        chance,
        f"src={client} dst={service} sport={port} dport=80 packets=6 bytes=412",
        f"src={backend} dst={client} sport=8080 dport={port} packets=4 bytes=673",
    )


def _from_outside(version: int, chance: random.Random) -> str:
    # A few clients that come often, and many that come once: min() of two is nearer to 0.
    peer = _peer(version, min(chance.randrange(_PEERS), chance.randrange(_PEERS)))
    number, port = chance.randrange(_SERVICES), chance.randrange(1024, 65536)
    node, backend = _FAMILIES[version].node, _pod(version, chance.randrange(_PODS))
    return _tcp(
        chance,
        f"src={peer} dst={node} sport={port} dport={30000 + number}",
        f"src={backend} dst={node} sport=8080 dport={chance.randrange(1024, 65536)}",
    )


def _dns(version: int, chance: random.Random) -> str:
    client, backend = _pod(version, chance.randrange(_PODS)), _pod(version, chance.randrange(2))
    port = chance.randrange(32768, 61000)
    return (
        f"udp      17 {chance.randrange(120)} src={client} dst={_service(version, 0)} sport={port} dport=53 "
        f"src={backend} dst={client} sport=53 dport={port} mark=0"
    )


def _to_outside(version: int, chance: random.Random) -> str:
    client, peer = _pod(version, chance.randrange(_PODS)), _peer(version, chance.randrange(500))
    port = chance.randrange(32768, 61000)
    return _tcp(
        chance,
        f"src={client} dst={peer} sport={port} dport=443",
        f"src={peer} dst={_FAMILIES[version].node} sport=443 dport={port}",
    )


def _other(version: int, chance: random.Random) -> str:
    one, other = (_pod(version, chance.randrange(_PODS)) for _ in range(2))
    number = chance.randrange(65536)
    there, back = f"src={one} dst={other}", f"src={other} dst={one}"
    ports, ports_back = f"sport={number} dport=9999", f"sport=9999 dport={number}"
    ping = (8, 0) if version == 4 else (128, 129)
    return chance.choice(
        (
            f"{_FAMILIES[version].icmp} 29 {there} type={ping[0]} code=0 id={number} "
            f"{back} type={ping[1]} code=0 id={number} mark=0",
            f"sctp     132 199 ESTABLISHED {there} {ports} {back} {ports_back} [ASSURED] mark=0",
            f"udplite  136 29 {there} {ports} [UNREPLIED] {back} {ports_back} mark=0",
            f"dccp     33 99 {there} {ports} {back} {ports_back} mark=0",
            f"gre      47 99 {there} srckey=0x7 dstkey=0x100 [UNREPLIED] {back} srckey=0x100 dstkey=0x7 mark=0",
            f"unknown  89 595 {there} [UNREPLIED] {back} mark=0",
            f"udp      17 29 {there} {ports} zone-orig=9 [UNREPLIED] {back} {ports_back} mark=16384",
        )
    )


def write_listing(path: str, entries: int) -> None:
    """Write the three files."""
    counts = {4: entries - entries // 3, 6: entries // 3}
    with open(f"{path}.txt", "wb") as plain:
        members = {version: _write_family(path, plain, version, count) for version, count in counts.items()}
    Path(f"{path}.gz").write_bytes(b"".join(member.read_bytes() for member in members.values()))
    with open(f"{path}.frames", "wb") as frames:
        frames.write(b"hello 1 4026531840\n")
        for name, stdout in (("conntrack-limits", _LIMITS), ("links", _LINKS)):
            frames.write(_frame(name, gzip.compress(stdout, 1), b""))
        for version, member in members.items():
            said = b"conntrack v1.4.7 (conntrack-tools): %d flow entries have been shown.\n" % counts[version]
            frames.write(_frame(f"flows-ipv{version}", member.read_bytes(), said))
            member.unlink()
        frames.write(b"done 4\n")


def _write_family(path: str, plain: BinaryIO, version: int, entries: int) -> Path:
    """Write a family's lines, and return the file with the same as a gzip member, at the node side's level."""
    member = Path(f"{path}.ipv{version}")
    lines = print_entries(version, entries)
    with gzip.open(member, "wb", compresslevel=1) as packed:
        while batch := "".join(islice(lines, _BATCH)).encode():
            plain.write(batch)
            packed.write(batch)
    return member


def _frame(name: str, member: bytes, stderr: bytes) -> bytes:
    return (
        b"probe node 4026531840 node %b\n" % name.encode()
        + member
        + gzip.compress(stderr + b"\n0 1.00 2.00", 1)
    )


if __name__ == "__main__":
    write_listing(sys.argv[1], int(sys.argv[2]))
