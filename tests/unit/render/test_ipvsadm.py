"""What `ipvsadm -R` is given: whatever a virtual server can be, it is read again as the same."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from netinspect.models.address import Address
from netinspect.models.ipvs import Forwarding, RealServer, ServiceAddress, Tunnel, VirtualServer
from netinspect.parse.ipvsadm import parse_saved
from netinspect.render.ipvsadm import render_virtual_servers, write_service

ports = st.integers(0, 65535)
numbers = st.integers(0, 2**32 - 1)
addresses: dict[int, st.SearchStrategy[Address]] = {
    4: st.integers(0, 2**32 - 1).map(IPv4Address),
    6: st.sampled_from(["fd00:10:96::a", "::1", "::ffff:10.0.0.1"]).map(IPv6Address)
    | st.integers(0, 2**128 - 1).map(IPv6Address),
}
tunnels = st.none() | st.builds(
    Tunnel,
    type=st.sampled_from(["ipip", "gue", "gre"]),
    port=st.none() | ports,
    checksum=st.none() | st.sampled_from(["nocsum", "csum", "remcsum"]),
)


@st.composite
def services(draw: st.DrawFn) -> ServiceAddress:
    family = draw(st.sampled_from([4, 6]))
    if draw(st.booleans()):
        return ServiceAddress(family=family, fwmark=draw(st.integers(1, 2**32 - 1)))
    protocol = draw(st.sampled_from(["tcp", "udp", "sctp"]))
    return ServiceAddress(family=family, protocol=protocol, address=draw(addresses[family]), port=draw(ports))


@st.composite
def virtual_servers(draw: st.DrawFn) -> VirtualServer:
    service = draw(services())
    real = st.builds(
        RealServer,
        address=addresses[service.family],
        port=ports,
        forwarding=st.sampled_from([Forwarding.MASQ, Forwarding.ROUTE, Forwarding.TUNNEL]),
        weight=st.integers(0, 65535),
        tunnel=tunnels,
    )
    return VirtualServer(
        service=service,
        scheduler=draw(st.sampled_from(["rr", "wrr", "sh", "mh"])),
        scheduler_flags=tuple(draw(st.lists(st.sampled_from(["flag-1", "sh-port", "mh-port"]), max_size=2))),
        persistence_s=draw(st.none() | numbers),
        persistence_mask=draw(st.none() | st.sampled_from(["255.255.0.0", "64"])),
        persistence_engine=draw(st.none() | st.just("sip")),
        is_one_packet=draw(st.booleans()),
        real_servers=tuple(draw(st.lists(real, max_size=3))),
    )


def without_lines(server: VirtualServer) -> VirtualServer:
    reals = tuple(msgspec.structs.replace(each, raw="") for each in server.real_servers)
    return msgspec.structs.replace(server, raw="", real_servers=reals)


@settings(deadline=None)
@given(st.lists(virtual_servers(), max_size=3))
def test_whatever_is_written_is_read_as_the_same(servers: list[VirtualServer]) -> None:
    """Both families, marks, every option: write, then read, is identity."""
    read = parse_saved(render_virtual_servers(servers).encode())
    assert [without_lines(each) for each in read] == servers


def test_writes_an_ipv6_virtual_server() -> None:
    """As the tool itself does; Local is written as `-g`: ipvsadm has no word for it."""
    address = IPv6Address("fd00:10:96::a")
    local = RealServer(
        address=IPv6Address("fd00:10:99::11"), port=8080, forwarding=Forwarding.LOCAL, weight=0
    )
    service = ServiceAddress(family=6, protocol="tcp", address=address, port=80)
    server = VirtualServer(service=service, scheduler="rr", persistence_s=60, real_servers=(local,))
    assert render_virtual_servers([server]) == (
        "-A -t [fd00:10:96::a]:80 -s rr -p 60\n-a -t [fd00:10:96::a]:80 -r [fd00:10:99::11]:8080 -g -w 0\n"
    )
    assert write_service(ServiceAddress(family=6, fwmark=2**32 - 1)) == "-f -1 -6"
    assert write_service(ServiceAddress(family=4, fwmark=2**31)) == "-f -2147483648"
    assert render_virtual_servers([]) == ""
