"""`kubectl netinspect ipvs`."""

from __future__ import annotations

from typing import Annotated

from typer import Argument, Exit, Option

from netinspect.cli.flags import DebugPodFlags, OutputFlags, RuleFlags, TableNodeFlags
from netinspect.cli.source_flags import SourceFlags, or_host
from netinspect.errors import UsageError


def ipvs(
    names: Annotated[
        list[str] | None,
        Argument(
            metavar="SERVICE[:PORT]|IP[:PORT]|:NODEPORT",
            help="Virtual servers by Service (web, svc/web:http), address or node port (default: all).",
        ),
    ] = None,
    *,
    nodes: TableNodeFlags,
    stats: Annotated[
        bool, Option("--stats", help="Show what went through, since the counters began.")
    ] = False,
    rate: Annotated[bool, Option("--rate", help="Show what goes through in one second.")] = False,
    raw: Annotated[bool, Option("--raw", help="Print what the tool prints on the node.")] = False,
    which: RuleFlags,
    output: OutputFlags,
    debug_pod: DebugPodFlags,
    connection: SourceFlags,
) -> None:
    """List the virtual servers of IPVS on nodes, with their Services, real servers and pods.

    Examples:

      # What ipvsadm -Ln prints, parsed, with names
      kubectl netinspect ipvs --node node-c

      # One virtual server, with what went through it
      kubectl netinspect ipvs 10.96.0.10:53 --node node-c --stats

      # What goes through now
      kubectl netinspect ipvs --node node-c --rate
    """
    from netinspect.cli.rules_run import ask, check_raw, print_raw, read_wish, with_namespace
    from netinspect.cli.run import finish, read_output
    from netinspect.cli.session import open_session
    from netinspect.probes.rules import build_ipvs_plan, build_ipvs_text_plan
    from netinspect.render.ipvs_listing import columns, name_of, rows_of
    from netinspect.usecases.cluster_state import read_cluster_state
    from netinspect.usecases.rule_listings import report_virtual_servers

    chosen = read_output(output)
    if stats and rate:
        raise UsageError("--stats and --rate exclude each other")
    wish = read_wish(names, which, connection)
    session = open_session(connection)
    nodes = or_host(nodes, connection)
    if raw:
        check_raw(output, names, family=which.family)
        raise Exit(print_raw(session, build_ipvs_text_plan(stats=stats, rate=rate), nodes, debug_pod))
    asked = ask(session, build_ipvs_plan(stats=stats, rate=rate), nodes, debug_pod)
    state = read_cluster_state(session.api)
    report = report_virtual_servers(
        asked.readings, state, with_namespace(wish, session), asked.gaps, asked.notes
    )
    code = finish(
        report,
        columns(stats=stats, rate=rate),
        name_of,
        chosen,
        rows_of=rows_of,
        has_headers=not output.no_headers,
        empty="No virtual servers found",
    )
    raise Exit(code)
