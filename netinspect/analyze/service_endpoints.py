"""Which Service a flow was sent to, and whether an endpoint of it is where the flow goes.

An endpoint is live where its slice says ready or serving. That is what kube-proxy keeps a UDP flow for (kubernetes,
pkg/proxy/conntrack/cleanup.go CleanStaleEntries: every serving endpoint; traffic policies, topology and termination
choose among endpoints for new flows only), and publishNotReadyAddresses makes an endpoint ready that does not serve.
Only slices make an endpoint: that some pod bears the address by now does not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime

import msgspec

from netinspect.analyze.address_book import service_addresses
from netinspect.analyze.sloppy_address import parse_sloppy
from netinspect.models.address import Address
from netinspect.models.kubernetes import EndpointPort, EndpointSlice, ObjectMeta, Service, ServicePort
from netinspect.models.stale_flow import ServiceTarget, SliceVersion

_PROXY_NAME = "service.kubernetes.io/service-proxy-name"
_FQDN = "FQDN"


class ServiceIndex(msgspec.Struct, frozen=True, kw_only=True):
    """Services' ports by where packets are sent to.

    Attributes:
        fronts: by address (ClusterIP, external IP, load balancer), protocol and port. Services may share one.
        node_ports: by protocol and port.
    """

    fronts: dict[tuple[Address, str, int], tuple[ServiceTarget, ...]]
    node_ports: dict[tuple[str, int], tuple[ServiceTarget, ...]]

    def at(self, address: Address, protocol: str, port: int | None) -> tuple[ServiceTarget, ...]:
        """Return the Services' ports at an address."""
        return self.fronts.get((address, protocol, port), ()) if port is not None else ()

    def at_node_port(self, protocol: str, port: int | None) -> tuple[ServiceTarget, ...]:
        """Return the Services' ports that nodes offer at a port."""
        return self.node_ports.get((protocol, port), ()) if port is not None else ()


def build_service_index(services: Iterable[Service], slices: Iterable[EndpointSlice]) -> ServiceIndex:
    """Index every port of every Service, with its endpoints out of all slices of both families."""
    by_service: dict[tuple[str, str], list[EndpointSlice]] = defaultdict(list)
    for each in slices:
        by_service[each.metadata.namespace, each.service_name].append(each)
    fronts: dict[tuple[Address, str, int], list[ServiceTarget]] = defaultdict(list)
    node_ports: dict[tuple[str, int], list[ServiceTarget]] = defaultdict(list)
    for service in services:
        own = by_service[service.metadata.namespace, service.metadata.name]
        for port in service.spec.ports:
            target = build_service_target(service, port, own)
            for address in service_addresses(service):
                fronts[address, target.protocol, port.port].append(target)
            if port.node_port:
                node_ports[target.protocol, port.node_port].append(target)
    return ServiceIndex(
        fronts={key: tuple(value) for key, value in fronts.items()},
        node_ports={key: tuple(value) for key, value in node_ports.items()},
    )


def build_service_target(
    service: Service, port: ServicePort, slices: Iterable[EndpointSlice]
) -> ServiceTarget:
    """Return a port of a Service with its live endpoints, given the slices that bear the Service's name."""
    used = tuple(each for each in slices if each.address_type != _FQDN)
    meta = service.metadata
    return ServiceTarget(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        resource_version=meta.resource_version,
        port_name=port.name,
        protocol=port.protocol.lower(),
        port=port.port,
        has_selector=bool(service.spec.selector),
        is_foreign=_PROXY_NAME in meta.labels,
        live=frozenset(endpoint for each in used for endpoint in _live(each, port)),
        slices=tuple(
            SliceVersion(name=each.metadata.name, resource_version=each.metadata.resource_version)
            for each in used
        ),
        changed_at=max(_times((meta, *(each.metadata for each in used))), default=None),
    )


def _live(slice_: EndpointSlice, port: ServicePort) -> Iterator[tuple[Address, int | None]]:
    ports = [each for each in slice_.ports if _is_same(each, port)]
    for endpoint in slice_.endpoints:
        if endpoint.ready or endpoint.serving:
            for address in _addresses(endpoint.addresses):
                for each in ports:
                    yield address, each.port


def _addresses(texts: Iterable[str]) -> Iterator[Address]:
    """Yield the addresses among what the API lets pass, read as kube-proxy does: their flows are not dead."""
    for text in texts:
        with suppress(ValueError):
            yield parse_sloppy(text)


def _is_same(own: EndpointPort, port: ServicePort) -> bool:
    """Whether a slice's port is that of the Service: by name; its number may differ from slice to slice."""
    return own.name == port.name and own.protocol == port.protocol


def _times(objects: Iterable[ObjectMeta]) -> Iterator[float]:
    """Yield when objects were created and changed, in seconds since the epoch."""
    for meta in objects:
        texts = (
            meta.creation_timestamp,
            meta.deletion_timestamp,
            *(each.time for each in meta.managed_fields),
        )
        yield from (time for text in texts if text and (time := _read_time(text)) is not None)


def _read_time(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
