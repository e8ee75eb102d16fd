"""Every shape of Service that a dataplane may have to hold, as API objects made from code.

`build_shapes` gives them all; `build_large_shape` one with so many endpoints that kube-proxy leaves its comments out.
"Local" is the node whose kube-proxy is looked at. Hints name zones: `service_shape.zones` gives them to the nodes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from tests.cluster.service_shape import (
    LOCAL_TWO,
    LOCAL_ZONE,
    ONLY_V4,
    ONLY_V6,
    OTHER_TWO,
    OTHER_ZONE,
    THREE,
    Builder,
    Endpoint,
    Object,
    Port,
    Shape,
    create,
    own_namespace,
    zones,
)

__all__ = [
    "LARGE",
    "Builder",
    "Shape",
    "build_few_shapes",
    "build_large_shape",
    "build_shapes",
    "create",
    "own_namespace",
    "zones",
]

LARGE = 1200
"""Endpoints of the large shape: kube-proxy's large-cluster form begins above 1,000."""

RANGES = ("203.0.113.0/25", "198.51.100.0/24", "2001:db8:77::/64")
# The first halves of the bench's pod networks, so that some pods are inside and some outside.
POD_RANGES = ("10.244.0.0/17", "fd00:10:244::/49")
_FEW = frozenset(
    {
        "one",
        "affinity",
        "nodeport",
        "policy-local-local",
        "ranges",
        "external",
        "none-all",
        "none-here-local-local",
    }
)


def build_shapes(builder: Builder) -> tuple[Shape, ...]:
    """Return all shapes but the large one."""
    kinds = (_ports, _families, _affinity, _policies, _load_balancers, _ranges, _externals)
    states = (_no_endpoints, _conditions, _hints, _odd_slices, _no_rules)
    return tuple(shape for kind in (*kinds, *states) for shape in kind(builder))


def build_few_shapes(builder: Builder) -> tuple[Shape, ...]:
    """Return one shape of each kind that a setting of kube-proxy's changes."""
    return tuple(shape for shape in build_shapes(builder) if shape.name in _FEW)


def build_large_shape(builder: Builder, count: int = LARGE) -> Shape:
    """Return a Service of many endpoints, every tenth of them local."""
    endpoints = [Endpoint(n, is_local=n % 10 == 0) for n in range(1, count + 1)]
    return builder.shape("large", endpoints=endpoints, type="NodePort")


def _ports(builder: Builder) -> Iterator[Shape]:
    dns = (Port("dns", 53, 5353, "UDP"), Port("dns-tcp", 53, 5353, "TCP"))
    three = (Port(), Port("metrics", 9100, 9100), Port("admin", 8443, 443))
    yield builder.shape("one", endpoints=LOCAL_TWO[:1])
    yield builder.shape("three")
    yield builder.shape("unnamed", ports=(Port(name=""),))
    yield builder.shape("three-ports", ports=three)
    yield builder.shape("udp", ports=(Port("log", 514, 5514, "UDP"),))
    yield builder.shape("sctp", ports=(Port("diameter", 3868, 3868, "SCTP"),))
    yield builder.shape("two-protocols", ports=dns)
    yield builder.shape("two-protocols-nodeport", ports=dns, type="NodePort")
    yield builder.shape("udp-nodeport", ports=(Port("log", 514, 5514, "UDP"),), type="NodePort")
    yield builder.shape("sctp-nodeport", ports=(Port("diameter", 3868, 3868, "SCTP"),), type="NodePort")
    yield builder.shape("nodeport", type="NodePort")
    yield builder.shape("host-network", endpoints=(Endpoint(0), Endpoint(0, is_local=False)))


def _families(builder: Builder) -> Iterator[Shape]:
    yield builder.shape("only-v4", families=ONLY_V4, type="NodePort")
    yield builder.shape("only-v6", families=ONLY_V6, type="NodePort")
    yield builder.shape("v6-first", families=("IPv6", "IPv4"))


def _affinity(builder: Builder) -> Iterator[Shape]:
    short = {"clientIP": {"timeoutSeconds": 60}}
    yield builder.shape("affinity", sessionAffinity="ClientIP")
    yield builder.shape("affinity-short", sessionAffinity="ClientIP", sessionAffinityConfig=short)
    yield builder.shape("affinity-one", endpoints=LOCAL_TWO[:1], sessionAffinity="ClientIP")
    udp = (Port("log", 514, 5514, "UDP"),)
    yield builder.shape("affinity-udp-nodeport", ports=udp, sessionAffinity="ClientIP", type="NodePort")
    local = {"internalTrafficPolicy": "Local", "externalTrafficPolicy": "Local"}
    yield _load_balancer(builder, "affinity-local", sessionAffinity="ClientIP", **local)


