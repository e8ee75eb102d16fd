"""A node's table while it streams in: what is wanted is kept, what is missing is named."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netinspect.analyze.conntrack.flow_filter import build_row_test, matches
from netinspect.collect.flows import FlowSelector, collect_flows
from netinspect.errors import ParseError
from netinspect.models.address import parse_address
from netinspect.models.command import CommandResult, NodeAnswer
from netinspect.models.conntrack import Flow
from netinspect.models.fact import Gap, Known, Reason, Unavailable
from netinspect.models.flow_filter import FlowFilter
from netinspect.models.node_flows import NodeFlows
from netinspect.probes.conntrack import build_flow_plan, build_sample_plan
from tests.unit.flow_world import LINES, NEIGHBOUR_V4, NODE_PORT_V4, TCP_V4, TCP_V6, UNREPLIED_V6
from tests.unit.usecases.fake_node import LO, FakeNode, answer, result

SHOWN = b"conntrack v1.4.7 (conntrack-tools): %d flow entries have been shown.\n"
LISTING = "".join(f"{line}\n" for line in LINES).encode()


def text(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def every(flow: Flow) -> bool:
    return True


def listed(name: str, *lines: str, entries: int | None = None, code: int = 0) -> CommandResult:
    stderr = SHOWN % (len(lines) if entries is None else entries)
    return result(name, text(*lines), stderr=stderr, code=code)


def collected(*results: CommandResult, wanted: Callable[[Flow], bool] = every) -> NodeFlows:
    return collect_flows(FakeNode(answer(result("links", LO), *results)), build_flow_plan(), wanted)


def raw(fact: object) -> list[str]:
    assert isinstance(fact, Known)
    return [flow.raw for flow in fact.value]


def test_both_families_are_read_and_only_what_is_wanted_is_kept() -> None:
    """IPv6 and IPv4 for themselves; the tool's own counts tell of how many entries that was."""
    table = collected(
        listed("flows-ipv4", TCP_V4, NEIGHBOUR_V4),
        listed("flows-ipv6", TCP_V6, UNREPLIED_V6, entries=40),
        wanted=lambda flow: flow.state == "ESTABLISHED",
    )
    (listing,) = table.listings
    assert (raw(listing.ipv6), raw(listing.ipv4)) == ([TCP_V6], [TCP_V4])
    assert [flow.raw for flow in listing.flows] == [TCP_V4, TCP_V6]
    assert listing.entries == 42
    assert listing.gaps("node-a") == ()
    assert isinstance(table.links, Known)
    assert (table.node, table.is_whole) == ("node-a", True)


def test_no_output_is_no_flow() -> None:
    """That is how the tool lists nothing."""
    (listing,) = collected(listed("flows-ipv4"), listed("flows-ipv6")).listings
    assert (listing.flows, listing.entries, listing.gaps("node-a")) == ((), 0, ())


def test_a_family_that_is_missing_is_a_gap_and_the_other_is_kept() -> None:
    """Cut, refused, missing: the reason is told; how many entries there are is not known then."""
    denied = result("flows-ipv4", code=1, stderr=b"Operation failed: Operation not permitted\n")
    (listing,) = collected(denied, listed("flows-ipv6", TCP_V6)).listings
    assert raw(listing.ipv6) == [TCP_V6]
    assert listing.entries is None
    (gap,) = listing.gaps("node-a")
    assert (gap.subject, gap.fact, gap.reason) == ("node/node-a", "the IPv4 flows", Reason.PERMISSION_DENIED)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (result("flows-ipv6", text(TCP_V6), code=None), Reason.TRUNCATED),
        (result("flows-ipv6", text(TCP_V6)[:-1]), Reason.UNPARSABLE),
        (result("flows-ipv6", text(TCP_V6) + b"ipv6 "), Reason.UNPARSABLE),
        (result("flows-ipv6", b"", code=127), Reason.TOOL_MISSING),
        (result("flows-ipv6", text(TCP_V6), code=124), Reason.TIMED_OUT),
        (result("flows-ipv6", b"<conntrack/>\n"), Reason.UNPARSABLE),
        (result("other"), Reason.TRUNCATED),
    ],
)
def test_a_listing_that_is_not_whole_is_never_a_smaller_one(outcome: CommandResult, reason: Reason) -> None:
    """Its flows are not given out."""
    (listing,) = collected(listed("flows-ipv4"), outcome).listings
    assert isinstance(listing.ipv6, Unavailable)
    assert listing.ipv6.reason is reason
    assert listing.flows == ()


