"""Services and their endpoints of two states."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netinspect.analyze.differences.pairs import change_of, compare_fields, pair, show_all
from netinspect.analyze.services import merge_endpoints
from netinspect.models.cluster_state import ClusterState
from netinspect.models.difference import Difference, Subject
from netinspect.models.fact import Known
from netinspect.models.kubernetes import EndpointSlice, Service, ServicePort
from netinspect.models.listing import EndpointEntry


def compare_services(before: ClusterState, after: ClusterState) -> Iterator[Difference]:
    """Yield Services whose type, addresses, ports, selector or policies differ."""
    if not isinstance(before.services, Known) or not isinstance(after.services, Known):
        return
    for (namespace, name), old, new in pair(_by_name(before.services.value), _by_name(after.services.value)):
        fields = compare_fields(_describe_service(old), _describe_service(new))
        if fields:
            yield Difference(
                what=Subject.SERVICE,
                name=f"{namespace}/{name}",
                namespace=namespace,
                change=change_of(old, new),
                fields=fields,
            )


def _by_name(services: Iterable[Service]) -> dict[tuple[str, str], Service]:
    return {(each.metadata.namespace, each.metadata.name): each for each in services}


def _describe_service(service: Service | None) -> dict[str, str] | None:
    if service is None:
        return None
    spec = service.spec
    ingress = service.status.load_balancer.ingress
    return {
        "type": spec.type,
        "addresses": show_all(spec.cluster_ips),
        "ports": show_all(map(_show_port, spec.ports)),
        "external addresses": show_all(spec.external_ips),
        "external name": spec.external_name,
        "load balancer": show_all(
            f"{each.ip or each.hostname} {each.ip_mode or ''}".rstrip() for each in ingress
        ),
        "source ranges": show_all(spec.load_balancer_source_ranges),
        "selector": ",".join(f"{key}={value}" for key, value in sorted(spec.selector.items())),
        "session affinity": _show_affinity(service),
        "internal policy": spec.internal_traffic_policy,
        "external policy": spec.external_traffic_policy,
        "traffic distribution": spec.traffic_distribution,
        "health check node port": str(spec.health_check_node_port or ""),
        "not ready published": "true" if spec.publish_not_ready_addresses else "",
    }


def _show_port(port: ServicePort) -> str:
    name = f"{port.name} " if port.name else ""
    node_port = f" (node port {port.node_port})" if port.node_port else ""
    return f"{name}{port.port}/{port.protocol} to {port.target_port or port.port}{node_port}"


def _show_affinity(service: Service) -> str:
    spec = service.spec
    if spec.session_affinity == "None":
        return ""
    config = spec.session_affinity_config
    timeout_s = config.client_ip.timeout_seconds if config else None
    return spec.session_affinity if timeout_s is None else f"{spec.session_affinity} {timeout_s}s"


def compare_endpoints(before: ClusterState, after: ClusterState) -> Iterator[Difference]:
    """Yield each port of each endpoint that came, went, or is ready, serving or terminating otherwise."""
    if not isinstance(before.slices, Known) or not isinstance(after.slices, Known):
        return
    for key, old, new in pair(_by_place(before.slices.value), _by_place(after.slices.value)):
        namespace, service, port_name, at = key
        fields = compare_fields(_describe_endpoint(old), _describe_endpoint(new))
        shown = new or old
        if fields and shown:
            port = f":{port_name}" if port_name else ""
            yield Difference(
                what=Subject.ENDPOINT,
                name=f"{namespace}/{service}{port}",
                namespace=namespace,
                node=shown.node,
                family={"IPv4": 4, "IPv6": 6}.get(shown.family),
                at=at,
                change=change_of(old, new),
                # Of one that came or went the node is told already.
                fields=fields if old and new else tuple(each for each in fields if each.field != "node"),
            )


_Place = tuple[str, str, str, str]


def _by_place(slices: Iterable[EndpointSlice]) -> dict[_Place, EndpointEntry]:
    """Return endpoints by namespace, Service, name of the port, and address with port and protocol."""
    by_service: dict[tuple[str, str], list[EndpointSlice]] = {}
    for each in slices:
        if each.service_name:
            by_service.setdefault((each.metadata.namespace, each.service_name), []).append(each)
    return {
        (namespace, service, endpoint.port_name, _show_place(endpoint)): endpoint
        for (namespace, service), own in by_service.items()
        for endpoint in merge_endpoints(own)
    }


def _show_place(endpoint: EndpointEntry) -> str:
    address = f"[{endpoint.address}]" if endpoint.family == "IPv6" and endpoint.port else endpoint.address
    protocol = f"/{endpoint.protocol.lower()}" if endpoint.protocol else ""
    return f"{address}:{endpoint.port}{protocol}" if endpoint.port else f"{address}{protocol}"


def _list_conditions(endpoint: EndpointEntry) -> Iterator[str]:
    yield "ready" if endpoint.ready else "not ready"
    yield "serving" if endpoint.serving else "not serving"
    if endpoint.terminating:
        yield "terminating"


def _describe_endpoint(endpoint: EndpointEntry | None) -> dict[str, str] | None:
    if endpoint is None:
        return None
    return {
        "pod": f"{endpoint.pod.namespace}/{endpoint.pod.name}" if endpoint.pod else "",
        "node": endpoint.node,
        "conditions": show_all(_list_conditions(endpoint)),
    }
