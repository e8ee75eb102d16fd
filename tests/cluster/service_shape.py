"""What a Service shape is made of: API objects from a few words, and how they come into a cluster.

Endpoints are EndpointSlices written by hand: no pod is behind them, kube-proxy does not mind. A Service has no
selector, so no controller touches its slices.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from tests.cluster.bench.topology import NODE_A, NODE_B, Node
from tests.cluster.kit import Cluster
from tests.cluster.kube_proxies import wait_until_synced

Object = dict[str, Any]

ZONE_LABEL = "topology.kubernetes.io/zone"
LOCAL_ZONE, OTHER_ZONE = "zone-local", "zone-other"
DUAL, ONLY_V4, ONLY_V6 = ("IPv4", "IPv6"), ("IPv4",), ("IPv6",)
# The control plane gives 100 endpoints to a slice as well.
_SLICE_SIZE = 100


@dataclass(frozen=True)
class Port:
    """One port of a Service, and the port that its endpoints listen on."""

    name: str = "http"
    port: int = 80
    target: int = 8080
    protocol: str = "TCP"


WEB = (Port(),)


@dataclass(frozen=True)
class Endpoint:
    """One endpoint: on the local node or the other, the n-th there, in a state.

    `ready`, `serving` and `terminating` are left out of the object where None: kube-proxy takes the first two for true
    then. `n` 0 is the node's own address (a pod of the host's network).
    """

    n: int
    is_local: bool = True
    ready: bool | None = True
    serving: bool | None = None
    terminating: bool | None = None
    for_zones: tuple[str, ...] = ()
    for_local: bool | None = None


LOCAL_TWO = (Endpoint(201), Endpoint(202))
OTHER_TWO = (Endpoint(201, is_local=False), Endpoint(202, is_local=False))
THREE = (*LOCAL_TWO, Endpoint(203, is_local=False))


@dataclass(frozen=True)
class Shape:
    """One Service with its slices.

    Attributes:
        name: the Service's name.
        service: the object, as it is created.
        slices: its EndpointSlices.
        ingress: what stands in `status.loadBalancer.ingress`, which cannot be given at creation.
    """

    name: str
    service: Object
    slices: tuple[Object, ...] = ()
    ingress: tuple[Object, ...] = ()


@dataclass
class Builder:
    """Makes shapes for one Kubernetes namespace.

    `number` (1 to 255) keeps the addresses outside the cluster apart from those of another namespace: two Services with
    one external address and port would get in each other's way.
    """

    namespace: str
    local: Node = NODE_A
    other: Node = NODE_B
    number: int = 1
    _outside: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def outside(self) -> tuple[str, str]:
        """Return an address of each family that nobody else has (of RFC 2544's and RFC 3849's networks)."""
        last = next(self._outside)
        return f"198.18.{self.number}.{last}", str(ip_address(f"2001:db8:{self.number:x}::{last:x}"))

    def shape(
        self,
        name: str,
        *,
        ports: Sequence[Port] = WEB,
        endpoints: Sequence[Endpoint] | None = THREE,
        families: Sequence[str] = DUAL,
        ingress: Sequence[Object] = (),
        metadata: Object | None = None,
        **spec: Any,
    ) -> Shape:
        """Make a Service with these endpoints; `spec` are fields of its own, in the API's names.

        None for `endpoints` is no slice at all, an empty sequence one that lists none.
        """
        policy = "SingleStack" if len(families) == 1 else "PreferDualStack"
        listed = {"ports": [_service_port(port) for port in ports]} if ports else {}
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": self.namespace, **(metadata or {})},
            "spec": {"ipFamilyPolicy": policy, "ipFamilies": list(families), **listed, **spec},
        }
        slices = () if endpoints is None else self.slices(name, ports, endpoints, families)
        return Shape(name, service, tuple(slices), tuple(ingress))

    def slices(
        self,
        service: str,
        ports: Sequence[Port],
        endpoints: Sequence[Endpoint],
        families: Sequence[str] = DUAL,
        part: str = "",
    ) -> Iterator[Object]:
        """Make the slices of a Service, one a family for each hundred endpoints."""
        for family in families:
            for start in range(0, max(len(endpoints), 1), _SLICE_SIZE):
                some = endpoints[start : start + _SLICE_SIZE]
                suffix = f"{part}{start // _SLICE_SIZE or ''}"
                yield {
                    "apiVersion": "discovery.k8s.io/v1",
                    "kind": "EndpointSlice",
                    "metadata": {
                        "name": f"{service}-{family.lower()}{'-' if suffix else ''}{suffix}",
                        "namespace": self.namespace,
                        "labels": {"kubernetes.io/service-name": service},
                    },
                    "addressType": family,
                    "ports": [_slice_port(port) for port in ports],
                    "endpoints": [self._endpoint(each, family) for each in some],
                }

    def _endpoint(self, endpoint: Endpoint, family: str) -> Object:
        node = self.local if endpoint.is_local else self.other
        states = {name: getattr(endpoint, name) for name in ("ready", "serving", "terminating")}
        made: Object = {
            "addresses": [_address(node, endpoint.n, family)],
            "nodeName": node.name,
            "zone": LOCAL_ZONE if endpoint.is_local else OTHER_ZONE,
            "conditions": {name: state for name, state in states.items() if state is not None},
        }
        hints: Object = {}
        if endpoint.for_zones:
            hints["forZones"] = [{"name": zone} for zone in endpoint.for_zones]
        if endpoint.for_local is not None:
            hints["forNodes"] = [{"name": (self.local if endpoint.for_local else self.other).name}]
        return {**made, "hints": hints} if hints else made


def objects(shapes: Iterable[Shape]) -> list[Object]:
    """Return all objects to create (what belongs into a status is not among them)."""
    return [each for shape in shapes for each in (shape.service, *shape.slices)]


def statuses(shapes: Iterable[Shape]) -> list[Object]:
    """Return what has to be applied to the status of Services (`kubectl apply --server-side --subresource=status`)."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {each: shape.service["metadata"][each] for each in ("name", "namespace")},
            "status": {"loadBalancer": {"ingress": list(shape.ingress)}},
        }
        for shape in shapes
        if shape.ingress
    ]


