"""Events as lines: each stands for itself, and none can be two."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from netinspect.models.address_owner import AddressOwner, OwnerKind
from netinspect.models.conntrack import FlowEventType
from netinspect.models.flow_watch import NamedFlowEvent
from netinspect.parse.conntrack import parse_flow
from netinspect.render.conntrack_event import render_event, render_event_header, render_event_json

V4 = (
    "ipv4     2 tcp      6 120 SYN_SENT src=10.1.0.5 dst=10.96.0.20 sport=4242 dport=80 [UNREPLIED] "
    "src=10.1.0.9 dst=10.1.0.5 sport=8080 dport=4242 mark=16384 id=77"
)
V6 = (
    "ipv6     10 icmpv6   58 src=fd00::5 dst=fd00::9 type=128 code=0 id=7 src=fd00::9 dst=fd00::5 type=129 code=0 "
    "id=7 id=78"
)
OWNER = AddressOwner(kind=OwnerKind.EXTERNAL)


def event(
    line: str, type_: FlowEventType = FlowEventType.NEW, *, words: str = "a -> b", node: str = "node-a"
) -> NamedFlowEvent:
    time = datetime(2026, 11, 25, 7, 51, 20, 98052, UTC)
    return NamedFlowEvent(
        node=node,
        flow=parse_flow(line),
        source=OWNER,
        destination=OWNER,
        backend=OWNER,
        reply_to=OWNER,
        words=words,
        event=type_,
        time=time,
    )


def test_a_table_of_one_node() -> None:
    """Columns keep their places though each line is printed without knowing the next."""
    text = (
        render_event_header(is_wide=False)
        + render_event(event(V4), is_wide=False)
        + render_event(event(V6, FlowEventType.DESTROY), is_wide=False)
    )
    assert text == (
        "TIME           EVENT    PROTO   STATE                WHO\n"
        "07:51:20.098Z  NEW      tcp     SYN_SENT,UNREPLIED   a -> b\n"
        "07:51:20.098Z  DESTROY  icmpv6  <none>               a -> b\n"
    )


def test_several_nodes_have_a_column() -> None:
    """As wide as the longest name."""
    header = render_event_header(is_wide=False, node_width=10)
    row = render_event(event(V6), is_wide=False, node_width=10)
    assert header.startswith("NODE        TIME ")
    assert row.startswith("node-a      07:51:20.098Z  NEW ")


def test_wide_shows_both_tuples() -> None:
    """As `conntrack list` writes them, with timeout, mark, zone and id."""
    row = render_event(event(V4), is_wide=True)
    assert row.split() == [
        *("07:51:20.098Z", "NEW", "tcp", "SYN_SENT,UNREPLIED", "120s"),
        *("10.1.0.5:4242", "->", "10.96.0.20:80", "10.1.0.9:8080", "->", "10.1.0.5:4242"),
        *("0x4000", "0", "77", "a", "->", "b"),
    ]
    assert "[fd00::5]" in render_event(event(V6), is_wide=True) or "fd00::5 -> fd00::9" in render_event(
        event(V6), is_wide=True
    )
    assert len(render_event_header(is_wide=True).split()) == 11


def test_text_from_elsewhere_steers_no_terminal_and_makes_no_line() -> None:
    """A name with escape sequences, line feeds or tabs stays within its line."""
    row = render_event(event(V4, words="\x1b[2Ja\nb\tc\u2028d", node="n\n1"), is_wide=True, node_width=3)
    assert row.count("\n") == 1
    assert len(row.splitlines()) == 1
    assert "\x1b" not in row
    assert "a b c d" in row


def test_json_is_one_line_of_ascii() -> None:
    """What programs read: node, event, time, the flow and its names."""
    text = render_event_json(event(V6, words="\x1b\x7f\u2028\u202e"))
    assert text.endswith("}\n")
    assert len(text.splitlines()) == 1
    assert text.isascii()
    assert text[:-1].isprintable()
    item = json.loads(text)
    assert (item["node"], item["event"], item["time"]) == ("node-a", "NEW", "2026-11-25T07:51:20.098052Z")
    assert item["flow"]["original"]["dst"] == "fd00::9"
    assert item["source"] == {"kind": "external"}
    assert item["words"] == "\x1b\x7f\u2028\u202e"
