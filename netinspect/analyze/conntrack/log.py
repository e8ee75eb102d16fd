"""Lines of the kernel's log that say that a conntrack table was full: when, and whose table.

The kernel names the netns unless it is the machine's first (net/netfilter/nf_conntrack_core.c, seen in 6.18); older
ones (seen in 6.1) name none. A line without a name is then anybody's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from netinspect.models.conntrack_limit import TableFull
from netinspect.models.node_limit import NodeFacts, TableFullLine, TableOwner

_NAMES_SINCE = (6, 18)
_RELEASE = re.compile(r"([0-9]+)\.([0-9]+)")


def describe_table_full(
    lines: Sequence[TableFull], netns: int, facts: NodeFacts, drops: int | None, read_s: float | None
) -> tuple[TableFullLine, ...]:
    """Say of each line when it was written and whose table it is about.

    Args:
        lines: of one machine's log.
        netns: the inode of the node's netns; 0 where it is not known.
        facts: the machine.
        drops: packets that the node's own table dropped since boot; None where that is not known.
        read_s: when the log was read, in seconds since boot.
    """
    names = any(each.netns is not None for each in lines) or _names_netns(facts.kernel_release)
    return tuple(_describe(each, netns, facts, drops, read_s, names=names) for each in lines)


def _describe(
    line: TableFull, netns: int, facts: NodeFacts, drops: int | None, read_s: float | None, *, names: bool
) -> TableFullLine:
    owner, why = _owner(line.netns, netns, facts, drops, names=names)
    return TableFullLine(
        time=_moment(line.time_s, facts.boot_time_s),
        age_s=_age_s(line.time_s, read_s),
        owner=owner,
        why=why,
        netns=line.netns,
        raw=line.raw,
    )


def _owner(
    named: int | None, netns: int, facts: NodeFacts, drops: int | None, *, names: bool
) -> tuple[TableOwner, str]:
    if named is not None:
        if not netns:
            return TableOwner.UNTOLD, "the line names a netns, but the node does not tell which is its own"
        if named == netns:
            return TableOwner.OWN, "the line names the node's netns"
        return TableOwner.ANOTHER, "the line names another netns of the machine"
    if names and facts.is_initial_netns:
        return TableOwner.OWN, "the line names no netns: it is the machine's first, which is the node's"
    if names:
        return (
            TableOwner.ANOTHER,
            "the line names no netns: it is the machine's first, which is not the node's",
        )
    if drops == 0:
        return TableOwner.ANOTHER, "the node's own table has dropped no packet since boot"
    return TableOwner.UNTOLD, "this kernel does not say whose table it was"


def _names_netns(release: str | None) -> bool:
    match = _RELEASE.match(release or "")
    return match is not None and (int(match[1]), int(match[2])) >= _NAMES_SINCE


def _moment(time_s: float | None, boot_time_s: int | None) -> str | None:
    if time_s is None or boot_time_s is None:
        return None
    moment = datetime.fromtimestamp(boot_time_s + time_s, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _age_s(time_s: float | None, read_s: float | None) -> float | None:
    """Return how long ago a line was written. It cannot be of the future: then the two clocks are not the same."""
    if time_s is None or read_s is None or time_s > read_s + 1:
        return None
    return round(max(0.0, read_s - time_s), 1)
