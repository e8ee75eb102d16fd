"""`conntrack -L -o extended,id` and `conntrack -E -o extended,id,timestamp` -> flows, and what happens to them.

Sources of the format: libnetfilter_conntrack, src/conntrack/snprintf_default.c; for time and `[USERSPACE]`
conntrack-tools, src/conntrack.c event_cb. A line is::

    [EVENT] [L3NAME L3NUM] PROTOCOL NUMBER [TIMEOUT] [STATE] TUPLE [UNREPLIED] TUPLE [ASSURED] KEY=VALUE ...

The same keys stand in both tuples, so a tuple begins at its `src=`. `id=` is the identifier of an ICMP echo where it
follows `code=`, and the kernel's id of the entry elsewhere. The tool has no end mark: that the last line has its
line feed is all that can be checked; that the output is whole is for the frame around it to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from netinspect.errors import ParseError
from netinspect.models.address import Address, parse_address
from netinspect.models.conntrack import Flow, FlowEvent, FlowEventType, FlowTuple, Offload
from netinspect.parse.tool_output import output_lines

_LIST_SOURCE = "conntrack -L"
_EVENT_SOURCE = "conntrack -E"

# The tool prints into a buffer, of 1024 bytes before 1.4.7 and of 4096 since then (src/conntrack.c dump_cb,
# mnl_nfct_dump_cb); for events of 1024, the tag included (event_cb). A line that fills it may have lost its end.
_FULL_BUFFERS = (1023, 4095)
_FULL_EVENT_BUFFERS = (1023 - len("[DESTROY] "),)
# [start=Sun Nov  1 07:51:20 2026] has blanks in it (`-o ktimestamp`).
_TOKEN = re.compile(r"\[(?:start|stop)=[^\]]{0,40}\]|[^ ]+")
_HEAD = re.compile(
    r"(?:(ipv4(?= 2 )|ipv6(?= 10 )) [0-9]+ )?"
    r"([a-z][a-z0-9-]*) ([0-9]{1,3})(?: ([0-9]{1,20}))?(?: ([A-Z][A-Z0-9_]*))?"
)
# Some versions print the microseconds without their leading zeros, and blanks behind (`%-6ld`).
_EVENT = re.compile(
    r"(?:\[([0-9]{1,11})\.([0-9]{1,6}) *\]\t)? *\[(NEW|UPDATE|DESTROY)\] (.*?)"
    r"(?: \[USERSPACE\] portid=([0-9]{1,10})(?: progname=(.*))?)?"
)
_FAMILIES = {4: "ipv4", 6: "ipv6"}
_L4_FIELDS = (("sport", "dport"), ("icmp_type", "icmp_code", "icmp_id"), ("src_key", "dst_key"))
# What the tool prints with one call, so that a part of it is never alone.
_TOGETHER = (("src", "dst"), *_L4_FIELDS, ("packets", "bytes"))
_NUMBER = re.compile(r"[0-9]{1,20}")
_KEY = re.compile(r"0x[0-9a-f]{1,8}")


class _UnreadableError(ValueError):
    """What is wrong, and the token that is to blame."""

    def __init__(self, message: str, token: str = "") -> None:
        super().__init__(message)
        self.token = token


class _Field(NamedTuple):
    """Which attribute of the model a key is, and how its value is read."""

    name: str
    read: Callable[[str], object]


def parse_flows(stdout: bytes) -> tuple[Flow, ...]:
    """Read a listing in the order printed. No output at all is the tool's way to list nothing.

    Raises:
        ParseError: a line is no flow, or the last one lacks its line feed and so perhaps its end.
    """
    return tuple(parse_flow(line) for line in whole_lines(stdout, _LIST_SOURCE))


def parse_flow(line: str) -> Flow:
    """Read one line of a listing, with `-o extended` or without.

    Fields that are not known here are kept in the flow's `remainder`.

    Raises:
        ParseError: the line is no flow.
    """
    return _read_flow(line, line, _LIST_SOURCE, _FULL_BUFFERS)


def parse_event(line: str) -> FlowEvent:
    """Read one line of `conntrack -E`, with a time or without.

    Raises:
        ParseError: the line has no tag of an event, or what follows is no flow.
    """
    match = _EVENT.fullmatch(line)
    if match is None:
        raise ParseError("not a line of [NEW], [UPDATE] or [DESTROY]", source=_EVENT_SOURCE, line=line)
    seconds, microseconds, tag, flow, portid, progname = match.groups()
    return FlowEvent(
        type=FlowEventType(tag),
        time=None if seconds is None else (int(seconds) * 1_000_000 + int(microseconds)) / 1_000_000,
        flow=_read_flow(flow, line, _EVENT_SOURCE, _FULL_EVENT_BUFFERS),
        portid=None if portid is None else int(portid),
        progname=progname,
    )


def whole_lines(stdout: bytes, source: str) -> list[str]:
    """Cut output into lines, each of which the tool ended.

    Raises:
        ParseError: the last line lacks its line feed.
    """
    lines = output_lines(stdout)
    if stdout and not stdout.endswith(b"\n"):
        raise ParseError("the output ends within a line", source=source, line=lines[-1])
    return lines


def _read_flow(text: str, line: str, source: str, full: tuple[int, ...]) -> Flow:
    """Read a flow, whose line is quoted where it cannot be read; a text of a length in `full` may be cut."""
    tokens = _TOKEN.findall(text)
    cut = tokens[-1:] if len(text) in full else []
    try:
        return _build_flow(tokens[: len(tokens) - len(cut)], cut, line)
    except _UnreadableError as error:
        column = line.find(error.token) if error.token else None
        raise ParseError(str(error), source=source, line=line, column=column) from error


def _build_flow(tokens: list[str], cut: list[str], line: str) -> Flow:
    begins = [index for index, token in enumerate(tokens) if token.startswith("src=")]
    if len(begins) != 2:
        raise _UnreadableError("a flow has two tuples, and each begins with src=")
    first, second = begins
    values = _read_head(tokens[:first])
    original, between = _read_tuple(tokens[first:second], _ORIGINAL)
    reply, behind = _read_tuple(tokens[second:], _REPLY)
    values |= _pair_tuples(original, reply, values.pop("family"))
    if between.count(_UNREPLIED) > 1:
        raise _UnreadableError("a field that was there before", _UNREPLIED)
    values["unreplied"] = _UNREPLIED in between
    remainder = [token for token in between if token != _UNREPLIED]
    return Flow(**values, **_read_fields(behind, remainder), remainder=(*remainder, *cut), raw=line)


def _read_head(tokens: list[str]) -> dict[str, Any]:
    match = _HEAD.fullmatch(" ".join(tokens))
    if match is None:
        raise _UnreadableError(
            "expected protocol, number, timeout and state before src=", "".join(tokens[:1])
        )
    family, protocol, number, timeout, state = match.groups()
    return {
        "family": family,
        "protocol": protocol,
        "protocol_number": int(number),
        "timeout_s": None if timeout is None else int(timeout),
        "state": state,
    }


def _read_tuple(tokens: list[str], fields: dict[str, _Field]) -> tuple[FlowTuple, list[str]]:
    """Return a tuple, and the tokens that are none of its fields."""
    values: dict[str, Any] = {}
    rest = []
    before = ""
    for token in tokens:
        key, _, value = token.partition("=")
        if key not in fields or (key == "id" and before != "code"):
            rest.append(token)
        else:
            _put(values, fields[key], value, token)
        before = key
    for names in _TOGETHER:
        if 0 < sum(name in values for name in names) < len(names):
            raise _UnreadableError(f"a tuple with a part of {', '.join(names)}", tokens[0])
    return FlowTuple(**values), rest


def _pair_tuples(original: FlowTuple, reply: FlowTuple, family: str | None) -> dict[str, Any]:
    """Check that two tuples are those of one flow; its family is that of all four addresses."""
    families = {_FAMILIES[each.version] for each in (original.src, original.dst, reply.src, reply.dst)}
    if len(families | ({family} if family else set())) != 1:
        raise _UnreadableError("addresses of two families")
    for name, *_ in _L4_FIELDS:
        if (getattr(original, name) is None) != (getattr(reply, name) is None):
            raise _UnreadableError("one tuple has fields that the other lacks")
    return {"family": families.pop(), "original": original, "reply": reply}


def _read_fields(tokens: Iterable[str], remainder: list[str]) -> dict[str, Any]:
    """Read what stands behind the tuples; what is not known goes to `remainder`."""
    values: dict[str, Any] = {}
    for token in tokens:
        key, equals, value = token.partition("=")
        if token in _STATUS:
            _put(values, _STATUS[token], token, token)
        elif equals and key in _FLOW:
            _put(values, _FLOW[key], value, token)
        elif equals and key in _BRACKETED and value.endswith("]"):
            _put(values, _BRACKETED[key], value[:-1], token)
        else:
            remainder.append(token)
    return values


def _put(values: dict[str, Any], field: _Field, value: str, token: str) -> None:
    if field.name in values:
        raise _UnreadableError("a field that was there before", token)
    try:
        values[field.name] = field.read(value)
    except ValueError as error:
        raise _UnreadableError(str(error), token) from error


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError("expected a number")
    return int(text)


def _key(text: str) -> int:
    if not _KEY.fullmatch(text):
        raise ValueError("expected a key in hexadecimal")
    return int(text, 16)


def _seconds(text: str) -> int:
    """Read a difference of two times: negative after the clock was set back, though it is printed as unsigned."""
    value = _number(text)
    return value - 2**64 if value >= 2**63 else value


def _address(text: str) -> Address:
    if "%" in text:
        raise ValueError("an address with a scope")
    return parse_address(text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


_UNREPLIED = "[UNREPLIED]"
_BOTH = {
    "src": _Field("src", _address),
    "dst": _Field("dst", _address),
    "sport": _Field("sport", _number),
    "dport": _Field("dport", _number),
    "type": _Field("icmp_type", _number),
    "code": _Field("icmp_code", _number),
    "id": _Field("icmp_id", _number),
    "srckey": _Field("src_key", _key),
    "dstkey": _Field("dst_key", _key),
    "packets": _Field("packets", _number),
    "bytes": _Field("bytes", _number),
}
_ORIGINAL = _BOTH | {"zone-orig": _Field("zone", _number)}
_REPLY = _BOTH | {"zone-reply": _Field("zone", _number)}
_STATUS = {
    "[ASSURED]": _Field("assured", bool),
    "[OFFLOAD]": _Field("offload", lambda _: Offload.SOFTWARE),
    "[HW_OFFLOAD]": _Field("offload", lambda _: Offload.HARDWARE),
}
_FLOW = {
    "mark": _Field("mark", _number),
    "secmark": _Field("secmark", _number),
    "secctx": _Field("secctx", str),
    "zone": _Field("zone", _number),
    "delta-time": _Field("delta_time_s", _seconds),
    "helper": _Field("helper", str),
    "use": _Field("use", _number),
    "id": _Field("id", _number),
    "labels": _Field("labels", _names),
}
_BRACKETED = {"[start": _Field("start", str), "[stop": _Field("stop", str)}
