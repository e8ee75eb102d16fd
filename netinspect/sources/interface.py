"""What every source of facts can do, whether it is a live node, this host or a recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from netinspect.models.command import NodeAnswer
from netinspect.models.debug_pod import Privilege
from netinspect.parse.frames import Sinks
from netinspect.probes.plan import Plan, Probe


class NodeSource(Protocol):
    """Answers plans for one node."""

    @property
    def node(self) -> str:
        """The node's name."""
        ...

    @property
    def privilege(self) -> Privilege:
        """What is seen there: below SYSADMIN no process of the node is, and so no pod's netns."""
        ...

    def run(self, plan: Plan, sinks: Sinks | None = None) -> NodeAnswer:
        """Run a plan in one trip.

        An answer that is cut off is returned as far as it came, and says so.

        Args:
            plan: what to ask.
            sinks: by key and name of a probe, what takes its output piece by piece: for what may be too long to hold.

        Raises:
            CommandError: the node side could not even begin (no shell in the image, for example).
        """
        ...


class LiveStream(Protocol):
    """The output of a command that runs until it is told to end."""

    def lines(self) -> Iterator[str]:
        """Yield whole lines as they come; a last line without its end is none."""
        ...

    @property
    def exit_code(self) -> int | None:
        """The command's exit code after the last line; None where its end was not seen."""
        ...

    @property
    def stderr(self) -> str:
        """What it complained about, as far as it is kept."""
        ...


class StreamSource(NodeSource, Protocol):
    """A node on which a command can also be watched: a live one."""

    def stream(self, probe: Probe) -> AbstractContextManager[LiveStream]:
        """Run a probe in the node's netns and read its output live; it is ended when the block ends.

        The command also ends by itself where the connection to it is lost.

        Raises:
            ClusterError: the API server refused or failed.
        """
        ...


OpenNode = Callable[[str, Privilege], AbstractContextManager[NodeSource]]
"""Opens the source of a node by name, for commands that need this much privilege there."""
