"""`ipset save` -> sets by name.

Source of the format: ipset 7.17, lib/session.c list_create, list_add and lib/args.c. Each set is a line `create`, and
below it a line `add` for each member::

    create NAME TYPE OPTION...
    add NAME PART,PART,PART OPTION...

Names are not quoted, also where they hold blanks; only comments are, and hold no quotation mark. Nothing at all is the
tool's way to save nothing. There is no end mark: that the last line has its line feed is all that can be checked.
"""

from __future__ import annotations

import re

import msgspec

from netinspect.errors import ParseError
from netinspect.models.ipset import IpSet, SetMember, SetOption
from netinspect.parse.tool_output import output_lines

_SOURCE = "ipset save"
_CREATE = re.compile(r"create (.+?) ((?:bitmap|hash|list):[a-z,]+)((?: .*)?)")
_OPTION = re.compile(r' ([a-z]+)(?: ("[^"]*"|[^ ]+))?')
_FLAGS = frozenset({"comment", "counters", "forceadd", "skbinfo"})
_MEMBER_FLAGS = frozenset({"nomatch", "wildcard"})
_VALUED = frozenset(
    {
        *("bitmask", "bucketsize", "family", "gc", "hashsize", "initval", "markmask", "maxelem", "netmask"),
        *("probes", "range", "resize", "size", "timeout"),
    }
)
_MEMBER_VALUED = frozenset({"bytes", "comment", "packets", "skbmark", "skbprio", "skbqueue", "timeout"})
# Its MAC address is printed only where it is known.
_OPTIONAL_LAST = "bitmap:ip,mac"


def parse_ipsets(stdout: bytes) -> dict[str, IpSet]:
    """Read sets with their members, in the order printed (a `list:set` behind the sets that it lists).

    Raises:
        ParseError: a line is none that the tool prints, has an option that is not known, or stands below another set
            than its own; or the last line lacks its line feed and so perhaps its end.
    """
    lines = output_lines(stdout)
    if stdout and not stdout.endswith(b"\n"):
        raise _error("the output ends within a line", lines[-1])
    sets: dict[str, IpSet] = {}
    members: list[SetMember] = []
    last: IpSet | None = None
    for line in lines:
        if last is not None and line.startswith(prefix := f"add {last.name} "):
            members.append(_read_member(line, len(prefix), last))
        else:
            _close(sets, last, members)
            last, members = _read_set(line, sets), []
    _close(sets, last, members)
    return sets


def _close(sets: dict[str, IpSet], last: IpSet | None, members: list[SetMember]) -> None:
    if last is not None:
        sets[last.name] = msgspec.structs.replace(last, members=tuple(members))


def _read_set(line: str, sets: dict[str, IpSet]) -> IpSet:
    match = _CREATE.fullmatch(line)
    if match is None:
        raise _error("expected create with a name and a type, or add with the name of the set above", line)
    if match[1] in sets:
        raise _error("a set that was there before", line)
    options = _read_options(line, match.start(3), _FLAGS, _VALUED)
    return IpSet(name=match[1], type=match[2], options=options, raw=line)


def _read_member(line: str, start: int, owner: IpSet) -> SetMember:
    end = line.find(" ", start)
    end = len(line) if end < 0 else end
    parts = tuple(line[start:end].split(","))
    missing = len(owner.dimensions) - len(parts)
    if not all(parts) or missing not in ((0, 1) if owner.type == _OPTIONAL_LAST else (0,)):
        raise _error(f"expected a member of a {owner.type}", line, start)
    return SetMember(parts, _read_options(line, end, _MEMBER_FLAGS, _MEMBER_VALUED), line)


def _read_options(
    line: str, start: int, flags: frozenset[str], valued: frozenset[str]
) -> tuple[SetOption, ...]:
    """Read the options from a place on; a word that is both (`comment`) is the flag where flags are asked for."""
    options: list[SetOption] = []
    while start < len(line.rstrip(" ")):
        match = _OPTION.match(line, start)
        name = match[1] if match else ""
        if match is None or not (name in flags or (name in valued and match[2])):
            raise _error("an option that is not known here, or lacks its value", line, start + 1)
        is_flag = name in flags
        options.append(SetOption(name, None if is_flag else match[2].strip('"')))
        start = match.end(1) if is_flag else match.end()
    return tuple(options)


def _error(message: str, line: str, column: int | None = None) -> ParseError:
    return ParseError(message, source=_SOURCE, line=line, column=column)
