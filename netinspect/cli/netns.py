"""`kubectl netinspect netns`."""

from __future__ import annotations

from typing import Annotated

from typer import Argument, Exit

from netinspect.cli.flags import DebugPodFlags, ListFlags, NodeFlags, OutputFlags
from netinspect.cli.source_flags import SourceFlags, or_host


def netns(
    names: Annotated[
        list[str] | None, Argument(metavar="POD|TYPE/NAME", help="Pods, or what leads to pods.")
    ] = None,
    *,
    targets: ListFlags,
    nodes: NodeFlags,
    output: OutputFlags,
    debug_pod: DebugPodFlags,
    connection: SourceFlags,
) -> None:
    """Find pods' network namespaces on their nodes, and the processes in them.

    Examples:

      # The netns of a pod, and the PIDs to enter it by
      kubectl netinspect netns mypod

      # Of all pods of a node, with the names of their processes
      kubectl netinspect netns --node node-a -o wide
    """
    from netinspect.cli.live import read_targets
    from netinspect.cli.run import finish, read_output
    from netinspect.probes.catalog import build_netns_plan
    from netinspect.render.netns import columns, name_of
    from netinspect.usecases.netns import report_netns

    chosen = read_output(output)
    nodes = or_host(nodes, connection, names, targets.selector, targets.all_namespaces)
    readings, notes = read_targets(names, targets, nodes, debug_pod, connection, build_netns_plan)
    report = report_netns(readings, notes)
    with_namespace = targets.all_namespaces or bool(nodes.node) or nodes.all_nodes
    code = finish(
        report,
        columns(with_namespace=with_namespace),
        name_of,
        chosen,
        has_headers=not output.no_headers,
    )
    raise Exit(code)
