"""What was read of one node in one trip."""

from __future__ import annotations

import msgspec

from netinspect.models.fact import Fact, Gap, Reason, Unavailable
from netinspect.models.link import Link
from netinspect.models.netns import NamespaceRow, ProcessTable

_UNASKED = Unavailable(Reason.NOT_APPLICABLE, "not asked for")


class NetnsSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What was read in one netns.

    Attributes:
        inode: its inode number.
        how: how it was found: `node`, `process` or `pinned:FILE`.
        links: its links with their addresses.
        namespaces: the netns that it refers to, by its own ids.
    """

    inode: int
    how: str
    links: Fact[tuple[Link, ...]] = _UNASKED
    namespaces: Fact[tuple[NamespaceRow, ...]] = _UNASKED

    @property
    def pinned_path(self) -> str | None:
        """The mount that keeps the netns, as the node side sees it; None where a process led to it."""
        kind, _, path = self.how.partition(":")
        return path if kind == "pinned" else None


class NodeSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What was read of one node.

    Attributes:
        node: the node's name.
        own: the node's own netns.
        processes: the processes of pods and their netns.
        pods: by the plan's key, the netns that were tried for a pod: those of its processes, or, for a pod
            without any process, those that a mount keeps.
        gaps: what of the trip itself is missing (a stream that was cut).
    """

    node: str
    own: NetnsSnapshot
    processes: Fact[ProcessTable] = _UNASKED
    pods: dict[str, tuple[NetnsSnapshot, ...]] = {}
    gaps: tuple[Gap, ...] = ()
