"""What came of one command on a node."""

from __future__ import annotations

import msgspec


class CommandResult(msgspec.Struct, frozen=True):
    """A command's outcome, exactly as it came from the node.

    Attributes:
        key: the plan's key of the pod in whose netns it ran, or "node".
        netns: the inode of the netns in which it ran.
        how: how that netns was found: `node`, `process` (of the pod) or `pinned:FILE` (kept by a mount).
        name: the probe's name.
        exit_code: its exit code, or None where no whole trailer came: the output may then lack its end.
        stdout: its output, or as much of it as arrived.
        stderr: its error output.
        duration_s: how long it ran on the node, in seconds.
        start_s: when it began, in seconds since the node's boot: two results of one node tell the time between them.
        is_recorded: False where a recording was asked that holds no such result: the rest then says nothing.
    """

    key: str
    netns: int
    how: str
    name: str
    exit_code: int | None
    stdout: bytes
    stderr: bytes = b""
    duration_s: float = 0.0
    start_s: float = 0.0
    is_recorded: bool = True

    @property
    def is_whole(self) -> bool:
        """Whether the frame around the output was complete; only then may a parser take it."""
        return self.exit_code is not None


class NodeAnswer(msgspec.Struct, frozen=True):
    """All that came of one trip to a node.

    Attributes:
        netns: the inode of the netns that the node side itself ran in; None where not even that came.
        results: in the order in which they were made; the last may be cut.
        is_whole: whether the answer ended with its own end mark.
    """

    netns: int | None
    results: tuple[CommandResult, ...]
    is_whole: bool
