"""Which rules and virtual servers a target means."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from netinspect.analyze.rules.choice import choose_rules, choose_virtual_servers
from netinspect.analyze.rules.target import parse_rule_target, with_port_names
from netinspect.models.address import parse_address
from netinspect.models.ipvs import ServiceAddress
from netinspect.models.ipvs_listing import ListedVirtualServer
from netinspect.models.kubernetes import ObjectMeta, Service, ServicePort, ServiceSpec
from netinspect.models.service_map import Destination, Hook, Mode
from netinspect.models.service_rules import Role, ServiceRules


def rules(
    ip: str | None,
    port: int,
    protocol: str = "tcp",
    *,
    named: str = "demo/web",
    port_name: str = "",
    family: int = 6,
    role: Role = Role.UNKNOWN,
    except_: tuple[str, ...] = (),
) -> ServiceRules:
    namespace, _, service = named.partition("/")
    address = parse_address(ip) if ip else None
    return ServiceRules(
        node="node-a",
        family=family,
        mode=Mode.NFTABLES,
        namespace=namespace,
        service=service,
        port_name=port_name,
        role=role,
        destination=Destination(address=address, protocol=protocol, port=port, except_=except_),
        hooks=(Hook.PREROUTING,),
        branches=(),
    )


DNS_UDP = rules("fd00:96::a", 53, "udp", named="kube-system/dns", port_name="dns")
DNS_TCP = rules("fd00:96::a", 53, named="kube-system/dns", port_name="dns-tcp")
HTTP = rules("10.96.0.20", 80, port_name="http", family=4)
NODE_PORT = rules(None, 30080, port_name="http", family=4, except_=("127.0.0.0/8",))
NODE_PORT_V6 = rules(None, 30080, named="", role=Role.NODE_PORT, except_=("::1/128",))
NODE_PORT_LOOPBACK = rules(None, 30081, named="", family=4)
NODE_PORT_ONE = rules("fd00:99::12", 30080, named="", role=Role.NODE_PORT)
CLUSTER_IP = rules("fd00:96::b", 30080, named="", role=Role.CLUSTER_IP)
STRANGER = rules("192.0.2.1", 80, named="")
LOCAL = {"node-a": tuple(map(parse_address, ("10.99.0.11", "10.99.0.12", "fd00:99::11")))}
ALL = (
    DNS_UDP,
    DNS_TCP,
    HTTP,
    NODE_PORT,
    NODE_PORT_V6,
    NODE_PORT_LOOPBACK,
    NODE_PORT_ONE,
    CLUSTER_IP,
    STRANGER,
)


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
        (("127.0.0.1:30081",), "demo", (NODE_PORT_LOOPBACK,)),
        (("[::1]:30080",), "demo", ()),
        (("[fd00:99::11]:30080",), "demo", (NODE_PORT_V6,)),  # the IPv4 one is another
        (("[fd00:99::12]:30080",), "demo", (NODE_PORT_ONE,)),
        ((":30080",), "demo", (NODE_PORT, NODE_PORT_V6, NODE_PORT_ONE)),
        ((":30080/udp",), "demo", ()),
        ((":80",), "demo", (HTTP, STRANGER)),  # no Service is known to have these addresses
        ((), "", ALL),
        ((), "demo", (HTTP, NODE_PORT)),
    ],
)
def test_rules_are_chosen(texts: tuple[str, ...], namespace: str, expected: tuple[ServiceRules, ...]) -> None:
    assert choose_rules(ALL, [parse_rule_target(text) for text in texts], namespace, LOCAL) == expected


def server(
    ip: str | None,
    port: int | None,
    *,
    named: str = "demo/web",
    port_name: str = "",
    role: Role = Role.CLUSTER_IP,
) -> ListedVirtualServer:
    namespace, _, service = named.partition("/")
    return ListedVirtualServer(
        node="node-a",
        namespace=namespace,
        service=service,
        port_name=port_name,
        role=role,
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
V_NODE_PORT = server("fd00:99::11", 80, named="", role=Role.NODE_PORT)
V_ALL_PORTS = server("fd00:96::30", 0, named="")
V_MARK = server(None, None, named="")
SERVERS = (V_DNS, V_WEB, V_NODE_PORT, V_ALL_PORTS, V_MARK)


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
        ((":80",), "demo", (V_NODE_PORT,)),
        ((":80/udp",), "demo", ()),
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


def test_a_port_by_its_number_has_its_node_port_as_by_its_name() -> None:
    service = Service(
        metadata=ObjectMeta(namespace="demo", name="web"),
        spec=ServiceSpec(ports=(ServicePort(port=80, name="http"), ServicePort(port=81, name="admin"))),
    )
    other = replace(service, metadata=ObjectMeta(namespace="shop", name="web"))

    def choose(text: str) -> tuple[ServiceRules, ...]:
        target = with_port_names(parse_rule_target(text), "demo", (other, service))
        return choose_rules(ALL, (target,), "demo", LOCAL)

    assert choose("web:80") == choose("web:http") == (HTTP, NODE_PORT)
    assert choose("web:81") == ()
    assert choose("web:30080") == (NODE_PORT,)
    assert choose(":80") == choose_rules(ALL, (parse_rule_target(":80"),), "demo", LOCAL)
