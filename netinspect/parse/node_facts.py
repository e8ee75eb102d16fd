"""What /proc and /sys say of a node's machine: its clock, CPUs, memory, kernel; and the size of a kernel object.

Sources of the formats: proc(5); Linux, Documentation/admin-guide/cputopology.rst (lists of CPUs); slabinfo(5).
"""

from __future__ import annotations

import re

from netinspect.errors import ParseError
from netinspect.models.node_limit import NodeFacts
from netinspect.parse.conntrack import whole_lines

_SOURCE = "grep -Hs /proc/stat /proc/meminfo ..."
_SLAB_SOURCE = "/proc/slabinfo"

_MEMORY = re.compile(r"MemTotal: +([0-9]{1,15}) kB")
_BTIME = re.compile(r"btime ([0-9]{1,12})")
_RELEASE = re.compile(r"[0-9]+\.\S+")
_NUMBER = re.compile(r"[0-9]{1,10}")
_RANGE = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")
# Name, active objects, objects, size of one, and more.
_SLAB = re.compile(r"nf_conntrack +[0-9]+ +[0-9]+ +([0-9]{1,6}) .*")


def parse_node_facts(stdout: bytes) -> NodeFacts:
    """Read lines `PATH:TEXT` of some files of /proc and /sys. A file that is not listed was not there.

    Raises:
        ParseError: a file is not one of those asked for, its line has another form, or the last line lacks its end.
    """
    found: dict[str, str] = {}
    for line in whole_lines(stdout, _SOURCE):
        path, colon, text = line.partition(":")
        pattern = _PATTERNS.get(path)
        match = pattern.fullmatch(text) if pattern and colon else None
        if match is None or path in found:
            raise ParseError("not a line that was asked for", source=_SOURCE, line=line)
        found[path] = match[1] if match.re.groups == 1 else text
    memory = found.get("/proc/meminfo")
    btime, cpus = found.get("/proc/stat"), found.get(_ONLINE)
    return NodeFacts(
        boot_time_s=int(btime) if btime else None,
        memory_bytes=int(memory) * 1024 if memory else None,
        kernel_release=found.get("/proc/sys/kernel/osrelease"),
        cpus=count_cpus(cpus) if cpus else None,
        # The kernel gives this name of the limit to the machine's first netns only (nf_conntrack_standalone.c).
        is_initial_netns=_ALIAS in found,
    )


_ONLINE = "/sys/devices/system/cpu/online"
_ALIAS = "/proc/sys/net/nf_conntrack_max"
_PATTERNS = {
    "/proc/stat": _BTIME,
    "/proc/meminfo": _MEMORY,
    "/proc/sys/kernel/osrelease": _RELEASE,
    _ONLINE: re.compile(r"[0-9,-]+"),
    _ALIAS: _NUMBER,
}


def count_cpus(text: str) -> int:
    """Return how many CPUs a list such as `0-3,8` has.

    Raises:
        ParseError: it is no such list.
    """
    count = 0
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise ParseError("not a list of CPUs", source=_ONLINE, line=text)
        count += last - first + 1
    return count


def parse_flow_bytes(stdout: bytes) -> int:
    """Read from a line of /proc/slabinfo how many bytes one entry of the table takes, without its extensions.

    Raises:
        ParseError: there is not one line about nf_conntrack, or it lacks its end.
    """
    lines = whole_lines(stdout, _SLAB_SOURCE)
    match = _SLAB.fullmatch(lines[0]) if len(lines) == 1 else None
    if match is None:
        raise ParseError("not one line about nf_conntrack", source=_SLAB_SOURCE, line="\n".join(lines)[:200])
    return int(match[1])
