"""A row is meant exactly if the flow that it was made of is."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.analyze.conntrack.flow_filter import matches, select_flows
from netinspect.analyze.conntrack.flow_row_filter import Memo, RowFilter
from netinspect.models.address import Address
from netinspect.models.conntrack import Flow
from netinspect.models.flow_filter import FlowFilter, Network
from netinspect.models.flow_row import FlowRow
from netinspect.parse.conntrack import parse_flow, parse_flows
from netinspect.parse.conntrack_scan import FlowScanner
from tests.captures.parsers import list_cases
from tests.unit.flow_world import LINES
from tests.unit.parse.conntrack_text import flows, print_flow

CAPTURED = tuple(flow for case in list_cases("conntrack-list") for flow in parse_flows(case.read_bytes()))
EVERY = (*CAPTURED, *map(parse_flow, LINES))


def rows_of(listing: list[Flow]) -> list[FlowRow]:
    rows: list[FlowRow] = []
    scanner = FlowScanner(rows.extend)
    scanner.feed("".join(f"{flow.raw}\n" for flow in listing).encode())
    assert (len(rows), scanner.unread) == (len(listing), 0)
    return rows


def networks_of(addresses: list[Address]) -> st.SearchStrategy[Network]:
    """Networks that hold one of some addresses."""

    def widen(address: Address, cut: int) -> Network:
        return ipaddress.ip_network(f"{address}/{address.max_prefixlen - cut}", strict=False)

    return st.builds(widen, st.sampled_from(addresses), st.integers(0, 32))


@st.composite
def filters(draw: st.DrawFn, listing: list[Flow]) -> FlowFilter:
    """Filters whose values the flows have, so that they let some through and not others."""
    tuples = [each for flow in listing for each in (flow.original, flow.reply)]
    addresses = [address for each in tuples for address in (each.src, each.dst)]
    zones = [zone for flow in listing for zone in (flow.zone, flow.original.zone, flow.reply.zone)]
    states = [
        each for flow in listing for each in (flow.state, "UNREPLIED", "ASSURED", "OFFLOAD", "HW_OFFLOAD")
    ]

    def maybe(strategy: st.SearchStrategy[Any], otherwise: Any) -> Any:
        return draw(strategy) if draw(st.integers(0, 3)) == 0 else otherwise

    return FlowFilter(
        addresses=maybe(st.frozensets(st.sampled_from(addresses), max_size=3), frozenset()),
        src=maybe(st.lists(networks_of(addresses), max_size=2).map(tuple), ()),
        dst=maybe(st.lists(networks_of(addresses), max_size=2).map(tuple), ()),
        sport=maybe(st.sampled_from([each.sport for each in tuples]), None),
        dport=maybe(st.sampled_from([each.dport for each in tuples]), None),
        protocols=maybe(
            st.frozensets(st.sampled_from([each.protocol_number for each in listing])), frozenset()
        ),
        states=maybe(st.frozensets(st.sampled_from([each for each in states if each])), frozenset()),
        zone=maybe(st.sampled_from([0, *zones]), None),
        mark=maybe(st.sampled_from([0, *(each.mark for each in listing)]), None),
        mark_mask=maybe(st.integers(0, 0xFFFFFFFF), 0xFFFFFFFF),
    )


def assert_same_choice(listing: list[Flow], wanted: FlowFilter) -> None:
    chosen = RowFilter(wanted).select(rows_of(listing))
    assert chosen == rows_of(list(select_flows(listing, wanted)))


@given(st.data())
def test_of_real_listings_the_same_is_chosen_as_of_their_flows(data: st.DataObject) -> None:
    """All protocols, zones of one direction and of both, marks, offload."""
    assert_same_choice(list(EVERY), data.draw(filters(list(EVERY))))


@given(st.lists(flows(), min_size=1, max_size=4), st.data())
def test_of_all_that_the_tool_can_print_the_same_is_chosen(made: list[Flow], data: st.DataObject) -> None:
    """Both families, every field."""
    listing = [parse_flow(print_flow(flow)) for flow in made]
    assert_same_choice(listing, data.draw(filters(listing)))


@pytest.mark.parametrize(
    "conditions",
    [
        {"addresses": frozenset((ipaddress.ip_address("fd00:244:2::7"), ipaddress.ip_address("10.244.1.1")))},
        {"src": (ipaddress.ip_network("fd00:244:1::3/128"),)},
        {"dst": (ipaddress.ip_network("10.96.0.0/16"), ipaddress.ip_network("2001:db8::/32"))},
        {"sport": 42548},
        {"dport": 0},
        {"protocols": frozenset((47, 58))},
        {"states": frozenset(("OFFLOAD",))},
        {"states": frozenset(("HW_OFFLOAD",))},
        {"states": frozenset(("UNREPLIED", "ASSURED"))},
        {"zone": 9},
        {"zone": 0},
        {"mark": 0x4001, "mark_mask": 0x4000},
    ],
)
def test_each_condition_chooses_by_itself(conditions: Any) -> None:
    """And neither all nor none, so that the comparison says something."""
    wanted, listing = FlowFilter(**conditions), list(map(parse_flow, LINES))
    assert_same_choice(listing, wanted)
    if conditions.get("dport") != 0:
        assert 0 < sum(matches(flow, wanted) for flow in listing) < len(listing)


def test_what_is_remembered_is_bounded_and_stays_right() -> None:
    """Forgotten answers are asked for again."""
    asked: list[int] = []

    def double(number: int) -> int:
        asked.append(number)
        return 2 * number

    memo = Memo(double)
    assert [memo[number] for number in (1, 2, 1)] == [2, 4, 2]
    assert asked == [1, 2]
    assert all(memo[number] == 2 * number for number in range(40_000))
    assert len(memo) <= 16384
    assert memo[1] == 2
