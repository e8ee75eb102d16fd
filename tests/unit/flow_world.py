"""A made-up cluster, and lines of its nodes' tables, in as few words as a test needs.

demo/tools (10.244.1.3) and demo/web-1 (10.244.1.5) are on node-a, demo/web-2 (10.244.2.7) on node-b; Service demo/web
has port http (80, nodePort 30080) and the UDP port echo. Each address has an IPv6 one beside it.
"""

from __future__ import annotations

from typing import Any

from netinspect.models.address import parse_address
from netinspect.models.cluster_state import ClusterState
from netinspect.models.conntrack import Flow
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.models.kubernetes import (
    LoadBalancerIngress,
    LoadBalancerStatus,
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
    ServiceStatus,
)
from netinspect.parse.conntrack import parse_flow

TCP_V4 = (
    "ipv4     2 tcp      6 86399 ESTABLISHED src=10.244.1.3 dst=10.96.0.20 sport=42548 dport=80 "
    "src=10.244.2.7 dst=10.244.1.3 sport=8080 dport=42548 [ASSURED] mark=0 use=1 id=101"
)
TCP_V6 = (
    "ipv6     10 tcp      6 86399 ESTABLISHED src=fd00:244:1::3 dst=fd00:96::20 sport=42548 dport=80 "
    "src=fd00:244:2::7 dst=fd00:244:1::3 sport=8080 dport=42548 [ASSURED] mark=0 use=1 id=102"
)
NODE_PORT_V4 = (
    "ipv4     2 tcp      6 86399 ESTABLISHED src=10.244.1.3 dst=10.99.0.11 sport=53732 dport=30080 "
    "packets=4 bytes=217 src=10.244.2.7 dst=10.244.1.1 sport=8080 dport=37363 packets=3 bytes=165 "
    "[ASSURED] mark=16384 use=1 id=103"
)
UNREPLIED_V6 = (
    "ipv6     10 udp      17 29 src=fd00:244:1::3 dst=fd00:96::20 sport=50061 dport=80 [UNREPLIED] "
    "src=fd00:96::20 dst=fd00:244:1::3 sport=80 dport=50061 mark=0 use=1 id=104"
)
PING_V6 = (
    "ipv6     10 icmpv6   58 25 src=fd00:244:1::3 dst=fd00:244:2::7 type=128 code=0 id=23154 "
    "src=fd00:244:2::7 dst=fd00:244:1::3 type=129 code=0 id=23154 mark=0 use=1 id=105"
)
NEIGHBOUR_V4 = (
    "ipv4     2 tcp      6 115 SYN_SENT src=10.244.1.50 dst=93.184.216.34 sport=40128 dport=443 [UNREPLIED] "
    "src=93.184.216.34 dst=10.244.1.50 sport=443 dport=40128 mark=0 use=1 id=106"
)
GRE_V4 = (
    "ipv4     2 gre      47 99 src=10.99.0.11 dst=10.99.0.12 srckey=0x7 dstkey=0x100 [UNREPLIED] "
    "src=10.99.0.12 dst=10.99.0.11 srckey=0x100 dstkey=0x7 mark=0 use=1 id=107"
)
ZONE_V4 = (
    "ipv4     2 tcp      6 99 SYN_SENT2 src=10.99.0.11 dst=10.99.0.12 sport=7 dport=8 zone-orig=9 [UNREPLIED] "
    "src=10.99.0.12 dst=10.99.0.11 sport=8 dport=7 mark=99 use=1 id=108"
)
OFFLOADED_V6 = (
    "ipv6     10 udp      17 src=fd00:244:1::3 dst=2001:db8::1 sport=1 dport=2 "
    "src=2001:db8::1 dst=fd00:99::11 sport=2 dport=1 [HW_OFFLOAD] mark=0 zone=4 use=3 id=109"
)
LINES = (
    *(TCP_V4, TCP_V6, NODE_PORT_V4, UNREPLIED_V6, PING_V6),
    *(NEIGHBOUR_V4, GRE_V4, ZONE_V4, OFFLOADED_V6),
)


def flow(line: str) -> Flow:
    return parse_flow(line)


def pod(
    name: str,
    *ips: str,
    node: str = "node-a",
    host_network: bool = False,
    phase: str = "Running",
    **meta: Any,
) -> Pod:
    return Pod(
        metadata=ObjectMeta(**{"name": name, "namespace": "demo", "uid": f"uid-of-{name}", **meta}),
        spec=PodSpec(node_name=node, host_network=host_network),
        status=PodStatus(phase=phase, pod_ips=tuple(PodIP(parse_address(ip)) for ip in ips)),
    )


def service(name: str, *ips: str, external: tuple[str, ...] = (), balancer: tuple[str, ...] = ()) -> Service:
    return Service(
        metadata=ObjectMeta(name=name, namespace="demo"),
        spec=ServiceSpec(
            cluster_ips=ips,
            external_ips=external,
            ports=(
                ServicePort(name="http", port=80, node_port=30080 if name == "web" else 0),
                ServicePort(name="echo", port=80, protocol="UDP"),
            ),
        ),
        status=ServiceStatus(
            load_balancer=LoadBalancerStatus(ingress=tuple(LoadBalancerIngress(ip=ip) for ip in balancer))
        ),
    )


def node(name: str, number: int) -> Node:
    addresses = (
        NodeAddress("InternalIP", f"10.99.0.{10 + number}"),
        NodeAddress("InternalIP", f"fd00:99::{10 + number}"),
        NodeAddress("Hostname", name),
    )
    return Node(
        metadata=ObjectMeta(name=name),
        spec=NodeSpec(pod_cidrs=(f"10.244.{number}.0/24", f"fd00:244:{number}::/64")),
        status=NodeStatus(addresses=addresses),
    )


PODS = (
    pod("tools", "10.244.1.3", "fd00:244:1::3"),
    pod("web-1", "10.244.1.5", "fd00:244:1::5"),
    pod("web-2", "10.244.2.7", "fd00:244:2::7", node="node-b"),
    pod("hostnet", "10.99.0.11", "fd00:99::11", host_network=True),
    pod("done", "10.244.1.9", phase="Succeeded"),
)
STATE = ClusterState(
    pods=Known(PODS),
    services=Known((service("web", "10.96.0.20", "fd00:96::20"), service("headless", "None"))),
    slices=Unavailable(Reason.NOT_APPLICABLE, "not asked for"),
    nodes=Known((node("node-a", 1), node("node-b", 2))),
)
DENIED = Unavailable(Reason.PERMISSION_DENIED, "forbidden")
