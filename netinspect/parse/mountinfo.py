r"""`/proc/PID/mountinfo` -> the network namespaces that a mount keeps alive.

A line (proc(5)): `58 42 0:4 net:[4026532874] /run/netns/cni-2a04 rw shared:16 - nsfs nsfs rw`: the root field names the
namespace, the next one where it is mounted, with blank, tab, line end and backslash written as `\040` and so on.
"""

from __future__ import annotations

import re

from netinspect.errors import ParseError
from netinspect.models.netns import PinnedNetns
from netinspect.parse.tool_output import output_lines

_SOURCE = "/proc/PID/mountinfo"

_LINE = re.compile(r"[0-9]+ [0-9]+ [0-9]+:[0-9]+ ([^ ]+) ([^ ]+) [^ ]+(?: [^ ]+)* - ([^ ]+) .*")
_NETNS_ROOT = re.compile(r"net:\[([0-9]{1,20})\]")
_ESCAPE = re.compile(r"\\([0-7]{3})")


def parse_pinned_netns(stdout: bytes) -> tuple[PinnedNetns, ...]:
    """Read the mounts of network namespaces, in the order mounted; other mounts are skipped.

    A namespace that is mounted twice (`/run/netns` propagated to a second place) comes twice. No output stands for
    no such mount: the lines may have been chosen by grep.

    Raises:
        ParseError: a line has another form.
    """
    pinned = []
    for line in output_lines(stdout):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ParseError("a line that is no mount", source=_SOURCE, line=line)
        root = _NETNS_ROOT.fullmatch(match[1])
        if root is not None and match[3] == "nsfs":
            pinned.append(PinnedNetns(int(root[1]), _unescape(match[2])))
    return tuple(pinned)


def _unescape(path: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), path)
