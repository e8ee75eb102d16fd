"""`conntrack list` from what was read to what is said."""

from __future__ import annotations

import ipaddress
from typing import Any

from msgspec.structs import replace

from netinspect.models.address import parse_address
from netinspect.models.cluster_state import ClusterState
from netinspect.models.fact import Gap, Known, Reason
from netinspect.models.flow_filter import FlowFilter
from netinspect.models.named_flow import NamedFlow
from netinspect.models.node_flows import NodeFlows
from netinspect.models.report import Report
from netinspect.probes.conntrack import build_flow_plan
from netinspect.usecases.conntrack_list import (
    KIND,
    Named,
    build_list_plan,
    choose_flows,
    read_flows,
    report_flows,
)
from netinspect.usecases.node_targets import NodeTargets
from tests.unit.flow_world import (
    DENIED,
    GRE_V4,
    NEIGHBOUR_V4,
    NODE_PORT_V4,
    PODS,
    STATE,
    TCP_V4,
    TCP_V6,
    UNREPLIED_V6,
    pod,
)
from tests.unit.usecases.fake_node import LO, FakeNode, answer, result

BRIDGE = (
    b'[{"ifindex":5,"ifname":"cni0","flags":["UP"],"mtu":1500,"operstate":"UP","link_type":"ether",'
    b'"address":"0a:00:00:00:00:01","addr_info":[{"family":"inet","local":"10.244.1.1","prefixlen":24,"scope":"global"}]}]'
)
WHOLE = NodeTargets(nodes=("node-a",))


def read(
    *lines: str, node: str = "node-a", links: bytes = LO, wanted: FlowFilter | None = None, **wishes: Any
) -> NodeFlows:
    """A node's table with these lines."""
    results = [result("links", links)]
    for family in ("ipv4", "ipv6"):
        own = [line for line in lines if line.startswith(family)]
        shown = f"conntrack v1.4.7 (conntrack-tools): {len(own) + 20} flow entries have been shown.\n"
        stdout = "".join(f"{line}\n" for line in own).encode()
        results.append(result(f"flows-{family}", stdout, stderr=shown.encode()))
    return read_flows(FakeNode(answer(*results, **wishes), node), wanted or FlowFilter())


def reported(
    *tables: NodeFlows,
    before: ClusterState = STATE,
    after: ClusterState = STATE,
    targets: NodeTargets = WHOLE,
) -> Report[NamedFlow]:
    named = Named(before=before, after=after)
    return report_flows({table.node: table for table in tables}, named, targets, notes=("read so",))


def ids(report: Report[NamedFlow]) -> list[int | None]:
    return [item.flow.id for item in report.items]


def test_pods_flows_are_looked_for_by_their_own_addresses_on_their_own_nodes() -> None:
    """The flags' conditions hold as well."""
    targets = NodeTargets(nodes=("node-a", "node-b"), pods=PODS[:3])
    chosen = choose_flows(targets, FlowFilter(dport=80))
    assert {node: set(map(str, each.addresses)) for node, each in chosen.items()} == {
        "node-a": {"10.244.1.3", "fd00:244:1::3", "10.244.1.5", "fd00:244:1::5"},
        "node-b": {"10.244.2.7", "fd00:244:2::7"},
    }
    assert {each.dport for each in chosen.values()} == {80}
    assert choose_flows(WHOLE, FlowFilter()) == {"node-a": FlowFilter()}


def test_the_node_narrows_where_that_loses_nothing() -> None:
    """By the pods' addresses, or by --src and --dst that are single ones."""
    address = parse_address("fd00:244:1::3")
    assert build_list_plan(FlowFilter(addresses=frozenset((address,)))) == build_flow_plan([address])
    single = (ipaddress.ip_network("fd00:244:1::3/128"),)
    assert build_list_plan(FlowFilter(dst=single)) == build_flow_plan([address])
    assert build_list_plan(FlowFilter(dst=(ipaddress.ip_network("fd00::/64"),))) == build_flow_plan()


def test_the_filter_here_decides() -> None:
    """Whatever more the node sends."""
    wanted = FlowFilter(addresses=frozenset((parse_address("10.244.1.5"), parse_address("fd00:244:1::3"))))
    table = read(NEIGHBOUR_V4, TCP_V4, TCP_V6, UNREPLIED_V6, wanted=wanted)
    assert ids(reported(table)) == [102, 104]


