"""Services and ports that are named have to exist; some Services have no rules by design."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from netinspect.analyze.rules.expected_rules import check_targets, explain_no_rules
from netinspect.analyze.rules.target import parse_rule_target
from netinspect.errors import TargetError
from netinspect.models.kubernetes import ObjectMeta, Service, ServicePort, ServiceSpec


def service(name: str, *ports: ServicePort, labels: dict[str, str] | None = None, **spec: object) -> Service:
    return Service(
        metadata=ObjectMeta(name=name, namespace="demo", labels=labels or {}),
        spec=ServiceSpec(ports=ports, **spec),  # type: ignore[arg-type]
    )


WEB = service(
    "web",
    ServicePort(name="http", port=80, node_port=30080),
    ServicePort(name="dns", port=53, protocol="UDP"),
    health_check_node_port=32000,
)
PLAIN = service("plain", ServicePort(port=80))
HEADLESS = service("headless", cluster_ips=("None",))
OUTSIDE = service("outside", type="ExternalName", external_name="example.com")
ALL = (WEB, PLAIN, HEADLESS, OUTSIDE)


def check(texts: Sequence[str], found: Sequence[str] = (), namespace: str = "demo") -> None:
    targets = [parse_rule_target(each) for each in (*texts, *found)]
    check_targets(targets, namespace, ALL, [parse_rule_target(each) for each in found])


@pytest.mark.parametrize(
    "text",
    [
        *("web", "web:80", "web:http", "web:30080/tcp", "web:dns/udp", "web:32000", "web/udp", "plain:80"),
        *("headless:8080", "outside:80"),  # they name no ports
        *("10.96.0.20:9999", ":30081"),  # no Service is named
    ],
)
def test_what_exists_is_not_refused(text: str) -> None:
    check([text])


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("web:9999", "9999"),
        ("web:https", "https"),
        ("web:80/udp", "80/udp"),
        ("web:53/tcp", "53/tcp"),
        ("web/sctp", "sctp"),
    ],
)
def test_a_port_that_the_service_does_not_have_is_refused(text: str, port: str) -> None:
    with pytest.raises(TargetError) as error:
        check([text])
    assert error.value.message == f"service demo/web does not have a service port {port}"
    ports = "http 80/tcp (node port 30080), dns 53/udp, health check 32000/tcp"
    assert error.value.hint == f"its ports: {ports}"


def test_not_all_of_many_ports_are_listed() -> None:
    many = service("many", *(ServicePort(port=number) for number in range(1, 13)))
    with pytest.raises(TargetError) as error:
        check_targets([parse_rule_target("many:99")], "demo", [many], [])
    assert error.value.hint.endswith("9/tcp, 10/tcp and 2 more")


def test_a_service_that_is_nowhere_is_refused() -> None:
    with pytest.raises(TargetError, match='services "web" not found in namespace other'):
        check(["web"], namespace="other")


def test_what_rules_still_have_is_there() -> None:
    """A Service or a port that is deleted, and whose rules are not."""
    check([], ["gone", "web:9999"])


def test_why_a_service_has_no_rules_by_design() -> None:
    assert [explain_no_rules(each) for each in ALL] == [
        "",
        "",
        "service demo/headless is headless (clusterIP None): DNS answers with the addresses of its endpoints, "
        "and no node has rules for it",
        "service demo/outside is of type ExternalName: DNS answers with the name example.com, "
        "and no node has rules for it",
    ]
    foreign = service("web", labels={"service.kubernetes.io/service-proxy-name": "other"})
    assert explain_no_rules(foreign) == (
        'service demo/web is left to another proxy, "other" (label service.kubernetes.io/service-proxy-name): '
        "kube-proxy has no rules for it"
    )
