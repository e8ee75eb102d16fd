"""`conntrack -L` in pieces: the same flows as `parse_flows` reads, in constant memory."""

from __future__ import annotations

import gc
import sys
import time
import tracemalloc
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.errors import ParseError
from netinspect.models.conntrack import Flow
from netinspect.models.flow_row import Column, FlowRow
from netinspect.parse.conntrack import parse_flow, parse_flows
from netinspect.parse.conntrack_scan import FlowScanner
from tests.captures.parsers import list_cases
from tests.unit.parse.conntrack_text import flows, patient, print_flow, sample

ADDRESSES = (Column.SRC, Column.DST, Column.REPLY_SRC, Column.REPLY_DST)
LISTS = list_cases("conntrack-list")
GOOD = print_flow(sample("ipv6", 1))
ODD = GOOD.replace("use=1", "secmark=5 use=1")  # in an order that only parse_flow reads


class Taken:
    """A scanner and what it passed on."""

    def __init__(self) -> None:
        self.rows: list[FlowRow] = []
        self.scanner = FlowScanner(self.rows.extend)

    def feed(self, stdout: bytes, sizes: list[int]) -> Taken:
        """Feed in pieces of these sizes, over and over."""
        start = 0
        while start < len(stdout):
            for size in sizes:
                self.scanner.feed(stdout[start : start + size])
                start += size
        return self


def scan(stdout: bytes, *sizes: int) -> Taken:
    return Taken().feed(stdout, list(sizes) or [len(stdout) or 1])


def row_of(flow: Flow) -> dict[Column, str | None]:
    """What the columns of a flow mean, by their documentation."""
    first, back = flow.original, flow.reply
    row: dict[Column, object] = {
        Column.IPV4: 4 if flow.family == "ipv4" else None,
        Column.PROTOCOL: flow.protocol,
        Column.PROTOCOL_NUMBER: flow.protocol_number,
        Column.TIMEOUT: flow.timeout_s,
        Column.STATE: flow.state,
        Column.SRC: first.src,
        Column.DST: first.dst,
        Column.SPORT: first.sport,
        Column.DPORT: first.dport,
        Column.ICMP_TYPE: first.icmp_type,
        Column.SRC_KEY: None if first.src_key is None else f"{first.src_key:x}",
        Column.ZONE_ORIG: first.zone,
        Column.PACKETS: first.packets,
        Column.BYTES: first.bytes,
        Column.UNREPLIED: "UNREPLIED" if flow.unreplied else None,
        Column.REPLY_SRC: back.src,
        Column.REPLY_DST: back.dst,
        Column.REPLY_SPORT: back.sport,
        Column.REPLY_DPORT: back.dport,
        Column.ZONE_REPLY: back.zone,
        Column.REPLY_PACKETS: back.packets,
        Column.REPLY_BYTES: back.bytes,
        Column.STATUS: flow.offload or ("ASSURED" if flow.assured else None),
        Column.MARK: flow.mark,
        Column.ZONE: flow.zone or None,
    }
    return {column: None if value is None else str(value) for column, value in row.items()}


def columns_of(row: FlowRow) -> dict[Column, str | None]:
    """A row with its addresses in one spelling, as its reader has to count them."""
    assert len(row) == len(Column)
    texts: dict[Column, str | None] = {column: row[column].decode() or None for column in Column}
    return texts | {column: str(ip_address(row[column].decode())) for column in ADDRESSES}


def assert_same(stdout: bytes, taken: Taken) -> None:
    expected = [row_of(flow) for flow in parse_flows(stdout)]
    assert [columns_of(row) for row in taken.rows] == expected
    assert (taken.scanner.entries, taken.scanner.unread) == (len(expected), 0)
    assert taken.scanner.close()


@pytest.mark.parametrize("size", [1, 7, 100, 4096, 1 << 20])
@pytest.mark.parametrize("case", LISTS, ids=lambda path: path.stem)
def test_reads_every_capture_as_the_parser_does(case: Path, size: int) -> None:
    """Every flow of a real listing becomes a row with its values, in the order printed, in pieces of any size."""
    stdout = case.read_bytes()
    assert_same(stdout, scan(stdout, size))


@patient
@given(st.lists(flows(), max_size=3), st.booleans(), st.lists(st.integers(1, 300), min_size=1, max_size=4))
def test_reads_whatever_the_tool_can_print(listing: list[Flow], extended: bool, sizes: list[int]) -> None:
    """All that the parser reads the scanner reads, too: both families, every field, cut anywhere."""
    stdout = "".join(f"{print_flow(flow, extended=extended)}\n" for flow in listing).encode()
    assert_same(stdout, scan(stdout, *sizes))


