"""A node's table counted while it streams in: what came whole counts, the rest is missing for a reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from netinspect.analyze.address_book import build_address_book
from netinspect.analyze.conntrack.flow_counts import FlowNames
from netinspect.collect.flow_counts import collect_flow_counts
from netinspect.models.address import parse_address
from netinspect.models.command import CommandResult, NodeAnswer
from netinspect.models.fact import Fact, Known, Reason, Unavailable
from netinspect.models.flow_counts import FlowTally, NodeCounts
from netinspect.models.flow_filter import FlowFilter
from netinspect.models.link import Link
from netinspect.probes.conntrack_top import AGAIN, build_top_plan
from tests.unit.flow_world import LINES, NODE_PORT_V4, STATE, TCP_V4, TCP_V6, UNREPLIED_V6
from tests.unit.usecases.fake_node import LO, FakeNode, answer, result

LIMITS = b"/proc/sys/net/netfilter/nf_conntrack_count:4\n/proc/sys/net/netfilter/nf_conntrack_max:1000\n"
BRIDGE = (
    b'[{"ifindex":3,"ifname":"cni0","flags":["UP"],"mtu":1500,"operstate":"UP","link_type":"ether",'
    b'"address":"00:00:00:00:00:01","addr_info":[{"family":"inet","local":"10.244.1.1","prefixlen":24,'
    b'"scope":"global"}]}]'
)


def listed(name: str, *lines: str, shown: int | None = None, code: int | None = 0) -> CommandResult:
    shown = len(lines) if shown is None else shown
    stderr = b"conntrack v1.4.7 (conntrack-tools): %d flow entries have been shown.\n" % shown
    return result(name, "".join(f"{line}\n" for line in lines).encode(), stderr=stderr, code=code)


def whole(*, ipv4: tuple[str, ...] = (TCP_V4,), ipv6: tuple[str, ...] = (TCP_V6,)) -> NodeAnswer:
    return answer(
        result("conntrack-limits", LIMITS),
        result("links", LO),
        listed("flows-ipv4", *ipv4),
        listed("flows-ipv6", *ipv6),
    )


def name_flows(links: tuple[Link, ...]) -> FlowNames:
    return FlowNames(build_address_book(STATE, {"node-a": links}))


def counted(
    given: NodeAnswer,
    wanted: FlowFilter | None = None,
    names: Callable[[tuple[Link, ...]], FlowNames] = name_flows,
    addresses: tuple[str, ...] = (),
) -> NodeCounts:
    plan = build_top_plan(map(parse_address, addresses))
    return collect_flow_counts(FakeNode(given), plan, names, wanted)


def tally(fact: Fact[FlowTally]) -> FlowTally:
    assert isinstance(fact, Known)
    return fact.value


def test_both_families_are_counted_for_themselves() -> None:
    """With the table's limit, and the node's links."""
    counts = counted(whole(ipv6=(TCP_V6, UNREPLIED_V6)))
    (sample,) = counts.samples
    assert [(each.entries, each.shown) for each in sample.tallies] == [(1, 1), (2, 2)]
    assert tally(sample.ipv6).services == {("demo", "web"): 2}
    assert isinstance(counts.size, Known)
    assert (counts.size.value.count, counts.size.value.max) == (4, 1000)
    assert isinstance(counts.links, Known)


def test_the_nodes_own_links_give_names_while_the_listing_comes() -> None:
    """They come first; the names are made once."""
    given: list[tuple[Link, ...]] = []

    def names(links: tuple[Link, ...]) -> FlowNames:
        given.append(links)
        return name_flows(links)

    at_bridge = NODE_PORT_V4.replace("dst=10.99.0.11", "dst=10.244.1.1", 1)
    replies = (result("links", BRIDGE), listed("flows-ipv4", at_bridge), listed("flows-ipv6", TCP_V6))
    (sample,) = counted(answer(*replies), names=names).samples
    assert tally(sample.ipv4).services == {("demo", "web"): 1}
    assert [link.ifname for links in given for link in links] == ["cni0"]


def test_links_that_cannot_be_read_leave_the_counts_as_they_are() -> None:
    """The node's addresses are then those that the API gives."""
    replies = (result("links", b"no json"), listed("flows-ipv4", NODE_PORT_V4), listed("flows-ipv6", TCP_V6))
    counts = counted(answer(*replies))
    assert isinstance(counts.links, Unavailable)
    assert counts.links.reason is Reason.UNPARSABLE
    assert tally(counts.samples[0].ipv4).services == {("demo", "web"): 1}


