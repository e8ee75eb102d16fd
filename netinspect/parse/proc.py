"""Listings of `/proc`: each process's netns, and each process's name."""

from __future__ import annotations

import re

from netinspect.errors import ParseError
from netinspect.parse.tool_output import output_lines

_LS_SOURCE = "ls -ld /proc/[0-9]*/ns/net"
_COMM_SOURCE = "grep -Hs '' /proc/PID/comm"

# The columns before the name differ between coreutils and busybox, and are not looked at.
_LS_LINE = re.compile(r"l\S+\s.*?\s/proc/([0-9]{1,10})/ns/net(?: -> net:\[([0-9]{1,20})\])?")
_COMM_LINE = re.compile(r"/proc/([0-9]{1,10})/comm:(.*)")
# What grep says of a name that is no text in its locale.
_BINARY_COMM = re.compile(
    r"(?:grep: /proc/[0-9]+/comm: binary file matches|Binary file /proc/[0-9]+/comm matches)"
)


def parse_netns_listing(stdout: bytes) -> dict[int, int]:
    """Read `ls -ld /proc/[0-9]*/ns/net`: PID -> inode of its netns.

    A line without an arrow is a link that the node would not let us read (a restrictive sandbox refuses PID 1's
    even to root); that PID is left out. At least `ls` itself runs, so no output at all is an error.

    Raises:
        ParseError: there is no output, or a line has another form.
    """
    lines = output_lines(stdout)
    if not lines:
        raise ParseError("no process is listed", source=_LS_SOURCE)
    netns: dict[int, int] = {}
    for line in lines:
        match = _LS_LINE.fullmatch(line)
        if match is None:
            raise ParseError("a line that lists no /proc/PID/ns/net", source=_LS_SOURCE, line=line)
        if match[2] is not None:
            netns[int(match[1])] = int(match[2])
    return netns


def parse_comm_grep(stdout: bytes) -> dict[int, str]:
    """Read `grep -Hs '' /proc/12/comm /proc/13/comm ...`: PID -> process name.

    Processes that ended in between are missing. A name may hold a line end (prctl takes any bytes): grep then
    prints the file's name before each line, and the lines are joined again.

    Raises:
        ParseError: a line has another form (`grep` without -H, given one file, leaves the file's name out).
    """
    comms: dict[int, str] = {}
    for line in output_lines(stdout):
        match = _COMM_LINE.fullmatch(line)
        if match is not None:
            pid = int(match[1])
            comms[pid] = f"{comms[pid]}\n{match[2]}" if pid in comms else match[2]
        elif _BINARY_COMM.fullmatch(line) is None:
            raise ParseError("a line without /proc/PID/comm: in front", source=_COMM_SOURCE, line=line)
    return comms
