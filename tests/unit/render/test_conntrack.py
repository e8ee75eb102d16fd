"""Flows as lines of a table that fits a terminal."""

from __future__ import annotations

import pytest

from netinspect.analyze.address_book import build_address_book
from netinspect.analyze.conntrack.flow_names import name_flow
from netinspect.models.named_flow import NamedFlow
from netinspect.models.report import Report
from netinspect.render.conntrack import (
    COLUMNS,
    fold_who,
    name_of,
    rows_within,
    show_mark,
    show_state,
    show_timeout,
    show_tuple,
    show_zone,
    wide_rows_of,
)
from netinspect.render.output_format import OutputFormat
from netinspect.render.report import render_report
from tests.unit.analyze.build import link
from tests.unit.flow_world import (
    GRE_V4,
    LINES,
    NEIGHBOUR_V4,
    NODE_PORT_V4,
    OFFLOADED_V6,
    PING_V6,
    STATE,
    TCP_V4,
    TCP_V6,
    UNREPLIED_V6,
    ZONE_V4,
    flow,
)

BOOK = build_address_book(STATE, {"node-a": [link("cni0", 5, "bridge", ips=("10.244.1.1/24",))]})


def named(line: str) -> NamedFlow:
    return name_flow("node-a", flow(line), BOOK)


def table(*lines: str, output: OutputFormat = OutputFormat.TABLE, width: int = 200) -> list[str]:
    report = Report(kind="FlowList", items=tuple(map(named, lines)))
    rows = wide_rows_of if output is OutputFormat.WIDE else rows_within(report.items, width)
    return render_report(report, COLUMNS, name_of, output, rows_of=rows).splitlines()


def words(line: str) -> list[str]:
    return [word for word in line.split("  ") if word]


def test_a_flow_shows_both_tuples_and_who_it_is() -> None:
    """In one line where that fits; what is translated goes into further lines, whose other columns stay empty."""
    header, first, second, third = table(TCP_V6, NODE_PORT_V4, width=180)[:4]
    assert [word.strip() for word in words(header)] == [
        *("NODE", "PROTO", "STATE", "TIMEOUT", "ORIGINAL", "REPLY", "WHO")
    ]
    assert [word.strip() for word in words(first)] == [
        *("node-a", "tcp", "ESTABLISHED,ASSURED", "86399s"),
        "[fd00:244:1::3]:42548 -> [fd00:96::20]:80",
        "[fd00:244:2::7]:8080 -> [fd00:244:1::3]:42548",
        "pod demo/tools -> service demo/web:http",
    ]
    assert second.strip() == "-> pod demo/web-2"
    assert "10.244.1.3:53732 -> 10.99.0.11:30080" in third
    assert "10.244.2.7:8080 -> 10.244.1.1:37363" in third


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        (TCP_V4, ("pod demo/tools -> service demo/web:http", "-> pod demo/web-2")),
        (
            NODE_PORT_V4,
            (
                "pod demo/tools -> service demo/web:http",
                "-> pod demo/web-2 (source seen as node node-a)",
            ),
        ),
        (UNREPLIED_V6, ("pod demo/tools -> service demo/web:echo",)),
        (PING_V6, ("pod demo/tools -> pod demo/web-2",)),
        (NEIGHBOUR_V4, ("no pod known (in the pod range of node-a)", "-> external")),
        (OFFLOADED_V6, ("pod demo/tools -> external", "(source seen as node node-a)")),
    ],
)
def test_who_is_folded_where_it_is_long(line: str, lines: tuple[str, ...]) -> None:
    """A part is never cut."""
    assert fold_who(named(line), 46) == lines
    assert fold_who(named(line), 999) == (" ".join(lines),)


@pytest.mark.parametrize("lines", [LINES, (TCP_V6,), (TCP_V4, NODE_PORT_V4), ()])
@pytest.mark.parametrize("width", [200, 220, 260])
def test_the_table_fits_its_terminal_and_uses_it(lines: tuple[str, ...], width: int) -> None:
    """Folded no more than is needed: a column less than the widest line would fold it."""
    shown = table(*lines, width=width)
    widest = max(map(len, shown), default=0)
    assert widest <= width
    assert len(table(*lines, width=widest)) == len(shown)
    if len(shown) < len(table(*lines, width=0)):
        assert len(table(*lines, width=widest - 1)) > len(shown)


def test_in_no_terminal_a_part_is_cut() -> None:
    """Where too little room is left, the lines are as long as they have to be."""
    parts = [line.strip() for line in table(NODE_PORT_V4, width=10)][2:]
    assert parts == ["-> pod demo/web-2", "(source seen as node node-a)"]


def test_the_wide_table_has_one_line_a_flow_and_all_of_it() -> None:
    """Counters of both directions, mark, zone, id, labels, and the tool's line."""
    header, *lines = table(*LINES, output=OutputFormat.WIDE)
    assert len(lines) == len(LINES)
    for title in ("PACKETS", "BYTES", "MARK", "ZONE", "ID", "LABELS", "RAW"):
        assert title in header
    assert "4/3  " in lines[2]
    assert "217/165" in lines[2]
    assert named(NODE_PORT_V4).words in lines[2]
    assert lines[2].endswith(NODE_PORT_V4)


@pytest.mark.parametrize(
    ("line", "original"),
    [
        (PING_V6, "fd00:244:1::3 -> fd00:244:2::7 128/0 id 23154"),
        (GRE_V4, "10.99.0.11 -> 10.99.0.12 keys 0x7/0x100"),
        (UNREPLIED_V6, "[fd00:244:1::3]:50061 -> [fd00:96::20]:80"),
    ],
)
def test_a_tuple_shows_what_its_protocol_has(line: str, original: str) -> None:
    """Ports, an echo's type and id, or GRE's keys."""
    assert show_tuple(flow(line).original) == original


@pytest.mark.parametrize(
    ("line", "state"),
    [
        (TCP_V6, "ESTABLISHED,ASSURED"),
        (NEIGHBOUR_V4, "SYN_SENT,UNREPLIED"),
        (UNREPLIED_V6, "UNREPLIED"),
        (OFFLOADED_V6, "HW_OFFLOAD"),
        (PING_V6, ""),
    ],
)
def test_the_state_has_its_flags(line: str, state: str) -> None:
    """In the tool's words."""
    assert show_state(flow(line)) == state


def test_what_is_not_there_is_not_made_up() -> None:
    """An offloaded flow can lack its timeout, a kernel the mark; a zone can be one direction's."""
    assert (show_timeout(flow(OFFLOADED_V6)), show_timeout(flow(TCP_V6))) == ("", "86399s")
    assert show_mark(flow(NODE_PORT_V4)) == "0x4000"
    assert show_mark(flow(TCP_V6.replace(" mark=0", ""))) == ""
    assert [show_zone(flow(each)) for each in (ZONE_V4, OFFLOADED_V6, TCP_V6)] == ["original:9", "4", "0"]


def test_a_name_is_the_nodes_and_the_entrys_id() -> None:
    """Unique while it lives."""
    assert name_of(named(TCP_V6)) == "flow/node-a/102"
    assert table(TCP_V6, TCP_V4, output=OutputFormat.NAME) == ["flow/node-a/102", "flow/node-a/101"]
