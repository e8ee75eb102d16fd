"""What every source of facts can do, whether it is a live node, this host or a recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol, TypeVar

from netinspect.cluster.listing import ListResult
from netinspect.models.command import NodeAnswer
from netinspect.models.debug_pod import Privilege
from netinspect.parse.frames import Sinks
from netinspect.probes.plan import Plan, Probe

T = TypeVar("T")


class ApiSource(Protocol):
    """Answers what is asked of the API, and tells the time of the answers. Safe for threads."""

    @property
    def namespace(self) -> str:
        """The context's namespace, or that of `--namespace`."""
        ...

    def now(self) -> datetime:
        """The time, in UTC: of a recording, that of its making."""
        ...

    def get_object(self, type_: type[T], path: str) -> T:
        """Get one object.

        Raises:
            ClusterError: the API server refused or failed; `NotRecordedError` where a recording does not hold it.
            ParseError: the answer is not such an object.
        """
        ...

    def list_objects(
        self, type_: type[T], path: str, *, label_selector: str = "", field_selector: str = ""
    ) -> ListResult[T]:
        """List the objects of a collection that match both selectors, which are the API's own.

        Raises:
            As `get_object`.
        """
        ...


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