def create(cluster: Cluster, shapes: Sequence[Shape]) -> None:
    """Create all shapes in a cluster (the namespace must be there), and publish their load balancers' addresses."""
    cluster.kubectl("create", "-f", "-", stdin=as_list(objects(shapes)))
    if published := statuses(shapes):
        flags = ("--server-side", "--force-conflicts", "--subresource=status", "-f", "-")
        cluster.kubectl("apply", *flags, stdin=as_list(published))


@contextmanager
def own_namespace(cluster: Cluster, name: str) -> Iterator[None]:
    """Make a namespace; at the end delete it, and wait until no kube-proxy has a rule of it.

    What is left of a Service would be seen by the next tests: it may share endpoints with theirs, a large one makes
    kube-proxy leave comments out everywhere, and rules that go away make a node differ from what it was.
    """
    cluster.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait")
    cluster.kubectl("create", "namespace", name)
    try:
        yield
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait", "--timeout=120s")
        wait_until_synced(cluster)


def as_list(items: Sequence[Object]) -> str:
    """Return objects as one JSON List."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)})


@contextmanager
def zones(cluster: Cluster, local: str = NODE_A.name, other: str = NODE_B.name) -> Iterator[None]:
    """Give the nodes the zones that the shapes' hints name, for as long as the block runs."""
    cluster.kubectl("label", "node", local, f"{ZONE_LABEL}={LOCAL_ZONE}", "--overwrite")
    cluster.kubectl("label", "node", other, f"{ZONE_LABEL}={OTHER_ZONE}", "--overwrite")
    try:
        yield
    finally:
        cluster.kubectl("label", "node", local, other, f"{ZONE_LABEL}-")


def _address(node: Node, n: int, family: str) -> str:
    """Return the n-th address (up to 1,279) of a node's pods; beyond 255 they are in networks that no node has."""
    if n == 0:
        return node.v4 if family == "IPv4" else node.v6
    network = node.number + 20 * (n // 256)
    return f"10.244.{network}.{n % 256}" if family == "IPv4" else f"fd00:10:244:{node.number}::{n:x}"


def _service_port(port: Port) -> Object:
    named = {"name": port.name} if port.name else {}
    return {**named, "port": port.port, "protocol": port.protocol, "targetPort": port.target}


def _slice_port(port: Port) -> Object:
    return {"name": port.name, "port": port.target, "protocol": port.protocol}
