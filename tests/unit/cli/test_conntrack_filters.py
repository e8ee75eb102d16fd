"""The flags that choose flows, as values."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from netinspect.cli.conntrack.filters import PROTOCOLS, STATES, read_filter
from netinspect.cli.flags import FlowFilterFlags
from netinspect.errors import UsageError
from netinspect.models.address import parse_address
from netinspect.models.flow_filter import FlowFilter


def test_without_flags_there_is_no_condition() -> None:
    """Every flow is meant."""
    assert read_filter(FlowFilterFlags()) == FlowFilter()


def test_each_flag_has_its_place() -> None:
    """All at once; what is repeated is an alternative; a host's bits below a network's length do not count."""
    flags = FlowFilterFlags(
        src=["fd00::1", "10.1.2.3/8"],
        dst=["fd00:96::/64"],
        sport=0,
        dport=65535,
        proto=["tcp", "UDP", "47"],
        state=["established", "UNREPLIED"],
        zone=7,
        mark="0x4000/0xc000",
    )
    address = parse_address("10.244.1.5")
    assert read_filter(flags, [address]) == FlowFilter(
        addresses=frozenset((address,)),
        src=(ipaddress.ip_network("fd00::1/128"), ipaddress.ip_network("10.0.0.0/8")),
        dst=(ipaddress.ip_network("fd00:96::/64"),),
        sport=0,
        dport=65535,
        protocols=frozenset((6, 17, 47)),
        states=frozenset(("ESTABLISHED", "UNREPLIED")),
        zone=7,
        mark=0x4000,
        mark_mask=0xC000,
    )


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        ("0x4000", (0x4000, 0xFFFFFFFF)),
        ("16384", (0x4000, 0xFFFFFFFF)),
        ("0", (0, 0xFFFFFFFF)),
        ("1/0x1", (1, 1)),
    ],
)
def test_a_mark_is_a_number_in_either_base(mark: str, expected: tuple[int, int]) -> None:
    """As iptables takes it; without a mask every bit counts."""
    wanted = read_filter(FlowFilterFlags(mark=mark))
    assert (wanted.mark, wanted.mark_mask) == expected


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_has_its_number(name: str) -> None:
    """IANA's, whatever the case of the letters."""
    assert read_filter(FlowFilterFlags(proto=[name.upper()])).protocols == {PROTOCOLS[name]}
    assert read_filter(FlowFilterFlags(proto=[str(PROTOCOLS[name])])).protocols == {PROTOCOLS[name]}


@pytest.mark.parametrize("state", sorted(STATES))
def test_every_state_is_taken(state: str) -> None:
    """The flags, too."""
    assert read_filter(FlowFilterFlags(state=[state.lower()])).states == {state}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"src": ["10.0.0"]}, '--src: "10.0.0" is no address and no network'),
        ({"src": [""]}, '--src: "" is no address and no network'),
        ({"dst": ["fd00::1/129"]}, '--dst: "fd00::1/129" is no address and no network'),
        ({"dst": ["[fd00::1]"]}, '--dst: "[fd00::1]" is no address and no network'),
        ({"dst": ["web.demo"]}, '--dst: "web.demo" is no address and no network'),
        ({"sport": -1}, "--sport: -1 is not within 0 and 65535"),
        ({"dport": 65536}, "--dport: 65536 is not within 0 and 65535"),
        ({"zone": 65536}, "--zone: 65536 is not within 0 and 65535"),
        ({"proto": ["http"]}, '--proto: "http" is no protocol'),
        ({"proto": ["256"]}, '--proto: "256" is no protocol'),
        ({"proto": ["\u0667"]}, '--proto: "\u0667" is no protocol'),
        ({"state": ["open sesame"]}, '--state: "open sesame" is no state'),
        ({"mark": "x"}, '--mark: "x" is no mark'),
        ({"mark": "0x1/"}, '--mark: "0x1/" is no mark'),
        ({"mark": "-1"}, '--mark: "-1" does not fit into 32 bits'),
        ({"mark": "0x1/0x100000000"}, '--mark: "0x1/0x100000000" does not fit into 32 bits'),
    ],
)
def test_a_value_without_meaning_is_named(flags: dict[str, Any], message: str) -> None:
    """With its flag."""
    with pytest.raises(UsageError) as caught:
        read_filter(FlowFilterFlags(**flags))
    assert caught.value.message == message