@patient
@given(flows(), st.data())
def test_accepts_no_line_that_the_parser_refuses(flow: Flow, data: st.DataObject) -> None:
    """A line of which something is missing, doubled or in another place is read by both alike, or by neither."""
    words = print_flow(flow).split(" ")
    place = data.draw(st.integers(0, len(words) - 1))
    other = data.draw(st.sampled_from([*words, "1", "x=1", "src=10.0.0.1", "src=::1", "id=5"]))
    line = " ".join(data.draw(st.sampled_from(_changes(words, place, other))))
    taken = scan(f"{line}\n".encode())
    try:
        expected = row_of(parse_flow(line))
    except ParseError:
        assert (taken.rows, taken.scanner.entries) == ([], 0)
        assert taken.scanner.unread_lines == ((line[:200],) if line else ())
    else:
        assert [columns_of(row) for row in taken.rows] == [expected]


def _changes(words: list[str], place: int, other: str) -> list[list[str]]:
    before, after = words[:place], words[place + 1 :]
    return [
        [*before, *after],
        [*before, other, *after],
        [*before, words[place], other, *after],
        [*before, words[place][:-1], *after],
    ]


@pytest.mark.parametrize("other", [GOOD, ODD], ids=["among others like it", "among lines of another form"])
@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("src=fd00:10:244::1 ", "src=fd00:10:244:::1 "),
        ("src=fd00:10:244::1 ", "src=10.244.1.5 "),
        ("dst=fd00:10:244::1 ", "dst=1:2:3:4:5:6:7:8:9 "),
        ("dst=fd00:10:96::20 ", "dst=: "),
        ("src=fd00:10:244:2::9 ", "src=fd00::12345 "),
        ("ipv6     10", "ipv4     2"),
        ("ipv6     10", "ipv6     2"),
        ("sport=1025 dport=80 packets", "packets"),
        ("mark=0", "mark=0 mark=0"),
    ],
)
def test_a_line_that_is_no_flow_is_counted_and_shown(good: str, bad: str, other: str) -> None:
    """Also where only an address, or how two parts fit, is wrong; the flows around it are read."""
    line = GOOD.replace(good, bad)
    assert line != GOOD
    taken = scan(f"{GOOD}\n{line}\n{other}\n".encode())
    assert (taken.scanner.entries, taken.scanner.unread) == (2, 1)
    assert taken.scanner.unread_lines == (line[:200],)
    assert len(taken.rows) == 2


def test_lines_that_are_one_flow_only_together_are_none() -> None:
    """The expression must not read across a line's end: half a flow on each of two lines is two lines unread."""
    first, second = GOOD.split(" use=1")
    taken = scan(f"{first}\nuse=1{second}\n{GOOD}\n".encode())
    assert taken.scanner.entries == 2  # the first line is whole without what stands behind its mark
    assert taken.scanner.unread_lines == (f"use=1{second}",)


def test_keeps_the_first_lines_that_it_could_not_read() -> None:
    """Five of them, and not more than two hundred characters of each; all are counted."""
    lines = [f"nonsense {place} {'x' * 500}" for place in range(50)]
    taken = scan("\n".join([*lines, GOOD, ""]).encode())
    assert (taken.scanner.unread, taken.scanner.entries) == (50, 1)
    assert taken.scanner.unread_lines == tuple(line[:200] for line in lines[:5])


def test_empty_lines_are_nothing() -> None:
    """As to the parser, a line without anything in it is no line."""
    taken = scan(f"\n\n{GOOD}\n\n".encode())
    assert (taken.scanner.entries, taken.scanner.unread) == (1, 0)


def test_bytes_that_are_no_text_are_escaped() -> None:
    """A line that cannot be read is shown in characters that can be printed."""
    taken = scan(b"caf\xe9\n")
    assert taken.scanner.unread_lines == ("caf\\xe9",)


def test_says_whether_the_last_line_had_its_end() -> None:
    """What came of a line without line feed is no row, as it might have gone on."""
    taken = scan(f"{GOOD}\n{GOOD}".encode())
    assert (taken.scanner.entries, taken.scanner.unread, taken.scanner.close()) == (1, 0, False)
    assert scan(b"").scanner.close()
    assert scan(f"{GOOD}\n".encode()).scanner.close()


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_without_end_takes_no_memory(end: bytes) -> None:
    """64 MiB without a line feed are held in a few hundred kilobytes, and are no flow; what comes behind is read."""
    taken = Taken()
    chunk = b"x" * (1 << 20)
    tracemalloc.start()
    try:
        for _ in range(64):
            taken.scanner.feed(chunk)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20
    assert not taken.scanner.close()
    taken.scanner.feed(f"\n{GOOD}\n".encode() + end)
    assert (taken.scanner.entries, taken.scanner.unread) == (1, 1)


