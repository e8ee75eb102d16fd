"""From services and EndpointSlices to counts, endpoints and what is odd about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.analyze.services import build_service_entries, build_service_entry, merge_endpoints
from netinspect.models.kubernetes import EndpointSlice, Service
from netinspect.models.listing import EndpointCounts, PodReference, ServiceEntry
from netinspect.parse.api import parse_object

HTTP = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}
BOTH = ["IPv6", "IPv4"]
MANAGED = "endpointslice-controller.k8s.io"


def make_service(name: str = "web", namespace: str = "demo", **spec: Any) -> Service:
    whole = {"type": "ClusterIP", "ipFamilies": ["IPv6"], "selector": {"app": "web"}, "ports": [HTTP], **spec}
    metadata = {"name": name, "namespace": namespace}
    return parse_object(Service, msgspec.json.encode({"metadata": metadata, "spec": whole}))


def make_slice(
    endpoints: Sequence[dict[str, Any]] | None,
    *,
    name: str = "web-1",
    family: str = "IPv6",
    ports: Sequence[dict[str, Any]] | None = ({"name": "http", "port": 8080, "protocol": "TCP"},),
    service: str = "web",
    namespace: str = "demo",
    managed_by: str = MANAGED,
) -> EndpointSlice:
    labels = {"kubernetes.io/service-name": service, "endpointslice.kubernetes.io/managed-by": managed_by}
    whole = {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "addressType": family,
        "endpoints": endpoints,
        "ports": ports,
    }
    return parse_object(EndpointSlice, msgspec.json.encode(whole))


def endpoint(address: str, pod: str = "", node: str = "", **conditions: bool | None) -> dict[str, Any]:
    target = {"targetRef": {"kind": "Pod", "name": pod}} if pod else {}
    return {"addresses": [address], "conditions": conditions, "nodeName": node, **target}


def counts(entry: ServiceEntry) -> dict[str, EndpointCounts]:
    return {each.family: each for each in entry.counts}


def test_endpoints_of_ipv6_slices_are_counted_with_their_pods() -> None:
    """A service that has IPv6 only is an ordinary service."""
    entry = build_service_entry(
        make_service(),
        [
            make_slice(
                [endpoint("fd00::7", "web-1", "node-a"), endpoint("fd00::8", ready=False, serving=False)]
            )
        ],
    )
    assert entry.counts == (
        EndpointCounts(family="IPv6", total=2, ready=1, not_ready=1, serving=1, terminating=0),
    )
    first = entry.endpoints[0]
    assert (first.address, first.port, first.node) == ("fd00::7", 8080, "node-a")
    assert first.pod == PodReference(namespace="demo", name="web-1")
    assert entry.warnings == ()


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        pytest.param({}, (True, True, False), id="nothing said"),
        pytest.param({"ready": False}, (False, True, False), id="serving does not follow ready"),
        pytest.param(
            {"ready": False, "serving": True, "terminating": True}, (False, True, True), id="draining"
        ),
        pytest.param({"ready": None, "terminating": None}, (True, True, False), id="null is not said"),
    ],
)
def test_conditions_that_are_not_set_have_the_apis_meaning(
    conditions: dict[str, Any], expected: tuple[bool, bool, bool]
) -> None:
    """Unknown ready means ready, unknown serving means serving, unknown terminating means no."""
    (merged,) = merge_endpoints([make_slice([endpoint("fd00::7", **conditions)])])
    assert (merged.ready, merged.serving, merged.terminating) == expected


def test_slices_are_joined_by_name_and_namespace_whoever_made_them() -> None:
    """A namesake in another namespace has its own endpoints; who manages a slice does not matter."""
    slices = [
        make_slice([endpoint("fd00::1")], name="by-controller"),
        make_slice([endpoint("fd00::2")], name="by-hand", managed_by="me"),
        make_slice([endpoint("fd00::3")], namespace="other"),
        make_slice([endpoint("fd00::4")], service="api"),
    ]
    here, there = build_service_entries([make_service(), make_service(namespace="other")], slices)
    assert [each.address for each in here.endpoints] == ["fd00::1", "fd00::2"]
    assert here.slices == ("by-controller", "by-hand")
    assert [each.address for each in there.endpoints] == ["fd00::3"]


def test_a_family_that_is_asked_for_is_counted_even_with_no_endpoint() -> None:
    """Half of a dual-stack service missing is what nobody sees in kubectl's table."""
    service = make_service(ipFamilies=BOTH)
    slices = [make_slice([endpoint("10.0.0.1")], family="IPv4"), make_slice(None, name="web-2", ports=None)]
    entry = build_service_entry(service, slices)
    assert [(each.family, each.total) for each in entry.counts] == [("IPv6", 0), ("IPv4", 1)]
    assert entry.warnings == ("the service asks for IPv6 and IPv4, but has no IPv6 endpoint",)


