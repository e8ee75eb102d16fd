"""What an argument of `rules` means, and which rules it chooses."""

from __future__ import annotations

import pytest

from netinspect.analyze.rules.choice import (
    RuleTarget,
    choose_rules,
    choose_virtual_servers,
    parse_rule_target,
)
from netinspect.errors import UsageError
from netinspect.models.address import parse_address
from netinspect.models.ipvs import ServiceAddress
from netinspect.models.ipvs_listing import ListedVirtualServer
from netinspect.models.service_map import Destination, Hook, Mode
from netinspect.models.service_rules import ServiceRules


def rules(
    ip: str | None, port: int, protocol: str = "tcp", *, named: str = "demo/web", port_name: str = ""
) -> ServiceRules:
    namespace, _, service = named.partition("/")
    address = parse_address(ip) if ip else None
    return ServiceRules(
        node="node-a",
        family=6,
        mode=Mode.NFTABLES,
        namespace=namespace,
        service=service,
        port_name=port_name,
        destination=Destination(
            address=address, protocol=protocol, port=port, except_=() if address else ("127.0.0.0/8",)
        ),
        hooks=(Hook.PREROUTING,),
        branches=(),
    )


DNS_UDP = rules("fd00:96::a", 53, "udp", named="kube-system/dns", port_name="dns")
DNS_TCP = rules("fd00:96::a", 53, named="kube-system/dns", port_name="dns-tcp")
HTTP = rules("10.96.0.20", 80, port_name="http")
NODE_PORT = rules(None, 30080, port_name="http")
STRANGER = rules("192.0.2.1", 80, named="")
LOCAL = {"node-a": (parse_address("10.99.0.11"), parse_address("10.99.0.12"))}
ALL = (DNS_UDP, DNS_TCP, HTTP, NODE_PORT, STRANGER)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fd00:96::a", {"address": "fd00:96::a"}),
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
    ],
)
def test_an_argument_is_read(text: str, expected: dict[str, object]) -> None:
    if "address" in expected:
        expected = {**expected, "address": parse_address(str(expected["address"]))}
    assert parse_rule_target(text) == RuleTarget(text=text, **expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[fd00::1]:",
        "[fd00::1]:0",
        "[fd00::1]:65536",
        "[10.0.0.300]:1",
        "pod/web",
        "svc/",
        "web:",
        "we b",
        "a/b/c",
        ":80",
    ],
)
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is neither a service nor an address"):
        parse_rule_target(text)


@pytest.mark.parametrize(
    ("texts", "namespace", "expected"),
    [
        (("[fd00:96::a]:53",), "demo", (DNS_UDP, DNS_TCP)),
        (("[fd00:96::a]:53/udp",), "demo", (DNS_UDP,)),
        (("fd00:96::a",), "demo", (DNS_UDP, DNS_TCP)),
        (("dns",), "kube-system", (DNS_UDP, DNS_TCP)),
        (("dns:dns-tcp",), "kube-system", (DNS_TCP,)),
        (("dns:53/udp",), "kube-system", (DNS_UDP,)),
        (("dns",), "demo", ()),
        (("web",), "demo", (HTTP, NODE_PORT)),
        (("web:80",), "demo", (HTTP,)),
        (("web:30080",), "demo", (NODE_PORT,)),
        (("10.96.0.20:81",), "demo", ()),
        (("10.99.0.11:30080",), "demo", (NODE_PORT,)),
        (("10.99.0.11",), "demo", ()),
        (("web:80", "192.0.2.1:80"), "demo", (HTTP, STRANGER)),
        (("10.99.0.99:30080",), "demo", ()),  # not one of the node's
        (("127.0.0.1:30080",), "demo", ()),  # one that is left out
        (("[::1]:30080",), "demo", (NODE_PORT,)),
        ((), "", ALL),
        ((), "demo", (HTTP, NODE_PORT)),
    ],
)
def test_rules_are_chosen(texts: tuple[str, ...], namespace: str, expected: tuple[ServiceRules, ...]) -> None:
    assert choose_rules(ALL, [parse_rule_target(text) for text in texts], namespace, LOCAL) == expected


def server(
    ip: str | None, port: int | None, *, named: str = "demo/web", port_name: str = ""
) -> ListedVirtualServer:
    namespace, _, service = named.partition("/")
    return ListedVirtualServer(
        node="node-a",
        namespace=namespace,
        service=service,
        port_name=port_name,
        address=ServiceAddress(
            family=6,
            protocol="tcp" if ip else None,
            address=parse_address(ip) if ip else None,
            port=port,
            fwmark=None if ip else 5,
        ),
        scheduler="rr",
    )


V_DNS = server("fd00:96::a", 53, named="kube-system/dns", port_name="dns-tcp")
V_WEB = server("fd00:96::20", 80, port_name="http")
V_ALL_PORTS = server("fd00:96::30", 0, named="")
V_MARK = server(None, None, named="")
SERVERS = (V_DNS, V_WEB, V_ALL_PORTS, V_MARK)


@pytest.mark.parametrize(
    ("texts", "namespace", "expected"),
    [
        (("[fd00:96::a]:53",), "demo", (V_DNS,)),
        (("fd00:96::a/udp",), "demo", ()),
        (("[fd00:96::a]:54",), "demo", ()),
        (("[fd00:96::30]:8443",), "demo", (V_ALL_PORTS,)),
        (("web", "fd00:96::a"), "demo", (V_DNS, V_WEB)),
        (("web:http",), "demo", (V_WEB,)),
        (("web:81",), "demo", ()),
        (("dns",), "demo", ()),
        ((), "demo", (V_WEB,)),
        ((), "", SERVERS),
    ],
)
def test_virtual_servers_are_chosen(
    texts: tuple[str, ...], namespace: str, expected: tuple[ListedVirtualServer, ...]
) -> None:
    targets = [parse_rule_target(text) for text in texts]
    assert choose_virtual_servers(SERVERS, targets, namespace) == expected
