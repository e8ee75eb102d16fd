"""Which endpoints of a Service's port kube-proxy on one node uses.

Sources: kubernetes 1.36, pkg/proxy/endpointslicecache.go (endpointInfoByServicePort, addEndpoints),
pkg/proxy/endpointschangetracker.go (slices of another family are left aside) and pkg/proxy/topology.go
(CategorizeEndpoints, topologyModeFromHints, availableForTopology).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
from msgspec.structs import replace

from netinspect.analyze.sloppy_address import parse_sloppy
from netinspect.models.address import Address, address_key
from netinspect.models.kubernetes import Endpoint, EndpointSlice

HEADLESS_LABEL = "service.kubernetes.io/headless"
ZONE_LABEL = "topology.kubernetes.io/zone"


class UsedEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint, as kube-proxy keeps it.

    Attributes:
        address: its address.
        port: its port.
        is_local: whether it is on the node.
        is_ready: it takes new connections.
        is_serving: it answers, going away or not.
        is_terminating: it is going away.
        zones: the zones that should use it.
        nodes: the nodes that should.
        is_doubted: slices list it in several states, and which of them counts is left to chance.
    """

    address: Address
    port: int
    is_local: bool = False
    is_ready: bool = True
    is_serving: bool = True
    is_terminating: bool = False
    zones: frozenset[str] = frozenset()
    nodes: frozenset[str] = frozenset()
    is_doubted: bool = False

    @property
    def is_last_resort(self) -> bool:
        """Whether it is used where nothing is ready."""
        return self.is_serving and self.is_terminating


class NodeTopology(msgspec.Struct, frozen=True, kw_only=True):
    """Where a node is.

    Attributes:
        node: its name.
        zone: its zone; empty where it is in none.
        reads_zones: whether hints for zones are heeded at all.
        reads_nodes: whether hints for nodes are.
    """

    node: str
    zone: str = ""
    reads_zones: bool = True
    reads_nodes: bool = True


class EndpointChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoints that a node's traffic to a Service's port goes to.

    Attributes:
        cluster: by policy Cluster.
        local: by policy Local.
        has_any: whether there is one that some node can use.
    """

    cluster: tuple[UsedEndpoint, ...] = ()
    local: tuple[UsedEndpoint, ...] = ()
    has_any: bool = False

    @property
    def reachable(self) -> tuple[UsedEndpoint, ...]:
        """All of both, each once."""
        return tuple({(each.address, each.port): each for each in (*self.cluster, *self.local)}.values())


def find_endpoints(
    slices: Iterable[EndpointSlice],
    port: tuple[str, str],
    family: int,
    node: str,
    *,
    prefers_staying: bool = True,
) -> tuple[UsedEndpoint, ...]:
    """Return a Service port's endpoints of one family, by address and port.

    Args:
        slices: all that bear the Service's name.
        port: the name of the Service's port, and `TCP`, `UDP` or `SCTP`.
        family: 4 or 6.
        node: the node whose kube-proxy is asked.
        prefers_staying: whether of several with the same address and port one counts that does not terminate (an
            address may pass to a new pod before the old one is gone); else one on the node. kube-proxy reads slices
            in no order: of several such any may count.
    """
    found: dict[tuple[Address, int], list[UsedEndpoint]] = defaultdict(list)
    for slice_ in slices:
        if slice_.address_type != f"IPv{family}" or HEADLESS_LABEL in slice_.metadata.labels:
            continue
        for each in slice_.ports:
            if (each.name, each.protocol) == port and each.port:
                for endpoint in _read(slice_, each.port, family, node):
                    found[endpoint.address, endpoint.port].append(endpoint)
    settled = (_settle(each, prefers_staying=prefers_staying) for each in found.values())
    return tuple(sorted(settled, key=lambda each: (address_key(each.address), each.port)))


def _settle(same: Sequence[UsedEndpoint], *, prefers_staying: bool) -> UsedEndpoint:
    if prefers_staying:
        preferred = [each for each in same if not each.is_terminating]
    else:
        preferred = [each for each in same if each.is_local]
    first, *others = preferred or same
    return replace(first, is_doubted=any(each != first for each in others))


def choose_endpoints(
    endpoints: Sequence[UsedEndpoint], topology: NodeTopology, *, uses_cluster: bool, uses_local: bool
) -> EndpointChoice:
    """Choose among a Service port's endpoints as a node's kube-proxy does (CategorizeEndpoints).

    Args:
        endpoints: all of one family.
        topology: where the node is.
        uses_cluster: whether any traffic to the port goes by policy Cluster.
        uses_local: whether any goes by policy Local.
    """
    cluster: tuple[UsedEndpoint, ...] = ()
    local: tuple[UsedEndpoint, ...] = ()
    if uses_cluster:
        cluster = _ready_or_last([each for each in endpoints if each.is_ready], endpoints, topology)
    if uses_local:
        here = [each for each in endpoints if each.is_local]
        local = _ready_or_last([each for each in here if each.is_ready], here, None)
    usable = any(each.is_ready or each.is_last_resort for each in endpoints)
    return EndpointChoice(cluster=cluster, local=local, has_any=bool(cluster) or usable)


def _ready_or_last(
    ready: Sequence[UsedEndpoint], endpoints: Iterable[UsedEndpoint], topology: NodeTopology | None
) -> tuple[UsedEndpoint, ...]:
    if ready:
        is_meant = _hinted(ready, topology) if topology else None
        return tuple(filter(is_meant, ready)) if is_meant else tuple(ready)
    return tuple(each for each in endpoints if each.is_last_resort)


def _hinted(ready: Sequence[UsedEndpoint], topology: NodeTopology) -> Callable[[UsedEndpoint], bool] | None:
    """Return which endpoints hints leave: None where all are. One without hints makes all hints void."""
    if topology.reads_nodes and _is_hinted([each.nodes for each in ready], topology.node):
        return lambda endpoint: topology.node in endpoint.nodes
    if topology.reads_zones and _is_hinted([each.zones for each in ready], topology.zone):
        return lambda endpoint: topology.zone in endpoint.zones
    return None


def _is_hinted(hints: Sequence[frozenset[str]], name: str) -> bool:
    return all(hints) and any(name in each for each in hints)


def _read(slice_: EndpointSlice, port: int, family: int, node: str) -> Iterator[UsedEndpoint]:
    for endpoint in slice_.endpoints:
        address = _address_of(endpoint)
        if address is not None and address.version == family:
            yield UsedEndpoint(
                address=address,
                port=port,
                is_local=bool(node) and endpoint.node_name == node,
                is_ready=endpoint.ready,
                is_serving=endpoint.serving,
                is_terminating=endpoint.terminating,
                zones=frozenset(each.name for each in endpoint.hints.for_zones)
                if endpoint.hints
                else frozenset(),
                nodes=frozenset(each.name for each in endpoint.hints.for_nodes)
                if endpoint.hints
                else frozenset(),
            )


def _address_of(endpoint: Endpoint) -> Address | None:
    """Return the only address that kube-proxy looks at: the first."""
    try:
        return parse_sloppy(endpoint.addresses[0]) if endpoint.addresses else None
    except ValueError:
        return None
