"""What `probes/resolv_conf.sh` prints -> the resolv.conf of each process that has one."""

from __future__ import annotations

import re

from netinspect.errors import ParseError
from netinspect.models.fact import Fact, Known, Reason, Unavailable
from netinspect.models.resolver import ResolvConf
from netinspect.models.resolver_file import ResolverFile
from netinspect.parse.resolv_conf import parse_resolv_conf
from netinspect.parse.tool_output import excerpt

_SOURCE = "resolv_conf.sh"

_FILE = re.compile(rb"file ([0-9]{1,10}) ([0-9]{1,7})\n")
_NONE = re.compile(rb"none ([0-9]{1,10})\n")
_DONE = re.compile(rb"done ([0-9]{1,4})\n")


def parse_resolv_confs(stdout: bytes) -> tuple[ResolverFile, ...]:
    """Read the files, by PID. A process without one is left out; a file that is no resolv.conf is unavailable.

    Raises:
        ParseError: the frame is broken or cut.
    """
    files: list[ResolverFile] = []
    at = count = 0
    while not (done := _DONE.fullmatch(stdout, at)):
        count += 1
        if none := _NONE.match(stdout, at):
            at = none.end()
            continue
        header = _FILE.match(stdout, at)
        if header is None:
            raise ParseError("no file and no end", source=_SOURCE, line=excerpt(stdout[at:]))
        end = header.end() + int(header[2])
        if stdout[end : end + 1] != b"\n":
            raise ParseError("a file without its end", source=_SOURCE, line=excerpt(stdout[at:]))
        files.append(_read_file(int(header[1]), stdout[header.end() : end]))
        at = end + 1
    if int(done[1]) != count:
        raise ParseError(f"{count} entries are here", source=_SOURCE, line=excerpt(stdout[at:]))
    return tuple(files)


def _read_file(pid: int, text: bytes) -> ResolverFile:
    return ResolverFile(pid=pid, text=text.decode("utf-8", "backslashreplace"), conf=_read_conf(text))


def _read_conf(text: bytes) -> Fact[ResolvConf]:
    try:
        return Known(parse_resolv_conf(text))
    except ParseError as error:
        return Unavailable(Reason.UNPARSABLE, error.message)
