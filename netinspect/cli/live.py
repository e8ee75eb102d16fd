"""What `netns` and `veth` have in common: targets -> pods -> one trip to each of their nodes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NoReturn

import msgspec

from netinspect.cli.flags import DebugPodFlags, ListFlags, NodeFlags
from netinspect.cli.run import DEFAULT_TIMEOUT_S, read_debug_pod_options, read_targets_wanted
from netinspect.cli.source_flags import SourceFlags

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netinspect.cli.session import Session
    from netinspect.cluster.client import ClusterClient
    from netinspect.models.debug_pod import DebugPodOptions, Privilege
    from netinspect.models.kubernetes import Pod
    from netinspect.probes.plan import Plan
    from netinspect.usecases.readings import Readings


def read_targets(
    names: list[str] | None,
    targets: ListFlags,
    nodes: NodeFlags,
    debug_pod: DebugPodFlags,
    source: SourceFlags,
    build_plan: Callable[[tuple[Pod, ...]], Plan],
) -> tuple[Readings, tuple[str, ...]]:
    """Resolve what the command line names, and read it; with `--dry-run` print the debug pods and end.

    Returns:
        what was read, and notes on how.
    """
    from netinspect.cli.session import open_session
    from netinspect.usecases.targets import resolve_pods

    session = open_session(source)
    read_debug_pod_options(debug_pod, session.own_namespace)  # a wrong flag ends it before any request
    wanted = read_targets_wanted(names, targets, nodes, source)
    return visit_pods(session, resolve_pods(session.api, wanted), debug_pod, build_plan)


def visit_pods(
    session: Session,
    pods: Sequence[Pod],
    flags: DebugPodFlags,
    build_plan: Callable[[tuple[Pod, ...]], Plan],
) -> tuple[Readings, tuple[str, ...]]:
    """Read the netns of pods through their nodes, and say how."""
    from netinspect.cli.session import describe_ways
    from netinspect.models.debug_pod import Privilege
    from netinspect.usecases.readings import group_by_node, read_pods

    plans = {node: build_plan(members) for node, members in group_by_node(pods).items()}
    with session.open_nodes(plans, flags, Privilege.SYSADMIN, DEFAULT_TIMEOUT_S) as opened:
        readings: Readings = read_pods(pods, opened.open, build_plan, opened.cancel, opened.privilege)
    readings = msgspec.structs.replace(readings, gaps=(*readings.gaps, *opened.gaps()))
    return readings, (*opened.notes(), *describe_ways(opened, plans))


def print_dry_run(
    client: ClusterClient, options: DebugPodOptions, plans: Mapping[str, Plan], privilege: Privilege
) -> NoReturn:
    """Print the manifests of the debug pods that would be created on these nodes, and end the command."""
    from typer import Exit

    from netinspect.cluster.access import design_debug_pod
    from netinspect.cluster.debug_pod import build_debug_pod
    from netinspect.cluster.identity import get_user
    from netinspect.models.debug_pod import Transport
    from netinspect.probes.plan import build_log_command
    from netinspect.render.structured import render_yaml

    if options.via or not plans:
        say("no debug pod would be created")
        raise Exit(0)
    user = get_user(client)
    pods = [
        design_debug_pod(
            options,
            node,
            privilege,
            user=user,
            run_id="dry-run",
            lifetime_s=options.timeout_s,
            command=build_log_command(plan) if options.transport is Transport.LOGS else None,
        )
        for node, plan in plans.items()
    ]
    sys.stdout.write("---\n".join(render_yaml(build_debug_pod(pod)) for pod in pods))
    raise Exit(0)


def say(text: str) -> None:
    """Tell the user something that is no result."""
    print(text, file=sys.stderr)  # noqa: T201
