"""What an argument of `rules` names, and what is refused because it names nothing."""

from __future__ import annotations

import pytest

from netinspect.analyze.rules.target import (
    RuleTarget,
    find_port_in_address,
    parse_rule_target,
    parse_rule_targets,
)
from netinspect.errors import UsageError
from netinspect.models.address import parse_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fd00:96::a", {"address": "fd00:96::a"}),
        ("::1", {"address": "::1"}),
        ("[fd00:96::a]:53", {"address": "fd00:96::a", "port": 53}),
        ("[fd00:96::a]:53/udp", {"address": "fd00:96::a", "port": 53, "protocol": "udp"}),
        ("[fd00:96::a]", {"address": "fd00:96::a"}),
        ("10.96.0.20", {"address": "10.96.0.20"}),
        ("10.96.0.20:80/sctp", {"address": "10.96.0.20", "port": 80, "protocol": "sctp"}),
        ("web", {"service": "web"}),
        ("svc/web", {"service": "web"}),
        ("svc/tcp", {"service": "tcp"}),
        ("service/web:http", {"service": "web", "port": "http"}),
        ("services/web:80/tcp", {"service": "web", "port": 80, "protocol": "tcp"}),
        ("web/udp", {"service": "web", "protocol": "udp"}),
        ("abc:80", {"service": "abc", "port": 80}),
        (":30080", {"port": 30080}),
        (":65535/udp", {"port": 65535, "protocol": "udp"}),
    ],
)
def test_an_argument_is_read(text: str, expected: dict[str, object]) -> None:
    if "address" in expected:
        expected = {**expected, "address": parse_address(str(expected["address"]))}
    assert parse_rule_target(text) == RuleTarget(text=text, **expected)  # type: ignore[arg-type]


def test_a_type_may_stand_before_the_names_as_for_kubectl() -> None:
    found = parse_rule_targets(["svc", "web:80", "svc/dns"])
    assert [(each.service, each.port) for each in found] == [("web", 80), ("dns", None)]
    assert [each.service for each in parse_rule_targets(["svc"])] == ["svc"]
    assert [each.service for each in parse_rule_targets(["web", "svc"])] == ["web", "svc"]
    assert parse_rule_targets([]) == ()
    with pytest.raises(UsageError):
        parse_rule_targets(["svc", "10.96.0.1"])


def test_only_a_port_alone_is_a_node_port() -> None:
    texts = (":30080", "web:30080", "10.99.0.11:30080", "web")
    assert [parse_rule_target(text).is_node_port for text in texts] == [True, False, False, False]


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        ":http",
        "pod/web",
        "svc/",
        "web:",
        "we b",
        "a/b/c",
        "WEB",
        "web:8080x!",
        "10.96.0.1/24",
        "[]:1",
    ],
)
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is neither a service nor an address"):
        parse_rule_target(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.96.0.300:53", "10.96.0.300"),
        ("10.96.0.1.1", "10.96.0.1.1"),
        ("10.96.0.:53/udp", "10.96.0."),
        ("[10.0.0.300]:1", "10.0.0.300"),
        ("[web]:80", "web"),
        ("fd00:::a", "fd00:::a"),
        ("fd00:10:96:0:0:0:0:a:53", "fd00:10:96:0:0:0:0:a:53"),
    ],
)
def test_what_is_written_like_an_address_is_no_name_of_a_service(text: str, address: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_rule_target(text)
    assert error.value.message == f'"{text}": invalid IP address "{address}"'
    assert error.value.hint == (
        "write an IPv6 address and its port as [ADDRESS]:PORT" if ":" in address else ""
    )


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("web:70000", "70000"),
        ("web:0", "0"),
        ("web:-1", "-1"),
        (":65536", "65536"),
        ("10.96.0.20:99999999999999999999", "99999999999999999999"),
        ("[fd00::1]:0/tcp", "0"),
    ],
)
def test_a_port_has_a_number_that_ports_have(text: str, port: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_rule_target(text)
    assert error.value.message == f'"{text}": port {port} is not between 1 and 65535'


@pytest.mark.parametrize("text", ["10.96.0.20:http", "[fd00::1]:http", "10.96.0.20:"])
def test_ports_of_addresses_have_no_names(text: str) -> None:
    with pytest.raises(UsageError, match="the port of an address is a number"):
        parse_rule_target(text)


def test_a_dns_name_is_no_name_of_a_service() -> None:
    with pytest.raises(UsageError, match="has no dots") as error:
        parse_rule_target("web.demo.svc:80")
    assert error.value.hint == "name its namespace with -n"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("fd00::a:53", "[fd00::a]:53"),
        ("fd00::a:53/udp", "[fd00::a]:53/udp"),
        ("fd00::a:ff", ""),  # no number
        ("fd00::53", ""),  # nothing before it is an address
        ("fd00:96:1:2:3:4:5:53", ""),
        ("fd00::a:0", ""),
        ("[fd00::a:53]", ""),  # it says that it is an address
        ("[fd00::a]:53", ""),
        ("10.96.0.10", ""),
        (":53", ""),
        ("web:53", ""),
    ],
)
def test_a_port_may_hide_in_an_ipv6_address(text: str, meant: str) -> None:
    assert find_port_in_address(parse_rule_target(text)) == meant
