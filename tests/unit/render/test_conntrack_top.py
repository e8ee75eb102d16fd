"""The table of `conntrack top`."""

from __future__ import annotations

from typing import Any

from netinspect.models.address import parse_address
from netinspect.models.address_owner import AddressOwner, OwnerKind
from netinspect.models.flow_counts import FlowGroup, GroupBy, NodeFlowCounts
from netinspect.render.conntrack_top import columns, name_of, rows_of
from netinspect.render.table import render_table

GONE = AddressOwner(kind=OwnerKind.GONE, node="node-b")
MULTICAST = AddressOwner(kind=OwnerKind.EXTERNAL, detail="multicast")
POD = FlowGroup(
    by=GroupBy.POD,
    name="demo/web-1",
    entries=7,
    as_client=6,
    as_backend=2,
    change=-3,
    per_second=-1.5,
)


def peer(name: str, owner: AddressOwner, **numbers: Any) -> FlowGroup:
    return FlowGroup(
        by=GroupBy.PEER, name=name, entries=1, owner=owner, address=parse_address(name), **numbers
    )


def node(*groups: FlowGroup) -> NodeFlowCounts:
    return NodeFlowCounts(
        node="node-a", entries=10, table=10, max=10_000, seconds=2.0, change=5, groups=groups
    )


def table(*groups: FlowGroup, has_growth: bool = False) -> list[list[str]]:
    text = render_table(columns(has_growth=has_growth), rows_of(node(*groups)))
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]


def test_all_entries_stand_above_the_groups() -> None:
    """With shares of the table and of its limit; less than can be shown is not 0."""
    header, every, pod = table(POD)
    assert header == ["NODE", "BY", "GROUP", "ENTRIES", "OF TABLE", "OF MAX", "REMARK"]
    assert every == ["node-a", "all", "<none>", "10", "100.0%", "0.1%", "<none>"]
    assert pod == ["node-a", "pod", "demo/web-1", "7", "70.0%", "<0.1%", "client in 6, backend in 2"]


def test_growth_has_columns_where_there_were_two_listings() -> None:
    """With its sign, and with how wrong it may be."""
    header, every, pod, other = table(
        POD, peer("2001:db8::1", MULTICAST, entries_at_most=9, change=1, change_error=8), has_growth=True
    )
    assert header[4:6] == ["CHANGE", "PER SECOND"]
    assert every[4:6] == ["+5", "+2.5"]
    assert pod[4:6] == ["-3", "-1.5"]
    assert other[3:6] == ["1-9", "+1 (+-8)", "<none>"]


def test_a_peer_says_what_is_known_of_it() -> None:
    """An address of a pod range that no pod has is no stranger's."""
    new = AddressOwner(kind=OwnerKind.POD, namespace="demo", name="new")
    _, _, gone, many, came = table(
        peer("fd00:244:2::99", GONE), peer("ff02::1", MULTICAST), peer("fd00:244:2::98", new)
    )
    assert gone[-1] == "no pod known (in the pod range of node-b)"
    assert many[-1] == "multicast"
    assert came[-1] == "pod demo/new"


def test_what_is_not_known_is_no_number() -> None:
    """No limit, no share of it."""
    unknown = NodeFlowCounts(node="node-a", entries=1)
    text = render_table(columns(has_growth=True), rows_of(unknown))
    assert text.splitlines()[1].split() == ["node-a", "all", "<none>", "1", *["<none>"] * 5]
    assert name_of(unknown) == "node/node-a"
