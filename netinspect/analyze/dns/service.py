"""The DNS Service with what serves it, and the cluster domain in a search list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netinspect.models.address import address_key, parse_address
from netinspect.models.dns_cluster import DnsEndpoint, DnsService
from netinspect.models.fact import Fact, Known
from netinspect.models.kubernetes import Endpoint, EndpointSlice, Service, ServicePort

_DNS_PORT = 53
_IP_FAMILIES = ("IPv4", "IPv6")


def build_dns_service(service: Service, slices: Fact[tuple[EndpointSlice, ...]], found_by: str) -> DnsService:
    """Join the DNS Service with its endpoints of both families."""
    udp, tcp = _port(service, "UDP"), _port(service, "TCP")
    endpoints: Fact[tuple[DnsEndpoint, ...]]
    if isinstance(slices, Known):
        found = {each.address: each for one in slices.value for each in _endpoints(one, udp, tcp)}
        order = sorted(found.values(), key=lambda each: (each.node, each.pod, address_key(each.address)))
        endpoints = Known(tuple(order))
    else:
        endpoints = slices
    return DnsService(
        namespace=service.metadata.namespace,
        name=service.metadata.name,
        resource_version=service.metadata.resource_version,
        cluster_ips=tuple(
            parse_address(each) for each in service.spec.cluster_ips if each not in ("", "None")
        ),
        udp_port=udp.port if udp is not None else None,
        tcp_port=tcp.port if tcp is not None else None,
        endpoints=endpoints,
        found_by=found_by,
    )


def find_search_domain(namespace: str, search: Sequence[str]) -> str | None:
    """Return the cluster domain that a pod's search list says; None where the kubelet did not write one there.

    The kubelet writes NAMESPACE.svc.DOMAIN, svc.DOMAIN and DOMAIN (pkg/kubelet/network/dns/dns.go).
    """
    names = [name.lower().removesuffix(".") for name in search]
    for name in names:
        domain = name.removeprefix(f"{namespace}.svc.")
        if domain != name and domain and f"svc.{domain}" in names:
            return domain
    return None


def _port(service: Service, protocol: str) -> ServicePort | None:
    return next(
        (each for each in service.spec.ports if (each.protocol, each.port) == (protocol, _DNS_PORT)), None
    )


def _endpoints(one: EndpointSlice, udp: ServicePort | None, tcp: ServicePort | None) -> Iterator[DnsEndpoint]:
    if one.address_type not in _IP_FAMILIES:
        return
    for endpoint in one.endpoints:
        for address in endpoint.addresses:
            yield DnsEndpoint(
                address=parse_address(address),
                udp_port=_target(one, udp),
                tcp_port=_target(one, tcp),
                is_ready=endpoint.ready,
                is_serving=endpoint.serving,
                is_terminating=endpoint.terminating,
                pod=_pod(endpoint),
                node=endpoint.node_name,
            )


def _target(one: EndpointSlice, port: ServicePort | None) -> int | None:
    """Return where endpoints of a slice take what is sent to a port of the Service (it has the port's name)."""
    if port is None:
        return None
    return next(
        (each.port for each in one.ports if (each.name, each.protocol) == (port.name, port.protocol)), None
    )


def _pod(endpoint: Endpoint) -> str:
    target = endpoint.target_ref
    return f"{target.namespace}/{target.name}" if target is not None and target.kind == "Pod" else ""
