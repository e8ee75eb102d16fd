"""Which Services kube-proxy serves, and what it makes of each of their ports in one family.

Sources: kubernetes 1.36, cmd/kube-proxy/app/server.go (Run: what is watched), pkg/proxy/servicechangetracker.go
(serviceToServiceMap), pkg/proxy/serviceport.go (newBaseServiceInfo), pkg/proxy/util/utils.go (ShouldSkipService,
GetClusterIPByFamily, IsVIPMode), pkg/api/v1/service/util.go (ExternalPolicyLocal, NeedsHealthCheck).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress

import msgspec

from netinspect.analyze.expected.endpoints_used import (
    EndpointChoice,
    NodeTopology,
    UsedEndpoint,
    choose_endpoints,
    find_endpoints,
)
from netinspect.analyze.expected.mode_traits import ModeTraits
from netinspect.analyze.service_map.chain_names import ServicePortName
from netinspect.analyze.sloppy_address import parse_network_sloppy, parse_sloppy
from netinspect.models.address import Address
from netinspect.models.kubernetes import EndpointSlice, Service, ServicePort

PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
DEFAULT_AFFINITY_S = 10800
_HINTS_ANNOTATIONS = ("service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode")


class ProxiedPort(msgspec.Struct, frozen=True, kw_only=True):
    """One port of a Service in one family, with what kube-proxy knows of it.

    Attributes:
        name: whose port it is.
        cluster_ip: the Service's address.
        port: its port.
        node_port: the port that nodes offer; 0 for none.
        external_ips: further addresses by which packets may come.
        load_balancer_ips: those of load balancers that send packets on with their own address as destination.
        source_ranges: networks that may use those, as canonical CIDRs; empty is all.
        health_check_port: the port by which a load balancer asks whether the node has endpoints; 0 for none.
        is_external_local: whether packets from outside go to the node's own endpoints only.
        is_internal_local: whether packets to the ClusterIP do.
        affinity_s: for so long a client stays with its endpoint; None without affinity.
        endpoints: all of them.
        choice: those that the node uses.
    """

    name: ServicePortName
    cluster_ip: Address
    port: int
    node_port: int = 0
    external_ips: tuple[Address, ...] = ()
    load_balancer_ips: tuple[Address, ...] = ()
    source_ranges: tuple[str, ...] = ()
    health_check_port: int = 0
    is_external_local: bool = False
    is_internal_local: bool = False
    affinity_s: int | None = None
    endpoints: tuple[UsedEndpoint, ...] = ()
    choice: EndpointChoice = EndpointChoice()

    @property
    def is_external(self) -> bool:
        """Whether it can be reached by anything but the ClusterIP."""
        return bool(self.node_port or self.load_balancer_ips or self.external_ips)

    @property
    def internal(self) -> tuple[UsedEndpoint, ...]:
        """The endpoints that packets to the ClusterIP go to."""
        return self.choice.local if self.is_internal_local else self.choice.cluster

    @property
    def external(self) -> tuple[UsedEndpoint, ...]:
        """The endpoints that packets from outside go to."""
        return self.choice.local if self.is_external_local else self.choice.cluster


def build_proxied_ports(
    services: Iterable[Service],
    slices: Iterable[EndpointSlice],
    family: int,
    topology: NodeTopology,
    traits: ModeTraits,
) -> tuple[ProxiedPort, ...]:
    """Return every Service port that a node's kube-proxy writes rules for in one family.

    Args:
        services: all Services.
        slices: all EndpointSlices.
        family: 4 or 6.
        topology: where the node is.
        traits: what kube-proxy's version and mode make of the objects.
    """
    by_service: dict[tuple[str, str], list[EndpointSlice]] = defaultdict(list)
    for each in slices:
        by_service[each.metadata.namespace, each.service_name].append(each)
    found: list[ProxiedPort] = []
    for service in services:
        address = _cluster_ip(service, family)
        if address is not None and _is_proxied(service):
            own = by_service[service.metadata.namespace, service.metadata.name]
            base = _build_service(service, address, traits)
            where = msgspec.structs.replace(topology, reads_zones=_reads_zones(service, topology, traits))
            found.extend(_build_port(service, port, base, own, where, traits) for port in service.spec.ports)
    return tuple(found)


def _is_proxied(service: Service) -> bool:
    is_foreign = PROXY_NAME_LABEL in service.metadata.labels
    return not is_foreign and service.spec.type != "ExternalName"


def _cluster_ip(service: Service, family: int) -> Address | None:
    """Return the Service's address of a family. It is not served where it has none, or `None` (headless)."""
    pairs = zip(service.spec.ip_families, service.spec.cluster_ips, strict=False)
    with suppress(ValueError):
        return next((parse_sloppy(each) for name, each in pairs if name == f"IPv{family}"), None)
    return None


