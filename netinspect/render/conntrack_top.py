"""The table of `conntrack top`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from netinspect.models.address_owner import OwnerKind, show_owner
from netinspect.models.flow_counts import FlowGroup, GroupBy, NodeFlowCounts
from netinspect.render.table import Column

_LEAST_SHOWN = 0.1


@dataclass(frozen=True)
class Row:
    """A node and one of its groups; the row without a group is that of all entries that were counted."""

    node: NodeFlowCounts
    group: FlowGroup | None


def rows_of(node: NodeFlowCounts) -> Iterable[Row]:
    """Return a row for all entries and one for each group."""
    return [Row(node, None), *(Row(node, group) for group in node.groups)]


def columns(*, has_growth: bool) -> tuple[Column[Row], ...]:
    """Return the columns; growth is shown where the table was listed twice."""
    growth = (Column("CHANGE", _change), Column("PER SECOND", _per_second))
    return (
        Column("NODE", lambda row: row.node.node),
        Column("BY", lambda row: row.group.by.value if row.group else "all"),
        Column("GROUP", _name),
        Column("ENTRIES", _entries),
        *(growth if has_growth else ()),
        Column("OF TABLE", lambda row: _share(row, row.node.table)),
        Column("OF MAX", lambda row: _share(row, row.node.max)),
        Column("REMARK", _remark),
    )


def name_of(node: NodeFlowCounts) -> str:
    """Return the node's resource name, as `-o name` prints it."""
    return f"node/{node.node}"


def _name(row: Row) -> str:
    return row.group.name if row.group else ""


def _entries(row: Row) -> str:
    if row.group is None:
        return str(row.node.entries)
    group = row.group
    return str(group.entries) if group.entries_at_most is None else f"{group.entries}-{group.entries_at_most}"


def _change(row: Row) -> str:
    if row.group is None:
        return _signed(row.node.change)
    error = f" (+-{row.group.change_error})" if row.group.change_error else ""
    return f"{_signed(row.group.change)}{error}"


def _per_second(row: Row) -> str:
    if row.group is not None:
        return "" if row.group.per_second is None else f"{row.group.per_second:+.1f}"
    node = row.node
    return f"{node.change / node.seconds:+.1f}" if node.change is not None and node.seconds else ""


def _signed(value: int | None) -> str:
    return "" if value is None else f"{value:+d}"


def _share(row: Row, whole: int | None) -> str:
    if not whole:
        return ""
    percent = 100 * (row.group or row.node).entries / whole
    return f"{percent:.1f}%" if percent >= _LEAST_SHOWN or not percent else f"<{_LEAST_SHOWN}%"


def _remark(row: Row) -> str:
    group = row.group
    if group is None:
        return ""
    if group.by is GroupBy.POD:
        return f"client in {group.as_client}, backend in {group.as_backend}"
    if group.by is GroupBy.PEER and group.owner is not None and group.owner.kind is not OwnerKind.EXTERNAL:
        return show_owner(group.owner)
    return group.owner.detail if group.by is GroupBy.PEER and group.owner else ""
