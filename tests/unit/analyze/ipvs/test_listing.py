"""Virtual servers with their Services, pods and traffic."""

from __future__ import annotations

from netinspect.analyze.ipvs.listing import list_virtual_servers
from netinspect.analyze.rules.service_rules import build_service_names
from netinspect.models.address import parse_address
from netinspect.models.address_owner import AddressOwner, OwnerKind
from netinspect.models.ipvs import (
    Forwarding,
    RealServer,
    RealServerTraffic,
    ServiceAddress,
    Traffic,
    VirtualServer,
    VirtualServerTraffic,
)
from netinspect.models.service_rules import Role
from tests.unit.flow_world import STATE

NAMES = build_service_names(STATE)
V6 = parse_address("fd00:96::20")
WEB = ServiceAddress(family=6, protocol="tcp", address=V6, port=80)
MARK = ServiceAddress(family=6, fwmark=5)
EVERY_PORT = ServiceAddress(family=6, protocol="tcp", address=V6, port=0)
STRANGER = ServiceAddress(family=4, protocol="udp", address=parse_address("192.0.2.1"), port=53)


def real(ip: str, weight: int = 1, port: int = 8080) -> RealServer:
    return RealServer(
        address=parse_address(ip), port=port, forwarding=Forwarding.MASQ, weight=weight, active_connections=2
    )


def traffic(connections: int) -> Traffic:
    return Traffic(connections=connections, in_packets=2, out_packets=3, in_bytes=4, out_bytes=5)


SERVER = VirtualServer(
    service=WEB,
    scheduler="sh",
    scheduler_flags=("sh-port", "sh-fallback"),
    persistence_s=10800,
    is_one_packet=True,
    real_servers=(real("fd00:244:1::5"), real("fd00:244:2::7", 0)),
)


def test_a_virtual_server_is_a_services_and_a_real_server_a_pods() -> None:
    [listed] = list_virtual_servers("node-a", [SERVER], NAMES, local=[V6])
    assert (listed.title, listed.role, listed.scheduler) == (
        "demo/web:http",
        Role.CLUSTER_IP,
        "sh,sh-port,sh-fallback",
    )
    assert (listed.node, listed.address, listed.persistence_s) == ("node-a", WEB, 10800)
    assert (listed.is_one_packet, listed.is_bound, listed.traffic) == (True, True, None)
    assert [(each.owner, each.weight, each.active_connections) for each in listed.real_servers] == [
        (AddressOwner(kind=OwnerKind.POD, namespace="demo", name="web-1", node="node-a"), 1, 2),
        (AddressOwner(kind=OwnerKind.POD, namespace="demo", name="web-2", node="node-b"), 0, 2),
    ]


def test_traffic_is_joined_by_address_and_what_came_meanwhile_has_none() -> None:
    of_web = VirtualServerTraffic(
        service=WEB,
        traffic=traffic(9),
        real_servers=(
            RealServerTraffic(address=parse_address("fd00:244:1::5"), port=8080, traffic=traffic(7)),
            RealServerTraffic(address=parse_address("fd00:244:2::7"), port=9, traffic=traffic(8)),
        ),
    )
    other = VirtualServer(service=STRANGER, scheduler="rr")
    web, stranger = list_virtual_servers("node-a", [SERVER, other], NAMES, traffic=[of_web])
    assert web.traffic == traffic(9)
    assert [each.traffic for each in web.real_servers] == [traffic(7), None]
    assert stranger.traffic is None


def test_what_no_service_has_is_nobodys() -> None:
    servers = [VirtualServer(service=each, scheduler="rr") for each in (MARK, EVERY_PORT, STRANGER)]
    listed = list(list_virtual_servers("node-a", servers, NAMES, local=[V6]))
    assert [(each.title, each.role) for each in listed] == [("", Role.UNKNOWN)] * 3
    assert [each.is_bound for each in listed] == [None, True, False]


def test_without_links_it_is_not_known_whether_an_address_is_bound() -> None:
    [listed] = list_virtual_servers("node-a", [SERVER], NAMES)
    assert listed.is_bound is None
