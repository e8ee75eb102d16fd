"""`kubectl netinspect conntrack limit`."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

from typer import Exit, Option

from netinspect.cli.flags import DEFAULT_IMAGE, DebugPodFlags, JudgeFlags, OutputFlags, TableNodeFlags
from netinspect.cli.source_flags import SourceFlags, or_host
from netinspect.errors import UsageError

if TYPE_CHECKING:
    from netinspect.cli.session import Session
    from netinspect.models.node_limit import LimitChange
    from netinspect.models.report import Report
    from netinspect.render.output_format import OutputFormat

_DEFAULT_TIMEOUT_S = 120.0


def limit(
    *,
    nodes: TableNodeFlags,
    window: Annotated[
        str, Option("--for", help="Time between the two samples of counters.", metavar="DURATION")
    ] = "5s",
    new_limit: Annotated[
        int | None,
        Option("--set", help="Show what this nf_conntrack_max would mean; change nothing.", metavar="N"),
    ] = None,
    apply: Annotated[
        bool, Option("--apply", help="Write the value of --set on the one node that is named.")
    ] = False,
    below_count: Annotated[
        bool,
        Option(
            "--below-count", help="Let --apply set less than the table holds now: new connections then fail."
        ),
    ] = False,
    judge: JudgeFlags,
    output: OutputFlags,
    debug_pod: DebugPodFlags,
    connection: SourceFlags,
) -> None:
    """Show how near nodes' conntrack tables are to their limit, what was lost, and what another limit would mean.

    Counters and growth are differences over --for; "table full" lines come from the kernel's log, which takes
    privilege sysadmin (with --privilege netadmin it is a gap).

    Examples:

      # How full are the tables, and was one full lately?
      kubectl netinspect conntrack limit --all-nodes

      # Counters of each CPU over a minute, timeouts
      kubectl netinspect conntrack limit --node node-a --for 1m -o wide

      # What would a higher limit take, and who would overwrite it? Changes nothing
      kubectl netinspect conntrack limit --node node-a --set 524288

      # Do it, until the next boot or restart of kube-proxy; prints how to undo it
      kubectl netinspect conntrack limit --node node-a --set 524288 --apply
    """
    from netinspect.cli.run import read_output, read_severity, read_window

    chosen = read_output(output)
    read_severity(judge.fail_on)
    if apply and (connection.record or connection.from_):
        raise UsageError("--apply changes a node: it excludes --record and --from")
    if apply and connection.local:
        raise UsageError("--apply changes a node: it excludes --local, which only reads this host")
    _check(new_limit, nodes, apply=apply, below_count=below_count, dry_run=debug_pod.dry_run)
    if new_limit is None:
        code = _show(nodes, read_window(window), judge.fail_on, chosen, output, debug_pod, connection)
    elif apply:
        code = _apply(new_limit, nodes, chosen, debug_pod, connection, below_count=below_count)
    else:
        code = _plan(new_limit, nodes, chosen, debug_pod, connection)
    raise Exit(code)


def _check(
    new_limit: int | None, nodes: TableNodeFlags, *, apply: bool, below_count: bool, dry_run: bool
) -> None:
    from netinspect.usecases.conntrack_limit import MOST

    if apply and new_limit is None:
        raise UsageError("--apply needs a value: --set N --apply")
    if apply and (nodes.all_nodes or len(set(nodes.node or ())) != 1):
        raise UsageError("--apply changes one node: name it with --node, once")
    if apply and dry_run:
        raise UsageError("--apply and --dry-run exclude each other; --set N alone changes nothing")
    if below_count and not apply:
        raise UsageError("--below-count is for --apply")
    if new_limit is not None and not 0 < new_limit <= MOST:
        raise UsageError(
            f"--set {new_limit}: name a number from 1 to {MOST}", "the kernel takes 0 for no limit at all"
        )


def _show(
    nodes: TableNodeFlags,
    window_s: int,
    fail_on: str,
    chosen: OutputFormat,
    output: OutputFlags,
    debug_pod: DebugPodFlags,
    connection: SourceFlags,
) -> int:
    from functools import partial

    from msgspec.structs import replace

    from netinspect.cli.nodes import visit_nodes
    from netinspect.cli.run import finish_judged
    from netinspect.collect.conntrack_limit import collect_limits
    from netinspect.models.debug_pod import Privilege
    from netinspect.probes.conntrack import build_limit_plan
    from netinspect.render.conntrack_limit import COLUMNS, name_of, remarks
    from netinspect.render.output_format import OutputFormat
    from netinspect.usecases.conntrack_limit import report_limits

    session, names, left_out = _resolve(nodes, debug_pod, connection, window_s)
    plan = build_limit_plan(window_s)
    readings, gaps, notes = visit_nodes(
        session,
        dict.fromkeys(names, plan),
        debug_pod,
        partial(collect_limits, plan=plan),
        privilege=Privilege.SYSADMIN,
        default_timeout_s=_DEFAULT_TIMEOUT_S + window_s,
    )
    report = report_limits(session.api, readings, gaps, (*left_out, *notes))
    if chosen in (OutputFormat.TABLE, OutputFormat.WIDE):
        report = replace(report, notes=(*report.notes, *remarks(report.items)))
    return finish_judged(report, fail_on, COLUMNS, name_of, chosen, has_headers=not output.no_headers)


def _plan(
    new_limit: int,
    nodes: TableNodeFlags,
    chosen: OutputFormat,
    debug_pod: DebugPodFlags,
    connection: SourceFlags,
) -> int:
    from functools import partial

    from netinspect.cli.nodes import visit_nodes
    from netinspect.collect.conntrack_limit import collect_limits
    from netinspect.models.debug_pod import Privilege
    from netinspect.probes.conntrack import build_limit_now_plan
    from netinspect.usecases.conntrack_limit import report_changes

    session, names, left_out = _resolve(nodes, debug_pod, connection)
    plan = build_limit_now_plan()
    readings, gaps, notes = visit_nodes(
        session,
        dict.fromkeys(names, plan),
        debug_pod,
        partial(collect_limits, plan=plan),
        privilege=Privilege.NETADMIN,
    )
    flags = _repeat(connection, debug_pod)
    report = report_changes(session.api, readings.values(), new_limit, gaps, (*left_out, *notes), flags=flags)
    return _finish(report, chosen)


def _apply(
    new_limit: int,
    nodes: TableNodeFlags,
    chosen: OutputFormat,
    debug_pod: DebugPodFlags,
    connection: SourceFlags,
    *,
    below_count: bool,
) -> int:
    from functools import partial

    from netinspect.cli.nodes import visit_nodes
    from netinspect.models.debug_pod import Privilege
    from netinspect.probes.conntrack import build_set_limit_plan
    from netinspect.usecases.conntrack_limit import report_changes, set_limit

    session, names, _ = _resolve(nodes, debug_pod, connection)
    readings, gaps, notes = visit_nodes(
        session,
        dict.fromkeys(names, build_set_limit_plan(new_limit)),
        debug_pod,
        partial(set_limit, limit=new_limit, below_count=below_count),
        privilege=Privilege.SYSADMIN,
    )
    flags = _repeat(connection, debug_pod)
    report = report_changes(session.api, readings.values(), new_limit, gaps, notes, applied=True, flags=flags)
    return _finish(report, chosen)


def _resolve(
    nodes: TableNodeFlags, debug_pod: DebugPodFlags, connection: SourceFlags, window_s: float = 0.0
) -> tuple[Session, tuple[str, ...], tuple[str, ...]]:
    """Return the API server, the nodes that are meant, and notes on those left out."""
    from netinspect.cli.run import read_debug_pod_options
    from netinspect.cli.session import open_session
    from netinspect.usecases.node_targets import resolve_nodes

    session = open_session(connection)
    nodes = or_host(nodes, connection)
    options = read_debug_pod_options(debug_pod, session.own_namespace, _DEFAULT_TIMEOUT_S + window_s)
    if options.timeout_s <= window_s:
        raise UsageError(f"--timeout {debug_pod.timeout} is not longer than --for")
    targets = resolve_nodes(session.api, nodes.node or (), all_nodes=nodes.all_nodes)
    return session, targets.nodes, targets.notes


def _repeat(connection: SourceFlags, debug_pod: DebugPodFlags) -> str:
    """Return the flags without which another command would go elsewhere, or in another way; no credentials."""
    chosen = (
        ("--kubeconfig", connection.kubeconfig),
        ("--context", connection.context),
        ("--namespace", connection.namespace),
        ("--debug-namespace", debug_pod.debug_namespace),
        ("--image", "" if debug_pod.image == DEFAULT_IMAGE else debug_pod.image),
        ("--via", debug_pod.via),
    )
    return "".join(f" {flag} {shlex.quote(value)}" for flag, value in chosen if value)


def _finish(report: Report[LimitChange], chosen: OutputFormat) -> int:
    from netinspect.cli.live import say
    from netinspect.render.conntrack_limit_change import name_of, render_changes
    from netinspect.render.output_format import OutputFormat
    from netinspect.render.report import render_gap, render_report
    from netinspect.render.sanitize import sanitize

    is_text = chosen in (OutputFormat.TABLE, OutputFormat.WIDE)
    text = render_changes(report.items) if is_text else render_report(report, (), name_of, chosen)
    sys.stdout.write(text)
    sys.stdout.flush()
    for note in report.notes:
        say(sanitize(note))
    for gap in report.gaps:
        say(f"gap: {render_gap(gap)}")
    return int(report.exit_code)
