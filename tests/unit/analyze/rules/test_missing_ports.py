"""Ports that kube-proxy has no rules for: none on any node as it was captured, and exactly what is taken away."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from netinspect.analyze.rules.missing_ports import (
    ExpectedPort,
    describe_missing_ports,
    find_missing_ports,
    list_expected_ports,
)
from netinspect.analyze.rules.service_rules import build_service_names, name_rules
from netinspect.analyze.rules.target import parse_rule_target
from netinspect.models.fact import Known
from netinspect.models.kubernetes import Service
from netinspect.models.service_map import Destination
from netinspect.models.service_rules import ServiceRules
from netinspect.parse.api import parse_object
from tests.unit.analyze.captured_nodes import NODE, CapturedNode, captured_nodes

ALL = pytest.mark.parametrize("node", captured_nodes(), ids=lambda node: node.folder.name)
WEB = """{"metadata": {"name": "web", "namespace": "demo"}, "spec": {"type": "ClusterIP",
    "clusterIPs": ["10.96.0.20", "fd00:96::20"], "ports": [
        {"name": "http", "port": 80, "protocol": "TCP"}, {"name": "dns", "port": 53, "protocol": "UDP"}]}}"""


def expected(node: CapturedNode) -> tuple[ExpectedPort, ...]:
    services = node.state.services
    assert isinstance(services, Known)
    return tuple(list_expected_ports(services.value, (), ""))


def named(node: CapturedNode, family: int) -> tuple[ServiceRules, ...]:
    return tuple(name_rules(node.seen(family), build_service_names(node.state)))


@ALL
def test_of_a_node_as_kube_proxy_left_it_nothing_is_said(node: CapturedNode) -> None:
    ports = expected(node)
    rules = [each for family in (4, 6) for each in named(node, family)]
    assert len(ports) >= 5
    assert find_missing_ports(NODE, ports, rules) == ()
    assert [*describe_missing_ports({NODE: ()}, (4, 6))] == []


@ALL
def test_what_is_taken_away_is_named(node: CapturedNode) -> None:
    ports = expected(node)
    rules = [each for family in (4, 6) for each in named(node, family)]
    for lost in (ports[0], ports[-1]):
        left = [each for each in rules if not is_for(each, lost)]
        assert len(left) < len(rules)
        missing = find_missing_ports(NODE, ports, left)
        assert missing == (lost,)
        assert find_missing_ports("another-node", ports, rules) == ports
        [note] = describe_missing_ports({NODE: missing}, (4, 6))
        assert note == (
            f"node {NODE}, IPv{lost.address.version}: no rule is for {lost.text}, which the API has now; "
            "if that stays so, its kube-proxy lags, or something deleted rules"
        )
        assert [*describe_missing_ports({NODE: missing}, (10 - lost.address.version,))] == []


def is_for(rules: ServiceRules, port: ExpectedPort) -> bool:
    return rules.destination == Destination(address=port.address, protocol=port.protocol, port=port.port)


def service(text: str = WEB) -> Service:
    return parse_object(Service, text.encode())


def texts(*targets: str, namespace: str = "demo", text: str = WEB) -> list[str]:
    read = tuple(parse_rule_target(each) for each in targets)
    return [each.text for each in list_expected_ports([service(text)], read, namespace)]


ALL_OF_WEB = [
    "demo/web:http 10.96.0.20:80/tcp",
    "demo/web:http [fd00:96::20]:80/tcp",
    "demo/web:dns 10.96.0.20:53/udp",
    "demo/web:dns [fd00:96::20]:53/udp",
]


@pytest.mark.parametrize(
    ("targets", "namespace", "meant"),
    [
        ((), "", ALL_OF_WEB),
        ((), "demo", ALL_OF_WEB),
        ((), "other", []),
        (("web",), "demo", ALL_OF_WEB),
        (("web",), "other", []),
        (("web:http",), "demo", ALL_OF_WEB[:2]),
        (("web:53",), "demo", ALL_OF_WEB[2:]),
        (("web:53/tcp",), "demo", []),
        (("web:http", "web:dns"), "demo", ALL_OF_WEB),
        (("api", "10.96.0.20", ":30080"), "demo", []),
    ],
)
def test_what_is_meant_is_expected(targets: tuple[str, ...], namespace: str, meant: list[str]) -> None:
    assert texts(*targets, namespace=namespace) == meant


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"10.96.0.20", "fd00:96::20"', '"None"'),
        ('"type": "ClusterIP"', '"type": "ExternalName", "externalName": "example.org"'),
        (
            '"namespace": "demo"',
            '"namespace": "demo", "labels": {"service.kubernetes.io/service-proxy-name": "x"}',
        ),
        ('"10.96.0.20", "fd00:96::20"', ""),
    ],
)
def test_nothing_is_expected_of_services_without_rules(before: str, after: str) -> None:
    assert texts(text=WEB.replace(before, after)) == []


def test_many_are_counted_and_doubt_is_told() -> None:
    ports = tuple(list_expected_ports([service()], (), ""))
    many = tuple(replace(each, port=each.port + n) for n in range(10) for each in ports[:1])
    [note] = describe_missing_ports({NODE: many}, (4, 6), {(NODE, 4)})
    assert note == (
        f"node {NODE}, IPv4: no rule is for demo/web:http 10.96.0.20:80/tcp, demo/web:http 10.96.0.20:81/tcp, "
        "demo/web:http 10.96.0.20:82/tcp and 7 more, which the API has now, as far as rules could be judged; "
        "if that stays so, its kube-proxy lags, or something deleted rules"
    )
