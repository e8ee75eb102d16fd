"""`kubectl netinspect rules`."""

from __future__ import annotations

from typing import Annotated

from typer import Argument, Exit

from netinspect.cli.flags import DebugPodFlags, OutputFlags, RuleFlags, TableNodeFlags
from netinspect.cli.source_flags import SourceFlags, or_host


def rules(
    names: Annotated[
        list[str] | None,
        Argument(
            metavar="SERVICE[:PORT]|IP[:PORT]|:NODEPORT",
            help="Services (web, svc/web:http), destinations or node ports (default: all).",
        ),
    ] = None,
    *,
    nodes: TableNodeFlags,
    which: RuleFlags,
    output: OutputFlags,
    debug_pod: DebugPodFlags,
    connection: SourceFlags,
) -> None:
    """Show what nodes do with packets to Services: from the rules of iptables, nftables or IPVS, whichever is in use.

    Rules are walked from the hooks, as a packet would: what nothing jumps to is not shown. For each destination there
    are branches by source, in order, and for each branch its backends with their share of new connections, their pods,
    the rules that say so, and what these counted. What cannot be judged is named. A Service named is looked for in the
    context's namespace; without names, all of the node's rules for Services are listed, a row for each branch. For the
    text of the tools themselves: `iptables --raw`, `nftables --raw`, `ipvs --raw`.

    Examples:

      # Where do packets to a Service go on a node?
      kubectl netinspect rules web --node node-a

      # The same destination on all nodes, with the text of the rules
      kubectl netinspect rules 10.96.0.10:53/udp --all-nodes -o wide

      # A node port, whatever the address
      kubectl netinspect rules :30080 --node node-a

      # All that a node does for Services
      kubectl netinspect rules --node node-a
    """
    from netinspect.cli.rules_run import ask, finish_rules, read_wish, with_namespace
    from netinspect.cli.run import read_output
    from netinspect.cli.session import open_session
    from netinspect.probes.rules import build_rules_plan
    from netinspect.usecases.cluster_state import read_cluster_state
    from netinspect.usecases.rules import report_rules

    read_output(output)
    wish = read_wish(names, which, connection)
    session = open_session(connection)
    nodes = or_host(nodes, connection)
    asked = ask(session, build_rules_plan(), nodes, debug_pod)
    state = read_cluster_state(session.api)
    report = report_rules(asked.readings, state, with_namespace(wish, session), asked.gaps, asked.notes)
    raise Exit(finish_rules(report, output, as_tree=bool(wish.targets)))
