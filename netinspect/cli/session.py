"""Where a command's facts come from: a live cluster, a live cluster that is recorded, a recording, or this host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from netinspect.cli.flags import DebugPodFlags
    from netinspect.cli.source_flags import SourceFlags
    from netinspect.models.debug_pod import Privilege
    from netinspect.models.fact import Gap
    from netinspect.probes.plan import Plan
    from netinspect.sources.interface import ApiSource, OpenNode


@dataclass(frozen=True)
class OpenedNodes:
    """The way onto nodes, for as long as it is open.

    Attributes:
        open: opens one of them.
        privilege: how much is to be seen there.
        way_of: says in words how a node is read ("with privilege sysadmin"); "" where it is not.
        cancel: tells running trips to come to their end.
        gaps: returns what the way itself could not tell so far.
        notes: returns what there is to say of pods that were looked for.
    """

    open: OpenNode
    privilege: Privilege
    way_of: Callable[[str], str]
    cancel: Callable[[], None]
    gaps: Callable[[], tuple[Gap, ...]] = tuple
    notes: Callable[[], tuple[str, ...]] = tuple


class Session(Protocol):
    """One command's source of facts."""

    @property
    def api(self) -> ApiSource:
        """What answers for the API."""
        ...

    @property
    def own_namespace(self) -> str:
        """Where debug pods are made unless flags say otherwise."""
        ...

    def open_nodes(
        self,
        plans: Mapping[str, Plan],
        flags: DebugPodFlags,
        privilege: Privilege,
        default_timeout_s: float,
    ) -> AbstractContextManager[OpenedNodes]:
        """Give the way onto nodes; with `--dry-run` print the debug pods and end.

        Args:
            plans: by node, what is going to be asked.
            flags: the wishes about debug pods.
            privilege: the least that serves, where the user did not choose.
            default_timeout_s: for the whole command, where the user did not choose.

        Raises:
            UsageError: a flag has no meaning.
            ClusterError: the API server refused or failed.
        """
        ...


def open_session(flags: SourceFlags) -> Session:
    """Open what the flags name. What has to be closed is closed when the command ends, however it does.

    Raises:
        UsageError: flags exclude each other, or have no meaning.
        ClusterError: there is no usable configuration.
        RecordingError: there is no such recording, or it cannot be written.
    """
    from netinspect.cli.record import check_files

    check_files(flags)
    if flags.local:
        from netinspect.cli.local import open_local

        return open_local(flags)
    if flags.from_:
        from netinspect.cli.replay import open_recording

        return open_recording(flags)
    from netinspect.cli.live_session import LiveSession
    from netinspect.cli.run import connect

    client = connect(flags)
    if not flags.record:
        return LiveSession(client)
    from netinspect.cli.record import start_recording

    return LiveSession(client, start_recording(flags.invocation, flags.record, client.namespace))


def describe_ways(opened: OpenedNodes, names: Iterable[str]) -> tuple[str, ...]:
    """Return the notes on how nodes were read."""
    by_way: dict[str, list[str]] = {}
    for name in names:
        by_way.setdefault(opened.way_of(name), []).append(name)
    return tuple(f"read {way} on {', '.join(nodes)}" for way, nodes in by_way.items() if way)
