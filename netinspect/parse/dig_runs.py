"""What `probes/dns.sh` prints -> the questions it put, each with its answer.

For each question a line `run SEQUENCE START EXIT SERVER PORT PROTOCOL TYPE BYTES BYTES`, then the name and what dig
printed, of so many bytes, each with a line end behind it; at the end `done COUNT`. Lengths, not marks, say where a part
ends: a name and an answer may hold any byte.
"""

from __future__ import annotations

import re

from netinspect.errors import ParseError
from netinspect.models.address import parse_address
from netinspect.models.dns import DnsAnswer, DnsProtocol, DnsRun
from netinspect.models.fact import Fact, Known, Reason, Unavailable
from netinspect.parse.dig import parse_dig
from netinspect.parse.tool_output import excerpt

_SOURCE = "dns.sh"

_RUN = re.compile(
    rb"run ([0-9]{1,9}) ([0-9]{1,12}(?:\.[0-9]{1,9})?) ([0-9]{1,3}) ([0-9A-Fa-f.:]+(?:%[^\s]{1,32})?) ([0-9]{1,5})"
    rb" (udp|tcp) ([A-Za-z0-9-]{1,32}) ([0-9]{1,9}) ([0-9]{1,9})"
)
_DONE = re.compile(rb"done ([0-9]{1,9})\n")
_NOT_EXECUTABLE, _NOT_FOUND = 126, 127


def parse_dig_runs(stdout: bytes) -> tuple[DnsRun, ...]:
    """Read a series, in the order asked. An answer that cannot be read is unavailable; the series stays.

    Raises:
        ParseError: the frame is broken or cut: a length that does not fit, or no "done COUNT" of as many runs.
    """
    runs: list[DnsRun] = []
    at = 0
    while not (done := _DONE.fullmatch(stdout, at)):
        run, at = _read_run(stdout, at)
        runs.append(run)
        if run.sequence != len(runs):
            raise _broken(f"run {run.sequence} in place {len(runs)}", stdout, at)
    if int(done[1]) != len(runs):
        raise _broken(f"{len(runs)} runs are here", stdout, at)
    return tuple(runs)


def _read_run(stdout: bytes, at: int) -> tuple[DnsRun, int]:
    end = stdout.find(b"\n", at)
    match = _RUN.fullmatch(stdout, at, end if end >= 0 else len(stdout))
    if match is None or end < 0:
        raise _broken("neither a run nor the end: the output is cut", stdout, at)
    name, at = _read_part(stdout, end + 1, int(match[8]))
    printed, at = _read_part(stdout, at, int(match[9]))
    sequence, start, exit_code, server, port, protocol, type_ = (
        match[group].decode("utf-8", "backslashreplace") for group in range(1, 8)
    )
    try:
        address = parse_address(server)
    except ValueError as error:
        raise _broken(str(error), stdout, end) from error
    run = DnsRun(
        sequence=int(sequence),
        start_s=float(start),
        server=address,
        port=int(port),
        protocol=DnsProtocol(protocol),
        type=type_,
        name=name.decode("utf-8", "backslashreplace"),
        exit_code=int(exit_code),
        answer=_read_answer(printed, int(exit_code)),
    )
    return run, at


def _read_part(stdout: bytes, at: int, length: int) -> tuple[bytes, int]:
    end = at + length
    if stdout[end : end + 1] != b"\n":
        raise _broken(f"{length} bytes and a line end were announced", stdout, at)
    return stdout[at:end], end + 1


def _read_answer(printed: bytes, exit_code: int) -> Fact[DnsAnswer]:
    if exit_code in (_NOT_EXECUTABLE, _NOT_FOUND):
        return Unavailable(Reason.TOOL_MISSING, excerpt(printed) or "dig could not be run")
    try:
        return Known(parse_dig(printed, exit_code))
    except ParseError as error:
        return Unavailable(Reason.UNPARSABLE, error.message)


def _broken(message: str, stdout: bytes, at: int) -> ParseError:
    return ParseError(message, source=_SOURCE, line=excerpt(stdout[at : at + 200]))
