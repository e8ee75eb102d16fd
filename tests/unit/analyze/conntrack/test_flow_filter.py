"""Which flows are meant: exactly, and the same by a line's columns as far as these go."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netinspect.analyze.conntrack.flow_filter import (
    build_row_test,
    matches,
    narrowing_addresses,
    select_flows,
    states_of,
)
from netinspect.models.address import parse_address
from netinspect.models.flow_filter import FlowFilter
from netinspect.parse.conntrack_scan import read_row
from tests.unit.flow_world import (
    GRE_V4,
    LINES,
    NEIGHBOUR_V4,
    NODE_PORT_V4,
    OFFLOADED_V6,
    PING_V6,
    TCP_V4,
    TCP_V6,
    UNREPLIED_V6,
    ZONE_V4,
    flow,
)


def chosen(**conditions: Any) -> list[str]:
    """The lines that a filter lets through."""
    wanted = FlowFilter(**conditions)
    return [each.raw for each in select_flows(map(flow, LINES), wanted)]


def addresses(*texts: str) -> frozenset[Any]:
    return frozenset(map(parse_address, texts))


def networks(*texts: str) -> tuple[Any, ...]:
    return tuple(map(ipaddress.ip_network, texts))


def test_no_condition_lets_all_through() -> None:
    """In their order."""
    assert chosen() == list(LINES)


@pytest.mark.parametrize(
    ("address", "lines"),
    [
        ("fd00:244:1::3", [TCP_V6, UNREPLIED_V6, PING_V6, OFFLOADED_V6]),  # the source
        ("10.99.0.11", [NODE_PORT_V4, GRE_V4, ZONE_V4]),  # the destination
        ("10.244.2.7", [TCP_V4, NODE_PORT_V4]),  # where answers come from
        ("10.244.1.1", [NODE_PORT_V4]),  # where answers go to
        ("fd00:99::11", [OFFLOADED_V6]),
        ("10.244.1.5", []),  # not 10.244.1.50
        ("10.244.1.50", [NEIGHBOUR_V4]),
        ("fd00:244:1::", []),
    ],
)
def test_an_address_is_looked_for_in_all_four_places_and_as_a_whole(address: str, lines: list[str]) -> None:
    """Source, destination, backend, translated source: a pod can be any of them."""
    assert chosen(addresses=addresses(address)) == lines


def test_several_addresses_are_alternatives() -> None:
    """A pod has one of each family."""
    assert chosen(addresses=addresses("10.244.1.1", "fd00:99::11")) == [NODE_PORT_V4, OFFLOADED_V6]


@pytest.mark.parametrize(
    ("conditions", "lines"),
    [
        ({"src": networks("fd00:244:1::3")}, [TCP_V6, UNREPLIED_V6, PING_V6, OFFLOADED_V6]),
        ({"src": networks("10.244.2.7")}, []),  # of the reply
        ({"src": networks("10.99.0.0/24", "10.244.1.50")}, [NEIGHBOUR_V4, GRE_V4, ZONE_V4]),
        ({"dst": networks("fd00:96::/64")}, [TCP_V6, UNREPLIED_V6]),
        ({"dst": networks("0.0.0.0/0")}, [TCP_V4, NODE_PORT_V4, NEIGHBOUR_V4, GRE_V4, ZONE_V4]),
        ({"dst": networks("10.244.1.3")}, []),
        ({"sport": 42548}, [TCP_V4, TCP_V6]),
        ({"sport": 8080}, []),  # of the reply
        ({"dport": 80}, [TCP_V4, TCP_V6, UNREPLIED_V6]),
        ({"dport": 0}, []),  # GRE and ICMP have none, which is not 0
        ({"protocols": frozenset((58,))}, [PING_V6]),
        ({"protocols": frozenset((17, 47))}, [UNREPLIED_V6, GRE_V4, OFFLOADED_V6]),
        ({"states": frozenset(("ESTABLISHED",))}, [TCP_V4, TCP_V6, NODE_PORT_V4]),
        ({"states": frozenset(("SYN_SENT",))}, [NEIGHBOUR_V4]),  # not SYN_SENT2
        ({"states": frozenset(("UNREPLIED",))}, [UNREPLIED_V6, NEIGHBOUR_V4, GRE_V4, ZONE_V4]),
        ({"states": frozenset(("ASSURED",))}, [TCP_V4, TCP_V6, NODE_PORT_V4]),
        ({"states": frozenset(("OFFLOAD",))}, [OFFLOADED_V6]),
        ({"states": frozenset(("HW_OFFLOAD",))}, [OFFLOADED_V6]),
        ({"zone": 4}, [OFFLOADED_V6]),
        ({"zone": 9}, [ZONE_V4]),
        ({"zone": 0}, [each for each in LINES if each not in (ZONE_V4, OFFLOADED_V6)]),
        ({"mark": 99}, [ZONE_V4]),
        ({"mark": 0x4000, "mark_mask": 0x4000}, [NODE_PORT_V4]),
        ({"mark": 0x4001, "mark_mask": 0x4000}, [NODE_PORT_V4]),
        ({"mark": 0, "mark_mask": 0x4000}, [each for each in LINES if each != NODE_PORT_V4]),
        ({"dport": 80, "protocols": frozenset((17,))}, [UNREPLIED_V6]),
        ({"dport": 80, "sport": 1}, []),
    ],
)
def test_each_condition_means_what_conntrack_tools_mean(conditions: Any, lines: list[str]) -> None:
    """Of the original tuple, and all of them together."""
    assert chosen(**conditions) == lines


def test_a_mark_that_is_not_printed_is_zero() -> None:
    """Events leave it out then."""
    bare = flow(UNREPLIED_V6.replace(" mark=0", ""))
    assert bare.mark is None
    assert matches(bare, FlowFilter(mark=0))
    assert not matches(bare, FlowFilter(mark=1))


def test_an_offloaded_flow_answers_to_both_words() -> None:
    """OFFLOAD is any of them, HW_OFFLOAD that one."""
    assert list(states_of(flow(OFFLOADED_V6))) == ["HW_OFFLOAD", "OFFLOAD"]


FILTERS = st.builds(
    FlowFilter,
    addresses=st.frozensets(
        st.sampled_from(
            [parse_address(each) for each in ("10.244.1.5", "10.244.1.3", "fd00:244:1::3", "10.244.2.7")]
        )
    ),
    src=st.sampled_from([(), networks("10.244.1.3"), networks("fd00::/8"), networks("10.99.0.0/24", "::/0")]),
    dst=st.sampled_from([(), networks("10.96.0.20"), networks("fd00:96::20"), networks("0.0.0.0/0")]),
    sport=st.sampled_from([None, 42548, 7, 0]),
    dport=st.sampled_from([None, 80, 8, 443]),
    protocols=st.frozensets(st.sampled_from([6, 17, 47, 58])),
    states=st.frozensets(st.sampled_from(["ESTABLISHED", "UNREPLIED", "ASSURED", "OFFLOAD", "HW_OFFLOAD"])),
    zone=st.sampled_from([None, 0, 4, 9]),
    mark=st.sampled_from([None, 0, 99, 0x4000]),
    mark_mask=st.sampled_from([0xFFFFFFFF, 0x4000]),
)


@settings(deadline=None)
@given(FILTERS, st.sampled_from(LINES))
@example(FlowFilter(zone=9), ZONE_V4)
@example(FlowFilter(states=frozenset(("OFFLOAD",))), OFFLOADED_V6)
def test_the_quick_test_turns_no_wanted_flow_away(wanted: FlowFilter, line: str) -> None:
    """Whatever `matches` takes passes; and but for zones, nothing else does."""
    test, row = build_row_test(wanted), read_row(line.encode())
    assert row is not None
    passes = test is None or test(row)
    is_wanted = matches(flow(line), wanted)
    assert passes or not is_wanted
    if wanted.zone is None:
        assert passes == is_wanted


def test_the_quick_test_reads_an_address_however_it_is_spelled() -> None:
    """And lets pass what is none: its line is read in full then."""
    test = build_row_test(FlowFilter(addresses=addresses("fd00:244:1::3")))
    assert test is not None
    for line, passes in (
        (TCP_V6.replace("fd00:244:1::3", "fd00:244:1:0:0:0:0:3"), True),
        (TCP_V6.replace("fd00:244:1::3", "fd00:244:1::4"), False),
        (TCP_V6.replace("fd00:244:1::3", "fd00:::3"), True),
    ):
        row = read_row(line.encode())
        assert row is not None
        assert test(row) is passes


def test_without_a_condition_on_columns_there_is_no_quick_test() -> None:
    """It would cost time for nothing."""
    assert build_row_test(FlowFilter()) is None
    assert build_row_test(FlowFilter(zone=3)) is None


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, ()),
        ({"addresses": addresses("fd00::2", "10.0.0.1")}, ("10.0.0.1", "fd00::2")),
        ({"src": networks("10.0.0.1")}, ("10.0.0.1",)),
        ({"dst": networks("fd00::1/128", "fd00::2/128")}, ("fd00::1", "fd00::2")),
        ({"dst": networks("fd00::1/128", "fd00::/64")}, ()),
        ({"src": networks("10.0.0.0/31")}, ()),
        ({"addresses": addresses("10.0.0.1", "10.0.0.2"), "dst": networks("10.96.0.1")}, ("10.96.0.1",)),
        ({"src": networks("10.0.0.0/8"), "dst": networks("10.96.0.1")}, ("10.96.0.1",)),
        ({"dport": 80}, ()),
    ],
)
def test_the_node_can_look_for_addresses_of_which_every_wanted_flow_has_one(
    conditions: Any, expected: tuple[str, ...]
) -> None:
    """The shortest such list; a network has no letters to look for."""
    assert tuple(map(str, narrowing_addresses(FlowFilter(**conditions)))) == expected
