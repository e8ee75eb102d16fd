"""`--local`: this host as a command's source of facts. No API server, no kubeconfig, no debug pod."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from netinspect.cli.flags import DebugPodFlags
from netinspect.cli.idle_flags import check_idle_flags
from netinspect.cli.record import is_given
from netinspect.cli.session import OpenedNodes, Session
from netinspect.cli.source_flags import SourceFlags
from netinspect.errors import UsageError

if TYPE_CHECKING:
    from typer import Context

    from netinspect.models.debug_pod import Privilege
    from netinspect.models.fact import Gap
    from netinspect.probes.plan import Plan


def open_local(flags: SourceFlags) -> LocalSession:
    """Read this host in place of a cluster.

    Raises:
        UsageError: a flag says how to reach a cluster, which nodes of it, or that there is a recording.
    """
    from netinspect.cluster.signals import install_handlers

    check_flags(flags.invocation)
    install_handlers()
    return LocalSession(flags.namespace)


def check_flags(invocation: Context) -> None:
    """Make sure that no flag is given that has no effect with `--local`.

    Raises:
        UsageError: one is.
    """
    for name in ("record", "from_"):
        if is_given(invocation, name):
            raise UsageError(f"--local and --{name.rstrip('_')} exclude each other")
    if is_given(invocation, "all_nodes"):
        raise UsageError("--local reads this host only: --all-nodes is not to be had")
    check_idle_flags(invocation, "--local")


class LocalSession:
    """This host.

    Attributes:
        api: answers what the host knows of itself.
        own_namespace: "": no debug pod is made.
    """

    def __init__(self, namespace: str = "") -> None:
        """Prepare it; `namespace` is that of `--namespace`."""
        from netinspect.sources.local_api import LocalApi

        self.api = LocalApi(namespace)
        self.own_namespace = ""

    @contextmanager
    def open_nodes(
        self,
        plans: Mapping[str, Plan],
        flags: DebugPodFlags,
        privilege: Privilege,
        default_timeout_s: float,
    ) -> Iterator[OpenedNodes]:
        """Give the way onto this host."""
        from netinspect.cli.run import read_debug_pod_options
        from netinspect.cluster.deadline import Deadline
        from netinspect.sources.local_node import LocalNodes

        options = read_debug_pod_options(flags, self.own_namespace, default_timeout_s)
        deadline = Deadline.after(options.timeout_s)
        nodes = LocalNodes(self.api.host.node, deadline)
        user = "root" if os.geteuid() == 0 else f"user {os.geteuid()}"
        yield OpenedNodes(
            open=nodes.open,
            privilege=privilege,
            way_of=lambda _: f"locally as {user}",
            cancel=deadline.cancel,
            gaps=lambda: self.api.gaps,
            notes=lambda: self.api.notes,
        )


def list_pod_gaps(session: Session) -> tuple[Gap, ...]:
    """Return what a listing of pods lacks without an API server."""
    from netinspect.models.fact import Gap, Reason

    assert isinstance(session, LocalSession)
    what = "readiness, restarts, age and owner of pods"
    return (*session.api.gaps, Gap("cluster", what, Reason.NO_API, "known to the API server only"))
