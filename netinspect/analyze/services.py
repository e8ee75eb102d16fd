"""From services and their EndpointSlices to what is behind each service, and what is odd about it.

Slices are joined by label and namespace, whoever made them. An address that several slices have is counted once, by
kube-proxy's rule. Source: kubernetes v1.36, pkg/proxy/endpointslicecache.go addEndpoints.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

from msgspec.structs import replace

from netinspect.models.address import parse_address
from netinspect.models.kubernetes import Endpoint, EndpointPort, EndpointSlice, Service, ServicePort
from netinspect.models.listing import (
    EndpointCounts,
    EndpointEntry,
    PodReference,
    PortEntry,
    ServiceEntry,
)

K = TypeVar("K", bound=Hashable)

_CONTROLLER = "endpointslice-controller.k8s.io"
_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"


def build_service_entries(
    services: Iterable[Service], slices: Iterable[EndpointSlice]
) -> tuple[ServiceEntry, ...]:
    """Join services with their slices; slices of other services are left aside."""
    by_service: dict[tuple[str, str], list[EndpointSlice]] = defaultdict(list)
    for each in slices:
        by_service[each.metadata.namespace, each.service_name].append(each)
    return tuple(
        build_service_entry(service, by_service[service.metadata.namespace, service.metadata.name])
        for service in services
    )


def build_service_entry(service: Service, slices: Sequence[EndpointSlice]) -> ServiceEntry:
    """Return what the listing shows of a service, given the slices that bear its name."""
    spec = service.spec
    slices = _in_order(slices, spec.ip_families)
    endpoints = merge_endpoints(slices)
    families = tuple(dict.fromkeys((*spec.ip_families, *(each.family for each in endpoints))))
    entry = ServiceEntry(
        namespace=service.metadata.namespace,
        name=service.metadata.name,
        type=spec.type,
        headless=service.is_headless,
        cluster_ips=tuple(each for each in spec.cluster_ips if each != "None"),
        families=spec.ip_families,
        external_ips=spec.external_ips,
        load_balancer_ingress=tuple(
            each.ip or each.hostname for each in service.status.load_balancer.ingress
        ),
        external_name=spec.external_name,
        ports=tuple(_build_port(port, families, endpoints) for port in spec.ports),
        selector=spec.selector,
        internal_traffic_policy=spec.internal_traffic_policy,
        external_traffic_policy=spec.external_traffic_policy,
        session_affinity=spec.session_affinity,
        publish_not_ready_addresses=spec.publish_not_ready_addresses,
        counts=_count_by_family(families, endpoints),
        endpoints=endpoints,
        slices=tuple(each.metadata.name for each in slices),
        warnings=(),
        creation_timestamp=service.metadata.creation_timestamp,
    )
    return replace(entry, warnings=tuple(_find_oddities(entry, slices)))


def _in_order(slices: Iterable[EndpointSlice], families: Sequence[str]) -> list[EndpointSlice]:
    """Sort slices by family, the primary one first, and then by name."""

    def key(slice_: EndpointSlice) -> tuple[int, str, str]:
        family = slice_.address_type
        position = families.index(family) if family in families else len(families)
        return position, family, slice_.metadata.name

    return sorted(slices, key=key)


def merge_endpoints(slices: Iterable[EndpointSlice]) -> tuple[EndpointEntry, ...]:
    """Return each port of each endpoint once, in the order of the slices."""
    return _merge(
        ((each.family, each.port_name, each.protocol, each.port, each.address), each)
        for slice_ in slices
        for each in _read_slice(slice_)
    )


def _merge(pairs: Iterable[tuple[K, EndpointEntry]]) -> tuple[EndpointEntry, ...]:
    """Keep of each key the best endpoint, with the names of all slices that have one.

    kube-proxy prefers what does not terminate (the address may have passed from an ending pod to a new one), and
    among those takes whichever comes last; here the better one wins, so that the order does not matter.
    """
    merged: dict[K, EndpointEntry] = {}
    for key, new in pairs:
        old = merged.get(key, new)
        best = new if _rank(new) > _rank(old) else old
        merged[key] = replace(best, slices=tuple(dict.fromkeys((*old.slices, *new.slices))))
    return tuple(merged.values())


def _rank(endpoint: EndpointEntry) -> tuple[bool, bool, bool]:
    return not endpoint.terminating, endpoint.ready, endpoint.serving


def _read_slice(slice_: EndpointSlice) -> Iterator[EndpointEntry]:
    for endpoint in slice_.endpoints:
        if not endpoint.addresses:
            continue  # the API allows none such; kube-proxy skips it
        for port in slice_.ports or (EndpointPort(protocol=""),):
            yield EndpointEntry(
                address=_canonical(endpoint.addresses[0]),
                family=slice_.address_type,
                port=port.port,
                port_name=port.name,
                protocol=port.protocol,
                ready=endpoint.ready,
                serving=endpoint.serving,
                terminating=endpoint.terminating,
                node=endpoint.node_name,
                pod=_find_pod(endpoint, slice_.metadata.namespace),
                slices=(slice_.metadata.name,),
            )


def _canonical(address: str) -> str:
    """Write an address as everyone else does (slices made by hand need not); host names stay as they are."""
    try:
        return str(parse_address(address))
    except ValueError:
        return address


def _find_pod(endpoint: Endpoint, namespace: str) -> PodReference | None:
    target = endpoint.target_ref
    if target is None or target.kind != "Pod":
        return None
    return PodReference(namespace=target.namespace or namespace, name=target.name)


def _build_port(port: ServicePort, families: Iterable[str], endpoints: Iterable[EndpointEntry]) -> PortEntry:
    own = [each for each in endpoints if (each.port_name, each.protocol) == (port.name, port.protocol)]
    reachable = [each for each in own if each.port]  # kube-proxy ignores "all ports" and 0
    return PortEntry(
        name=port.name,
        protocol=port.protocol,
        port=port.port,
        target_port=port.target_port,
        node_port=port.node_port,
        endpoint_ports=tuple(sorted({each.port for each in reachable if each.port})),
        endpoints=_count_by_family(families, reachable),
    )


def _count_by_family(
    families: Iterable[str], endpoints: Iterable[EndpointEntry]
) -> tuple[EndpointCounts, ...]:
    distinct = _merge(((each.family, each.address), each) for each in endpoints)
    return tuple(_count(family, [each for each in distinct if each.family == family]) for family in families)


def _count(family: str, endpoints: Sequence[EndpointEntry]) -> EndpointCounts:
    return EndpointCounts(
        family=family,
        total=len(endpoints),
        ready=sum(each.ready for each in endpoints),
        not_ready=sum(not each.ready and not each.terminating for each in endpoints),
        serving=sum(each.serving for each in endpoints),
        terminating=sum(each.terminating for each in endpoints),
    )


def _find_oddities(entry: ServiceEntry, slices: Sequence[EndpointSlice]) -> Iterator[str]:
    if entry.type == "ExternalName":
        return
    if entry.endpoints:
        yield from _unready(entry)
        yield from _uneven_families(entry)
        yield from _unmatched_ports(entry)
    else:
        yield _why_empty(entry, slices)
    yield from _odd_slices(entry, slices)
    yield from _duplicates(entry)
    if entry.publish_not_ready_addresses:
        yield "publishNotReadyAddresses: endpoints count as ready whether their pods are or not"


def _why_empty(entry: ServiceEntry, slices: Sequence[EndpointSlice]) -> str:
    if not entry.selector:
        return f"the service has no selector, and {'no endpoint in its slices' if slices else 'no EndpointSlice'}"
    selector = ",".join(f"{key}={value}" for key, value in entry.selector.items())
    if not slices:
        return f"the service has no EndpointSlice: no controller has made one for its selector {selector}"
    if all(each.metadata.labels.get(_MANAGED_BY) == _CONTROLLER for each in slices):
        return (
            f"the selector {selector} matches no pod that has an address "
            "(there is none, or all are pending or have ended)"
        )
    return f"there is no endpoint in the slices of the service (selector {selector})"


def _unready(entry: ServiceEntry) -> Iterator[str]:
    for counts in entry.counts:
        if counts.total and not counts.ready:
            yield _none_ready(counts, "") + _fallback(entry, counts.family)
    usable = {counts.family for counts in entry.counts if counts.ready}
    for port in entry.ports:
        for counts in port.endpoints:
            if counts.family in usable and counts.total and not counts.ready:
                yield _none_ready(counts, f" of port {_format_port(port)}")


def _none_ready(counts: EndpointCounts, of_port: str) -> str:
    if counts.total == 1:
        return f"the only {counts.family} endpoint{of_port} is not ready"
    return f"none of the {counts.total} {counts.family} endpoints{of_port} is ready"


def _fallback(entry: ServiceEntry, family: str) -> str:
    """Say where traffic goes where nothing is ready. Source: pkg/proxy/topology.go CategorizeEndpoints."""
    last = {
        each.address
        for each in entry.endpoints
        if each.family == family and each.serving and each.terminating
    }
    return f"; traffic goes to {len(last)} that still serve while they terminate" if last else ""


def _format_port(port: PortEntry) -> str:
    """Write a service's port with its name, as far as it has one."""
    number = f"{port.port}/{port.protocol}"
    return f"{port.name} ({number})" if port.name else number


