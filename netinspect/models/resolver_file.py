"""A resolv.conf as a process of a pod sees it."""

from __future__ import annotations

import msgspec

from netinspect.models.fact import Fact
from netinspect.models.resolver import ResolvConf


class ResolverFile(msgspec.Struct, frozen=True, kw_only=True):
    """A resolv.conf, and whose.

    Attributes:
        pid: the process, by its PID on the node.
        text: the file, without the line ends at its end; bytes that are no UTF-8 as backslash escapes.
        conf: what it says.
    """

    pid: int
    text: str
    conf: Fact[ResolvConf]