def test_lines_that_cannot_be_read_are_counted_beside_those_that_can() -> None:
    """The others are flows as before; the first such line is shown."""
    (listing,) = collected(
        listed("flows-ipv4", TCP_V4), listed("flows-ipv6", TCP_V6, "what?", UNREPLIED_V6, "and this?")
    ).listings
    assert raw(listing.ipv6) == [TCP_V6, UNREPLIED_V6]
    (gap,) = listing.gaps("node-a")
    assert (gap.fact, gap.reason) == ("2 lines of the IPv6 flows", Reason.UNPARSABLE)
    assert "what?" in gap.detail
    assert "and this?" not in gap.detail


def test_a_cut_answer_is_told() -> None:
    """The trip's own end mark is missing."""
    node = FakeNode(answer(listed("flows-ipv4"), is_whole=False))
    table = collect_flows(node, build_flow_plan(), every)
    assert not table.is_whole
    assert isinstance(table.links, Unavailable)
    (listing,) = table.listings
    assert [gap.fact for gap in listing.gaps("node-a")] == ["the IPv6 flows"]


def test_samples_are_told_apart() -> None:
    """By the suffix of the probes' names, each with the time at which it began."""
    first = (listed("flows-ipv4", TCP_V4), listed("flows-ipv6"))
    again = (listed("flows-ipv4-again"), listed("flows-ipv6-again", TCP_V6))
    node = FakeNode(NodeAnswer(1, (*first, *again), True))
    table = collect_flows(node, build_sample_plan(5), every, ("", "-again"))
    assert [[flow.raw for flow in listing.flows] for listing in table.listings] == [[TCP_V4], [TCP_V6]]


@settings(deadline=None)
@given(st.lists(st.integers(0, len(LISTING))))
def test_a_listing_may_be_cut_anywhere(cuts: list[int]) -> None:
    """Chunks know nothing of lines."""
    selector = FlowSelector(every)
    edges = sorted({0, *cuts, len(LISTING)})
    for start, end in pairwise(edges):
        selector.feed(LISTING[start:end])
    assert [flow.raw for flow in selector.read()] == list(LINES)
    assert selector.entries == len(LINES)


@settings(deadline=None)
@given(st.integers(0, len(LISTING) - 1))
def test_an_end_that_is_missing_shows_unless_a_line_ends_there(end: int) -> None:
    """Half a line is an error; that a whole line is the last one is for the frame around it to say."""
    selector = FlowSelector(every)
    selector.feed(LISTING[:end])
    if end and LISTING[end - 1] != ord("\n"):
        with pytest.raises(ParseError, match="ends within a line"):
            selector.read()
    else:
        assert len(selector.read()) == LISTING[:end].count(b"\n")


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_but_a_parse_error(noise: bytes) -> None:
    """However hostile the node."""
    selector = FlowSelector(every, build_row_test(FlowFilter(dport=80)))
    selector.feed(noise)
    with suppress(ParseError):
        selector.read()


def test_a_line_without_end_does_not_fill_the_memory_and_is_no_flow() -> None:
    """Not even where it begins and ends as one."""
    selector = FlowSelector(every)
    head, tail = TCP_V6.encode().split(b" mark=0")
    tracemalloc.start()
    selector.feed(head)
    for _ in range(200):
        selector.feed(b" x" * 50_000)
    selector.feed(b" mark=0" + tail + b"\n" + text(TCP_V4))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [flow.raw for flow in selector.read()] == [TCP_V4]
    assert selector.unread == 1
    assert peak < 2_000_000


def test_a_quick_test_changes_nothing_of_the_answer() -> None:
    """With it and without it the same flows are kept, and the same lines are no flows."""
    odd = "ipv4     2 tcp      6 431999 ESTABLISHED source=10.244.1.3 destination=10.96.0.20"
    later = f"{NODE_PORT_V4} novel=1"
    wanted = FlowFilter(addresses=frozenset((parse_address("10.244.1.1"), parse_address("fd00:244:2::7"))))
    kept = []
    for test in (None, build_row_test(wanted)):
        selector = FlowSelector(lambda flow: matches(flow, wanted), test)
        selector.feed(LISTING + text(odd, later))
        kept.append([flow.raw for flow in selector.read()])
        assert (selector.unread, selector.entries) == (1, len(LINES) + 2)
    assert kept[0] == kept[1]
    assert later in kept[0]


def test_flows_that_are_not_wanted_are_not_kept() -> None:
    """A table of many thousands of flows costs the memory of the few that are."""
    selector = FlowSelector(lambda flow: False)
    piece = LISTING * 50
    selector.feed(piece)
    tracemalloc.start()
    for _ in range(20):
        selector.feed(piece)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert selector.entries == 21 * 50 * len(LINES)
    assert kept < len(piece)


def test_gaps_have_the_nodes_name() -> None:
    """Several nodes are asked."""
    (listing,) = collected(listed("flows-ipv4", "?", TCP_V4), listed("flows-ipv6")).listings
    assert listing.gaps("node-z") == (
        Gap("node/node-z", "1 line of the IPv4 flows", Reason.UNPARSABLE, listing.unread[0].first),
    )
