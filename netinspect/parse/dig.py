"""`dig` in its text form -> what became of one question.

One process puts one question, as `probes/dns.sh` writes it: one try, no search list, no EDNS, -u for microseconds.
Source of the format: BIND 9, bin/dig/dig.c (`printmessage`, `received`), bin/dig/dighost.c and lib/dns/message.c of
9.11, 9.16, 9.18 and 9.20. What they print differently: 9.16 and older name no protocol in the SERVER line and say
"connection timed out; no servers could be reached" for every failure; without -u times are whole milliseconds.

The exit code says little: it is 0 for NXDOMAIN and SERVFAIL, and by TCP also for an answer with a wrong id, to another
question, or too short to be one: nothing of it is printed then. So the text decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from netinspect.errors import ParseError
from netinspect.models.address import Address, parse_address
from netinspect.models.dns import DnsAnswer, DnsEdns, DnsOutcome, DnsProtocol, DnsQuestion, DnsRecord
from netinspect.parse.dig_causes import Cause, find_cause, read_cause
from netinspect.parse.tool_output import output_lines

SOURCE = "dig"

_FLAGS = re.compile(
    r"((?: [a-z]+)*)(?:; MBZ: [^;]*)?; "
    r"QUERY: ([0-9]{1,5}), ANSWER: ([0-9]{1,5}), AUTHORITY: ([0-9]{1,5}), ADDITIONAL: ([0-9]{1,5})"
)
_EDNS = re.compile(
    r"; EDNS: version: ([0-9]{1,3}), flags:((?: [a-z]+)*)(?:; MBZ: [^,;]*[,;]|;) udp: ([0-9]{1,5})"
)
_RECORD = re.compile(r"([^\s]+)\s+([0-9]{1,10})\s+([A-Z]+[0-9]*)\s+([A-Z0-9-]+)(?:\s+(.*))?")
_QUESTION = re.compile(r";([^;\s][^\s]*)\s+([A-Z]+[0-9]*)\s+([A-Z0-9-]+)")
_HEX_DUMP = re.compile(r"[0-9]+ bytes|(?:[0-9a-f]{2} ){1,16} .*")
_REMARK = re.compile(
    r"WARNING|Warning: |BADVERS, retrying|BADCOOKIE, retrying|Got [A-Z]+ from |expected opt record|missing question"
    r"|Skipping mapped address|Couldn't verify signature|BAD "
)
# Said of the name (everything in cluster.local), or of flags that are there to be read (rd without ra).
_NOISE = (
    "Got answer:",
    "WARNING: .local is reserved for Multicast DNS",
    "You are currently testing what happens when an mDNS query is leaked to DNS",
    "WARNING: recursion requested but not available",
)
# What breaks the message, though dig prints of it what it can.
_BROKEN = ("Warning: Message parser reports malformed", "Warning: query response not set")
_SECTION = re.compile(r";; (OPT|QUESTION|ANSWER|AUTHORITY|ADDITIONAL) (?:PSEUDO)?SECTION:")
_SECTIONS = ("QUESTION", "ANSWER", "AUTHORITY", "ADDITIONAL")


@dataclass
class _Reading:
    """What was read so far."""

    section: str = ""
    opcode: str = ""
    status: str | None = None
    id: int | None = None
    flags: tuple[str, ...] = ()
    counts: tuple[int, ...] | None = None
    question: DnsQuestion | None = None
    records: dict[str, list[DnsRecord]] = field(default_factory=lambda: {name: [] for name in _SECTIONS})
    edns: DnsEdns | None = None
    time_us: int | None = None
    is_coarse: bool = False
    server: Address | None = None
    port: int | None = None
    protocol: DnsProtocol | None = None
    size: int | None = None
    was_truncated: bool = False
    causes: list[Cause] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    remainder: list[str] = field(default_factory=list)


def parse_dig(stdout: bytes, exit_code: int, stderr: bytes = b"") -> DnsAnswer:
    """Read what one dig process printed about one question.

    Raises:
        ParseError: this is no output of dig, it is cut, or it holds more than one answer.
    """
    reading = _Reading()
    for line in output_lines(stdout) + output_lines(stderr):
        _read_line(reading, line)
    if reading.status is not None:
        _check_whole(reading)
        return _answered(reading, exit_code)
    cause = find_cause(reading.causes)
    if cause is None:
        first = (output_lines(stdout) + output_lines(stderr) + [""])[0]
        raise ParseError(f"neither an answer nor a reason (exit code {exit_code})", source=SOURCE, line=first)
    return _failed(reading, cause, exit_code)


def _read_line(reading: _Reading, line: str) -> None:
    cause = read_cause(line)
    if cause is not None:
        reading.causes.append(cause)
    elif line.startswith(";; "):
        _read_comment(reading, line)
    elif line.startswith("; <<>> DiG") or re.fullmatch(r"; \([0-9]+ servers? found\)", line):
        pass  # the command line, and how many addresses the server's name has
    elif line.startswith(";"):
        _read_remark(reading, line)
    elif reading.section in _SECTIONS[1:]:
        reading.records[reading.section].append(_record(line))
    elif not _HEX_DUMP.fullmatch(line):
        reading.remainder.append(line)


def _read_comment(reading: _Reading, line: str) -> None:
    section = _SECTION.fullmatch(line)
    if section is not None:
        reading.section = section[1]
        return
    for start, read in _COMMENTS.items():
        if line.startswith(start):
            read(reading, line.removeprefix(start), line)
            return
    text = line.removeprefix(";; ")
    if text in _NOISE:
        return
    remarks = reading.warnings if _REMARK.match(text) else reading.remainder
    remarks.append(text if remarks is reading.warnings else line)


def _read_remark(reading: _Reading, line: str) -> None:
    """Read a line of one semicolon: the question, or a part of OPT."""
    question = _QUESTION.fullmatch(line) if reading.section == "QUESTION" else None
    edns = _EDNS.fullmatch(line) if reading.section == "OPT" else None
    if question is not None:
        reading.question = DnsQuestion(name=question[1], rrclass=question[2], type=question[3])
    elif edns is not None:
        flags = tuple(edns[2].split())
        reading.edns = DnsEdns(version=int(edns[1]), flags=flags, udp_bytes=int(edns[3]))
    elif reading.section == "OPT" and reading.edns is not None:
        known = reading.edns
        options = (*known.options, line.removeprefix("; "))
        reading.edns = DnsEdns(
            version=known.version, flags=known.flags, udp_bytes=known.udp_bytes, options=options
        )
    else:
        reading.remainder.append(line)


def _record(line: str) -> DnsRecord:
    match = _RECORD.fullmatch(line)
    if match is None:
        raise ParseError("a line of a section that is no record", source=SOURCE, line=line)
    return DnsRecord(
        name=match[1], ttl=int(match[2]), rrclass=match[3], type=match[4], rdata=(match[5] or "").rstrip()
    )


def _read_header(reading: _Reading, text: str, line: str) -> None:
    if reading.status is not None:
        raise ParseError("a second answer", source=SOURCE, line=line)
    match = _match(r"opcode: ([^,]+), status: ([^,]+), id: ([0-9]{1,5})", text, line)
    reading.opcode, reading.status, reading.id = match[1], match[2], int(match[3])


def _read_flags(reading: _Reading, text: str, line: str) -> None:
    match = _match(_FLAGS, text, line)
    reading.flags = tuple(match[1].split())
    reading.counts = tuple(int(match[group]) for group in (2, 3, 4, 5))


def _read_time(reading: _Reading, text: str, line: str) -> None:
    match = _match(r"(-?[0-9]{1,18}) ([mu]sec)", text, line)
    reading.is_coarse = match[2] == "msec"
    # The clock of some kernels steps back between two readings: a time below zero is none.
    reading.time_us = max(0, int(match[1])) * (1000 if reading.is_coarse else 1)


def _read_server(reading: _Reading, text: str, line: str) -> None:
    match = _match(r"([^#\s]+)#([0-9]{1,5})\(.*?\)(?: \(([A-Z-]+)\))?", text, line)
    try:
        reading.server = parse_address(match[1])
    except ValueError as error:
        raise ParseError(str(error), source=SOURCE, line=line) from error
    reading.port = int(match[2])
    reading.protocol = {"UDP": DnsProtocol.UDP, "TCP": DnsProtocol.TCP}.get(match[3] or "")


def _read_size(reading: _Reading, text: str, line: str) -> None:
    reading.size = int(_match(r" rcvd: ([0-9]{1,6})", text, line)[1])


def _read_truncated(reading: _Reading, _text: str, _line: str) -> None:
    reading.was_truncated = True


def _skip(_reading: _Reading, _text: str, _line: str) -> None:
    pass


_COMMENTS: dict[str, Callable[[_Reading, str, str], None]] = {
    ";; ->>HEADER<<- ": _read_header,
    ";; flags:": _read_flags,
    ";; Query time: ": _read_time,
    ";; SERVER: ": _read_server,
    ";; MSG SIZE ": _read_size,
    ";; Truncated, retrying in TCP mode.": _read_truncated,
    ";; WHEN: ": _skip,
    ";; global options:": _skip,
}


def _match(pattern: str | re.Pattern[str], text: str, line: str) -> re.Match[str]:
    match = re.fullmatch(pattern, text)
    if match is None:
        raise ParseError("not as dig prints it", source=SOURCE, line=line)
    return match


def _check_whole(reading: _Reading) -> None:
    """Hold what was read against the message's own counts, and look for the last line.

    A message that dig calls malformed, or that is truncated, has fewer records than it says.
    """
    if reading.size is None or reading.counts is None:
        raise ParseError("an answer without its last line, MSG SIZE", source=SOURCE)
    if _is_broken(reading) or "tc" in reading.flags or reading.remainder:
        return
    found = [len(reading.records[name]) for name in _SECTIONS[1:]]
    found[-1] += reading.edns is not None
    if tuple(found) != reading.counts[1:]:
        raise ParseError(
            f"the header counts {reading.counts[1:]} records, {tuple(found)} are here", source=SOURCE
        )


def _is_broken(reading: _Reading) -> bool:
    return any(warning.startswith(_BROKEN) for warning in reading.warnings)


def _answered(reading: _Reading, exit_code: int) -> DnsAnswer:
    other = next((cause for cause in reading.causes if cause.outcome is DnsOutcome.NOT_SENT), None)
    outcome = DnsOutcome.MALFORMED if _is_broken(reading) else DnsOutcome.ANSWERED
    return DnsAnswer(
        outcome=outcome if other is None else other.outcome,
        exit_code=exit_code,
        cause="" if other is None else other.text,
        opcode=reading.opcode,
        status=reading.status or "",
        id=reading.id,
        flags=reading.flags,
        question=reading.question,
        answer=tuple(reading.records["ANSWER"]),
        authority=tuple(reading.records["AUTHORITY"]),
        additional=tuple(reading.records["ADDITIONAL"]),
        edns=reading.edns,
        query_time_us=reading.time_us,
        is_time_coarse=reading.is_coarse,
        server=reading.server,
        port=reading.port,
        protocol=reading.protocol,
        size_bytes=reading.size,
        was_truncated=reading.was_truncated,
        warnings=(*(cause.text for cause in reading.causes if cause is not other), *reading.warnings),
        remainder=tuple(reading.remainder),
    )


def _failed(reading: _Reading, cause: Cause, exit_code: int) -> DnsAnswer:
    others = [each.text for each in reading.causes if each is not cause and not each.is_end]
    return DnsAnswer(
        outcome=cause.outcome,
        exit_code=exit_code,
        cause=cause.text,
        was_truncated=reading.was_truncated,
        warnings=(*others, *reading.warnings),
        remainder=tuple(reading.remainder),
    )