def _policies(builder: Builder) -> Iterator[Shape]:
    """Yield both policies in all combinations, with endpoints here and without."""
    for internal in ("Cluster", "Local"):
        for external in ("Cluster", "Local"):
            policies = {"internalTrafficPolicy": internal, "externalTrafficPolicy": external}
            name = f"{internal}-{external}".lower()
            yield _load_balancer(builder, f"policy-{name}", **policies)
            yield _load_balancer(builder, f"none-here-{name}", endpoints=OTHER_TWO, **policies)
    # No health-check port here: only a load balancer has one.
    yield builder.shape("nodeport-local", type="NodePort", externalTrafficPolicy="Local")
    yield builder.shape("clusterip-local", internalTrafficPolicy="Local")
    yield builder.shape("clusterip-local-none-here", endpoints=OTHER_TWO, internalTrafficPolicy="Local")


def _load_balancers(builder: Builder) -> Iterator[Shape]:
    yield builder.shape("lb-pending", type="LoadBalancer")
    proxy = [{"ip": address, "ipMode": "Proxy"} for address in builder.outside()]
    yield builder.shape("lb-proxy", type="LoadBalancer", ingress=proxy)
    # Unlike an address, a name gives no node anything to do.
    yield builder.shape("lb-hostname", type="LoadBalancer", ingress=[{"hostname": "lb.example.com"}])
    two = _vip(*builder.outside(), *builder.outside())
    yield builder.shape("lb-two", type="LoadBalancer", ingress=two)
    mixed = (Port("http", 443, 8443), Port("http3", 443, 8443, "UDP"))
    yield _load_balancer(builder, "lb-mixed", ports=mixed)
    yield _load_balancer(builder, "lb-no-nodeports", allocateLoadBalancerNodePorts=False)
    yield builder.shape("lb-v4", type="LoadBalancer", families=ONLY_V4, ingress=_vip(builder.outside()[0]))


def _ranges(builder: Builder) -> Iterator[Shape]:
    both = ("0.0.0.0/0", "::/0")
    yield _load_balancer(builder, "ranges", loadBalancerSourceRanges=RANGES)
    yield _load_balancer(builder, "ranges-pods", loadBalancerSourceRanges=(*POD_RANGES, *RANGES))
    yield _load_balancer(builder, "ranges-any", loadBalancerSourceRanges=both)
    # A range that the node is in: kube-proxy then lets packets from the address itself through.
    yield _load_balancer(builder, "ranges-node", loadBalancerSourceRanges=("10.99.0.0/24", "fd00:10:99::/64"))
    # Only of one family: the other is open.
    yield _load_balancer(builder, "ranges-v4", loadBalancerSourceRanges=("203.0.113.0/25",))
    yield _load_balancer(
        builder, "ranges-local", loadBalancerSourceRanges=RANGES, externalTrafficPolicy="Local"
    )
    yield _load_balancer(builder, "ranges-none", endpoints=(), loadBalancerSourceRanges=RANGES)
    yield _load_balancer(
        builder, "ranges-external", loadBalancerSourceRanges=RANGES, externalIPs=builder.outside()
    )


def _externals(builder: Builder) -> Iterator[Shape]:
    node = builder.local
    yield builder.shape("external", externalIPs=builder.outside())
    yield builder.shape("external-local", externalIPs=builder.outside(), externalTrafficPolicy="Local")
    yield builder.shape(
        "external-local-none-here",
        endpoints=OTHER_TWO,
        externalIPs=builder.outside(),
        externalTrafficPolicy="Local",
    )
    yield builder.shape("external-none", endpoints=(), externalIPs=builder.outside())
    # One of the node's own addresses.
    own = (Port(port=7000 + builder.number),)
    yield builder.shape("external-node", ports=own, externalIPs=(node.v4, node.v6))


def _no_endpoints(builder: Builder) -> Iterator[Shape]:
    yield builder.shape("none", endpoints=())
    yield builder.shape("none-no-slice", endpoints=None)
    yield builder.shape("none-udp", ports=(Port("log", 514, 5514, "UDP"),), endpoints=())
    yield builder.shape("none-local", endpoints=(), internalTrafficPolicy="Local")
    yield _load_balancer(builder, "none-all", endpoints=(), externalIPs=builder.outside())
    yield _load_balancer(builder, "none-lb-local", endpoints=(), externalTrafficPolicy="Local")


