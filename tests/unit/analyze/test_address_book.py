"""Whose an address is: exactly, in both families, and nothing more than the API said."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from netinspect.analyze.address_book import AddressBook, build_address_book, join_address_books
from netinspect.models.address import parse_address
from netinspect.models.address_owner import AddressOwner, OwnerKind, show_owner
from netinspect.models.cluster_state import ClusterState
from netinspect.models.fact import Known
from tests.unit.analyze.build import link
from tests.unit.flow_world import DENIED, PODS, STATE, node, pod, service


def shown(text: str, book: AddressBook | None = None) -> str:
    """The owner of an address, in words."""
    return show_owner((book or build_address_book(STATE)).owner(parse_address(text)))


def reached(text: str, protocol: str, port: int | None, book: AddressBook | None = None) -> str:
    return show_owner((book or build_address_book(STATE)).destination(parse_address(text), protocol, port))


def with_pods(*pods: object) -> AddressBook:
    return build_address_book(replace(STATE, pods=Known(pods)))


@pytest.mark.parametrize(
    ("address", "owner"),
    [
        ("fd00:244:1::5", "pod demo/web-1"),
        ("10.244.1.5", "pod demo/web-1"),
        ("10.244.2.7", "pod demo/web-2"),
        ("fd00:96::20", "service demo/web"),
        ("10.96.0.20", "service demo/web"),
        ("fd00:99::12", "node node-b"),
        ("10.99.0.12", "node node-b"),
        ("::1", "loopback"),
        ("127.0.0.53", "loopback"),
        ("2001:db8::1", "external"),
        ("93.184.216.34", "external"),
        ("ff02::fb", "external (multicast)"),
        ("fe80::1", "external (link-local)"),
        ("255.255.255.255", "external (broadcast)"),
    ],
)
def test_an_address_is_its_owners(address: str, owner: str) -> None:
    """Pods, Services and nodes by their addresses, and the rest by what can be said of it."""
    assert shown(address) == owner


@pytest.mark.parametrize(
    ("address", "node"),
    [("10.244.1.50", "node-a"), ("10.244.2.5", "node-b"), ("fd00:244:1::55", "node-a")],
)
def test_only_the_whole_address_counts(address: str, node: str) -> None:
    """10.244.1.50 is not 10.244.1.5; what no pod has is said to be no pod's, with the range that it is in."""
    assert shown(address) == f"no pod known (in the pod range of {node})"


def test_a_nodes_address_is_never_a_hostnetwork_pods() -> None:
    """All of them share it."""
    assert shown("10.99.0.11") == "node node-a"
    assert shown("fd00:99::11") == "node node-a"


def test_a_completed_pod_has_no_address() -> None:
    """It may be another's by now."""
    assert shown("10.244.1.9") == "no pod known (in the pod range of node-a)"
    assert shown("10.244.1.9", with_pods(PODS[4], pod("heir", "10.244.1.9"))) == "pod demo/heir"
    assert shown("10.244.1.9", with_pods(pod("heir", "10.244.1.9"), PODS[4])) == "pod demo/heir"


def test_of_two_pods_with_one_address_the_one_that_stays_is_meant_then_the_younger() -> None:
    """Whatever the order of the list."""
    leaving = pod("leaving", "fd00:244:1::8", creation_timestamp="2026-02", deletion_timestamp="2026-03")
    old = pod("old", "fd00:244:1::8", creation_timestamp="2026-01")
    young = pod("young", "fd00:244:1::8", creation_timestamp="2026-02")
    for pods in ((leaving, old), (old, leaving)):
        assert shown("fd00:244:1::8", with_pods(*pods)) == "pod demo/old"
    for pods in ((young, old), (old, young)):
        assert shown("fd00:244:1::8", with_pods(*pods)) == "pod demo/young"
    assert shown("fd00:244:1::8", with_pods(leaving)) == "pod demo/leaving (terminating)"


def test_a_services_port_is_known_by_protocol_and_number() -> None:
    """TCP 80 is http, UDP 80 is echo; another port is the Service's, without a name."""
    for address in ("fd00:96::20", "10.96.0.20"):
        assert reached(address, "tcp", 80) == "service demo/web:http"
        assert reached(address, "udp", 80) == "service demo/web:echo"
        assert reached(address, "tcp", 81) == "service demo/web"
        assert reached(address, "icmp", None) == "service demo/web"


def test_a_node_port_is_one_on_nodes_only() -> None:
    """In the right protocol; elsewhere the number means nothing."""
    for address in ("fd00:99::11", "10.99.0.12"):
        assert reached(address, "tcp", 30080) == "service demo/web:http (nodePort 30080)"
        assert reached(address, "udp", 30080).startswith("node node-")
    assert reached("10.244.1.5", "tcp", 30080) == "pod demo/web-1"
    assert reached("93.184.216.34", "tcp", 30080) == "external"


def test_external_and_load_balancer_addresses_are_the_services() -> None:
    """A node's own address among them stays the node's, but for the Service's port."""
    wide = service("wide", "10.96.0.30", external=("10.99.0.11", "2001:db8::7"), balancer=("192.0.2.1", ""))
    book = build_address_book(replace(STATE, services=Known((wide,))))
    assert shown("192.0.2.1", book) == "service demo/wide"
    assert shown("2001:db8::7", book) == "service demo/wide"
    assert shown("10.99.0.11", book) == "node node-a"
    assert reached("10.99.0.11", "tcp", 80, book) == "service demo/wide:http"