def _uneven_families(entry: ServiceEntry) -> Iterator[str]:
    """Report a family without endpoints. Headless services without selector get both families by default."""
    if len(entry.families) < 2 or (entry.headless and not entry.selector):
        return
    for counts in entry.counts:
        if counts.family in entry.families and not counts.total:
            yield f"the service asks for {' and '.join(entry.families)}, but has no {counts.family} endpoint"


def _unmatched_ports(entry: ServiceEntry) -> Iterator[str]:
    found = {(each.port_name, each.protocol) for each in entry.endpoints}
    for port in entry.ports:
        if (port.name, port.protocol) in found:
            continue
        why = (
            f'none of its pods has a container port named "{port.target_port}"'
            if entry.selector and isinstance(port.target_port, str)
            else f'no slice has a port named "{port.name}" with protocol {port.protocol}'
        )
        yield f"port {_format_port(port)} leads to no endpoint: {why}"


def _odd_slices(entry: ServiceEntry, slices: Iterable[EndpointSlice]) -> Iterator[str]:
    known = {(port.name, port.protocol) for port in entry.ports}
    for slice_ in slices:
        name = f"EndpointSlice {slice_.metadata.name}"
        if slice_.address_type == "FQDN":
            yield f"{name} holds host names (FQDN): kube-proxy ignores them"
        elif entry.families and slice_.endpoints and slice_.address_type not in entry.families:
            yield (
                f"{name} holds {slice_.address_type} addresses, "
                f"but the service asks for {' and '.join(entry.families)} only: they get no traffic"
            )
        if any(len(each.addresses) > 1 for each in slice_.endpoints):
            yield f"{name} has endpoints with several addresses: kube-proxy uses the first of each only"
        yield from _odd_ports(name, slice_, known if entry.ports else None)


def _odd_ports(name: str, slice_: EndpointSlice, known: set[tuple[str, str]] | None) -> Iterator[str]:
    """Report ports that lead nowhere; `known` are the service's, None where it has none (headless ones need none)."""
    for port in slice_.ports:
        if known is not None and (port.name, port.protocol) not in known:
            yield f'{name} has a port named "{port.name}" ({port.protocol}), which the service does not have'
        elif not port.port:
            yield f'{name} has no number for its port "{port.name}" ({port.protocol}): kube-proxy ignores it'


def _duplicates(entry: ServiceEntry) -> Iterator[str]:
    shared = {each.address: each.slices for each in entry.endpoints if len(each.slices) > 1}
    if shared:
        shown = ", ".join(f"{address} ({' and '.join(names)})" for address, names in list(shared.items())[:5])
        more = f" and {len(shared) - 5} more" if len(shared) > 5 else ""
        yield f"in several EndpointSlices, counted once: {shown}{more}"