def test_a_headless_service_without_selector_need_not_fill_both_families() -> None:
    """The API gives such services both families by default, asked for or not."""
    service = make_service(ipFamilies=BOTH, clusterIPs=["None"], selector={}, ports=[])
    entry = build_service_entry(service, [make_slice([endpoint("fd00::1")], ports=[])])
    assert entry.headless
    assert entry.cluster_ips == ()
    assert entry.warnings == ()


def test_an_address_with_two_ports_is_one_endpoint() -> None:
    """Counts are of addresses, the list is of ports."""
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
    ]
    service = make_service(ports=[{**port, "targetPort": port["name"]} for port in ports])
    entry = build_service_entry(service, [make_slice([endpoint("fd00::1")], ports=ports)])
    assert counts(entry)["IPv6"].total == 1
    assert [(each.port_name, each.protocol, each.port) for each in entry.endpoints] == [
        ("dns", "UDP", 53),
        ("dns-tcp", "TCP", 53),
    ]
    assert [port.endpoint_ports for port in entry.ports] == [(53,), (53,)]


@pytest.mark.parametrize("is_reversed", [False, True])
def test_an_address_in_two_slices_is_counted_once_and_what_does_not_terminate_wins(
    is_reversed: bool,
) -> None:
    """The address of a pod that ends can be a new pod's: kube-proxy takes the living one, in any order."""
    dying = endpoint("fd00::7", "old", ready=False, serving=True, terminating=True)
    slices = [
        make_slice([dying], name="a"),
        make_slice([endpoint("fd00::7", "new", ready=False)], name="b"),
    ]
    entry = build_service_entry(make_service(), slices[::-1] if is_reversed else slices)
    (only,) = entry.endpoints
    assert only.pod == PodReference(namespace="demo", name="new")
    assert only.slices == ("a", "b")
    assert counts(entry)["IPv6"].total == 1
    assert "in several EndpointSlices, counted once: fd00::7 (a and b)" in entry.warnings


def test_addresses_are_compared_in_their_canonical_form() -> None:
    """Old slices made by hand may write an address at length."""
    slices = [make_slice([endpoint("fd00:0:0::07")], name="a"), make_slice([endpoint("fd00::7")], name="b")]
    assert [each.address for each in merge_endpoints(slices)] == ["fd00::7"]


def test_endpoints_stand_in_the_order_of_the_families() -> None:
    """The primary family first, as in all that the API lists."""
    slices = [
        make_slice([endpoint("10.0.0.1")], name="a", family="IPv4"),
        make_slice([endpoint("fd00::1")], name="b"),
    ]
    entry = build_service_entry(make_service(ipFamilies=BOTH), slices)
    assert [each.family for each in entry.endpoints] == BOTH


DRAINING = endpoint("fd00::8", ready=False, serving=True, terminating=True)


@pytest.mark.parametrize(
    ("spec", "slices", "expected"),
    [
        pytest.param(
            {},
            [make_slice(None, ports=None)],
            [
                "the selector app=web matches no pod that has an address "
                "(there is none, or all are pending or have ended)"
            ],
            id="selector without pods",
        ),
        pytest.param(
            {},
            [],
            ["the service has no EndpointSlice: no controller has made one for its selector app=web"],
            id="no controller",
        ),
        pytest.param(
            {},
            [make_slice([], managed_by="me")],
            ["there is no endpoint in the slices of the service (selector app=web)"],
            id="empty slices of another controller",
        ),
        pytest.param(
            {"selector": {}}, [], ["the service has no selector, and no EndpointSlice"], id="nothing at all"
        ),
        pytest.param(
            {"selector": {}},
            [make_slice([])],
            ["the service has no selector, and no endpoint in its slices"],
            id="no selector, empty slices",
        ),
        pytest.param(
            {},
            [make_slice([endpoint("fd00::7", ready=False)])],
            ["the only IPv6 endpoint is not ready"],
            id="one endpoint, not ready",
        ),
        pytest.param(
            {},
            [make_slice([endpoint("fd00::7", ready=False), DRAINING])],
            [
                "none of the 2 IPv6 endpoints is ready; traffic goes to 1 that still serve while they terminate"
            ],
            id="nothing ready, one drains",
        ),
        pytest.param(
            {"ports": [HTTP, {"name": "metrics", "port": 9090, "targetPort": "metrics"}]},
            [make_slice([endpoint("fd00::7")])],
            [
                "port metrics (9090/TCP) leads to no endpoint: "
                'none of its pods has a container port named "metrics"'
            ],
            id="targetPort that no pod names",
        ),
        pytest.param(
            {"selector": {}},
            [make_slice([endpoint("fd00::7")], ports=[{"name": "htpp", "port": 8080, "protocol": "TCP"}])],
            [
                'port http (80/TCP) leads to no endpoint: no slice has a port named "http" with protocol TCP',
                'EndpointSlice web-1 has a port named "htpp" (TCP), which the service does not have',
            ],
            id="port names that differ",
        ),
        pytest.param(
            {"ports": [{"port": 80, "protocol": "UDP"}], "selector": {}},
            [make_slice([endpoint("fd00::7")], ports=[{"name": "", "port": 80, "protocol": "TCP"}])],
            [
                'port 80/UDP leads to no endpoint: no slice has a port named "" with protocol UDP',
                'EndpointSlice web-1 has a port named "" (TCP), which the service does not have',
            ],
            id="protocols that differ",
        ),
        pytest.param(
            {},
            [make_slice([endpoint("fd00::7")], ports=[{"name": "http", "protocol": "TCP"}])],
            ['EndpointSlice web-1 has no number for its port "http" (TCP): kube-proxy ignores it'],
            id="all ports",
        ),
        pytest.param(
            {},
            [
                make_slice([endpoint("fd00::7")]),
                make_slice([endpoint("10.0.0.7")], name="web-2", family="IPv4"),
            ],
            [
                "EndpointSlice web-2 holds IPv4 addresses, but the service asks for IPv6 only: "
                "they get no traffic"
            ],
            id="family that is not asked for",
        ),
        pytest.param(
            {},
            [
                make_slice([endpoint("fd00::7")]),
                make_slice([endpoint("db.example.org")], name="web-2", family="FQDN"),
            ],
            ["EndpointSlice web-2 holds host names (FQDN): kube-proxy ignores them"],
            id="host names",
        ),
        pytest.param(
            {},
            [make_slice([{"addresses": ["fd00::7", "fd00::8"]}])],
            [
                "EndpointSlice web-1 has endpoints with several addresses: kube-proxy uses the first of each only"
            ],
            id="several addresses",
        ),
        pytest.param(
            {"publishNotReadyAddresses": True},
            [make_slice([endpoint("fd00::7")])],
            ["publishNotReadyAddresses: endpoints count as ready whether their pods are or not"],
            id="publishNotReadyAddresses",
        ),
        pytest.param({"type": "ExternalName", "selector": {}}, [], [], id="ExternalName has no endpoints"),
    ],
)
def test_what_is_odd_is_said_in_a_sentence(
    spec: dict[str, Any], slices: list[EndpointSlice], expected: list[str]
) -> None:
    """Each sentence is a fact about these objects, and nothing else is said."""
    assert list(build_service_entry(make_service(**spec), slices).warnings) == expected


def test_a_port_whose_endpoints_are_all_unready_is_named() -> None:
    """Pods of two versions can have different ports: then readiness is a port's matter."""
    metrics = {"name": "metrics", "port": 9090, "protocol": "TCP"}
    slices = [
        make_slice([endpoint("fd00::1")]),
        make_slice([endpoint("fd00::2", ready=False)], name="web-2", ports=[metrics]),
    ]
    entry = build_service_entry(make_service(ports=[HTTP, {**metrics, "targetPort": "metrics"}]), slices)
    assert entry.warnings == ("the only IPv6 endpoint of port metrics (9090/TCP) is not ready",)


CONDITIONS = st.fixed_dictionaries(
    {}, optional={key: st.booleans() for key in ("ready", "serving", "terminating")}
)
ENDPOINTS = st.builds(
    lambda number, conditions: endpoint(f"fd00::{number:x}", **conditions), st.integers(1, 5), CONDITIONS
)


def make_slices(groups: list[list[dict[str, Any]]]) -> list[EndpointSlice]:
    return [make_slice(group, name=f"web-{i}") for i, group in enumerate(groups)]


@given(st.lists(st.lists(ENDPOINTS, max_size=5), max_size=4), st.randoms())
def test_counts_add_up_and_do_not_depend_on_the_order_of_slices(
    groups: list[list[dict[str, Any]]], random: Any
) -> None:
    """Each address is counted once, as ready, not ready, or terminating; the API's order decides nothing."""
    (before,) = build_service_entry(make_service(), make_slices(groups)).counts
    random.shuffle(groups)
    (after,) = build_service_entry(make_service(), make_slices(groups)).counts
    assert after == before
    assert before.total == len({each["addresses"][0] for group in groups for each in group})
    assert before.ready + before.not_ready <= before.total
    assert before.total - before.ready - before.not_ready <= before.terminating
