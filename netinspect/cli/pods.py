"""`kubectl netinspect pods`."""

from __future__ import annotations

from typing import Annotated

from typer import Argument, Exit

from netinspect.cli.flags import ListFlags, NodeFlags, OutputFlags
from netinspect.cli.source_flags import SourceFlags, or_host


def pods(
    names: Annotated[
        list[str] | None,
        Argument(metavar="NAME|TYPE/NAME", help="Pods, or what leads to pods (default: all)."),
    ] = None,
    *,
    targets: ListFlags,
    nodes: NodeFlags,
    output: OutputFlags,
    connection: SourceFlags,
) -> None:
    """List pods with their addresses of both families, their node and their owner.

    Asks the API only: no debug pod is started. STATUS, READY and RESTARTS are what kubectl shows.

    Examples:

      # The pods of the context's namespace
      kubectl netinspect pods

      # The pods of a deployment, and those behind a service
      kubectl netinspect pods deploy/web svc/api

      # Which pods of a node share its network (HOST-NETWORK)
      kubectl netinspect pods --node node-a -o wide
    """
    from msgspec.structs import replace

    from netinspect.cli.run import finish, read_output, read_targets_wanted
    from netinspect.cli.session import open_session
    from netinspect.render.pods import columns, name_of
    from netinspect.usecases.pods import list_pods

    chosen = read_output(output)
    session = open_session(connection)
    nodes = or_host(nodes, connection, names, targets.selector, targets.all_namespaces)
    wanted = read_targets_wanted(names, targets, nodes, connection)
    has_nodes = bool(nodes.node) or nodes.all_nodes
    is_everywhere = targets.all_namespaces or (has_nodes and not connection.namespace)
    report = list_pods(session.api, wanted)
    if connection.local:
        from netinspect.cli.local import list_pod_gaps

        report = replace(report, gaps=list_pod_gaps(session))
    code = finish(
        report,
        columns(session.api.now(), with_namespace=is_everywhere),
        name_of,
        chosen,
        has_headers=not output.no_headers,
        empty="No resources found"
        if is_everywhere
        else f"No resources found in {session.api.namespace} namespace.",
    )
    raise Exit(code)
