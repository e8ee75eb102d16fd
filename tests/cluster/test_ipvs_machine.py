"""A real kube-proxy in ipvs mode, against the cluster's API: its node's service map is the one that the API asks for.

kube-proxy runs in the test machine (tests/machine): kernels of test machines often lack IPVS. It plays node-a; the map
of the real node-a, whose kube-proxy is in iptables mode, is another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from netinspect.analyze.expected.service_map import expected_service_map
from netinspect.analyze.ipvs.service_map import read_ipvs_map
from netinspect.analyze.service_map.compare import compare_maps
from netinspect.models.cluster_state import ClusterState
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.models.kubernetes import EndpointSlice, Node, Service
from netinspect.models.proxy_config import ProxyConfig
from netinspect.models.service_map import Mode, Outcome, ServiceMap
from netinspect.models.service_map_difference import MapDifference
from netinspect.parse.api import parse_object
from netinspect.parse.ip_addr import parse_ip_addr
from netinspect.parse.ipset_save import parse_ipsets
from netinspect.parse.iptables_save import parse_iptables_save
from netinspect.parse.ipvsadm import parse_listed, parse_saved
from netinspect.parse.ipvsadm_traffic import parse_rates, parse_statistics
from netinspect.parse.proxy_config import parse_proxy_configz
from tests.cluster.bench import paths
from tests.cluster.kit import Cluster
from tests.cluster.service_shapes import Builder, build_few_shapes, create, own_namespace
from tests.machine.ipvs_machine import IpvsMachine, ToolTexts, booted_ipvs, serves
from tests.machine.machine import why_not

T = TypeVar("T")
FAMILIES = (6, 4)


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    """Give a namespace of this test's own, with a Service of each kind."""
    name = f"{cluster.namespace}-ipvs"
    with own_namespace(cluster, name):
        create(cluster, build_few_shapes(Builder(name, number=77)))
        yield name


@pytest.fixture(scope="module")
def ipvs(cluster: Cluster) -> Iterator[IpvsMachine]:
    """Boot once: that takes longest."""
    reason = why_not()
    if reason is None and cluster.kubeconfig != str(paths.kubeconfig()):
        reason = "the cluster is not the test bench's: its kube-proxy cannot be run in the test machine"
    if reason is not None:
        pytest.skip(reason)
    with booted_ipvs() as machine:
        yield machine


@pytest.fixture(scope="module")
def texts(cluster: Cluster, namespace: str, ipvs: IpvsMachine) -> ToolTexts:
    """Give what the tools say once kube-proxy has written all Services of the namespace."""
    services = cluster.get("services", "-n", namespace)["items"]
    assert len(services) > 5
    return ipvs.wait_until(lambda seen: serves(seen, services))


def _list(cluster: Cluster, type_: type[T], kind: str) -> Known[tuple[T, ...]]:
    scope = () if kind == "nodes" else ("--all-namespaces",)
    items = cluster.get(kind, *scope)["items"]
    return Known(tuple(parse_object(type_, json.dumps(each).encode()) for each in items))


def _state(cluster: Cluster) -> ClusterState:
    return ClusterState(
        pods=Unavailable(Reason.NOT_APPLICABLE, ""),
        services=_list(cluster, Service, "services"),
        slices=_list(cluster, EndpointSlice, "endpointslices"),
        nodes=_list(cluster, Node, "nodes"),
    )


def _config(ipvs: IpvsMachine) -> ProxyConfig:
    return parse_proxy_configz(ipvs.machine.check("curl -s http://127.0.0.1:10249/configz"))


def _read(texts: ToolTexts, family: int) -> ServiceMap:
    save = texts.ip6tables_save if family == 6 else texts.iptables_save
    local = [each.local for link in parse_ip_addr(texts.ip_addr) for each in link.addresses]
    rules = parse_iptables_save(save.decode())
    return read_ipvs_map(
        "node-a", family, parse_saved(texts.ipvsadm_save), rules, parse_ipsets(texts.ipset_save), local
    )


def _compare(
    texts: ToolTexts, family: int, state: ClusterState, config: ProxyConfig, namespace: str
) -> tuple[MapDifference, ...]:
    """Compare what is asked for by one namespace's Services: others may come and go meanwhile."""
    links = parse_ip_addr(texts.ip_addr)
    own = [each.local for link in links if link.ifname != "kube-ipvs0" for each in link.addresses]
    expected = expected_service_map(state, "node-a", family, Mode.IPVS, config, own)
    wanted = tuple(each for each in expected.entries if each.service.startswith(f"{namespace}/"))
    assert len(wanted) > 20
    places = {(each.hook, each.destination) for each in wanted}
    seen = _read(texts, family)
    found = tuple(each for each in seen.entries if (each.hook, each.destination) in places)
    return compare_maps(replace(expected, entries=wanted), replace(seen, entries=found), own)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_map_is_what_the_api_asks_for(
    cluster: Cluster, namespace: str, ipvs: IpvsMachine, texts: ToolTexts, family: int
) -> None:
    """For every kind of Service, with none of the reader's knowledge in the expectation."""
    assert _compare(texts, family, _state(cluster), _config(ipvs), namespace) == ()


def test_all_texts_are_read(texts: ToolTexts) -> None:
    """Both listings have the same virtual servers; the counters' titles are what they should be."""
    saved, listed = parse_saved(texts.ipvsadm_save), parse_listed(texts.ipvsadm_list)
    assert [each.service for each in saved] == [each.service for each in listed]
    for traffic in (parse_statistics(texts.ipvsadm_stats), parse_rates(texts.ipvsadm_rate)):
        assert [each.service for each in traffic] == [each.service for each in saved]
    assert {each.service.family for each in saved} == {4, 6}


def test_kube_proxy_says_its_mode(ipvs: IpvsMachine, texts: ToolTexts) -> None:
    assert ipvs.machine.check("curl -s http://127.0.0.1:10249/proxyMode") == b"ipvs"
    assert _read(texts, 6).layout == "IPVS, kube-proxy 1.29 or newer"


def _without_endpoints(slices: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**each, "endpoints": []} for each in slices]


def test_a_service_that_loses_its_endpoints_has_no_destination(
    cluster: Cluster, namespace: str, ipvs: IpvsMachine, texts: ToolTexts
) -> None:
    """What changes in the API changes in the map; the virtual server stays."""
    slices = cluster.get("endpointslices", "-n", namespace, "-l", "kubernetes.io/service-name=one")["items"]
    (address,) = (
        each for each in cluster.get("service", "one", "-n", namespace)["spec"]["clusterIPs"] if ":" in each
    )

    def outcomes(seen: ToolTexts) -> set[Outcome]:
        return {
            branch.outcome
            for entry in _read(seen, 6).entries
            if str(entry.destination.address) == address
            for branch in entry.branches
        }

    assert outcomes(texts) == {Outcome.BACKENDS}
    emptied = json.dumps({"apiVersion": "v1", "kind": "List", "items": _without_endpoints(slices)})
    cluster.kubectl("replace", "-f", "-", stdin=emptied)
    after = ipvs.wait_until(lambda seen: outcomes(seen) == {Outcome.NO_DESTINATION})
    assert _compare(after, 6, _state(cluster), _config(ipvs), namespace) == ()
