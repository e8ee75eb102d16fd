"""`--from`: a recording as a command's source of facts. No cluster, no kubeconfig, no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from netinspect.cli.flags import DebugPodFlags
from netinspect.cli.idle_flags import check_idle_flags
from netinspect.cli.record import is_given
from netinspect.cli.session import OpenedNodes
from netinspect.cli.source_flags import SourceFlags
from netinspect.errors import UsageError

if TYPE_CHECKING:
    from typer import Context

    from netinspect.models.debug_pod import Privilege
    from netinspect.models.recording import Recording
    from netinspect.probes.plan import Plan


def open_recording(flags: SourceFlags) -> RecordedSession:
    """Read the recording that `--from` names.

    Raises:
        UsageError: a flag says how to reach a cluster, or that a recording is to be made.
        RecordingError: there is no such recording, or it is not one.
    """
    check_flags(flags.invocation)
    from netinspect.archive.reader import read_recording

    return RecordedSession(read_recording(Path(flags.from_)), flags.namespace)


def check_flags(invocation: Context) -> None:
    """Make sure that no flag is given that has no effect with `--from`.

    Raises:
        UsageError: one is.
    """
    if is_given(invocation, "record"):
        raise UsageError("--record and --from exclude each other: a recording is made of a cluster")
    check_idle_flags(invocation, "--from")


class RecordedSession:
    """A recording of a cluster.

    Attributes:
        api: answers as the API server did.
        own_namespace: "": no debug pod is made.
    """

    def __init__(self, recording: Recording, namespace: str = "") -> None:
        """Prepare it.

        Args:
            recording: what answers.
            namespace: of `--namespace`.
        """
        from netinspect.sources.recorded_api import RecordedApi
        from netinspect.sources.recorded_nodes import RecordedNodes

        self.api = RecordedApi(recording, namespace)
        self.own_namespace = ""
        self._nodes = RecordedNodes(recording)

    @contextmanager
    def open_nodes(
        self,
        plans: Mapping[str, Plan],
        flags: DebugPodFlags,
        privilege: Privilege,
        default_timeout_s: float,
    ) -> Iterator[OpenedNodes]:
        """Give the way to what nodes said."""
        from netinspect.cli.run import read_debug_pod_options

        read_debug_pod_options(flags, self.own_namespace, default_timeout_s)
        yield OpenedNodes(self._nodes.open, privilege, self._nodes.way_of, lambda: None)
