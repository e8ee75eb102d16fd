"""What `netns` and `veth` have in common: targets -> pods -> one trip to each of their nodes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NoReturn

from netinspect.cli.flags import ConnectionFlags, DebugPodFlags, ListFlags, NodeFlags
from netinspect.cli.run import connect, open_live, read_debug_pod_options, read_targets_wanted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from netinspect.cluster.client import ClusterClient
    from netinspect.models.debug_pod import DebugPodOptions, Privilege
    from netinspect.models.kubernetes import Pod
    from netinspect.probes.plan import Plan
    from netinspect.sources.interface import NodeSource
    from netinspect.usecases.readings import Readings


def read_targets(
    names: list[str] | None,
    targets: ListFlags,
    nodes: NodeFlags,
    debug_pod: DebugPodFlags,
    connection: ConnectionFlags,
    build_plan: Callable[[tuple[Pod, ...]], Plan],
) -> tuple[Readings, tuple[str, ...]]:
    """Resolve what the command line names, and read it; with `--dry-run` print the debug pods and end.

    Returns:
        what was read, and notes on how.
    """
    from netinspect.usecases.targets import resolve_pods

    client = connect(connection)
    read_debug_pod_options(debug_pod, client.context.own_namespace)  # a wrong flag ends it before any request
    wanted = read_targets_wanted(names, targets, nodes, connection)
    return read_pods_live(client, resolve_pods(client, wanted), debug_pod, build_plan)


def read_pods_live(
    client: ClusterClient,
    pods: Sequence[Pod],
    flags: DebugPodFlags,
    build_plan: Callable[[tuple[Pod, ...]], Plan],
) -> tuple[Readings, tuple[str, ...]]:
    """Read the netns of pods through their nodes; where no node has to be asked, no way there is opened."""
    from netinspect.models.debug_pod import Privilege
    from netinspect.usecases.nodes import AT_A_TIME, check_node_count
    from netinspect.usecases.readings import group_by_node, read_pods

    options = read_debug_pod_options(flags, client.context.own_namespace)
    privilege = options.privilege or Privilege.SYSADMIN
    names = tuple(group_by_node(pods))
    if flags.dry_run:
        by_node = group_by_node(pods)
        plans = {node: build_plan(by_node[node]) for node in names}
        print_dry_run(client, options, plans, privilege)
    if not names:
        return read_pods(pods, _no_node, build_plan, lambda: None), ()
    check_node_count(len(names), yes=flags.yes)
    if len(names) > 1 and not options.via:
        say(f"starting debug pods on {len(names)} nodes, {min(AT_A_TIME, len(names))} at a time")
    with open_live(client, flags) as live:
        readings: Readings = read_pods(pods, live.nodes.open, build_plan, live.deadline.cancel, privilege)
    how = f"through pod {options.via}" if options.via else f"with privilege {privilege.value}"
    return readings, (f"read {how} on {', '.join(names)}",)


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


def _no_node(node: str, privilege: Privilege) -> AbstractContextManager[NodeSource]:
    raise AssertionError(f"node {node} needs no way in for {privilege}")


def say(text: str) -> None:
    """Tell the user something that is no result."""
    print(text, file=sys.stderr)  # noqa: T201
