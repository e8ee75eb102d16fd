"""The table of services, and the sentences below it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from netinspect.models.listing import EndpointCounts, EndpointEntry, PodReference, PortEntry, ServiceEntry
from netinspect.render.services import columns, format_counts, name_of, remarks


def count(family: str = "IPv6", *, ready: int = 0, not_ready: int = 0, leaving: int = 0) -> EndpointCounts:
    total = ready + not_ready + leaving
    return EndpointCounts(
        family=family, total=total, ready=ready, not_ready=not_ready, serving=ready, terminating=leaving
    )


def a_port(name: str = "http", *counts: EndpointCounts, **wishes: Any) -> PortEntry:
    port = PortEntry(
        name=name,
        protocol="TCP",
        port=80,
        target_port=8080,
        node_port=0,
        endpoint_ports=(8080,),
        endpoints=counts or (count(ready=1),),
    )
    return replace(port, **wishes)


def an_endpoint(address: str, **wishes: Any) -> EndpointEntry:
    endpoint = EndpointEntry(
        address=address,
        family="IPv6",
        port=8080,
        port_name="http",
        protocol="TCP",
        ready=True,
        serving=True,
        terminating=False,
        node="node-a",
        pod=None,
        slices=("web-1",),
    )
    return replace(endpoint, **wishes)


SERVICE = ServiceEntry(
    namespace="demo",
    name="web",
    type="ClusterIP",
    headless=False,
    cluster_ips=("fd00:10:96::a", "10.96.0.10"),
    families=("IPv6", "IPv4"),
    external_ips=(),
    load_balancer_ingress=(),
    external_name="",
    ports=(a_port(),),
    selector={"app": "web", "tier": "front"},
    internal_traffic_policy="Cluster",
    external_traffic_policy="",
    session_affinity="None",
    publish_not_ready_addresses=False,
    counts=(count(ready=1),),
    endpoints=(an_endpoint("fd00::7", pod=PodReference(namespace="demo", name="web-1")),),
    slices=("web-1",),
    warnings=(),
    creation_timestamp="2026-01-01T00:00:00Z",
)


def row(*, with_namespace: bool = False, **wishes: Any) -> dict[str, str]:
    service = replace(SERVICE, **wishes)
    return {column.header: column.cell(service) for column in columns(with_namespace=with_namespace)}


def test_a_row_has_the_addresses_of_both_families_and_the_endpoints() -> None:
    """In the API's order, the primary family first."""
    assert row() == {
        "NAME": "web",
        "TYPE": "ClusterIP",
        "CLUSTER-IPS": "fd00:10:96::a,10.96.0.10",
        "EXTERNAL-IPS": "",
        "PORTS": "80/TCP",
        "ENDPOINTS": "1 ready",
        "TARGET-PORTS": "80->8080",
        "POLICIES": "",
        "SELECTOR": "app=web,tier=front",
        "ENDPOINT-ADDRESSES": "fd00::7=web-1",
    }


def test_the_namespace_is_the_first_column_where_several_are_listed() -> None:
    """And is left out where there is only one, as kubectl does."""
    assert next(iter(row(with_namespace=True))) == "NAMESPACE"
    assert "NAMESPACE" not in row()


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        pytest.param({"headless": True, "cluster_ips": ()}, ("None", ""), id="headless"),
        pytest.param(
            {"type": "ExternalName", "cluster_ips": (), "external_name": "db.example.org"},
            ("", "db.example.org"),
            id="ExternalName",
        ),
        pytest.param(
            {"type": "LoadBalancer"}, ("fd00:10:96::a,10.96.0.10", "<pending>"), id="no load balancer yet"
        ),
        pytest.param(
            {
                "type": "LoadBalancer",
                "load_balancer_ingress": ("2001:db8::1", "lb.example.org", "2001:db8::1"),
                "external_ips": ("192.0.2.9",),
            },
            ("fd00:10:96::a,10.96.0.10", "2001:db8::1,lb.example.org,192.0.2.9"),
            id="load balancer and external addresses",
        ),
    ],
)
def test_the_ways_in_are_kubectls(wishes: dict[str, Any], expected: tuple[str, str]) -> None:
    """As `kubectl get services` shows them."""
    shown = row(**wishes)
    assert (shown["CLUSTER-IPS"], shown["EXTERNAL-IPS"]) == expected


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (count(ready=4), "4 ready"),
        (count(ready=2, leaving=1), "2 ready, 1 terminating"),
        (count(ready=1, not_ready=2, leaving=3), "1 ready, 2 not ready, 3 terminating"),
        (count(not_ready=3), "0 ready, 3 not ready"),
        (count(), "none"),
    ],
)
def test_counts_are_parts_that_add_up(counts: EndpointCounts, expected: str) -> None:
    """That nothing is ready is said in so many words."""
    assert format_counts(counts) == expected


