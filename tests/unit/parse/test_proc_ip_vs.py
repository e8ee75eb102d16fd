"""/proc/net/ip_vs: virtual servers are counted by family, and what is none is an error."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.errors import ParseError
from netinspect.models.dataplane import VirtualServerCounts
from netinspect.parse.proc_ip_vs import parse_proc_ip_vs

HEADING = (
    "IP Virtual Server version 1.2.1 (size=4096)\n"
    "Prot LocalAddress:Port Scheduler Flags\n"
    "  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n"
)
LINES = (
    "TCP  [fd00:0010:0096:0000:0000:0000:0000:000a]:0035 rr \n"
    "  -> [fd00:0010:0244:0001:0000:0000:0000:0005]:0035      Masq    1      0          0         \n"
    "TCP  0A60000A:0035 rr persistent 10800 FFFFFFFF\n"
    "  -> 0AF40105:0035      Masq    1      0          0         \n"
    "UDP  0A60000A:0035 rr ops\n"
    "SCTP 0A60000A:1F90 wlc \n"
    "FWM  00000001 wlc \n"
)


def test_virtual_servers_are_counted() -> None:
    """Of each family, and those for a mark; real servers are none."""
    assert parse_proc_ip_vs((HEADING + LINES).encode()) == VirtualServerCounts(ipv4=3, ipv6=1, marks=1)


def test_no_file_and_an_empty_table() -> None:
    """Both have no virtual server."""
    assert parse_proc_ip_vs(b"") == parse_proc_ip_vs(HEADING.encode()) == VirtualServerCounts()


@pytest.mark.parametrize(
    "text", [LINES, f"{HEADING}ICMP 0A60000A:0035 rr\n", f"{HEADING}TCP  0A60000A rr\n", "x\n"]
)
def test_other_text_is_an_error(text: str) -> None:
    """Without its heading, or with a line of another form."""
    with pytest.raises(ParseError):
        parse_proc_ip_vs(text.encode())


@given(st.binary())
def test_any_bytes_raise_nothing_else(stdout: bytes) -> None:
    """Whatever comes."""
    for data in (stdout, HEADING.encode() + stdout):
        with suppress(ParseError):
            assert isinstance(parse_proc_ip_vs(data), VirtualServerCounts)
