"""The DNS Service with its endpoints."""

from __future__ import annotations

from typing import Any

from netinspect.analyze.dns.service import build_dns_service
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.models.kubernetes import (
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    ObjectMeta,
    ObjectReference,
    Service,
    ServicePort,
    ServiceSpec,
)

PORTS = (
    ServicePort(name="dns", port=53, protocol="UDP", target_port="dns"),
    ServicePort(name="dns-tcp", port=53, protocol="TCP", target_port="dns"),
    ServicePort(name="metrics", port=9153),
)
SERVICE = Service(
    metadata=ObjectMeta(name="dns-default", namespace="openshift-dns", resource_version="7"),
    spec=ServiceSpec(cluster_ips=("172.30.0.10", "fd02::a"), ports=PORTS),
)


def slice_of(family: str, *endpoints: Endpoint) -> EndpointSlice:
    ports = (
        EndpointPort(name="metrics", port=9153),
        EndpointPort(name="dns", protocol="UDP", port=5353),
        EndpointPort(name="dns-tcp", port=5354),
    )
    return EndpointSlice(metadata=ObjectMeta(), address_type=family, endpoints=endpoints, ports=ports)


def endpoint(address: str, node: str, **conditions: Any) -> Endpoint:
    pod = ObjectReference(kind="Pod", namespace="openshift-dns", name=f"dns-{node}")
    return Endpoint(
        addresses=(address,), conditions=EndpointConditions(**conditions), node_name=node, target_ref=pod
    )


def test_endpoints_of_both_families_are_joined_with_the_ports_that_they_listen_at() -> None:
    """By the port's name: OpenShift's listen elsewhere than at 53. Those that are not ready are listed as such."""
    slices = (
        slice_of(
            "IPv6", endpoint("fd01::b", "node-b"), endpoint("fd01::a", "node-a", ready=False, serving=True)
        ),
        slice_of("IPv4", endpoint("10.128.0.1", "node-a", ready=False, terminating=True)),
        slice_of("FQDN", endpoint("dns.example.com", "node-c")),
    )
    service = build_dns_service(SERVICE, Known(slices), "by its name")
    assert (service.udp_port, service.tcp_port, service.key) == (53, 53, "openshift-dns/dns-default")
    assert [str(each) for each in service.cluster_ips] == ["172.30.0.10", "fd02::a"]
    assert isinstance(service.endpoints, Known)
    shown = [
        (
            str(each.address),
            each.udp_port,
            each.tcp_port,
            each.is_ready,
            each.is_serving,
            each.is_terminating,
            each.pod,
        )
        for each in service.endpoints.value
    ]
    assert shown == [
        ("10.128.0.1", 5353, 5354, False, True, True, "openshift-dns/dns-node-a"),
        ("fd01::a", 5353, 5354, False, True, False, "openshift-dns/dns-node-a"),
        ("fd01::b", 5353, 5354, True, True, False, "openshift-dns/dns-node-b"),
    ]


def test_a_service_without_a_tcp_port_has_none() -> None:
    """It is not asked there then."""
    spec = ServiceSpec(cluster_ips=("10.0.0.10",), ports=PORTS[:1])
    service = build_dns_service(Service(metadata=ObjectMeta(), spec=spec), Known(()), "")
    assert (service.udp_port, service.tcp_port) == (53, None)


def test_endpoints_that_could_not_be_read_are_not_none() -> None:
    """The reason is passed on."""
    refused = Unavailable(Reason.PERMISSION_DENIED, "forbidden")
    assert build_dns_service(SERVICE, refused, "").endpoints == refused