def test_flows_are_named_counted_and_in_a_stable_order() -> None:
    """IPv4 first, by protocol, source, destination and ports, whatever the order of the table."""
    lines = (UNREPLIED_V6, TCP_V6, GRE_V4, NODE_PORT_V4, TCP_V4)
    report = reported(read(*lines, links=BRIDGE))
    assert ids(report) == [101, 103, 107, 102, 104]
    assert ids(reported(read(*reversed(lines)))) == ids(report)
    assert report.kind == KIND
    assert report.items[0].words.endswith("-> pod demo/web-2 10.244.2.7:8080")
    assert report.items[1].words.endswith("source seen as node node-a (cni0) 10.244.1.1:37363")
    assert report.notes == ("node node-a: 5 flows of 45 entries in its table", "read so")
    assert report.gaps == ()


def test_nodes_come_in_the_order_named_each_with_its_count() -> None:
    """One line each."""
    report = reported(
        read(TCP_V6, node="node-b"), read(TCP_V6), targets=NodeTargets(nodes=("node-b", "node-a"))
    )
    assert [item.node for item in report.items] == ["node-b", "node-a"]
    assert report.notes[:2] == (
        "node node-b: 1 flow of 41 entries in its table",
        "node node-a: 1 flow of 41 entries in its table",
    )


def test_a_pods_own_netns_is_said_not_to_be_looked_at() -> None:
    """And an empty answer to prove nothing; pods that were left out are told."""
    targets = NodeTargets(nodes=("node-a",), pods=PODS[:1], notes=("pod demo/hostnet uses ...",))
    report = reported(read(TCP_V6), targets=targets)
    assert any("own netns" in note for note in report.notes)
    assert "pod demo/hostnet uses ..." in report.notes
    assert not any("NOTRACK" in note for note in report.notes)
    assert any("NOTRACK" in note for note in reported(read(), targets=targets).notes)
    assert not any("own netns" in note or "NOTRACK" in note for note in reported(read()).notes)


def test_names_that_changed_while_nodes_were_read_are_told() -> None:
    """A pod that is gone afterwards is still named by what was said before."""
    after = replace(STATE, pods=Known(PODS[1:]))
    report = reported(read(TCP_V6), after=after)
    assert report.items[0].source.name == "tools"
    assert (
        "fd00:244:1::3 changed from pod demo/tools to no pod known (in the pod range of node-a) "
        "while the nodes were read" in report.notes
    )


def test_many_changes_are_told_by_their_number() -> None:
    """The first of them in full."""
    pods = [pod(f"p{index}", f"10.244.1.{100 + index}") for index in range(15)]
    lines = [TCP_V4.replace("10.244.1.3", f"10.244.1.{100 + index}") for index in range(15)]
    report = reported(read(*lines), before=replace(STATE, pods=Known((*PODS, *pods))))
    told = [note for note in report.notes if note.endswith("while the nodes were read")]
    assert len(told) == 11
    assert told[-1] == "5 more names changed while the nodes were read"


def test_a_missing_list_is_a_gap_once_and_its_names_are_unknown() -> None:
    """Not external."""
    poor = replace(STATE, services=DENIED)
    report = reported(read(TCP_V6), before=poor, after=poor)
    assert report.items[0].destination.kind.value == "unknown"
    assert report.gaps == (Gap("cluster", "the list of services", Reason.PERMISSION_DENIED, "forbidden"),)


def test_what_a_node_could_not_tell_is_a_gap() -> None:
    """Its links, a family, the end of its answer, and how many entries it has."""
    denied = result("flows-ipv4", code=1, stderr=b"Operation not permitted")
    node = FakeNode(answer(denied, result("flows-ipv6", f"{TCP_V6}\n".encode()), is_whole=False))
    report = reported(read_flows(node, FlowFilter()))
    assert [gap.fact for gap in report.gaps] == [
        "the IPv4 flows",
        "its links",
        "the end of the node's answer",
    ]
    assert report.notes[0] == "node node-a: 1 flow of an unknown number of entries in its table"
    assert ids(report) == [102]
