"""What `conntrack top` answers: groups with their shares and growth, findings, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from netinspect.analyze.conntrack.flow_counts import KEPT
from netinspect.models.address_owner import show_owner
from netinspect.models.cluster_state import ClusterState
from netinspect.models.command import CommandResult, NodeAnswer
from netinspect.models.fact import Gap, Known, Reason
from netinspect.models.finding import Severity
from netinspect.models.flow_counts import FlowGroup, GroupBy, NodeFlowCounts, TopOptions
from netinspect.models.flow_filter import FlowFilter
from netinspect.models.report import JudgedReport
from netinspect.usecases.conntrack_top import build_count_plan, count_flows, report_top
from netinspect.usecases.node_targets import NodeTargets
from tests.unit.flow_world import (
    DENIED,
    LINES,
    NODE_PORT_V4,
    OFFLOADED_V6,
    PING_V6,
    PODS,
    STATE,
    TCP_V4,
    TCP_V6,
    UNREPLIED_V6,
    pod,
)
from tests.unit.usecases.fake_node import LO, FakeNode, answer, result

LIMITS = b"/proc/sys/net/netfilter/nf_conntrack_max:1000\n"
SHOWN = b"conntrack v1.4.7 (conntrack-tools): %d flow entries have been shown.\n"
TOOLS, WEB_2 = "demo/tools", "demo/web-2"


def listing(lines: Iterable[str], suffix: str = "", start_s: float = 10.0) -> tuple[CommandResult, ...]:
    by_family = {family: [line for line in lines if line.startswith(family)] for family in ("ipv4", "ipv6")}
    return tuple(
        replace(
            result(
                f"flows-{family}{suffix}",
                "".join(f"{line}\n" for line in chosen).encode(),
                stderr=SHOWN % len(chosen),
            ),
            start_s=start_s,
        )
        for family, chosen in by_family.items()
    )


def node(*listings: CommandResult, limits: CommandResult | None = None) -> NodeAnswer:
    return answer(limits or result("conntrack-limits", LIMITS), result("links", LO), *listings)


def report(
    given: NodeAnswer,
    wanted: FlowFilter | None = None,
    between_s: int = 0,
    *,
    state: ClusterState = STATE,
    targets: NodeTargets | None = None,
    **options: object,
) -> JudgedReport[NodeFlowCounts]:
    wanted = wanted or FlowFilter()
    counts = count_flows(FakeNode(given), wanted, state, between_s)
    chosen = TopOptions(**options)  # type: ignore[arg-type]
    return report_top({"node-a": counts}, state, targets or NodeTargets(nodes=("node-a",)), wanted, chosen)


def groups(made: JudgedReport[NodeFlowCounts], by: GroupBy) -> list[FlowGroup]:
    (item,) = made.items
    return [group for group in item.groups if group.by is by]


def names(made: JudgedReport[NodeFlowCounts], by: GroupBy) -> dict[str, int]:
    return {group.name: group.entries for group in groups(made, by)}


def syn(src: str, dst: str, number: int, state: str = "SYN_SENT") -> str:
    """A connection that waits for an answer, or one that had one."""
    family = "ipv6     10" if ":" in src else "ipv4     2"
    mark = "[UNREPLIED] " if state == "SYN_SENT" else ""
    return (
        f"{family} tcp      6 99 {state} src={src} dst={dst} sport={number} dport=80 {mark}"
        f"src={dst} dst={src} sport=80 dport={number} mark=0 use=1 id={number}"
    )


def test_entries_are_grouped_in_every_way() -> None:
    """Both families together, the largest first, each kind in its order."""
    made = report(node(*listing(LINES)))
    assert names(made, GroupBy.POD) == {TOOLS: 6, WEB_2: 4}
    assert names(made, GroupBy.SERVICE) == {"demo/web": 4}
    assert names(made, GroupBy.PEER) == {
        "10.244.1.1": 1,
        "10.244.1.50": 1,
        "2001:db8::1": 1,
        "93.184.216.34": 1,
    }
    assert names(made, GroupBy.STATE) == {
        "tcp ESTABLISHED": 3,
        "gre [UNREPLIED]": 1,
        "icmpv6": 1,
        "tcp SYN_SENT [UNREPLIED]": 1,
        "tcp SYN_SENT2 [UNREPLIED]": 1,
        "udp": 1,
        "udp [UNREPLIED]": 1,
    }
    assert list(names(made, GroupBy.PROTOCOL)) == [
        "ipv4 tcp",
        "ipv6 udp",
        "ipv4 gre",
        "ipv6 icmpv6",
        "ipv6 tcp",
    ]
    (item,) = made.items
    assert [group.by for group in item.groups] == sorted((g.by for g in item.groups), key=list(GroupBy).index)
    assert (item.entries, item.table, item.max, item.seconds) == (9, 9, 1000, None)
    assert (made.gaps, made.findings) == ((), ())


def test_a_group_says_what_it_is_and_its_share() -> None:
    """Of the table, and of its limit; a pod also whether it asks or is asked."""
    tools, web_2 = groups(report(node(*listing(LINES))), GroupBy.POD)
    assert (tools.as_client, tools.as_backend, web_2.as_client, web_2.as_backend) == (6, 0, 0, 4)
    assert (tools.percent_of_table, tools.percent_of_max) == (66.67, 0.6)
    assert tools.owner is not None
    assert (tools.owner.namespace, tools.owner.name) == ("demo", "tools")


def test_shares_are_of_the_whole_table_where_a_filter_chooses() -> None:
    """And the note says of how many."""
    made = report(node(*listing(LINES)), FlowFilter(protocols=frozenset((58,))))
    assert [group.percent_of_table for group in groups(made, GroupBy.POD)] == [11.11, 11.11]
    assert made.notes[0] == "node node-a: 1 of 9 entries were counted; nf_conntrack_max is 1000"


def test_a_limit_that_cannot_be_read_is_a_gap_and_no_share() -> None:
    """The counts are there all the same."""
    made = report(node(*listing(LINES), limits=result("conntrack-limits", code=1, stderr=b"no")))
    assert [gap.fact for gap in made.gaps] == ["nf_conntrack_max"]
    assert {group.percent_of_max for group in groups(made, GroupBy.POD)} == {None}
    assert made.items[0].max is None


def test_growth_is_what_changed_between_two_listings() -> None:
    """By group, a second; the fastest first if that is wanted. What is gone altogether is in no group."""
    before = (TCP_V6, TCP_V4, NODE_PORT_V4)
    after = (TCP_V6, PING_V6, UNREPLIED_V6, UNREPLIED_V6, UNREPLIED_V6)
    given = node(*listing(before), *listing(after, "-again", 14.0))
    made = report(given, between_s=4, by=(GroupBy.POD, GroupBy.STATE), by_growth=True)
    assert [(group.name, group.change, group.per_second) for group in groups(made, GroupBy.STATE)] == [
        ("udp [UNREPLIED]", 3, 0.75),
        ("icmpv6", 1, 0.25),
        ("tcp ESTABLISHED", -2, -0.5),
    ]
    assert [(each.name, each.change) for each in groups(made, GroupBy.POD)] == [(TOOLS, 2), (WEB_2, -1)]
    (item,) = made.items
    assert (item.entries, item.change, item.seconds) == (5, 2, 4.0)


def test_without_one_of_the_listings_there_is_no_growth() -> None:
    """It is not compared with less than the whole."""
    first = listing((TCP_V6, TCP_V4))[:1]
    made = report(node(*first, *listing((TCP_V6, TCP_V4), "-again", 14.0)), between_s=4)
    assert {group.change for group in made.items[0].groups} == {None}
    assert [gap.fact for gap in made.gaps] == ["the IPv6 flows"]


def test_only_so_many_groups_are_listed_and_the_note_says_so() -> None:
    """Those with the most entries."""
    made = report(node(*listing(LINES)), by=(GroupBy.PEER, GroupBy.POD), limit=1)
    assert [group.name for group in made.items[0].groups] == ["10.244.1.1", TOOLS]
    assert made.notes[1:] == (
        "node node-a: 1 of 4 groups by peer are listed",
        "node node-a: 1 of 2 groups by pod are listed",
    )


def test_counts_that_are_not_exact_show_their_bounds() -> None:
    """More peers than are kept: a peer that came late may have had more."""
    many = [
        syn(f"2001:db8::{number >> 12:x}:{number & 0xFFF:x}", "fd00:99::11", 7, "CLOSE")
        for number in range(40_000)
    ]
    late = [syn("2001:db9::1", "fd00:99::11", number, "CLOSE") for number in range(1, 8)]
    made = report(node(*listing([*many, *late])), by=(GroupBy.PEER,), limit=1)
    (peer,) = groups(made, GroupBy.PEER)
    (listed,) = made.items[0].listed
    assert listed.folded is not None
    assert 0 < listed.folded <= len(many) / KEPT
    assert (peer.name, peer.entries, peer.entries_at_most) == ("2001:db9::1", 7, 7 + listed.folded)
    assert f"one that is not listed is {listed.folded} at most" in made.notes[1]


@pytest.mark.parametrize(
    ("src", "dst", "place"),
    [
        ("fd00:244:1::3", "fd00:96::20", "[fd00:96::20]:80 (service demo/web:http)"),
        ("10.244.1.3", "10.96.0.20", "10.96.0.20:80 (service demo/web:http)"),
        ("10.244.1.3", "192.0.2.1", "192.0.2.1:80"),
    ],
)
def test_a_place_that_gives_a_pod_no_answer_is_found(src: str, dst: str, place: str) -> None:
    """From twenty on, with fewer than a tenth established; what cannot be judged is said."""
    waiting = [syn(src, dst, number) for number in range(20)]
    (finding,) = report(node(*listing([*waiting, syn(src, dst, 99, "TIME_WAIT")]))).findings
    assert (finding.id, finding.severity) == ("conntrack-unreplied-syn", Severity.HIGH)
    assert (finding.subject, finding.node) == ("pod/demo/tools", "node-a")
    assert f"20 TCP connections of the pod to {place} wait" in finding.message
    assert "1 are established" in finding.message
    assert "scanner" in finding.not_judged[0]
    assert f"-n demo tools --dst {dst} --dport 80 --state SYN_SENT" in finding.advice
    assert "20 entries" in finding.evidence[0].text


@pytest.mark.parametrize(
    "lines",
    [
        [syn("fd00:244:1::3", "fd00:96::20", number) for number in range(19)],
        [syn("fd00:244:1::3", f"2001:db8::{number:x}", number) for number in range(40)],
        [syn("fd00:99::11", "fd00:96::20", number) for number in range(40)],
        [syn("fd00:244:1::3", "fd00:96::20", number, "SYN_RECV") for number in range(40)],
        [
            *(syn("fd00:244:1::3", "fd00:96::20", number) for number in range(27)),
            *(syn("fd00:244:1::3", "fd00:96::20", number, "ESTABLISHED") for number in range(3)),
        ],
    ],
    ids=["too few", "many places", "no pod", "answered", "a tenth established"],
)
def test_what_is_not_so_is_not_found(lines: list[str]) -> None:
    """A few retries, a scanner, a node, a handshake under way, a place that answers some."""
    assert report(node(*listing(lines))).findings == ()


def test_with_a_filter_that_parts_connections_nothing_is_judged() -> None:
    """--state SYN_SENT would leave out the established ones. The note says so; other filters judge."""
    lines = [syn("fd00:244:1::3", "fd00:96::20", number) for number in range(30)]
    made = report(node(*listing(lines)), FlowFilter(states=frozenset(("SYN_SENT",))))
    assert made.findings == ()
    assert any("were not judged" in note for note in made.notes)
    assert len(report(node(*listing(lines)), FlowFilter(dport=80)).findings) == 1


def test_of_pods_that_are_named_only_their_own_connections_are_judged() -> None:
    """Those of others came only as far as they have to do with the pod."""
    lines = [syn("fd00:244:1::3", "fd00:244:1::5", number) for number in range(30)]
    for name, found in (("web-1", 0), ("tools", 1)):
        pods = tuple(each for each in PODS if each.metadata.name == name)
        targets = NodeTargets(nodes=("node-a",), pods=pods)
        wanted = FlowFilter(addresses=frozenset(targets.addresses_on("node-a")))
        assert len(report(node(*listing(lines)), wanted, targets=targets).findings) == found


def test_what_could_not_be_read_is_a_gap() -> None:
    """Lists of the API, a family, lines that are no entry, the end of the stream."""
    bad = result("flows-ipv6", f"{TCP_V6}\nnonsense\n".encode())
    given = replace(node(result("flows-ipv4", code=127, stderr=b"not found"), bad), is_whole=False)
    made = report(given, state=replace(STATE, services=DENIED))
    assert [(gap.subject, gap.fact, gap.reason) for gap in made.gaps] == [
        ("cluster", "the list of services", Reason.PERMISSION_DENIED),
        ("node/node-a", "the IPv4 flows", Reason.TOOL_MISSING),
        ("node/node-a", "1 line of the IPv6 flows", Reason.UNPARSABLE),
        ("node/node-a", "the end of the node's answer", Reason.TRUNCATED),
    ]
    assert names(made, GroupBy.POD) == {TOOLS: 1, WEB_2: 1}
    assert made.items[0].table is None
    assert int(made.exit_code) == 4


def test_a_node_of_which_nothing_was_read_is_no_item() -> None:
    """Not a table of 0 entries."""
    made = report(node())
    assert made.items == ()
    assert [gap.fact for gap in made.gaps] == ["the IPv4 flows", "the IPv6 flows"]


def test_an_address_of_another_nodes_link_is_no_peer() -> None:
    """While a table is counted, the links of its own node alone are known."""
    bridge = LO.replace(
        b'"addr_info":[]',
        b'"addr_info":[{"family":"inet","local":"10.244.1.1","prefixlen":24,"scope":"global"}]',
    )
    given = {
        "node-a": answer(result("links", bridge), *listing(())),
        "node-b": node(*listing((NODE_PORT_V4, OFFLOADED_V6))),
    }
    counts = {name: count_flows(FakeNode(each, name), FlowFilter(), STATE) for name, each in given.items()}
    options = TopOptions(by=(GroupBy.PEER,))
    made = report_top(counts, STATE, NodeTargets(nodes=tuple(given)), FlowFilter(), options)
    assert [[group.name for group in item.groups] for item in made.items] == [[], ["2001:db8::1"]]


def test_a_peer_that_became_a_pod_while_the_table_was_read_has_its_name() -> None:
    """It stays a peer; what the later word does not know keeps its name, also where that could not be read."""
    lines = [
        syn("fd00:244:1::3", "fd00:244:2::99", 1, "CLOSE"),
        syn("fd00:244:1::3", "2001:db8::1", 2, "CLOSE"),
        syn("10.244.1.50", "10.244.1.3", 3, "CLOSE"),
    ]
    counts = {"node-a": count_flows(FakeNode(node(*listing(lines))), FlowFilter(), STATE)}
    asked = NodeTargets(nodes=("node-a",)), FlowFilter(), TopOptions(by=(GroupBy.POD, GroupBy.PEER))
    later = replace(STATE, pods=Known((*PODS, pod("new", "fd00:244:2::99"), pod("idle", "fd00:244:2::98"))))
    made = report_top(counts, STATE, *asked, later=later)
    assert {group.name: show_owner(group.owner) for group in groups(made, GroupBy.PEER) if group.owner} == {
        "10.244.1.50": "no pod known (in the pod range of node-a)",
        "2001:db8::1": "external",
        "fd00:244:2::99": "pod demo/new",
    }
    assert names(made, GroupBy.POD) == {TOOLS: 3}
    assert made.notes[1:] == (
        "1 peer is a pod that was created or got an address while the table was read, and not counted by pod: demo/new",
    )
    denied = report_top(counts, STATE, *asked, later=replace(STATE, pods=DENIED))
    assert denied.items == report_top(counts, STATE, *asked).items
    assert [gap.fact for gap in denied.gaps] == ["the list of pods"]


def test_new_pods_among_the_peers_are_counted_once_an_address() -> None:
    """On however many nodes; a pod of two families is named once."""
    lines = [
        syn("fd00:244:1::3", "fd00:244:2::99", 1, "CLOSE"),
        syn("10.244.1.3", "10.244.2.99", 2, "CLOSE"),
        syn("10.244.1.3", "10.244.2.98", 3, "CLOSE"),
    ]
    given = {name: FakeNode(node(*listing(lines)), name) for name in ("node-a", "node-b")}
    counts = {name: count_flows(each, FlowFilter(), STATE) for name, each in given.items()}
    new = pod("new", "10.244.2.99", "fd00:244:2::99"), pod("api", "10.244.2.98")
    later = replace(STATE, pods=Known((*PODS, *new)))
    targets = NodeTargets(nodes=tuple(given))
    made = report_top(counts, STATE, targets, FlowFilter(), TopOptions(), later=later)
    assert made.notes[-1].startswith("3 peers are pods that were created or got an address while")
    assert made.notes[-1].endswith(": demo/api, demo/new")


def test_gaps_of_nodes_that_failed_come_first() -> None:
    """Beside the answers of the others."""
    gap = Gap("node/node-b", "the node", Reason.FAILED, "refused")
    counts = count_flows(FakeNode(node(*listing(LINES))), FlowFilter(), STATE)
    targets = NodeTargets(nodes=("node-a", "node-b"))
    made = report_top({"node-a": counts}, STATE, targets, FlowFilter(), TopOptions(), (gap,), ("read",))
    assert made.gaps == (gap,)
    assert made.notes[-1] == "read"


def test_the_plan_narrows_what_travels_to_the_pods_that_are_named() -> None:
    """By exact addresses; without pods it lists all."""
    narrow = build_count_plan(FlowFilter(addresses=frozenset(PODS[0].addresses)))
    assert "=fd00:244:1::3 " in narrow.node_probes[-1].argv[4]
    assert build_count_plan(FlowFilter()).node_probes[-1].argv[0] == "conntrack"
    assert isinstance(STATE.pods, Known)
