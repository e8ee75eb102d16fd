"""A live cluster as a command's source of facts, recorded or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from netinspect.cli.flags import DebugPodFlags
from netinspect.cli.live import print_dry_run, say
from netinspect.cli.run import open_live, read_debug_pod_options
from netinspect.cli.session import OpenedNodes

if TYPE_CHECKING:
    from netinspect.cli.run import Live
    from netinspect.cluster.client import ClusterClient
    from netinspect.models.debug_pod import Privilege
    from netinspect.probes.plan import Plan
    from netinspect.sources.interface import ApiSource, NodeSource
    from netinspect.sources.recorder import RecordingSink


class LiveSession:
    """A live cluster.

    Attributes:
        api: the API server.
        own_namespace: the context's own.
    """

    def __init__(self, client: ClusterClient, sink: RecordingSink | None = None) -> None:
        """Prepare it.

        Args:
            client: the API server.
            sink: takes what is recorded; None records nothing.
        """
        self._client = client
        self._sink = sink
        self.api: ApiSource = client if sink is None else _recorded_api(client, sink)
        self.own_namespace = client.context.own_namespace

    @contextmanager
    def open_nodes(
        self,
        plans: Mapping[str, Plan],
        flags: DebugPodFlags,
        privilege: Privilege,
        default_timeout_s: float,
    ) -> Iterator[OpenedNodes]:
        """Give the way onto nodes; where there is none to ask, no way there is opened."""
        from netinspect.usecases.nodes import AT_A_TIME, check_node_count

        options = read_debug_pod_options(flags, self.own_namespace, default_timeout_s)
        privilege = options.privilege or privilege
        if flags.dry_run:
            print_dry_run(self._client, options, plans, privilege)
        if not plans:
            yield OpenedNodes(_no_node, privilege, lambda _: "", lambda: None)
            return
        check_node_count(len(plans), yes=flags.yes)
        log = self._sink.add_log if self._sink is not None else None
        if len(plans) > 1 and not options.via:
            begun = f"starting debug pods on {len(plans)} nodes, {min(AT_A_TIME, len(plans))} at a time"
            say(begun)
            if log is not None:
                log(begun)
        way = f"through pod {options.via}" if options.via else f"with privilege {privilege.value}"
        with open_live(self._client, flags, default_timeout_s=default_timeout_s, log=log) as live:
            yield self._opened(live, privilege, way)

    def _opened(self, live: Live, privilege: Privilege, way: str) -> OpenedNodes:
        open_node = live.nodes.open
        if self._sink is not None:
            from netinspect.archive.scrub import scrub_output
            from netinspect.sources.recorder import RecordingNodes

            open_node = RecordingNodes(live.nodes.open, way, self._sink, scrub_output).open
        return OpenedNodes(open_node, privilege, lambda _: way, live.deadline.cancel)


def _recorded_api(client: ClusterClient, sink: RecordingSink) -> ApiSource:
    from netinspect.archive.scrub import scrub_object
    from netinspect.sources.recorder import RecordingApi

    return RecordingApi(client, sink, scrub_object)


def _no_node(node: str, privilege: Privilege) -> AbstractContextManager[NodeSource]:
    raise AssertionError(f"node {node} needs no way in for {privilege}")
