"""`kubectl netinspect conntrack list`."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Exit

from netinspect.cli.flags import DebugPodFlags, FlowFilterFlags, ListFlags, OutputFlags, TableNodeFlags
from netinspect.cli.source_flags import ConntrackSourceFlags, or_host

if TYPE_CHECKING:
    from netinspect.models.flow_filter import FlowFilter
    from netinspect.models.named_flow import NamedFlow
    from netinspect.models.report import Report
    from netinspect.usecases.targets import Targets

_WIDTH = 200


def list_(
    names: Annotated[
        list[str] | None, Argument(metavar="POD|TYPE/NAME", help="Pods, or what leads to pods.")
    ] = None,
    *,
    targets: ListFlags,
    nodes: TableNodeFlags,
    filters: FlowFilterFlags,
    output: OutputFlags,
    debug_pod: DebugPodFlags,
    connection: ConntrackSourceFlags,
) -> None:
    """List the flows of pods, or of whole nodes, with the names behind their addresses.

    Both tuples of a flow are shown. Where they are no mirror images, further lines say what is translated: the
    backend behind a Service, and the address that the backend sees in place of the source. A pod's flows are those
    that have one of its addresses, in any place, in the table of its node.

    Flows are sorted by node, family, protocol, source, destination and ports. With -o name each is its node and the
    kernel's id.

    Examples:

      # Who speaks with this pod, and it with whom?
      kubectl netinspect conntrack list mypod
      kubectl netinspect conntrack list deploy/web -n shop

      # All that goes to the cluster's DNS, as one node sees it
      kubectl netinspect conntrack list --node node-a --dst 10.96.0.10 --proto udp --dport 53

      # Connections that nobody answers, on all nodes
      kubectl netinspect conntrack list --all-nodes --state SYN_SENT --state UNREPLIED

      # With counters, marks and the tool's own lines
      kubectl netinspect conntrack list svc/web -o wide
    """
    from netinspect.cli.conntrack.filters import read_filter
    from netinspect.cli.run import read_output, read_targets_wanted

    read_output(output)
    wanted = read_filter(filters)
    nodes = or_host(nodes, connection, names, targets.selector, targets.all_namespaces)
    chosen = read_targets_wanted(names, targets, nodes, connection)
    raise Exit(_finish(_read(chosen, wanted, debug_pod, connection), output))


def _read(
    chosen: Targets, wanted: FlowFilter, debug_pod: DebugPodFlags, connection: ConntrackSourceFlags
) -> Report[NamedFlow]:
    from netinspect.cli.nodes import visit_nodes
    from netinspect.cli.run import read_debug_pod_options
    from netinspect.cli.session import open_session
    from netinspect.models.debug_pod import Privilege
    from netinspect.models.node_flows import NodeFlows
    from netinspect.sources.interface import NodeSource
    from netinspect.usecases.cluster_state import read_cluster_state
    from netinspect.usecases.conntrack_list import (
        Named,
        build_list_plan,
        choose_flows,
        read_flows,
        report_flows,
    )
    from netinspect.usecases.node_targets import resolve_flow_targets

    session = open_session(connection)
    read_debug_pod_options(debug_pod, session.own_namespace)  # a wrong flag ends it before any request
    targets = resolve_flow_targets(session.api, chosen)
    by_node = choose_flows(targets, wanted)

    def read(source: NodeSource) -> NodeFlows:
        return read_flows(source, by_node[source.node])

    before = read_cluster_state(session.api, slices=False)
    plans = {node: build_list_plan(each) for node, each in by_node.items()}
    tables, gaps, notes = visit_nodes(session, plans, debug_pod, read, privilege=Privilege.NETADMIN)
    named = Named(before=before, after=read_cluster_state(session.api, slices=False))
    return report_flows(tables, named, targets, gaps, notes)


def _finish(report: Report[NamedFlow], output: OutputFlags) -> int:
    from netinspect.cli.run import finish, read_output
    from netinspect.render.conntrack import COLUMNS, name_of, rows_within, wide_rows_of
    from netinspect.render.output_format import OutputFormat

    chosen = read_output(output)
    return finish(
        report,
        COLUMNS,
        name_of,
        chosen,
        rows_of=wide_rows_of if chosen is OutputFormat.WIDE else rows_within(report.items, _width()),
        has_headers=not output.no_headers,
        empty="No flows found",
    )


def _width() -> int:
    """Return the terminal's columns; what is no terminal gets lines for a wide one."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDTH
