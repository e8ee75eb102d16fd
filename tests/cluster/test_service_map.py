"""Each node does with packets to Services exactly what the API and its kube-proxy's settings ask for.

Every shape of Service is created; then the whole map of each node, all other Services of the cluster too, must be the
expected one, in both families. Nodes are read by plain tools from a pod of the tests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TypeVar

import pytest

from netinspect.analyze.expected.service_map import expected_service_map
from netinspect.analyze.iptables.service_map import read_iptables_map
from netinspect.analyze.nft.service_map import read_nft_map
from netinspect.analyze.service_map.compare import compare_maps
from netinspect.models.address import Address
from netinspect.models.cluster_state import ClusterState
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.models.kubernetes import EndpointSlice, Node, Service
from netinspect.models.proxy_config import ProxyConfig
from netinspect.models.service_map import Mode, Outcome, ServiceMap
from netinspect.models.service_map_difference import MapDifference
from netinspect.parse.api import parse_object
from netinspect.parse.ip_addr import parse_ip_addr
from netinspect.parse.iptables_save import parse_iptables_save
from netinspect.parse.nft_json import parse_nft_json
from netinspect.parse.proxy_config import parse_proxy_configz
from tests.cluster.kit import Cluster
from tests.cluster.service_shapes import (
    Builder,
    Shape,
    build_large_shape,
    build_shapes,
    create,
    own_namespace,
    zones,
)

pytestmark = pytest.mark.cluster

T = TypeVar("T")
NAMESPACE = "netinspect-service-map"
# No rule at all: kube-proxy passes them over, or nothing but a name or an address of another's is there to serve.
WITHOUT_RULES = {"headless", "foreign-proxy", "external-name"}
BOTH_FAMILIES = pytest.mark.parametrize("family", [6, 4])


@pytest.fixture(scope="module")
def shapes(cluster: Cluster) -> Iterator[tuple[Shape, ...]]:
    """All shapes of Services, their hints for zones meaning something."""
    made = build_shapes(Builder(NAMESPACE, number=212))
    with own_namespace(cluster, NAMESPACE), zones(cluster):
        create(cluster, made)
        yield made


def proxy_config(cluster: Cluster, node: str) -> ProxyConfig:
    answer = cluster.on_node(node, "curl", "-sf", "-m", "5", "http://127.0.0.1:10249/configz")
    return parse_proxy_configz(answer.encode())


def addresses(cluster: Cluster, node: str) -> tuple[Address, ...]:
    links = parse_ip_addr(cluster.on_node(node, "ip", "-j", "addr").encode())
    return tuple(each.local for link in links for each in link.addresses)


def api_state(cluster: Cluster) -> ClusterState:
    def listed(type_: type[T], kind: str) -> Known[tuple[T, ...]]:
        scope = () if kind == "nodes" else ("--all-namespaces",)
        items = cluster.get(kind, *scope)["items"]
        return Known(tuple(parse_object(type_, json.dumps(each).encode()) for each in items))

    return ClusterState(
        pods=Unavailable(Reason.NOT_APPLICABLE, "not needed"),
        services=listed(Service, "services"),
        slices=listed(EndpointSlice, "endpointslices"),
        nodes=listed(Node, "nodes"),
    )


def read_map(cluster: Cluster, node: str, family: int, mode: Mode) -> ServiceMap:
    local = addresses(cluster, node)
    if mode is Mode.NFTABLES:
        ruleset = parse_nft_json(cluster.on_node(node, "nft", "-j", "list", "ruleset"))
        return read_nft_map(node, family, ruleset, local)
    tool = "iptables-save" if family == 4 else "ip6tables-save"
    return read_iptables_map(node, family, parse_iptables_save(cluster.on_node(node, tool)), local)


def settled_differences(
    cluster: Cluster, node: str, family: int
) -> tuple[ServiceMap, tuple[MapDifference, ...]]:
    """Read API, node and API again until the API stood still and nothing differs, or for a minute."""
    config, local = proxy_config(cluster, node), addresses(cluster, node)
    last: list[tuple[ServiceMap, tuple[MapDifference, ...]]] = []

    def is_settled() -> bool:
        before = api_state(cluster)
        seen = read_map(cluster, node, family, config.mode)
        after = api_state(cluster)
        expected = expected_service_map(after, node, family, config.mode, config, local)
        last[:] = [(seen, compare_maps(expected, seen, local))]
        is_still = (before.services, before.slices) == (after.services, after.slices)
        return is_still and last[0][1] == ()

    try:
        cluster.until(is_settled)
    except AssertionError:
        if not last[0][1]:
            raise  # the API never stood still
    return last[0]


def skip_unless_readable(mode: Mode) -> None:
    if mode is Mode.IPVS:
        pytest.skip("the node's kube-proxy is in ipvs mode: see test_ipvs_machine")


@BOTH_FAMILIES
def test_every_node_does_what_is_expected_with_every_shape(
    cluster: Cluster, shapes: tuple[Shape, ...], family: int
) -> None:
    modes = set()
    for node in cluster.nodes():
        mode = proxy_config(cluster, node).mode
        skip_unless_readable(mode)
        modes.add(mode)
        seen, differences = settled_differences(cluster, node, family)
        assert differences == ()
        named = {each.service.partition(":")[0].partition("/")[2] for each in seen.entries}
        served = {
            each.name for each in shapes if f"IPv{family}" in each.service["spec"].get("ipFamilies", ())
        }
        assert served - WITHOUT_RULES <= named
        assert not named & WITHOUT_RULES
        outcomes = {branch.outcome for each in seen.entries for branch in each.branches}
        assert {Outcome.BACKENDS, Outcome.REJECT, Outcome.DROP} <= outcomes
    assert len(modes) > 1 or len(cluster.nodes()) == 1


@BOTH_FAMILIES
def test_a_node_does_not_do_what_is_expected_of_the_other(
    cluster: Cluster, shapes: tuple[Shape, ...], family: int
) -> None:
    """The comparison sees a difference where there is one: the shapes have endpoints on both nodes."""
    nodes = cluster.nodes()
    if len(nodes) < 2:
        pytest.skip("the cluster has one node only")
    config = proxy_config(cluster, nodes[0])
    skip_unless_readable(config.mode)
    local = addresses(cluster, nodes[0])
    expected = expected_service_map(api_state(cluster), nodes[1], family, config.mode, config, local)
    assert compare_maps(expected, read_map(cluster, nodes[0], family, config.mode), local)


@BOTH_FAMILIES
def test_a_service_of_more_than_a_thousand_endpoints(cluster: Cluster, family: int) -> None:
    """kube-proxy leaves comments out then, and shares are small."""
    namespace = f"{NAMESPACE}-large-{family}"
    large = build_large_shape(Builder(namespace, number=213))
    with own_namespace(cluster, namespace):
        create(cluster, (large,))
        for node in cluster.nodes():
            skip_unless_readable(proxy_config(cluster, node).mode)
            seen, differences = settled_differences(cluster, node, family)
            assert differences == ()
            counts = [len(branch.backends) for each in seen.entries for branch in each.branches]
            assert max(counts) == 1200
