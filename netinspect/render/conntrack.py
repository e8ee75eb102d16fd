"""Flows as tables have them: the cells that the conntrack commands share, and the table of `conntrack list`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from netinspect.models.address import show_endpoint
from netinspect.models.address_owner import show_owner
from netinspect.models.conntrack import Flow, FlowTuple
from netinspect.models.named_flow import NamedFlow
from netinspect.render.table import Column

_BLANK = " "
"""A cell that is to stay empty: an empty text would be shown as `<none>`."""

_LEAST_ROOM = 40
_PADDING, _SEPARATOR = 2, 2


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        named: the flow.
        who: a part of who speaks to whom.
        is_first: whether the flow's own columns are filled: its further lines hold nothing but the next part.
    """

    named: NamedFlow
    who: str
    is_first: bool


def rows_within(flows: Sequence[NamedFlow], width: int) -> Callable[[NamedFlow], Iterable[Row]]:
    """Return what gives a flow's lines: one, and further ones for what is translated where that takes too much room.

    Args:
        flows: all that the table has: they decide how much room their tuples leave.
        width: of the terminal, in columns.
    """
    room = max(_LEAST_ROOM, width - sum(_width_of(column, flows) for column in COLUMNS[:_WHO]))

    def rows_of(named: NamedFlow) -> Iterable[Row]:
        return [Row(named, part, index == 0) for index, part in enumerate(fold_who(named, room))]

    return rows_of


def wide_rows_of(named: NamedFlow) -> Iterable[Row]:
    """Return one line for a flow."""
    return [Row(named, named.words, is_first=True)]


COLUMNS: tuple[Column[Row], ...] = (
    Column("NODE", lambda row: row.named.node if row.is_first else _BLANK),
    Column("PROTO", lambda row: row.named.flow.protocol if row.is_first else _BLANK),
    Column("STATE", lambda row: show_state(row.named.flow) if row.is_first else _BLANK),
    Column("TIMEOUT", lambda row: show_timeout(row.named.flow) if row.is_first else _BLANK),
    Column("ORIGINAL", lambda row: show_tuple(row.named.flow.original) if row.is_first else _BLANK),
    Column("REPLY", lambda row: show_tuple(row.named.flow.reply) if row.is_first else _BLANK),
    Column("WHO", lambda row: row.who),
    Column("PACKETS", lambda row: _pair(row, "packets"), is_wide=True),
    Column("BYTES", lambda row: _pair(row, "bytes"), is_wide=True),
    Column("MARK", lambda row: show_mark(row.named.flow), is_wide=True),
    Column("ZONE", lambda row: show_zone(row.named.flow), is_wide=True),
    Column("ID", lambda row: _text(row.named.flow.id), is_wide=True),
    Column("LABELS", lambda row: ",".join(row.named.flow.labels), is_wide=True),
    Column("RAW", lambda row: row.named.flow.raw, is_wide=True),
)


_WHO = [column.header for column in COLUMNS].index("WHO")


def name_of(named: NamedFlow) -> str:
    """Return what `-o name` prints: the node and the kernel's id of the entry."""
    return f"flow/{named.node}/{_text(named.flow.id)}"


def fold_who(named: NamedFlow, room: int) -> tuple[str, ...]:
    """Write who speaks to whom without addresses, in as few lines as have room: a part is never cut."""
    lines: list[str] = []
    for part in _parts(named):
        if lines and len(lines[-1]) + 1 + len(part) <= room:
            lines[-1] += f" {part}"
        else:
            lines.append(part)
    return tuple(lines)


def _parts(named: NamedFlow) -> Iterator[str]:
    """Yield source, destination, and each translation for itself."""
    flow = named.flow
    yield show_owner(named.source)
    yield f"-> {show_owner(named.destination, details=False)}"
    if flow.is_dnat:
        yield f"-> {show_owner(named.backend)}"
    if flow.is_snat:
        yield f"(source seen as {show_owner(named.reply_to, details=False)})"


def show_state(flow: Flow) -> str:
    """Write state and flags as conntrack-tools spells them: `ESTABLISHED,ASSURED`; "" for a flow without any."""
    words = (
        flow.state,
        "UNREPLIED" if flow.unreplied else None,
        "ASSURED" if flow.assured else None,
        flow.offload.value if flow.offload else None,
    )
    return ",".join(word for word in words if word)


def show_timeout(flow: Flow) -> str:
    """Write the seconds that are left."""
    return "" if flow.timeout_s is None else f"{flow.timeout_s}s"


def show_tuple(one: FlowTuple) -> str:
    """Write one direction: `10.0.0.1:4242 -> 10.0.0.2:80`; behind it what a protocol has in place of ports.

    That is ICMP's `TYPE/CODE id ID`, and GRE's `keys SOURCE/DESTINATION`.
    """
    ends = f"{show_endpoint(one.src, one.sport)} -> {show_endpoint(one.dst, one.dport)}"
    if one.icmp_type is not None:
        return f"{ends} {one.icmp_type}/{one.icmp_code} id {one.icmp_id}"
    if one.src_key is not None and one.dst_key is not None:
        return f"{ends} keys {one.src_key:#x}/{one.dst_key:#x}"
    return ends


def show_mark(flow: Flow) -> str:
    """Write the mark as iptables does, in hexadecimal."""
    return "" if flow.mark is None else f"{flow.mark:#x}"


def show_zone(flow: Flow) -> str:
    """Write the zone of both directions, or that of one."""
    own = (("original", flow.original.zone), ("reply", flow.reply.zone))
    return ",".join(f"{name}:{zone}" for name, zone in own if zone) or str(flow.zone)


def _width_of(column: Column[Row], flows: Sequence[NamedFlow]) -> int:
    """Return how wide a column gets: tabulate gives a header some room more than its letters."""
    cells = (len(column.cell(Row(named, "", is_first=True))) for named in flows)
    return max(len(column.header) + _PADDING, *cells, 0) + _SEPARATOR


def _pair(row: Row, name: str) -> str:
    """Write a counter of both directions as `sent/answered`; "" where nothing is counted."""
    values = [getattr(one, name) for one in (row.named.flow.original, row.named.flow.reply)]
    return "" if values == [None, None] else "/".join(map(_text, values))


def _text(value: int | None) -> str:
    return "-" if value is None else str(value)
