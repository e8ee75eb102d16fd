"""What limits the connection tracking table: its statistics, its sysctls, and what the kernel's log says of it.

Sources of the formats: conntrack-tools, src/conntrack.c nfct_stats_cb; util-linux, sys-utils/dmesg.c print_record;
the kernel's net/netfilter/nf_conntrack_core.c __nf_conntrack_alloc. All but the log are lines of numbers, of which a
cut one would be another number: each line must have its end.
"""

from __future__ import annotations

import re

import msgspec

from netinspect.errors import ParseError
from netinspect.models.codec import json_decoder
from netinspect.models.conntrack import CpuStatistics
from netinspect.models.conntrack_limit import ConntrackSysctls, KernelLogLine, TableFull
from netinspect.parse.conntrack import whole_lines
from netinspect.parse.tool_output import decode_output

_STATISTICS_SOURCE = "conntrack -S"
_SYSCTL_SOURCE = "grep -Hs '' /proc/sys/net/netfilter/nf_conntrack_*"
_LOG_SOURCE = "dmesg --json -x"

# A cpu without counters has none that the tool's version knows by name. The tool leaves a blank behind each counter.
_CPU = re.compile(r"cpu=([0-9]{1,10}) *\t((?:[a-z0-9_]+=[0-9]{1,10} )*)")
_SYSCTL = re.compile(
    r"(?:/proc/sys/net/(?:netfilter/)?nf_conntrack_([a-z0-9_]+)|/sys/module/nf_conntrack/parameters/(hashsize))"
    r":(-?[0-9]{1,20})"
)
# "expectation table full" is another table, and drops nothing. Old kernels end the sentence with a full stop.
_TABLE_FULL = re.compile(
    r"(?:nf_conntrack: )?(?:nf|ip)_conntrack: table full(?: in netns ([0-9]{1,10}))?, dropping packet\.?\s*"
)

_LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")
_FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("res0", "res1", "res2", "res3"),
    *(f"local{number}" for number in range(8)),
)


class _Record(msgspec.Struct):
    """One record. With `-x`, `pri` is the level's name and `fac` the facility's.

    Without `-x` it is one number that tells neither: before util-linux 2.40 level and facility are laid over each
    other, so that 5 is a notice of the kernel or a warning of a user (util-linux issue 2325).
    """

    msg: str
    pri: int | str | None = None
    fac: str | None = None
    time: float | None = None


class _Log(msgspec.Struct):
    dmesg: list[_Record]


_LOG = json_decoder(_Log)


def parse_statistics(stdout: bytes) -> tuple[CpuStatistics, ...]:
    """Read `conntrack -S`: a line a CPU. Which counters there are depends on kernel and tool; all are kept.

    Raises:
        ParseError: there is no line, a line has another form or lacks its end, or a name or CPU is there twice.
    """
    lines = whole_lines(stdout, _STATISTICS_SOURCE)
    if not lines:
        raise ParseError("no CPU is listed", source=_STATISTICS_SOURCE)
    statistics = tuple(_parse_cpu(line) for line in lines)
    if len({each.cpu for each in statistics}) != len(statistics):
        raise ParseError("a CPU is listed twice", source=_STATISTICS_SOURCE, line=lines[-1])
    return statistics


def _parse_cpu(line: str) -> CpuStatistics:
    match = _CPU.fullmatch(line)
    if match is None:
        raise ParseError("not a CPU and its counters", source=_STATISTICS_SOURCE, line=line)
    pairs = [pair.partition("=") for pair in match[2].split()]
    counters = {name: int(value) for name, _, value in pairs}
    if len(counters) != len(pairs):
        raise ParseError("a counter is there twice", source=_STATISTICS_SOURCE, line=line)
    return CpuStatistics(cpu=int(match[1]), counters=counters)


def parse_sysctls(stdout: bytes) -> ConntrackSysctls:
    """Read lines `PATH:VALUE` of sysctls and of the module's `hashsize`. What is not listed is not visible there.

    Raises:
        ParseError: a line has another form or lacks its end.
    """
    values: dict[str, int] = {}
    for line in whole_lines(stdout, _SYSCTL_SOURCE):
        match = _SYSCTL.fullmatch(line)
        if match is None:
            raise ParseError("not a sysctl of conntrack and a number", source=_SYSCTL_SOURCE, line=line)
        # net.nf_conntrack_max is another name of net.netfilter.nf_conntrack_max; either may come first.
        name, value = match[1] or match[2], int(match[3])
        if values.setdefault(name, value) != value:
            raise ParseError("a sysctl with two values", source=_SYSCTL_SOURCE, line=line)
    named = {name: values.pop(name) for name in _SYSCTL_FIELDS if name in values}
    return ConntrackSysctls(**named, others=values)


_SYSCTL_FIELDS = tuple(name for name in ConntrackSysctls.__struct_fields__ if name != "others")


def parse_kernel_log(stdout: bytes) -> tuple[KernelLogLine, ...]:
    """Read `dmesg --json -x` (util-linux 2.38 and later), oldest first; without `-x` level and facility are not known.

    No output is how dmesg prints a log without records. Bytes that are no text are replaced, so that one message with
    such bytes does not hide all others.

    Raises:
        ParseError: the output is no JSON, is cut, or has another shape.
    """
    if not stdout.strip():
        return ()
    text = stdout.decode("utf-8", "replace").encode()
    return tuple(_parse_record(record) for record in decode_output(_LOG, text, _LOG_SOURCE).dmesg)


def _parse_record(record: _Record) -> KernelLogLine:
    level = _LEVELS.index(record.pri) if record.pri in _LEVELS else None
    facility = _FACILITIES.index(record.fac) if record.fac in _FACILITIES else None
    return KernelLogLine(time_s=record.time, level=level, facility=facility, message=record.msg)


def find_table_full(log: tuple[KernelLogLine, ...]) -> tuple[TableFull, ...]:
    """Pick the records that say that a conntrack table was full and a packet was dropped, in the order of the log.

    Only the kernel's own records count: any program may write to its log. Where dmesg did not tell whose a record is
    (it was run without `-x`), it counts.
    """
    found = ((record, _TABLE_FULL.fullmatch(record.message)) for record in log if not record.facility)
    return tuple(
        TableFull(time_s=record.time_s, netns=None if match[1] is None else int(match[1]), raw=record.message)
        for record, match in found
        if match is not None
    )
