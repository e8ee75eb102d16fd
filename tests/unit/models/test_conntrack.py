"""What a flow means: whether it is translated, and what names it."""

from __future__ import annotations

import msgspec
import pytest

from netinspect.models.conntrack import Flow
from netinspect.parse.conntrack import parse_event, parse_flow, parse_flows
from tests.captures.parsers import list_cases

CASES = {case.stem: case for case in list_cases("conntrack-list")}


def flows_of(case: str) -> dict[int | None, Flow]:
    """The flows of a capture by the port that they came from."""
    return {flow.original.sport: flow for flow in parse_flows(CASES[case].read_bytes())}


@pytest.mark.parametrize("family", ["ipv6", "ipv4"])
@pytest.mark.parametrize(
    ("port", "dnat", "snat"),
    [
        (42001, True, False),  # through a Service, TCP
        (42004, True, False),  # through a Service, UDP
        (42002, True, True),  # through a Service to itself: the node's address must stand in
        (42003, True, True),  # through a node port, masqueraded
        (42005, False, False),  # to an address of a Service that no rule knows
    ],
)
def test_tells_translated_flows_from_others(family: str, port: int, dnat: bool, snat: bool) -> None:
    """DNAT shows where answers come from, SNAT where they go to; real flows of both families."""
    flow = flows_of(f"nat-{family}")[port]
    assert (flow.is_dnat, flow.is_snat) == (dnat, snat)


@pytest.mark.parametrize("case", ["tcp-ipv6", "tcp-ipv4", "protocols-ipv6", "protocols-ipv4", "zones-ipv6"])
def test_flows_that_nobody_translated(case: str) -> None:
    """No flow between pods, of any protocol, counts as translated."""
    assert not any(flow.is_dnat or flow.is_snat for flow in parse_flows(CASES[case].read_bytes()))


def changed(flow: Flow, direction: str, **values: object) -> Flow:
    tuples = {direction: msgspec.structs.replace(getattr(flow, direction), **values)}
    return msgspec.structs.replace(flow, **tuples)


@pytest.mark.parametrize(
    ("direction", "field", "dnat", "snat"),
    [
        ("original", "dport", True, False),
        ("reply", "sport", True, False),
        ("original", "sport", False, True),
        ("reply", "dport", False, True),
    ],
)
def test_a_port_alone_can_be_translated(direction: str, field: str, dnat: bool, snat: bool) -> None:
    """The address is the same, and still the packets arrive elsewhere, or come from elsewhere."""
    flow = changed(flows_of("tcp-ipv6")[40001], direction, **{field: 1})
    assert (flow.is_dnat, flow.is_snat) == (dnat, snat)


def test_an_identifier_of_an_echo_is_no_translation() -> None:
    """Masquerading may change it, and it may change without: only addresses count for ICMP."""
    flow = parse_flow(
        "icmpv6   58 25 src=fd00:1::5 dst=fd00:2::9 type=128 code=0 id=1 "
        "src=fd00:2::9 dst=fd00:1::5 type=129 code=0 id=2"
    )
    assert (flow.is_dnat, flow.is_snat) == (False, False)


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.stem)
def test_no_two_flows_of_a_listing_have_one_key(case: object) -> None:
    """In every captured listing, with the kernel's ids and without, each flow has a key of its own."""
    flows = parse_flows(CASES[getattr(case, "stem", "")].read_bytes())
    for listing in (flows, [msgspec.structs.replace(flow, id=None) for flow in flows]):
        assert len({flow.key for flow in listing}) == len(flows)


def test_a_flow_keeps_its_key_while_it_changes() -> None:
    """State, timeout, counters and marks do not name a flow, so a later listing has it under the same key."""
    flow = flows_of("tcp-ipv6")[40001]
    later = msgspec.structs.replace(
        changed(changed(flow, "original", packets=900, bytes=1), "reply", packets=None, bytes=None),
        timeout_s=5,
        state="CLOSE",
        assured=False,
        unreplied=True,
        mark=1,
        use=9,
        delta_time_s=4,
        helper="ftp",
        labels=("a",),
        raw="",
    )
    assert later != flow
    assert later.key == flow.key


@pytest.mark.parametrize(
    ("case", "direction", "field"),
    [
        *(
            ("tcp-ipv6", direction, field)
            for direction in ("original", "reply")
            for field in ("sport", "dport")
        ),
        *(
            ("tcp-ipv6", direction, field)
            for direction in ("original", "reply")
            for field in ("src", "dst", "zone")
        ),
        *(("no-marks-no-ids", "original", field) for field in ("icmp_type", "icmp_code", "icmp_id")),
        *(("protocols-ipv6", "original", field) for field in ("src_key", "dst_key")),
    ],
)
def test_another_tuple_is_another_flow(case: str, direction: str, field: str) -> None:
    """Whatever field of a tuple differs, the flow is another one, were the kernel's id the same."""
    flow = parse_flows(CASES[case].read_bytes())[0]
    assert changed(flow, direction, **{field: 3}).key != flow.key


def test_a_flow_that_came_again_is_another_one() -> None:
    """Same tuples, another id, zone or protocol: another entry of the table."""
    flow = flows_of("tcp-ipv6")[40001]
    for other in ({"id": 1}, {"zone": 1}, {"protocol_number": 17}):
        assert msgspec.structs.replace(flow, **other).key != flow.key


def test_events_of_a_flow_bear_its_key() -> None:
    """From NEW to DESTROY, with counters and without, a real flow has one key."""
    (case,) = (case for case in list_cases("conntrack-event") if case.stem == "packets")
    events = [parse_event(line) for line in case.read_text().splitlines()]
    keys = {event.flow.key for event in events if event.flow.original.sport == 46001}
    assert len(keys) == 2  # one of each family
    assert len({event.flow.key for event in events}) == len({event.flow.id for event in events})
