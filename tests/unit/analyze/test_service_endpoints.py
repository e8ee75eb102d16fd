"""Which Service a packet is sent to, and which endpoints of it are alive."""

from __future__ import annotations

import pytest

from netinspect.analyze.service_endpoints import build_service_index
from netinspect.models.address import parse_address
from netinspect.models.kubernetes import EndpointSlice, Service
from netinspect.models.stale_flow import ServiceTarget
from tests.unit.analyze.stale_build import CHANGED_AT, SLICES, endpoint, service, slice_


def at(
    address: str,
    protocol: str = "udp",
    port: int = 53,
    *,
    services: tuple[Service, ...],
    slices: tuple[EndpointSlice, ...],
) -> tuple[ServiceTarget, ...]:
    return build_service_index(services, slices).at(parse_address(address), protocol, port)


def is_live(target: ServiceTarget, address: str, port: int = 5353) -> bool:
    return target.is_live(parse_address(address), port)


def test_both_families_are_found_with_the_endpoints_of_all_their_slices() -> None:
    """One Service, two addresses; an endpoint of either family is its endpoint, at the slice's port only."""
    for address in ("fd00:96::a", "10.96.0.10"):
        (target,) = at(address, services=(service(),), slices=SLICES)
        assert (target.key, target.port_name, target.port) == ("shop/dns", "dns", 53)
        assert is_live(target, "fd00:244:2::9")
        assert is_live(target, "10.244.2.9")
        assert not is_live(target, "10.244.2.9", 53)
        assert not is_live(target, "10.244.2.90")
        assert [str(each) for each, _ in target.endpoints_of(6)] == ["fd00:244:2::9"]
        assert [each.name for each in target.slices] == ["dns-1", "dns-6"]


@pytest.mark.parametrize("address", ["192.0.2.80", "2001:db8::80", "203.0.113.7", "2001:db8:1::7"])
def test_external_and_load_balancer_addresses_are_the_services_too(address: str) -> None:
    """A load balancer that has but a name has no address here."""
    own = service(
        externalIPs=["192.0.2.80", "2001:db8::80"],
        ingress=[{"ip": "203.0.113.7"}, {"ip": "2001:db8:1::7"}, {"hostname": "lb.test"}],
    )
    assert [each.key for each in at(address, services=(own,), slices=SLICES)] == ["shop/dns"]


def test_protocol_and_port_count() -> None:
    """UDP 53 is not TCP 53, and neither is SCTP 53; port 54 is nobody's."""
    names = [
        [each.port_name for each in at("fd00:96::a", protocol, port, services=(service(),), slices=SLICES)]
        for protocol, port in (("udp", 53), ("tcp", 53), ("sctp", 53), ("udp", 54))
    ]
    assert names == [["dns"], ["dns-tcp"], ["dns-sctp"], []]


def test_node_ports_are_found_by_protocol_and_number() -> None:
    """At which addresses they are offered is another question."""
    port = {"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053}
    index = build_service_index([service(type="NodePort", ports=[port])], SLICES)
    assert [each.key for each in index.at_node_port("udp", 30053)] == ["shop/dns"]
    assert index.at_node_port("tcp", 30053) == index.at_node_port("udp", None) == ()


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, True),
        ({"ready": True, "serving": True, "terminating": False}, True),
        ({"ready": False, "serving": True, "terminating": True}, True),
        ({"ready": False, "serving": False, "terminating": True}, False),
        ({"ready": False, "serving": False, "terminating": False}, False),
        # publishNotReadyAddresses: ready by decree, though it does not serve.
        ({"ready": True, "serving": False, "terminating": False}, True),
        ({"ready": False}, True),
    ],
)
def test_an_endpoint_lives_while_it_is_ready_or_serves(conditions: dict[str, bool], expected: bool) -> None:
    """Also one that terminates, as long as it serves: kube-proxy keeps its flows. What is not told is true."""
    slices = (slice_(endpoint("fd00:244:2::9", **conditions), family="IPv6"),)
    (target,) = at("fd00:96::a", services=(service(),), slices=slices)
    assert is_live(target, "fd00:244:2::9") is expected


def test_policies_affinity_and_topology_do_not_matter() -> None:
    """They choose among endpoints for new flows; flows that are there keep theirs."""
    own = service(
        externalTrafficPolicy="Local",
        internalTrafficPolicy="Local",
        sessionAffinity="ClientIP",
        publishNotReadyAddresses=True,
    )
    elsewhere = endpoint("fd00:244:2::9") | {"nodeName": "node-z", "hints": {"forZones": [{"name": "z"}]}}
    (target,) = at("fd00:96::a", services=(own,), slices=(slice_(elsewhere, family="IPv6"),))
    assert is_live(target, "fd00:244:2::9")


