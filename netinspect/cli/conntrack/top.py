"""`kubectl netinspect conntrack top`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typer import Argument, Exit, Option

from netinspect.cli.flags import (
    DebugPodFlags,
    FlowFilterFlags,
    JudgeFlags,
    ListFlags,
    OutputFlags,
    TableNodeFlags,
)
from netinspect.cli.source_flags import ConntrackSourceFlags, or_host
from netinspect.errors import UsageError

if TYPE_CHECKING:
    from netinspect.models.flow_counts import GroupBy, NodeFlowCounts, TopOptions
    from netinspect.models.flow_filter import FlowFilter
    from netinspect.models.report import JudgedReport
    from netinspect.usecases.targets import Targets

_BY = ("pod", "service", "peer", "state", "protocol")


def top(
    names: Annotated[
        list[str] | None, Argument(metavar="POD|TYPE/NAME", help="Pods, or what leads to pods.")
    ] = None,
    *,
    by: Annotated[
        str, Option(help=f"What entries are counted by: {', '.join(_BY)}.", metavar="WHAT,...")
    ] = ",".join(_BY),
    limit: Annotated[int, Option(help="Groups of each kind that are listed.", metavar="N")] = 10,
    window: Annotated[
        str, Option("--for", help="List the table twice, so far apart: shows growth.", metavar="DURATION")
    ] = "",
    sort: Annotated[
        str, Option(help="entries, or growth where --for is given.", metavar="entries|growth")
    ] = "entries",
    targets: ListFlags,
    nodes: TableNodeFlags,
    filters: FlowFilterFlags,
    judge: JudgeFlags,
    output: OutputFlags,
    debug_pod: DebugPodFlags,
    connection: ConntrackSourceFlags,
) -> None:
    """Count the entries of nodes' tables: by pod, Service, external peer, state and protocol.

    An entry counts once for each pod that one of its four addresses belongs to, as client or as backend; for the
    Service that its original destination is, by address, protocol and port (a Service's address at none of its ports
    counts for none); for each address in it that the API does not know (a peer). Memory stays the same however long
    the table is: of more peers than can be kept, those with the most entries are, and a count that is not exact is
    shown with its bounds, as LEAST-MOST.

    Finds, beside that, pods whose connections to some place get no answer: 20 or more SYN_SENT [UNREPLIED] to one
    address and port, less than a tenth established.

    Examples:

      # Who fills the tables?
      kubectl netinspect conntrack top --all-nodes

      # What grows, over ten seconds? The fastest first
      kubectl netinspect conntrack top --node node-a --for 10s --sort growth

      # Which clients does a Service's table entries come from?
      kubectl netinspect conntrack top --node node-a --dst 10.96.0.20 --by pod,peer --limit 30

      # Of one pod: with whom, in which state?
      kubectl netinspect conntrack top mypod --by service,peer,state
    """
    from netinspect.cli.conntrack.filters import read_filter
    from netinspect.cli.run import read_output, read_severity, read_targets_wanted, read_window

    read_output(output)
    read_severity(judge.fail_on)
    between_s = read_window(window) if window else 0
    options = _read_options(by, limit, sort, between_s)
    nodes = or_host(nodes, connection, names, targets.selector, targets.all_namespaces)
    chosen = read_targets_wanted(names, targets, nodes, connection)
    report = _read(chosen, read_filter(filters), options, between_s, debug_pod, connection)
    raise Exit(_finish(report, judge, output, has_growth=bool(between_s)))


def _read_options(by: str, limit: int, sort: str, between_s: int) -> TopOptions:
    from netinspect.models.flow_counts import TopOptions

    if limit < 1:
        raise UsageError(f"--limit {limit}: name a number from 1 on")
    if sort not in ("entries", "growth"):
        raise UsageError(f'--sort "{sort}" is none of: entries, growth')
    if sort == "growth" and not between_s:
        raise UsageError("--sort growth needs two listings", "say how far apart: --for 10s")
    return TopOptions(by=_read_by(by), limit=limit, by_growth=sort == "growth")


def _read_by(text: str) -> tuple[GroupBy, ...]:
    from netinspect.models.flow_counts import GroupBy

    words = tuple(dict.fromkeys(word.strip() for word in text.split(",")))
    for word in words:
        if word not in _BY:
            raise UsageError(f'--by: "{word}" is none of: {", ".join(_BY)}')
    return tuple(GroupBy(word) for word in words)


def _read(
    chosen: Targets,
    wanted: FlowFilter,
    options: TopOptions,
    between_s: int,
    debug_pod: DebugPodFlags,
    connection: ConntrackSourceFlags,
) -> JudgedReport[NodeFlowCounts]:
    from netinspect.cli.nodes import visit_nodes
    from netinspect.cli.run import DEFAULT_TIMEOUT_S, read_debug_pod_options
    from netinspect.cli.session import open_session
    from netinspect.models.debug_pod import Privilege
    from netinspect.models.flow_counts import NodeCounts
    from netinspect.sources.interface import NodeSource
    from netinspect.usecases.cluster_state import read_cluster_state
    from netinspect.usecases.conntrack_list import choose_flows
    from netinspect.usecases.conntrack_top import build_count_plan, count_flows, report_top
    from netinspect.usecases.node_targets import resolve_flow_targets

    session = open_session(connection)
    read_debug_pod_options(debug_pod, session.own_namespace)  # a wrong flag ends it before any request
    targets = resolve_flow_targets(session.api, chosen)
    by_node = choose_flows(targets, wanted)
    state = read_cluster_state(session.api, slices=False)

    def count(source: NodeSource) -> NodeCounts:
        return count_flows(source, by_node[source.node], state, between_s)

    counts, gaps, notes = visit_nodes(
        session,
        {node: build_count_plan(each, between_s) for node, each in by_node.items()},
        debug_pod,
        count,
        privilege=Privilege.NETADMIN,
        default_timeout_s=DEFAULT_TIMEOUT_S + between_s,
    )
    later = read_cluster_state(session.api, slices=False)
    return report_top(counts, state, targets, wanted, options, gaps, notes, later=later)


def _finish(
    report: JudgedReport[NodeFlowCounts], judge: JudgeFlags, output: OutputFlags, *, has_growth: bool
) -> int:
    from netinspect.cli.run import finish_judged, read_output
    from netinspect.render.conntrack_top import columns, name_of, rows_of

    return finish_judged(
        report,
        judge.fail_on,
        columns(has_growth=has_growth),
        name_of,
        read_output(output),
        rows_of=rows_of,
        has_headers=not output.no_headers,
        empty="No flows found",
    )
