"""Links, dataplanes and conntrack tables of nodes."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from netinspect.analyze.differences.links import compare_node_links, compare_pod_links
from netinspect.analyze.differences.nodes import compare_conntrack, compare_dataplanes
from netinspect.models.conntrack_limit import ConntrackSysctls
from netinspect.models.dataplane import Confidence, Dataplane, NodeDataplane, Trace
from netinspect.models.difference import Difference
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.models.network_state import NodeState
from netinspect.models.veth import Attachment, HostLink, LinkMatch, PodAttachment, PodLink
from netinspect.models.veth import Confidence as Match
from tests.unit.analyze.build import link

UNREAD = Unavailable(Reason.TRUNCATED, "cut")


def told(found: Iterable[Difference]) -> list[tuple[str, str, str, dict[str, tuple[str, str]]]]:
    return [
        (
            each.pod,
            each.name,
            each.change.value,
            {field.field: (field.before, field.after) for field in each.fields},
        )
        for each in found
    ]


def attached(
    name: str = "web-1", host: str | None = "veth1", state: str = "UP", missing: Unavailable | None = None
) -> PodAttachment:
    """A pod whose eth0 leads to a link of the node."""
    own = PodLink(ifname="eth0", ifindex=2, mtu=1500, operstate=state)
    end = (
        HostLink(ifname=host, ifindex=9, mtu=1500, operstate=state, kind="veth", master="cni0")
        if host
        else None
    )
    match = LinkMatch(attachment=Attachment.VETH, confidence=Match.CONFIRMED, pod_link=own, host_link=end)
    return PodAttachment(
        namespace="demo",
        name=name,
        node="node-a",
        attachment=Attachment.VETH,
        links=() if missing else (match,),
        missing=missing,
    )


def pods(*listed: PodAttachment) -> NodeState:
    return NodeState(node="node-a", attachments=listed)


def test_a_pods_link_is_found_by_the_pods_name() -> None:
    assert told(compare_pod_links(pods(attached()), pods(attached(host="veth2", state="DOWN")))) == [
        (
            "demo/web-1",
            "eth0",
            "changed",
            {"state": ("UP", "DOWN"), "host link": ("veth1", "veth2"), "host state": ("UP", "DOWN")},
        )
    ]


def test_a_lost_end_is_a_change() -> None:
    ((_, _, change, fields),) = told(compare_pod_links(pods(attached()), pods(attached(host=None))))
    assert (change, fields["host link"]) == ("changed", ("veth1", ""))


def test_links_of_pods_that_came_or_were_not_read_are_not_told() -> None:
    assert told(compare_pod_links(pods(attached()), pods(attached("web-2")))) == []
    assert told(compare_pod_links(pods(attached()), pods(attached(missing=UNREAD)))) == []


def test_a_nodes_own_links_are_those_of_no_pod() -> None:
    old = NodeState(
        node="node-a",
        links=Known((link("eth0", 2, None), link("veth1", 9), link("gone0", 5, "dummy"))),
        attachments=(attached(),),
    )
    new = NodeState(
        node="node-a",
        links=Known((link("eth0", 7, None, mtu=9000), link("veth2", 10), link("cni0", 5, "bridge"))),
        attachments=(attached("web-2", "veth2"),),
    )
    assert told(compare_node_links(old, new)) == [
        ("", "cni0", "added", {"kind": ("", "bridge"), "mtu": ("", "1500"), "state": ("", "UP")}),
        ("", "eth0", "changed", {"mtu": ("1500", "9000")}),
        ("", "gone0", "removed", {"kind": ("dummy", ""), "mtu": ("1500", ""), "state": ("UP", "")}),
    ]
    assert told(compare_node_links(old, replace(new, links=UNREAD))) == []


def dataplane(
    what: Dataplane = Dataplane.NFTABLES, mode: str | None = "nftables", **fields: object
) -> NodeState:
    each = NodeDataplane(
        node="node-a",
        family=6,
        dataplane=what,
        is_readable=True,
        confidence=Confidence.CERTAIN,
        kube_proxy_mode=mode,
        **fields,  # type: ignore[arg-type]
    )
    return NodeState(node="node-a", dataplanes=Known((each,)))


def test_another_dataplane_is_told_with_what_it_left_behind() -> None:
    left = Trace(dataplane=Dataplane.IPTABLES, place="iptables-nft", services=3)
    old, new = dataplane(Dataplane.IPTABLES, "iptables"), dataplane(leftovers=(left,))
    ((_, name, change, fields),) = told(compare_dataplanes(old, new))
    assert (name, change) == ("nftables", "changed")
    assert fields == {
        "dataplane": ("iptables", "nftables"),
        "kube-proxy": ("iptables", "nftables"),
        "leftovers": ("", "iptables-nft"),
    }


def test_how_many_services_have_chains_is_told_by_their_rules() -> None:
    few, many = (Trace(dataplane=Dataplane.NFTABLES, place="nft", services=each) for each in (3, 9))
    assert told(compare_dataplanes(dataplane(traces=(few,)), dataplane(traces=(many,), services=4))) == []
    cut = replace(few, missing=("nat PREROUTING -> KUBE-SERVICES",))
    assert len(told(compare_dataplanes(dataplane(traces=(few,)), dataplane(traces=(cut,))))) == 1


def test_a_silent_kube_proxy_is_no_change_and_what_was_not_read_is_none() -> None:
    assert told(compare_dataplanes(dataplane(), dataplane(mode=None))) == []
    assert told(compare_dataplanes(dataplane(), NodeState(node="node-a", dataplanes=UNREAD))) == []
    assert told(compare_dataplanes(NodeState(node="node-a", dataplanes=Known(())), dataplane())) == []


def table(count: int, most: int = 1000, buckets: int = 256) -> NodeState:
    return NodeState(
        node="node-a", limits=Known(ConntrackSysctls(count=count, max=most, buckets=buckets, acct=count))
    )


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (table(0), table(749), {}),
        (table(750), table(899), {}),
        (table(900), table(1000), {}),
        (table(749), table(750), {"table": ("below 75 %", "75 % to 90 %")}),
        (table(900), table(899), {"table": ("90 % or more", "75 % to 90 %")}),
        (table(5), table(5, 2000, 512), {"max": ("1000", "2000"), "buckets": ("256", "512")}),
        (table(5), NodeState(node="node-a", limits=UNREAD), {}),
    ],
)
def test_a_table_changes_by_levels(
    before: NodeState, after: NodeState, expected: dict[str, tuple[str, str]]
) -> None:
    wanted = [("", "node-a", "changed", expected)] if expected else []
    assert told(compare_conntrack(before, after)) == wanted
