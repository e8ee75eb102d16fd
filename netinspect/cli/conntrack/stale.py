"""`kubectl netinspect conntrack stale`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Exit, Option

from netinspect.cli.flags import DebugPodFlags, JudgeFlags, ListFlags, OutputFlags, TableNodeFlags
from netinspect.cli.source_flags import SourceFlags, or_host
from netinspect.errors import UsageError

if TYPE_CHECKING:
    from netinspect.models.report import JudgedReport
    from netinspect.models.stale_flow import StaleFlow
    from netinspect.usecases.targets import Targets

_DEFAULT_TIMEOUT_S = 120.0


def stale(
    names: Annotated[
        list[str] | None, Argument(metavar="POD|TYPE/NAME", help="Clients: pods, or what leads to pods.")
    ] = None,
    *,
    window: Annotated[
        str, Option("--for", help="Time between the two samples of the table.", metavar="DURATION")
    ] = "10s",
    targets: ListFlags,
    nodes: TableNodeFlags,
    judge: JudgeFlags,
    output: OutputFlags,
    debug_pod: DebugPodFlags,
    connection: SourceFlags,
) -> None:
    """Find flows that lead to an endpoint that its Service has no more, or to a pod that is gone.

    A finding is a UDP client that still sends there, or a TCP connection that sends and gets no answer. A quiet
    connection to a dead pod lives for hours by design and is only listed, with its idle time. Nothing is deleted: the
    exact command for each entry is printed.

    Rules lag the API, so the API is read before and after the node, the table is read twice, and what changed less
    than 30 seconds ago is listed as young. A longer --for sees clients that send seldom;
    5s is the least. Pods are meant as clients: svc/web names web's own pods, not those that speak to it.

    Examples:

      # Does any node send clients to dead pods?
      kubectl netinspect conntrack stale --all-nodes

      # In scripts: end with 3 where a client's packets are lost
      kubectl netinspect conntrack stale --all-nodes --fail-on crit

      # The flows of one client, with reasons and the commands that would delete them
      kubectl netinspect conntrack stale mypod --for 1m -o wide
    """
    from netinspect.cli.run import read_output, read_severity, read_targets_wanted, read_window
    from netinspect.usecases.conntrack_stale import LEAST_BETWEEN_S

    read_output(output)
    read_severity(judge.fail_on)
    between_s = read_window(window, LEAST_BETWEEN_S)
    nodes = or_host(nodes, connection, names, targets.selector, targets.all_namespaces)
    chosen = read_targets_wanted(names, targets, nodes, connection)
    report = _read(chosen, between_s, debug_pod, connection)
    raise Exit(_finish(report, judge, output))


def _read(
    chosen: Targets, between_s: int, debug_pod: DebugPodFlags, connection: SourceFlags
) -> JudgedReport[StaleFlow]:
    from netinspect.cli.nodes import visit_nodes
    from netinspect.cli.run import read_debug_pod_options
    from netinspect.cli.session import open_session
    from netinspect.models.debug_pod import Privilege
    from netinspect.usecases.cluster_state import read_cluster_state
    from netinspect.usecases.conntrack_stale import (
        build_stale_job,
        build_stale_plans,
        can_judge,
        report_stale,
        report_unjudged,
    )
    from netinspect.usecases.node_targets import resolve_flow_targets

    timeout_s = _DEFAULT_TIMEOUT_S + between_s
    session = open_session(connection)
    options = read_debug_pod_options(debug_pod, session.own_namespace, timeout_s)
    if options.timeout_s <= between_s:
        raise UsageError(f"--timeout {debug_pod.timeout} is not longer than --for")
    targets = resolve_flow_targets(session.api, chosen)
    before = read_cluster_state(session.api)
    if not can_judge(before):
        return report_unjudged(before)
    plans = build_stale_plans(targets, between_s)
    samples, gaps, notes = visit_nodes(
        session,
        plans,
        debug_pod,
        build_stale_job(before, targets, plans),
        privilege=Privilege.NETADMIN,
        default_timeout_s=timeout_s,
    )
    return report_stale(samples, before, read_cluster_state(session.api), gaps, (*targets.notes, *notes))


def _finish(report: JudgedReport[StaleFlow], judge: JudgeFlags, output: OutputFlags) -> int:
    from msgspec.structs import replace

    from netinspect.cli.run import finish_judged, read_output
    from netinspect.render.conntrack_stale import COLUMNS, choose_shown, fold, name_of, remarks, rows_of
    from netinspect.render.output_format import OutputFormat

    chosen = read_output(output)
    # A rollout leaves hundreds of closed connections: alike ones are one row. The other formats have each.
    is_folded = chosen is OutputFormat.TABLE
    shown: JudgedReport[Any] = report
    if is_folded:
        notes = (*remarks(report.items), *report.notes)
        if not report.findings and not report.gaps:
            notes = ("no client was found that sends to what is no endpoint any more", *notes)
        shown = replace(report, items=fold(choose_shown(report.items)), notes=notes)
    return finish_judged(
        shown,
        judge.fail_on,
        COLUMNS,
        name_of,
        chosen,
        rows_of=None if is_folded else rows_of,
        has_headers=not output.no_headers,
        empty="No stale flows found",
    )