def test_a_flow_in_the_tail_of_a_line_that_is_too_long_is_none() -> None:
    """Where the middle of a line was dropped, its end must not pass for a line."""
    taken = Taken()
    taken.scanner.feed(b"x" * 5000)
    taken.scanner.feed(f"{GOOD}\n".encode())
    assert (taken.scanner.entries, taken.scanner.unread) == (0, 1)


def test_a_line_as_long_as_the_tools_buffer_is_read() -> None:
    """4095 characters is the longest line that the tool prints; one of more than 4096 is none of it."""
    line = f"{GOOD} labels="
    for length, entries in ((4095, 1), (4096, 1), (4097, 0)):
        taken = scan((line + "x" * (length - len(line)) + "\n").encode(), 1000)
        assert (taken.scanner.entries, taken.scanner.unread) == (entries, 1 - entries)


def test_a_line_that_was_shortened_in_memory_is_none() -> None:
    """What is held of a line that is too long must not become a flow when its line feed comes."""
    taken = Taken()
    taken.scanner.feed(f"{GOOD} labels={'x' * 5000}".encode())
    taken.scanner.feed(b"\n")
    assert (taken.scanner.entries, taken.scanner.unread) == (0, 1)


def test_a_large_piece_is_passed_on_in_parts() -> None:
    """However much comes at once, rows are made of a few thousand lines at a time."""
    parts: list[int] = []
    scanner = FlowScanner(lambda rows: parts.append(len(rows)))
    scanner.feed(f"{GOOD}\n".encode() * 20_000)
    assert sum(parts) == 20_000
    assert max(parts) < 3_000


def test_memory_does_not_grow_with_the_table() -> None:
    """Of two hundred thousand flows of as many clients the scanner holds no row, and not every address."""
    counted = 0

    def count(rows: list[FlowRow]) -> None:
        nonlocal counted
        counted += len(rows)

    scanner = FlowScanner(count)
    before, after = GOOD.split("fd00:10:244::1", 1)
    for start in range(0, 200_000, 1000):
        places = range(start, start + 1000)
        lines = (f"{before}fd00:10:{place >> 16:x}::{place & 65535:x}{after}\n" for place in places)
        scanner.feed("".join(lines).encode())
    assert counted == scanner.entries == 200_000
    assert size_of(vars(scanner)) < 12 << 20


def size_of(held: dict[str, object]) -> int:
    """The bytes of all that is reachable from some attributes, classes and functions aside."""
    seen, found, total = set[int](), list[object](held.values()), 0
    while found:
        each = found.pop()
        if id(each) not in seen and not callable(each):
            seen.add(id(each))
            total += sys.getsizeof(each)
            found += gc.get_referents(each)
    return total


def test_passes_rows_on_as_they_come() -> None:
    """Nothing waits for the end of the listing."""
    taken = Taken()
    taken.scanner.feed(f"{GOOD}\n{GOOD}".encode())
    assert len(taken.rows) == 1
    taken.scanner.feed(b"\n")
    assert len(taken.rows) == 2


@patient
@given(
    st.lists(st.binary(max_size=200) | st.sampled_from([GOOD.encode(), b"\n", b" ", b"ipv6"]), max_size=20)
)
def test_takes_any_bytes(chunks: list[bytes]) -> None:
    """Whatever comes, and however it is cut, each line is a row, unread, or empty."""
    taken = Taken()
    for chunk in chunks:
        taken.scanner.feed(chunk)
    stdout = b"".join(chunks)
    lines = [line for line in stdout.split(b"\n")[:-1] if line]
    assert taken.scanner.entries + taken.scanner.unread == len(lines)
    assert len(taken.rows) == taken.scanner.entries
    assert taken.scanner.close() == (not stdout or stdout.endswith(b"\n"))


@pytest.mark.parametrize(
    "piece", [f"{GOOD}\n", f"{ODD}\n", "x\n", "ipv6     10 tcp 6 ", "src=::1 ", "\n", f"{GOOD}\nx\n"]
)
def test_time_grows_with_the_length_of_the_listing(piece: str) -> None:
    """Ten times as much takes about ten times as long, whatever the lines are, also without a line feed."""
    size = 2_000 * max(len(piece), 100)
    short, long = ((piece * (count // len(piece))).encode() for count in (size // 10, size))
    assert _seconds(long) < 30 * max(_seconds(short), 0.001)


def _seconds(stdout: bytes) -> float:
    best = 1e9
    for _ in range(3):
        scanner = FlowScanner(lambda rows: None)
        started = time.process_time()
        scanner.feed(stdout)
        best = min(best, time.process_time() - started)
    return best