def test_slices_of_one_service_may_have_different_ports_and_any_port() -> None:
    """A named targetPort resolves pod by pod; a slice's port that is not given means all of them."""
    slices = (
        slice_("fd00:244:2::9", family="IPv6", port=5353),
        slice_("fd00:244:2::8", name="dns-2", family="IPv6", port=1053),
        slice_("fd00:244:2::7", name="dns-3", family="IPv6", port=None),
    )
    (target,) = at("fd00:96::a", services=(service(),), slices=slices)
    live = {
        (each, port)
        for each in ("7", "8", "9")
        for port in (5353, 1053)
        if is_live(target, f"fd00:244:2::{each}", port)
    }
    assert live == {("9", 5353), ("8", 1053), ("7", 5353), ("7", 1053)}


def test_ports_are_told_apart_by_name_and_protocol() -> None:
    """The number of the Service's port says nothing about that of the endpoints."""
    ports = [{"name": name, "port": port, "protocol": "UDP"} for name, port in (("dns", 53), ("other", 54))]
    (target,) = at("fd00:96::a", port=54, services=(service(ports=ports),), slices=SLICES)
    assert target.live == frozenset()
    (target,) = at("fd00:96::a", port=53, services=(service(ports=ports),), slices=SLICES)
    assert is_live(target, "fd00:244:2::9")


def test_slices_of_others_do_not_count() -> None:
    """Neither of another Service, nor names (FQDN), which are no addresses."""
    slices = (
        slice_("fd00:244:2::9", service="other", family="IPv6"),
        slice_("host.test", name="dns-fqdn", family="FQDN"),
    )
    (target,) = at("fd00:96::a", services=(service(),), slices=slices)
    assert target.live == frozenset()
    assert target.slices == ()


@pytest.mark.parametrize(
    "own",
    [
        service(clusterIPs=["None"]),
        service(type="ExternalName", clusterIPs=[], externalName="dns.test", ports=[]),
    ],
)
def test_headless_and_external_name_services_are_at_no_address(own: Service) -> None:
    """Nothing is translated for them."""
    assert build_service_index([own], SLICES).fronts == {}


def test_two_services_may_share_an_address() -> None:
    """Both are meant: who of them led the flow on is not told by the entry."""
    services = (
        service("dns", externalIPs=["2001:db8::80"]),
        service("dns2", clusterIPs=["fd00:96::b"], externalIPs=["2001:db8::80"]),
    )
    found = at("2001:db8::80", services=services, slices=SLICES)
    assert [each.key for each in found] == ["shop/dns", "shop/dns2"]


def test_the_last_change_is_that_of_service_or_slices() -> None:
    """Whichever is later, by the API server's clock."""
    (target,) = at("fd00:96::a", services=(service(),), slices=SLICES)
    assert target.changed_at == CHANGED_AT
    later = slice_("fd00:244:2::9", family="IPv6", changed="2026-11-25T17:00:07Z")
    (target,) = at("fd00:96::a", services=(service(),), slices=(*SLICES, later))
    assert target.changed_at == CHANGED_AT + 7
    (target,) = at("fd00:96::a", services=(service(changed="2026-11-25T17:00:09.5Z"),), slices=(later,))
    assert target.changed_at == CHANGED_AT + 9.5
    (target,) = at("fd00:96::a", services=(service(changed="never"),), slices=())
    assert target.changed_at is not None
    assert target.changed_at < CHANGED_AT


def test_another_proxys_services_and_those_without_selector_are_marked() -> None:
    """kube-proxy does not serve the first; the endpoints of the second need be no pods."""
    labels = {"service.kubernetes.io/service-proxy-name": "other"}
    (target,) = at("fd00:96::a", services=(service(labels=labels, selector={}),), slices=SLICES)
    assert target.is_foreign
    assert not target.has_selector
    (target,) = at("fd00:96::a", services=(service(),), slices=SLICES)
    assert not target.is_foreign
    assert target.has_selector


@pytest.mark.parametrize("text", ["010.244.2.9", "10.244.002.009"])
def test_an_address_with_leading_zeros_is_read_as_kube_proxy_does(text: str) -> None:
    """Older API servers let it pass; the endpoint is alive."""
    (target,) = at("fd00:96::a", services=(service(),), slices=(slice_(text), SLICES[1]))
    assert is_live(target, "10.244.2.9")
    assert is_live(target, "fd00:244:2::9")


@pytest.mark.parametrize("text", ["", "None", "10.244.2", "10.244.2.900", "fd00::g"])
def test_what_is_no_address_in_a_slice_is_left_out(text: str) -> None:
    """Its neighbours stay."""
    (target,) = at("fd00:96::a", services=(service(),), slices=(slice_(text, "10.244.2.0"), SLICES[1]))
    live = sorted(str(each) for each, _ in target.live)
    assert live == ["10.244.2.0", "fd00:244:2::9"]