def _conditions(builder: Builder) -> Iterator[Shape]:
    down = {"ready": False, "serving": False}
    leaving = {"ready": False, "serving": True, "terminating": True}
    gone = {"ready": False, "serving": False, "terminating": True}
    local, second, other = THREE
    yield builder.shape("not-ready", endpoints=_all(THREE, **down), type="NodePort")
    yield builder.shape("one-ready", endpoints=(local, *_all((second, other), **down)))
    yield builder.shape("unknown-ready", endpoints=_all(THREE, ready=None))
    yield builder.shape("terminating", endpoints=_all(THREE, **leaving), type="NodePort")
    yield builder.shape("terminating-one", endpoints=(*_all((local,), **leaving), second, other))
    yield builder.shape("terminating-gone", endpoints=_all(THREE, **gone))
    mixed = (*_all((local,), **leaving), *_all((second,), **gone), other)
    # Here only one that is leaving, elsewhere a ready one: each policy falls back for itself.
    yield _load_balancer(builder, "terminating-local", endpoints=mixed, externalTrafficPolicy="Local")


def _hints(builder: Builder) -> Iterator[Shape]:
    auto: Object = {"annotations": {"service.kubernetes.io/topology-mode": "Auto"}}
    zoned = (
        dataclasses.replace(THREE[0], for_zones=(LOCAL_ZONE,)),
        dataclasses.replace(THREE[1], for_zones=(OTHER_ZONE,)),
        dataclasses.replace(THREE[2], for_zones=(LOCAL_ZONE, OTHER_ZONE)),
    )
    nodes = (
        dataclasses.replace(zoned[0], for_local=True),
        dataclasses.replace(zoned[1], for_local=True),
        dataclasses.replace(zoned[2], for_local=False),
    )
    yield builder.shape("hints-auto", endpoints=zoned, metadata=auto)
    yield builder.shape("hints", endpoints=zoned, trafficDistribution="PreferClose")
    yield builder.shape("hints-partial", endpoints=(*zoned[:2], THREE[2]), trafficDistribution="PreferClose")
    yield builder.shape("hints-elsewhere", endpoints=_all(THREE, for_zones=(OTHER_ZONE,)), metadata=auto)
    yield builder.shape("hints-node", endpoints=nodes, trafficDistribution="PreferSameNode")
    yield _load_balancer(
        builder, "hints-local", endpoints=zoned, metadata=auto, externalTrafficPolicy="Local"
    )


def _odd_slices(builder: Builder) -> Iterator[Shape]:
    """Yield Services of several slices that do not say the same."""
    moved = (Port(target=9090),)
    two = builder.shape("two-targets", endpoints=LOCAL_TWO)
    yield dataclasses.replace(
        two, slices=(*two.slices, *builder.slices("two-targets", moved, OTHER_TWO, part="moved"))
    )
    # The same address twice: as ready, and as leaving.
    twice = builder.shape("listed-twice", endpoints=LOCAL_TWO)
    leaving = _all(LOCAL_TWO[:1], ready=False, serving=True, terminating=True)
    again = builder.slices("listed-twice", (Port(),), leaving, part="leaving")
    yield dataclasses.replace(twice, slices=(*twice.slices, *again))
    lacking = builder.shape("port-missing", ports=(Port(), Port("metrics", 9100, 9100)), endpoints=None)
    yield dataclasses.replace(lacking, slices=tuple(builder.slices("port-missing", (Port(),), THREE)))


def _no_rules(builder: Builder) -> Iterator[Shape]:
    """Yield Services that kube-proxy passes over."""
    foreign: Object = {"labels": {"service.kubernetes.io/service-proxy-name": "another"}}
    yield builder.shape("headless", clusterIP="None")
    yield builder.shape("foreign-proxy", metadata=foreign)
    named = builder.shape("external-name", ports=(), endpoints=None, type="ExternalName")
    bare = {"type": "ExternalName", "externalName": "www.example.com"}
    yield dataclasses.replace(named, service={**named.service, "spec": bare})


def _load_balancer(builder: Builder, name: str, **wanted: object) -> Shape:
    """Return a shape of type LoadBalancer with an address of each family, of ipMode VIP."""
    given: dict[str, object] = {"type": "LoadBalancer", "ingress": _vip(*builder.outside()), **wanted}
    return builder.shape(name, **given)  # type: ignore[arg-type]


def _vip(*addresses: str) -> list[Object]:
    return [{"ip": address, "ipMode": "VIP"} for address in addresses]


def _all(endpoints: tuple[Endpoint, ...], **state: object) -> tuple[Endpoint, ...]:
    """Return the endpoints, each in this state."""
    return tuple(dataclasses.replace(each, **state) for each in endpoints)  # type: ignore[arg-type]
