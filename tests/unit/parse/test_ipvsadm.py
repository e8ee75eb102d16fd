"""`ipvsadm -Sn`, `-Ln`, `--stats`, `--rate`: what the captures do not show, and what is loud."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path

import pytest

from netinspect.errors import ParseError
from netinspect.models.ipvs import Forwarding, ServiceAddress, Traffic, Tunnel, VirtualServer
from netinspect.parse.ipvsadm import parse_listed, parse_saved
from netinspect.parse.ipvsadm_traffic import parse_rates, parse_statistics
from netinspect.render.ipvsadm import render_virtual_servers
from tests.captures.parsers import list_cases

VERSION = "IP Virtual Server version 1.2.1 (size=4096)\n"
TITLES = VERSION + (
    "Prot LocalAddress:Port Scheduler Flags\n"
    "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n"
)
STATS = VERSION + (
    "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes\n  -> RemoteAddress:Port\n"
)
RATE = VERSION + (
    "Prot LocalAddress:Port                 CPS    InPPS   OutPPS    InBPS   OutBPS\n  -> RemoteAddress:Port\n"
)


def saved(text: str) -> tuple[VirtualServer, ...]:
    return parse_saved(text.encode())


def listed(text: str) -> tuple[VirtualServer, ...]:
    return parse_listed((TITLES + text).encode())


def service(address: str, port: int, protocol: str = "tcp") -> ServiceAddress:
    parsed = ip_address(address)
    return ServiceAddress(family=parsed.version, protocol=protocol, address=parsed, port=port)


# What is saved.


def test_reads_a_saved_virtual_server_of_ipv6() -> None:
    """Brackets, persistence with a prefix length, weight 0, and the port behind the bracket."""
    (server,) = saved(
        "-A -t [fd00:10:96::a]:80 -s wrr -p 10800 -M 64\n"
        "-a -t [fd00:10:96::a]:80 -r [fd00:10:244:1::5]:8080 -m -w 3\n"
        "-a -t [fd00:10:96::a]:80 -r [fd00:10:244:2::9]:8080 -m -w 0\n"
    )
    assert server.service == service("fd00:10:96::a", 80)
    assert (server.scheduler, server.persistence_s, server.persistence_mask) == ("wrr", 10800, "64")
    assert [(str(each.address), each.port, each.weight) for each in server.real_servers] == [
        ("fd00:10:244:1::5", 8080, 3),
        ("fd00:10:244:2::9", 8080, 0),
    ]
    assert {each.forwarding for each in server.real_servers} == {Forwarding.MASQ}
    assert server.real_servers[1].raw == "-a -t [fd00:10:96::a]:80 -r [fd00:10:244:2::9]:8080 -m -w 0"


def test_reads_every_option_of_a_saved_virtual_server() -> None:
    """Mask, engine, one packet and flags stand in this order (print_service_entry)."""
    (server,) = saved(
        "-A -u 10.96.0.40:5060 -s sh -p 360 -M 255.255.255.0 --pe sip -o -b sh-fallback,sh-port\n"
    )
    assert server == VirtualServer(
        service=service("10.96.0.40", 5060, "udp"),
        scheduler="sh",
        scheduler_flags=("sh-fallback", "sh-port"),
        persistence_s=360,
        persistence_mask="255.255.255.0",
        persistence_engine="sip",
        is_one_packet=True,
        raw=server.raw,
    )


def test_a_firewall_mark_has_no_address() -> None:
    """`-6` makes it one of IPv6; a mark from 2^31 on is printed as a negative number."""
    first, second, third = saved(
        "-A -f 7 -s wlc\n-a -f 7 -r 10.0.0.9:0 -g -w 1\n"
        "-A -f 7 -6 -s rr\n-a -f 7 -6 -r [fd00::9]:0 -g -w 1\n-A -f -1 -s rr\n"
    )
    assert first.service == ServiceAddress(family=4, fwmark=7)
    assert first.real_servers[0].forwarding is Forwarding.ROUTE
    assert second.service == ServiceAddress(family=6, fwmark=7)
    assert str(second.real_servers[0].address) == "fd00::9"
    assert third.service.fwmark == 2**32 - 1


@pytest.mark.parametrize(
    ("words", "tunnel"),
    [
        ("", None),
        (" --tun-type ipip", Tunnel(type="ipip")),
        (" --tun-type gue --tun-port 6080 --tun-remcsum", Tunnel(type="gue", port=6080, checksum="remcsum")),
        (" --tun-type gre --tun-csum", Tunnel(type="gre", checksum="csum")),
        (" --tun-type gre --tun-nocsum", Tunnel(type="gre", checksum="nocsum")),
    ],
)
def test_reads_every_tunnel(words: str, tunnel: Tunnel | None) -> None:
    """Before 1.31 a tunnel is printed without its type."""
    (server,) = saved(
        f"-A --sctp-service 10.9.0.1:99 -s rr\n-a --sctp-service 10.9.0.1:99 -r 10.0.0.9:99 -i -w 65535{words}\n"
    )
    (real,) = server.real_servers
    assert server.service.protocol == "sctp"
    assert (real.forwarding, real.weight, real.tunnel) == (Forwarding.TUNNEL, 65535, tunnel)


def test_nothing_saved_is_no_virtual_server() -> None:
    """`-S` prints no title: where nothing is, nothing is printed."""
    assert saved("") == ()


@pytest.mark.parametrize("case", list_cases("ipvsadm-save"), ids=lambda path: path.stem)
def test_writes_every_saved_capture_again(case: Path) -> None:
    """What was read can be restored: nothing of it is lost."""
    assert render_virtual_servers(parse_saved(case.read_bytes())).encode() == case.read_bytes()


GOOD = "-A -t 10.96.0.1:443 -s rr\n"


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("-A -t 10.96.0.1:443 -s rr", "ends within a line", None),
        ("-E -t 10.96.0.1:443 -s rr\n", "expected -A or -a", 0),
        ("-A -x 10.96.0.1:443 -s rr\n", "expected -t, -u", 3),
        ("-A --xxx-service 10.96.0.1:443 -s rr\n", "expected -t, -u", 3),
        ("-A -t 10.96.0.1:https -s rr\n", "in numbers", 6),
        ("-A -t localhost:443 -s rr\n", "in numbers", 6),
        ("-A -t 10.96.0.1:65536 -s rr\n", "in numbers", 6),
        ("-A -t 10.96.0.1 -s rr\n", "in numbers", 6),
        ("-A -t 10.96.0.256:443 -s rr\n", "does not appear to be", 6),
        ("-A -f x -s rr\n", "a firewall mark", 6),
        ("-A -t 10.96.0.1:443\n", "without -s", 6),
        ("-A -t 10.96.0.1:443 -s\n", "expected a value", 22),
        ("-A -t 10.96.0.1:443 -s rr -p always\n", "expected seconds", 29),
        ("-A -t 10.96.0.1:443 -s rr -x 1\n", "not known here", 26),
        ("-A -t 10.96.0.1:443 -s rr -s wrr\n", "was there before", 26),
        (GOOD + "-a -t 10.96.0.1:444 -r 10.0.0.1:1 -m -w 1\n", "does not stand below", 6),
        ("-a -t 10.96.0.1:443 -r 10.0.0.1:1 -m -w 1\n", "does not stand below", 6),
        (GOOD + "-a -t 10.96.0.1:443 -r 10.0.0.1:1 (null) -w 1\n", "expected -m, -g or -i", 34),
        (GOOD + "-a -t 10.96.0.1:443 -r 10.0.0.1:1 -m -w -1\n", "expected a weight", 40),
        (GOOD + "-a -t 10.96.0.1:443 -r 10.0.0.1:1 -m -x 1\n", "expected -w", 37),
        (GOOD + "-a -t 10.96.0.1:443 -r 10.0.0.1:1 -m -w 1 -x 9\n", "not known here", 42),
        (GOOD + "-a -t 10.96.0.1:443 -r 10.0.0.1:1 -i -w 1 --tun-type ipv9\n", "expected ipip", 53),
    ],
)
def test_what_cannot_be_saved_is_loud(text: str, message: str, column: int | None) -> None:
    """The error names the line and the place in it."""
    with pytest.raises(ParseError, match=message) as raised:
        saved(text)
    assert raised.value.column == column
    assert raised.value.line == text.splitlines()[-1]
    assert raised.value.source == "ipvsadm -Sn"


# What is listed.


def test_reads_a_listing() -> None:
    """Flags, persistence, mask, `ops`, marks, a virtual server without any real one, and the blanks at line ends."""
    tcp, sctp, mark, udp = listed(
        "TCP  [fd00:10:96::a]:80 rr persistent 10800 mask 64\n"
        "  -> [fd00:10:244:1::5]:8080      Masq    1      12         340       \n"
        "SCTP 10.96.0.30:9999 mh (mh-fallback,mh-port)\n"
        "FWM  7 IPv6 wlc\n"
        "  -> [fd00::9]:0                  Tunnel  0      0          0         \n"
        "UDP  10.96.0.40:5000 sh persistent 360 mask 255.255.255.0 pe sip ops\n"
        "  -> 10.99.0.11:5000              Local   1      0          2         \n"
    )
    assert (tcp.service, tcp.persistence_s, tcp.persistence_mask) == (
        service("fd00:10:96::a", 80),
        10800,
        "64",
    )
    (real,) = tcp.real_servers
    assert (real.active_connections, real.inactive_connections, real.weight) == (12, 340, 1)
    assert (sctp.scheduler_flags, sctp.real_servers) == (("mh-fallback", "mh-port"), ())
    assert mark.service == ServiceAddress(family=6, fwmark=7)
    assert mark.real_servers[0].forwarding is Forwarding.TUNNEL
    assert (udp.persistence_engine, udp.is_one_packet) == ("sip", True)
    assert udp.real_servers[0].forwarding is Forwarding.LOCAL


def test_a_listing_of_nothing_has_titles() -> None:
    """Titles alone are no virtual server; no output at all is an error."""
    assert listed("") == ()
    with pytest.raises(ParseError, match="no output, not even titles"):
        parse_listed(b"")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the title 'Prot"),
        (STATS.removeprefix(VERSION), "expected the title 'Prot"),
        ("Prot LocalAddress:Port Scheduler Flags\n", "expected the title '-> Remote"),
        (
            "Prot LocalAddress:Port Scheduler Flags\n"
            "  -> RemoteAddress:Port           Forward TunnelInfo    Weight ActiveConn InActConn\n",
            "expected the title '-> Remote",
        ),
    ],
)
def test_another_listing_is_loud(text: str, message: str) -> None:
    """Its titles say what its columns are: those of `--stats` or `--tun-info` are no others by mistake."""
    with pytest.raises(ParseError, match=re.escape(message)):
        parse_listed((VERSION + text).encode())
    with pytest.raises(ParseError, match="expected the version"):
        parse_listed(b"Can't initialize ipvs: Protocol not available\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("TCP  10.96.0.1:443 rr", "ends within a line"),
        ("?    10.96.0.1:443 rr\n", "expected TCP, UDP, SCTP, FWM or ->"),
        ("TCP  10.96.0.1:443\n", "expected a scheduler"),
        ("TCP  10.96.0.1:443 rr persistent\n", "expected seconds"),
        ("TCP  10.96.0.1:443 rr mask 255.255.255.0\n", "a word that is not known here"),
        ("  -> 10.0.0.1:1 Masq 1 0 0\n", "without a virtual server above it"),
        ("TCP  10.96.0.1:443 rr\n  -> 10.0.0.1:1 (null) 1 0 0\n", "expected Masq"),
        ("TCP  10.96.0.1:443 rr\n  -> 10.0.0.1:1 Masq 1 0\n", "expected a number of connections"),
        ("TCP  10.96.0.1:443 rr\n  -> 10.0.0.1:1 Masq 1 0 0 0\n", "a word that is not known here"),
        ("TCP  10.96.0.1:443 rr\n  -> 10.0.0.1:1 ipip Masq 1 0 0\n", "expected Masq"),
    ],
)
def test_what_is_no_listing_is_loud(text: str, message: str) -> None:
    """As above."""
    with pytest.raises(ParseError, match=re.escape(message)):
        listed(text)


# What went through.


def test_reads_rounded_and_exact_statistics() -> None:
    """`K`, `M`, `G` and `T` are thousands, rounded down; with `--exact` columns are as wide as their numbers."""
    (server,) = parse_statistics(
        (
            STATS + "TCP  [fd00:10:96::a]:80                123     4567     4000  123456K    9876M\n"
            "  -> [fd00:10:244:1::5]:8080            60     2000   12345G      12T 99999999\n"
        ).encode()
    )
    assert server.service == service("fd00:10:96::a", 80)
    assert server.traffic == Traffic(
        connections=123,
        in_packets=4567,
        out_packets=4000,
        in_bytes=123_456_000,
        out_bytes=9_876_000_000,
        is_rounded=True,
    )
    (real,) = server.real_servers
    assert (str(real.address), real.port) == ("fd00:10:244:1::5", 8080)
    assert (real.traffic.out_packets, real.traffic.in_bytes) == (12_345 * 10**9, 12 * 10**12)
    exact = "FWM  7                                  123     4567 40000000 1234567890 18446744073709551615\n"
    (mark,) = parse_statistics((STATS + exact).encode())
    assert mark.service == ServiceAddress(family=4, fwmark=7)
    assert (mark.traffic.out_bytes, mark.traffic.is_rounded) == (2**64 - 1, False)


def test_rates_are_not_taken_for_statistics() -> None:
    """Only the titles tell them apart."""
    line = "UDP  10.96.0.10:53                       1       20       19     1500     3000\n"
    (server,) = parse_rates((RATE + line).encode())
    assert (server.traffic.connections, server.traffic.out_bytes) == (1, 3000)
    with pytest.raises(ParseError, match="expected the title"):
        parse_rates((STATS + line).encode())
    with pytest.raises(ParseError, match="expected the title"):
        parse_statistics((RATE + line).encode())
    assert parse_statistics(STATS.encode()) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("UDP  10.96.0.10:53 1 20 19 1500\n", "expected a number"),
        ("UDP  10.96.0.10:53 1 20 19 1500 3000 1\n", "a word that is not known here"),
        ("UDP  10.96.0.10:53 1 20 19 1500 3.5K\n", "expected a number, perhaps with K"),
        ("UDP  10.96.0.10:53 1 20 19 1500 3P\n", "expected a number, perhaps with K"),
        ("  -> 10.96.0.10:53 1 20 19 1500 3000\n", "without a virtual server above it"),
    ],
)
def test_what_is_no_statistics_is_loud(text: str, message: str) -> None:
    """As above."""
    with pytest.raises(ParseError, match=message):
        parse_statistics((STATS + text).encode())
