"""What a snapshot holds of one node: a row of what `snapshot` prints."""

from __future__ import annotations

import msgspec


class SnapshotEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A node in a snapshot.

    Attributes:
        node: the node's name.
        pods: pods of the node with a netns of their own that were looked for.
        netns: netns of pods that were entered.
        probes: questions that were put, in all netns together.
        unanswered: those of them that ended with another exit code than 0, or whose answer was cut.
        size_bytes: of all answers together, as they came.
    """

    node: str
    pods: int
    netns: int
    probes: int
    unanswered: int
    size_bytes: int
