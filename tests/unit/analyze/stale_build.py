"""A made-up cluster and flows through it, in as few words as a test of `conntrack stale` needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from netinspect.analyze.conntrack.stale_flows import ClusterView, build_cluster_view
from netinspect.models.cluster_state import ClusterState
from netinspect.models.conntrack import Flow
from netinspect.models.conntrack_limit import ConntrackSysctls
from netinspect.models.fact import Known
from netinspect.models.kubernetes import EndpointSlice, Node, Pod, Service
from netinspect.models.node_flows import FlowListing, NodeFlows
from netinspect.models.stale_flow import FlowSamples
from netinspect.parse.api import parse_object
from netinspect.parse.conntrack import parse_flow

# The API was last changed here unless a test says otherwise, and was read a good while later.
CHANGED = "2026-11-25T17:00:00Z"
CHANGED_AT = 1795626000.0
READ_AT = CHANGED_AT + 600

TIMERS = ConntrackSysctls(
    tcp_timeout_established=86400,
    tcp_timeout_close_wait=3600,
    tcp_timeout_max_retrans=300,
    tcp_timeout_unacknowledged=300,
    udp_timeout=30,
    udp_timeout_stream=120,
    others={"tcp_timeout_syn_sent": 120, "sctp_timeout_established": 210},
)


def metadata(name: str, changed: str = CHANGED, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": "shop",
        "uid": f"uid-of-{name}",
        "resourceVersion": f"rv-of-{name}",
        "creationTimestamp": "2026-11-01T00:00:00Z",
        "managedFields": [{"manager": "kube-controller-manager", "operation": "Update", "time": changed}],
        **more,
    }


def service(
    name: str = "dns", *, labels: dict[str, str] | None = None, changed: str = CHANGED, **spec: Any
) -> Service:
    """A dual-stack Service at 10.96.0.10 and fd00:96::a, port 53 of TCP, UDP and SCTP."""
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 5353},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 5353},
        {"name": "dns-sctp", "port": 53, "protocol": "SCTP", "targetPort": 5353},
    ]
    whole = {"clusterIPs": ["10.96.0.10", "fd00:96::a"], "selector": {"app": name}, "ports": ports, **spec}
    ingress = whole.pop("ingress", [])
    text = msgspec.json.encode(
        {
            "metadata": metadata(name, changed, labels=labels or {}),
            "spec": whole,
            "status": {"loadBalancer": {"ingress": ingress}},
        }
    )
    return parse_object(Service, text)


def endpoint(address: str, **conditions: bool | None) -> dict[str, Any]:
    return {"addresses": [address], "conditions": conditions}


def slice_(
    *endpoints: dict[str, Any] | str,
    name: str = "dns-1",
    service: str = "dns",
    family: str = "IPv4",
    port: int | None = 5353,
    changed: str = CHANGED,
) -> EndpointSlice:
    """An EndpointSlice of the Service's three ports; an endpoint that is but an address is ready."""
    ports = [
        {"name": each, "protocol": protocol, "port": port}
        for each, protocol in (("dns", "UDP"), ("dns-tcp", "TCP"), ("dns-sctp", "SCTP"))
    ]
    whole = {
        "metadata": metadata(name, changed, labels={"kubernetes.io/service-name": service}),
        "addressType": family,
        "endpoints": [endpoint(each, ready=True) if isinstance(each, str) else each for each in endpoints],
        "ports": ports,
    }
    return parse_object(EndpointSlice, msgspec.json.encode(whole))


def pod(
    name: str, *ips: str, node: str = "node-b", phase: str = "Running", host_network: bool = False
) -> Pod:
    whole = {
        "metadata": metadata(name),
        "spec": {"nodeName": node, "hostNetwork": host_network},
        "status": {"phase": phase, "podIPs": [{"ip": ip} for ip in ips]},
    }
    return parse_object(Pod, msgspec.json.encode(whole))


def node(name: str, number: int) -> Node:
    whole = {
        "metadata": {"name": name},
        "spec": {"podCIDRs": [f"10.244.{number}.0/24", f"fd00:244:{number}::/64"]},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": f"192.0.2.{number}"},
                {"type": "InternalIP", "address": f"2001:db8::{number}"},
            ]
        },
    }
    return parse_object(Node, msgspec.json.encode(whole))


NODES = (node("node-a", 1), node("node-b", 2))
CLIENT = pod("client", "10.244.1.5", "fd00:244:1::5", node="node-a")
HEIR = pod("dns-2", "10.244.2.9", "fd00:244:2::9")
SLICES = (slice_("10.244.2.9"), slice_("fd00:244:2::9", name="dns-6", family="IPv6"))


def state(
    services: Sequence[Service] | None = None,
    slices: Sequence[EndpointSlice] = SLICES,
    pods: Iterable[Pod] = (CLIENT, HEIR),
    read_at: float = READ_AT,
) -> ClusterState:
    """What the API says: a client, and a Service whose only endpoint is 10.244.2.9 and fd00:244:2::9, port 5353."""
    return ClusterState(
        pods=Known(tuple(pods)),
        services=Known(tuple((service(),) if services is None else services)),
        slices=Known(tuple(slices)),
        nodes=Known(NODES),
        read_at=read_at,
    )


def view(*arguments: Any, **options: Any) -> ClusterView:
    return build_cluster_view(state(*arguments, **options))


_CLIENTS = {4: "10.244.1.5", 6: "fd00:244:1::5"}
_FRONTS = {4: "10.96.0.10", 6: "fd00:96::a"}
_PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}


def flow(
    backend: str = "fd00:244:2::7",
    *,
    protocol: str = "udp",
    timeout: int = 119,
    words: str = "",
    flags: str = "[ASSURED]",
    dst: str = "",
    dport: int = 53,
    port: int = 5353,
    packets: tuple[int, int] | None = None,
    zone: str = "",
    unreplied: str = "",
    id_: int = 77,
) -> Flow:
    """A flow of the client's, as the tool prints it, translated to `backend`: by default to a pod that is gone."""
    version = 6 if ":" in backend else 4
    src, front = _CLIENTS[version], dst or _FRONTS[version]
    sent, back = (f" packets={each} bytes={each * 50}" for each in packets) if packets else ("", "")
    head = f"ipv{version}     {10 if version == 6 else 2} {protocol:<8} {_PROTOCOLS[protocol]} {timeout}"
    first = f"src={src} dst={front} sport=4242 dport={dport}{sent}"
    reply = f"src={backend} dst={src} sport={port} dport=4242{back}"
    parts = (head, words, first, unreplied, reply, flags, "mark=0", zone, "use=1", f"id={id_}")
    return parse_flow(" ".join(part for part in parts if part))


def samples(
    first: Sequence[Flow], second: Sequence[Flow], *, elapsed: float = 10.0, timers: ConntrackSysctls = TIMERS
) -> FlowSamples:
    """Two listings of node-a's table, `elapsed` seconds apart."""

    def listing(flows: Sequence[Flow], start_s: float) -> FlowListing:
        by = {
            family: Known(tuple(each for each in flows if each.family == family))
            for family in ("ipv4", "ipv6")
        }
        return FlowListing(ipv4=by["ipv4"], ipv6=by["ipv6"], start_s=start_s)

    listings = (listing(first, 100.0), listing(second, 100.0 + elapsed))
    return FlowSamples(
        flows=NodeFlows(node="node-a", links=Known(()), listings=listings),
        timers=Known(timers),
        seen=len(first),
    )
