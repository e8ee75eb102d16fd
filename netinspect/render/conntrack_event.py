"""Events of flows, a line each, as they come: how wide a column is has to be said before the next line is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from netinspect.models.codec import to_builtins
from netinspect.models.flow_watch import NamedFlowEvent
from netinspect.render.conntrack import show_mark, show_state, show_timeout, show_tuple, show_zone
from netinspect.render.sanitize import sanitize
from netinspect.render.table import EMPTY


class _Column(NamedTuple):
    """A column; one of the width 0 takes what it needs."""

    header: str
    width: int
    cell: Callable[[NamedFlowEvent], str]
    is_wide: bool = False


_COLUMNS = (
    _Column("TIME", 13, lambda event: _show_time(event)),
    _Column("EVENT", 7, lambda event: event.event.value),
    _Column("PROTO", 6, lambda event: event.flow.protocol),
    _Column("STATE", 19, lambda event: show_state(event.flow)),
    _Column("TIMEOUT", 8, lambda event: show_timeout(event.flow), is_wide=True),
    _Column("ORIGINAL", 45, lambda event: show_tuple(event.flow.original), is_wide=True),
    _Column("REPLY", 45, lambda event: show_tuple(event.flow.reply), is_wide=True),
    _Column("MARK", 10, lambda event: show_mark(event.flow), is_wide=True),
    _Column("ZONE", 6, lambda event: show_zone(event.flow), is_wide=True),
    _Column("ID", 10, lambda event: "" if event.flow.id is None else str(event.flow.id), is_wide=True),
    _Column("WHO", 0, lambda event: event.words),
)


def render_event_header(*, is_wide: bool, node_width: int = 0) -> str:
    """Return the header line.

    Args:
        is_wide: whether all columns are shown.
        node_width: the longest node name's length; 0 where only one node is watched, which then has no column.
    """
    return _line(_chosen(node_width, is_wide=is_wide), lambda column: column.header)


def render_event(event: NamedFlowEvent, *, is_wide: bool, node_width: int = 0) -> str:
    """Return an event's line; the arguments are those of the header."""
    return _line(_chosen(node_width, is_wide=is_wide), lambda column: column.cell(event))


def render_event_json(event: NamedFlowEvent) -> str:
    """Return an event as one line of JSON. What is not printable ASCII is escaped: it may steer a terminal."""
    return json.dumps(to_builtins(event), separators=(",", ":")) + "\n"


def _chosen(node_width: int, *, is_wide: bool) -> tuple[_Column, ...]:
    node = (_Column("NODE", node_width, lambda event: event.node),) if node_width else ()
    return (*node, *(column for column in _COLUMNS if is_wide or not column.is_wide))


def _line(columns: tuple[_Column, ...], text_of: Callable[[_Column], str]) -> str:
    cells = (_one_line(text_of(column)).ljust(column.width) for column in columns)
    return "  ".join(cells).rstrip() + "\n"


def _one_line(text: str) -> str:
    return " ".join(sanitize(text).replace("\t", " ").splitlines()) or EMPTY


def _show_time(event: NamedFlowEvent) -> str:
    """Write the node's time, in UTC, to the millisecond."""
    return "" if event.time is None else f"{event.time:%H:%M:%S}.{event.time.microsecond // 1000:03}Z"