def _reads_zones(service: Service, topology: NodeTopology, traits: ModeTraits) -> bool:
    """Whether zone hints count for a Service: before 1.31 an annotation had to ask for them (canUseTopology)."""
    if traits.reads_zone_hints_always:
        return topology.reads_zones
    annotations = service.metadata.annotations
    asked = next((annotations[each] for each in _HINTS_ANNOTATIONS if each in annotations), "")
    return topology.reads_zones and asked not in ("", "disabled", "Disabled")


def _build_service(service: Service, address: Address, traits: ModeTraits) -> ProxiedPort:
    """Return what all ports of a Service have in common."""
    spec, family = service.spec, address.version
    is_external = spec.type in ("NodePort", "LoadBalancer") or (
        traits.external_ips_have_policy and bool(spec.external_ips)
    )
    is_external_local = is_external and spec.external_traffic_policy == "Local"
    ingress = (
        each.ip
        for each in service.status.load_balancer.ingress
        if not traits.reads_ip_mode or each.ip_mode in (None, "VIP")
    )
    is_checked = spec.type == "LoadBalancer" and is_external_local
    return ProxiedPort(
        name=ServicePortName(namespace=service.metadata.namespace, service=service.metadata.name),
        cluster_ip=address,
        port=0,
        external_ips=tuple(_addresses(spec.external_ips, family)),
        load_balancer_ips=tuple(_addresses(ingress, family)),
        source_ranges=_ranges(spec.load_balancer_source_ranges, family, traits),
        health_check_port=spec.health_check_node_port if is_checked else 0,
        is_external_local=is_external_local,
        is_internal_local=spec.internal_traffic_policy == "Local",
        affinity_s=_affinity(service),
    )


def _build_port(
    service: Service,
    port: ServicePort,
    base: ProxiedPort,
    slices: Iterable[EndpointSlice],
    topology: NodeTopology,
    traits: ModeTraits,
) -> ProxiedPort:
    meta = service.metadata
    endpoints = find_endpoints(
        slices,
        (port.name, port.protocol),
        base.cluster_ip.version,
        topology.node,
        prefers_staying=traits.prefers_staying,
    )
    named = msgspec.structs.replace(
        base,
        name=ServicePortName(
            namespace=meta.namespace,
            service=meta.name,
            port_name=port.name,
            protocol=port.protocol.lower(),
        ),
        port=port.port,
        node_port=port.node_port,
        endpoints=endpoints,
    )
    choice = choose_endpoints(
        endpoints,
        topology,
        # Local traffic policy needs all endpoints as well, for the short ways of pods and of the node itself.
        uses_cluster=not named.is_internal_local or named.is_external,
        uses_local=named.is_internal_local or (named.is_external_local and named.is_external),
    )
    return msgspec.structs.replace(named, choice=choice)


def _affinity(service: Service) -> int | None:
    if service.spec.session_affinity != "ClientIP":
        return None
    config = service.spec.session_affinity_config
    told = config.client_ip.timeout_seconds if config else None
    return DEFAULT_AFFINITY_S if told is None else told


def _addresses(texts: Iterable[str], family: int) -> Iterator[Address]:
    for text in texts:
        with suppress(ValueError):
            address = parse_sloppy(text)
            if address.version == family:
                yield address


def _ranges(texts: Iterable[str], family: int, traits: ModeTraits) -> tuple[str, ...]:
    networks = []
    for text in texts:
        with suppress(ValueError):
            networks.append(parse_network_sloppy(text))
    own = [each for each in networks if each.version == family]
    if traits.zero_range_is_all and any(each.prefixlen == 0 for each in own):
        return ()
    return tuple(str(each) for each in own)