FOUR, TWO, NONE = count(ready=4), count(ready=2), count()
FOUR_V4, NONE_V4 = count("IPv4", ready=4), count("IPv4")


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        pytest.param(
            (a_port("http", FOUR, FOUR_V4), a_port("dns", FOUR, FOUR_V4)), "4 ready", id="all agree"
        ),
        pytest.param(
            (a_port("http", NONE, FOUR_V4), a_port("dns", NONE, FOUR_V4)),
            "IPv6: none; IPv4: 4 ready",
            id="families differ",
        ),
        pytest.param(
            (a_port("http", FOUR), a_port("", TWO, port=9090)),
            "http: 4 ready; 9090/TCP: 2 ready",
            id="ports differ",
        ),
        pytest.param(
            (a_port("http", FOUR, NONE_V4), a_port("dns", TWO, NONE_V4)),
            "IPv6 http: 4 ready; IPv4 http: none; IPv6 dns: 2 ready; IPv4 dns: none",
            id="both differ",
        ),
        pytest.param((a_port("http", NONE, NONE_V4),), "", id="nothing"),
    ],
)
def test_endpoints_are_told_apart_only_where_they_differ(ports: tuple[PortEntry, ...], expected: str) -> None:
    """One number where one number says it all."""
    assert row(ports=ports)["ENDPOINTS"] == expected


def test_a_service_without_ports_counts_its_endpoints_by_family() -> None:
    """Headless services need no ports."""
    shown = row(ports=(), counts=(FOUR, NONE_V4))
    assert (shown["PORTS"], shown["ENDPOINTS"]) == ("", "IPv6: 4 ready; IPv4: none")


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        (a_port(node_port=30080), ("80:30080/TCP", "80->8080")),
        (a_port(target_port="http"), ("80/TCP", "80->http(8080)")),
        (a_port(target_port="http", endpoint_ports=(8080, 9090)), ("80/TCP", "80->http(8080|9090)")),
        (a_port(target_port="http", endpoint_ports=()), ("80/TCP", "80->http")),
        (a_port(target_port=80), ("80/TCP", "80->80(8080)")),
    ],
)
def test_a_port_shows_where_it_leads(port: PortEntry, expected: tuple[str, str]) -> None:
    """PORTS as kubectl has it; the wide table adds what the slices have."""
    shown = row(ports=(port,))
    assert (shown["PORTS"], shown["TARGET-PORTS"]) == expected


def test_policies_are_shown_where_they_are_not_the_default() -> None:
    """What changes which endpoint is chosen must not drown in defaults."""
    shown = row(
        internal_traffic_policy="Local",
        external_traffic_policy="Local",
        session_affinity="ClientIP",
        publish_not_ready_addresses=True,
    )
    assert shown["POLICIES"] == "internal=Local,external=Local,affinity=ClientIP,publish-not-ready=true"


def test_endpoints_that_take_no_traffic_are_marked() -> None:
    """A terminating endpoint is not simply unready."""
    endpoints = (
        an_endpoint("fd00::7"),
        an_endpoint("fd00::8", ready=False),
        an_endpoint("fd00::9", ready=False, terminating=True),
    )
    assert row(endpoints=endpoints)["ENDPOINT-ADDRESSES"] == "fd00::7,fd00::8(not-ready),fd00::9(terminating)"


def test_an_address_is_listed_once_and_a_long_list_is_cut_with_its_rest_counted() -> None:
    """A table is for reading; JSON has all of them."""
    endpoints = tuple(
        an_endpoint(f"fd00::{i}", port_name=name) for i in range(1, 13) for name in ("http", "metrics")
    )
    shown = row(endpoints=endpoints)["ENDPOINT-ADDRESSES"].split(",")
    assert shown == [*(f"fd00::{i}" for i in range(1, 11)), "2 more"]


def test_sentences_name_their_service() -> None:
    """One line each, for stderr."""
    odd = replace(SERVICE, warnings=("the only IPv6 endpoint is not ready", "something else"))
    assert list(remarks([SERVICE, odd])) == [
        "service demo/web: the only IPv6 endpoint is not ready",
        "service demo/web: something else",
    ]


def test_the_name_is_kubectls() -> None:
    """So that it can be piped into kubectl."""
    assert name_of(SERVICE) == "service/web"
