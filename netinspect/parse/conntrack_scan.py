"""`conntrack -L -o extended,id` while it streams in -> rows to count by, in constant memory.

A table can hold millions of flows. One expression reads the lines that nearly all tables consist of, a block of lines
at a time; any other line goes to `parse_flow`, so that both read the same language. What that cannot read either is
counted, and the first such lines are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from netinspect.errors import ParseError
from netinspect.models.address import parse_address
from netinspect.models.conntrack import Flow
from netinspect.models.flow_row import Column, FlowRow
from netinspect.parse.conntrack import parse_flow

_PIECE = 1 << 18
# The tool's own buffer is shorter (src/conntrack.c dump_cb); what is longer is no line of it.
_MAX_LINE = 4096
_KEPT_LINES = 5
_KEPT_WIDTH = 200
_MAX_KNOWN = 65536

# Each alternative begins with another letter, which the matcher looks at before it tries one: that, and giving
# nothing back ("+" behind a repetition), makes it several times faster than optional groups.
_N = rb"[0-9]{1,20}+"
_ADDRESS = rb"(?(ipv4)[0-9.]{7,15}+|[0-9a-f]{0,4}+:[0-9a-f:.]{1,38}+)"
_KEY = rb"[0-9a-f]{1,8}+"
_LINE = re.compile(
    rb"^ipv(?:(?P<ipv4>4) {5}2|6 {5}10) "
    rb"(?P<protocol>[a-z][a-z0-9-]{0,19}+) {1,8}(?P<protocol_number>[0-9]{1,3}+) "
    rb"(?:(?P<timeout>%(n)b) |)(?:(?P<state>[A-Z][A-Z0-9_]{0,19}+) |)"
    rb"src=(?P<src>%(a)b) dst=(?P<dst>%(a)b) "
    rb"(?:sport=(?P<sport>%(n)b) dport=(?P<dport>%(n)b) "
    rb"|type=(?P<icmp_type>%(n)b) code=%(n)b id=%(n)b "
    rb"|srckey=0x(?P<src_key>%(k)b) dstkey=0x%(k)b |)"
    rb"(?:zone-orig=(?P<zone_orig>%(n)b) |)(?:packets=(?P<packets>%(n)b) bytes=(?P<bytes>%(n)b) |)"
    rb"(?:\[(?P<unreplied>UNREPLIED)\] |)"
    rb"src=(?P<reply_src>%(a)b) dst=(?P<reply_dst>%(a)b) "
    rb"(?(sport)sport=(?P<reply_sport>%(n)b) dport=(?P<reply_dport>%(n)b) |"
    rb"(?(icmp_type)type=%(n)b code=%(n)b id=%(n)b |(?(src_key)srckey=0x%(k)b dstkey=0x%(k)b |)))"
    rb"(?:zone-reply=(?P<zone_reply>%(n)b) |)(?:packets=(?P<reply_packets>%(n)b) bytes=(?P<reply_bytes>%(n)b) |)"
    rb"(?:\[(?P<status>ASSURED|OFFLOAD|HW_OFFLOAD)\] |)"
    rb"(?:mark=(?P<mark>%(n)b)[ \n]|)(?:secctx=[^ \n]{0,100}+[ \n]|)(?:zone=(?P<zone>%(n)b)[ \n]|)"
    rb"(?:delta-time=%(n)b[ \n]|)(?:helper=[^ \n]{0,100}+[ \n]|)(?:use=%(n)b[ \n]|)(?:id=%(n)b\n|)(?<=\n)"
    % {b"n": _N, b"a": _ADDRESS, b"k": _KEY},
    re.MULTILINE,
)
_ADDRESSES = (Column.SRC, Column.DST, Column.REPLY_SRC, Column.REPLY_DST)


class FlowScanner:
    """Takes a listing in pieces, cut anywhere, and passes its flows on as rows, in the order printed.

    Attributes:
        entries: flows so far.
        unread: lines so far that are no flow.
        unread_lines: the first of these.
    """

    def __init__(self, take: Callable[[list[FlowRow]], None]) -> None:
        self._take = take
        self._rest = b""
        self._known: set[bytes] = set()
        self.entries = 0
        self.unread = 0
        self.unread_lines: tuple[str, ...] = ()

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of the listing."""
        for start in range(0, len(chunk), _PIECE):
            data = self._rest + chunk[start : start + _PIECE]
            end = data.rfind(b"\n") + 1
            # A line without end does not fill the memory: what is too long is refused whatever it ends with.
            self._rest = data[end : end + _MAX_LINE + 1]
            if end:
                self._scan(data[:end])

    def close(self) -> bool:
        """Say whether the last line was whole; what came of one that was not is no flow."""
        return not self._rest

    def _scan(self, block: bytes) -> None:
        rows: list[FlowRow] = _LINE.findall(block)
        # No match spans lines that are lines of the tool, so equal numbers mean that every line was read.
        if len(rows) != block.count(b"\n") or not self._are_addresses(rows):
            rows = self._scan_lines(block)
        self.entries += len(rows)
        if rows:
            self._take(rows)

    def _scan_lines(self, block: bytes) -> list[FlowRow]:
        """Read a block that has lines of another form among others."""
        rows = []
        for line in filter(None, block.split(b"\n")):
            match = _LINE.fullmatch(line + b"\n")
            row = match.groups(b"") if match else None
            if row is None or not self._are_addresses((row,)):
                row = self._parse(line)
            if row is not None:
                rows.append(row)
        return rows

    def _parse(self, line: bytes) -> FlowRow | None:
        text = line.decode("utf-8", "backslashreplace")
        try:
            if len(line) <= _MAX_LINE:
                return _build_row(parse_flow(text))
        except ParseError:
            pass
        self.unread += 1
        if len(self.unread_lines) < _KEPT_LINES:
            self.unread_lines += (text[:_KEPT_WIDTH],)
        return None

    def _are_addresses(self, rows: Iterable[FlowRow]) -> bool:
        """Whether all that stands in an address's place is one: the expression knows their letters only."""
        fresh = {row[column] for column in _ADDRESSES for row in rows} - self._known
        try:
            for address in fresh:
                parse_address(address.decode())
        except ValueError:
            return False
        if len(self._known) > _MAX_KNOWN:
            self._known.clear()
        self._known |= fresh
        return True


def read_row(line: bytes) -> FlowRow | None:
    """Read one line, without its end, by the expression alone; None where it is of another form, or no flow at all.

    Ten times as fast as `parse_flow`. What stands in an address's place has an address's letters; it may be none.
    """
    match = _LINE.fullmatch(line + b"\n")
    return match.groups(b"") if match else None


def _build_row(flow: Flow) -> FlowRow:
    """Lay a flow out in the order of `Column`."""
    first, back = flow.original, flow.reply
    values = (
        4 if flow.family == "ipv4" else None,
        flow.protocol,
        flow.protocol_number,
        flow.timeout_s,
        flow.state,
        first.src,
        first.dst,
        first.sport,
        first.dport,
        first.icmp_type,
        None if first.src_key is None else f"{first.src_key:x}",
        first.zone,
        first.packets,
        first.bytes,
        "UNREPLIED" if flow.unreplied else None,
        back.src,
        back.dst,
        back.sport,
        back.dport,
        back.zone,
        back.packets,
        back.bytes,
        flow.offload or ("ASSURED" if flow.assured else None),
        flow.mark,
        flow.zone or None,
    )
    return tuple(b"" if value is None else str(value).encode() for value in values)