def test_a_table_without_entries_is_counted_as_empty() -> None:
    """Which is not missing."""
    (sample,) = counted(whole(ipv4=(), ipv6=())).samples
    assert [(each.entries, each.counted, each.pods) for each in sample.tallies] == [(0, 0, {}), (0, 0, {})]


@pytest.mark.parametrize(
    ("reply", "reason", "detail"),
    [
        (listed("flows-ipv6", TCP_V6, code=None), Reason.TRUNCATED, "flows-ipv6: the stream was cut"),
        (listed("flows-ipv6", TCP_V6, shown=2), Reason.TRUNCATED, "says to have shown 2 entries, and 1 came"),
        (result("flows-ipv6", TCP_V6.encode()), Reason.UNPARSABLE, "conntrack -L: the output ends within a line"),
        (result("flows-ipv6", code=127, stderr=b"not found"), Reason.TOOL_MISSING, "not found"),
        (result("flows-ipv6", code=124), Reason.TIMED_OUT, "exit code 124"),
        (result("other"), Reason.TRUNCATED, "no answer came"),
    ],
)  # fmt: skip
def test_a_listing_that_is_not_whole_counts_nothing(
    reply: CommandResult, reason: Reason, detail: str
) -> None:
    """However much of it came; the other family is counted all the same."""
    (sample,) = counted(answer(result("links", LO), listed("flows-ipv4", TCP_V4), reply)).samples
    assert isinstance(sample.ipv6, Unavailable)
    assert sample.ipv6.reason is reason
    assert detail in sample.ipv6.detail
    assert tally(sample.ipv4).entries == 1


def test_lines_that_are_no_entry_are_counted_and_shown() -> None:
    """The others count."""
    found = tally(counted(whole(ipv6=(TCP_V6, "ipv6 10 nonsense"))).samples[0].ipv6)
    assert (found.entries, found.unread, found.unread_lines, found.shown) == (1, 1, ("ipv6 10 nonsense",), 2)


def test_where_the_node_kept_lines_back_the_tool_tells_how_long_the_table_is() -> None:
    """Without its word, nobody knows."""
    reply = (listed("flows-ipv4", TCP_V4, shown=70), result("flows-ipv6", f"{TCP_V6}\n".encode()))
    (sample,) = counted(answer(result("links", LO), *reply), addresses=("10.244.1.3",)).samples
    assert (tally(sample.ipv4).shown, tally(sample.ipv6).shown) == (70, None)
    (sample,) = counted(answer(result("links", LO), listed("flows-ipv4", TCP_V4), reply[1])).samples
    assert tally(sample.ipv6).shown == 1


def test_a_filter_holds_in_both_families() -> None:
    """And narrows what counts, not how long the table is."""
    wanted = FlowFilter(states=frozenset(("UNREPLIED",)))
    ipv4, ipv6 = ([each for each in LINES if each.startswith(name)] for name in ("ipv4", "ipv6"))
    (sample,) = counted(whole(ipv4=tuple(ipv4), ipv6=tuple(ipv6)), wanted).samples
    assert [(each.entries, each.counted) for each in sample.tallies] == [(len(ipv4), 3), (len(ipv6), 1)]


def test_two_listings_of_one_trip_are_two_samples() -> None:
    """By their names in the plan, whatever order they are looked at in."""
    plan = build_top_plan((), 3)
    names = [probe.name for probe in plan.node_probes]
    families = ["flows-ipv4", "flows-ipv6"]
    assert names == [
        "conntrack-limits",
        "links",
        *families,
        "pause",
        *(f"{each}{AGAIN}" for each in families),
    ]
    given = (*whole().results, listed("flows-ipv4-again"), listed("flows-ipv6-again", TCP_V6, UNREPLIED_V6))
    counts = collect_flow_counts(FakeNode(answer(*given)), plan, name_flows, None, ("", AGAIN))
    assert [[each.entries for each in sample.tallies] for sample in counts.samples] == [[1, 1], [0, 2]]