def test_addresses_of_links_are_their_nodes() -> None:
    """Bridges and tunnels have addresses that the API does not know; link-local ones and loopback name nobody."""
    links = {
        "node-a": [
            link("cni0", 5, "bridge", ips=("10.244.1.1/24", "fd00:244:1::1/64", "fe80::1/64")),
            link("lo", 1, None, ips=("127.0.0.1/8",)),
        ]
    }
    book = build_address_book(STATE, links)
    assert shown("10.244.1.1", book) == "node node-a (cni0)"
    assert shown("fd00:244:1::1", book) == "node node-a (cni0)"
    assert shown("fe80::1", book) == "external (link-local)"
    assert shown("127.0.0.1", book) == "loopback"
    assert reached("10.244.1.1", "tcp", 30080, book) == "service demo/web:http (nodePort 30080)"


def test_a_services_address_on_a_nodes_link_stays_the_services() -> None:
    """kube-ipvs0 bears them all."""
    book = build_address_book(STATE, {"node-a": [link("kube-ipvs0", 6, "dummy", ips=("fd00:96::20/128",))]})
    assert shown("fd00:96::20", book) == "service demo/web"


def test_what_is_no_address_names_nobody() -> None:
    """Older API servers let 010.0.0.1 pass; a node's host name is none; nor is a broken range."""
    odd = service("odd", "None", external=("010.0.0.1", "192.0.2.9"))
    named = node("node-c", 3)
    broken = replace(named, spec=replace(named.spec, pod_cidrs=("10.244.3.0/240",)))
    book = build_address_book(replace(STATE, services=Known((odd,)), nodes=Known((broken,))))
    assert shown("192.0.2.9", book) == "service demo/odd"
    assert shown("10.99.0.13", book) == "node node-c"
    assert shown("10.244.3.1", book) == "external"


@pytest.mark.parametrize("missing", ["pods", "services", "nodes"])
def test_without_a_list_a_stranger_is_unknown_and_not_external(missing: str) -> None:
    """Nothing is said of an address that the missing list may have held."""
    book = build_address_book(replace(STATE, **{missing: DENIED}))
    assert shown("2001:db8::1", book) == "unknown"
    assert shown("93.184.216.34", book) == "unknown"
    assert shown("::1", book) == "loopback"


def test_no_pods_address_is_certain_only_with_the_list_of_pods() -> None:
    """Without Services it still is."""
    assert shown("10.244.1.50", build_address_book(replace(STATE, pods=DENIED))) == "unknown"
    no_services = build_address_book(replace(STATE, services=DENIED))
    assert shown("10.244.1.50", no_services) == "no pod known (in the pod range of node-a)"


def test_names_do_not_hang_on_endpointslices() -> None:
    """They name nothing."""
    assert shown("2001:db8::1", build_address_book(replace(STATE, slices=DENIED))) == "external"


def test_joined_books_forget_nothing_and_the_later_one_counts() -> None:
    """A pod that went meanwhile is still named; where an address changed hands, its new bearer is."""
    before = build_address_book(
        replace(STATE, pods=Known((pod("gone", "10.244.1.8"), pod("old", "10.244.1.9"))))
    )
    after = build_address_book(
        replace(STATE, pods=Known((pod("new", "10.244.1.9"), pod("came", "fd00:244:1::8"))))
    )
    book = join_address_books(before, after)
    assert shown("10.244.1.8", book) == "pod demo/gone"
    assert shown("10.244.1.9", book) == "pod demo/new"
    assert shown("fd00:244:1::8", book) == "pod demo/came"
    assert shown("fd00:96::20", book) == "service demo/web"
    assert shown("fd00:99::12", book) == "node node-b"


@pytest.mark.parametrize("missing_in", ["before", "after"])
def test_joined_books_know_as_little_as_the_poorer_one(missing_in: str) -> None:
    """External is what both would call so."""
    whole, poor = build_address_book(STATE), build_address_book(replace(STATE, pods=DENIED))
    pair = (poor, whole) if missing_in == "before" else (whole, poor)
    book = join_address_books(*pair)
    assert shown("2001:db8::1", book) == "unknown"
    assert shown("10.244.1.50", book) == "unknown"
    assert shown("10.244.1.5", book) == "pod demo/web-1"


def test_an_empty_cluster_names_nothing() -> None:
    """And does not fail."""
    empty = ClusterState(pods=Known(()), services=Known(()), slices=Known(()), nodes=Known(()))
    assert shown("10.244.1.5", build_address_book(empty)) == "external"


@pytest.mark.parametrize("kind", list(OwnerKind))
def test_every_kind_of_owner_has_words(kind: OwnerKind) -> None:
    """No flow has an end without."""
    assert show_owner(AddressOwner(kind=kind)).strip()


def test_a_node_port_on_loopback_is_the_services() -> None:
    """kube-proxy's iptables mode takes it there for IPv4; a port that is none is the node itself."""
    book = build_address_book(STATE)
    (protocol, port), service = next(iter(book.node_ports.items()))
    assert book.destination(parse_address("127.0.0.1"), protocol, port) == service
    assert book.destination(parse_address("127.0.0.1"), protocol, 1).kind is OwnerKind.LOOPBACK
