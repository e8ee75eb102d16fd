"""`lsns -t net -J -o NS,NETNSID,PID,COMMAND` -> network namespaces and the ids by which the caller's netns knows them.

Source of the format: util-linux, sys-utils/lsns.c. Numbers became JSON numbers over the years (2.38 prints `ns` and
`pid` as numbers and `netnsid` as a string; older ones print strings only), so both are taken everywhere.
Namespaces without a process are listed by newer versions only.
"""

from __future__ import annotations

import msgspec

from netinspect.errors import ParseError
from netinspect.models.codec import json_decoder
from netinspect.models.netns import NamespaceRow
from netinspect.parse.tool_output import decode_output

_SOURCE = "lsns -t net -J -o NS,NETNSID,PID,COMMAND"
# What stands in NETNSID where the caller's netns has no id for the namespace, or could not ask.
_NO_NETNSID = frozenset({None, "", "unassigned", -1, "-1"})
# What stands in PID where a namespace has no process and is listed all the same (newer versions).
_NO_PID = frozenset({None, "", 0, "0"})
_MAX_DIGITS = 20


class _Row(msgspec.Struct):
    """One namespace; `children` with `--tree`, which some versions turn on by themselves."""

    ns: int | str
    netnsid: int | str | None = None
    pid: int | str | None = None
    command: str | None = None
    children: list[_Row] = []


class _Output(msgspec.Struct):
    namespaces: list[_Row]


_DECODER = json_decoder(_Output)


def parse_lsns(stdout: bytes) -> tuple[NamespaceRow, ...]:
    """Read the namespaces in the order printed, a namespace before the ones nested in it.

    Raises:
        ParseError: the output is empty, not JSON, cut, or has another shape.
    """
    waiting = list(reversed(decode_output(_DECODER, stdout, _SOURCE).namespaces))
    rows = []
    while waiting:
        row = waiting.pop()
        if row.netnsid != "":  # lsns could not ask: that is not the same as having no id
            rows.append(_parse_row(row))
        waiting.extend(reversed(row.children))
    return tuple(rows)


def _parse_row(row: _Row) -> NamespaceRow:
    return NamespaceRow(
        inode=_number(row.ns, "ns"),
        netnsid=None if row.netnsid in _NO_NETNSID else _number(row.netnsid, "netnsid"),
        pid=None if row.pid in _NO_PID else _number(row.pid, "pid"),
        command=_program_of(row.command or ""),
    )


def _program_of(command: str) -> str:
    """Return a command line's program, without its path. Arguments may be secret, and tell nobody which netns it is."""
    program, _, _ = command.partition(" ")
    return program.rpartition("/")[2]


def _number(value: int | str | None, key: str) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise ParseError(f"{key} is no number", source=_SOURCE, line=text)
    return int(text)
