"""`kubectl netinspect nftables`."""

from __future__ import annotations

from typing import Annotated

from typer import Argument, Exit

from netinspect.cli.flags import ChainFlags, DebugPodFlags, OutputFlags, RuleFlags, TableNodeFlags
from netinspect.cli.source_flags import SourceFlags, or_host
from netinspect.errors import UsageError


def nftables(
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
    chains: ChainFlags,
    output: OutputFlags,
    debug_pod: DebugPodFlags,
    connection: SourceFlags,
) -> None:
    """Show Services as nftables has them on nodes, or chains rule by rule.

    Rules are read as JSON and written in nft's own syntax, whole. nft's own text (--raw) is not: some versions leave
    the port out of "dnat ip addr . port to ...".

    Examples:

      # Services as kube-proxy's maps and chains have them
      kubectl netinspect nftables --node node-b

      # One table, or one chain, parsed
      kubectl netinspect nftables --node node-b -t "ip kube-proxy" --chain services -o wide

      # What nft list ruleset prints
      kubectl netinspect nftables --node node-b --raw
    """
    from netinspect.cli.rules_run import (
        ask,
        check_raw,
        finish_chains,
        finish_rules,
        print_raw,
        read_chain_wish,
        read_wish,
        with_namespace,
    )
    from netinspect.cli.run import read_output
    from netinspect.cli.session import open_session
    from netinspect.models.service_map import Mode
    from netinspect.probes.rules import build_nftables_plan, build_nftables_text_plan
    from netinspect.usecases.cluster_state import read_cluster_state
    from netinspect.usecases.rule_listings import report_chains
    from netinspect.usecases.rules import report_rules

    read_output(output)
    wish = read_wish(names, which, connection, Mode.NFTABLES)
    wanted = read_chain_wish(chains, wish.families)
    has_chains = bool(chains.table or chains.chain)
    if has_chains and names:
        raise UsageError("name Services, or chains with --table and --chain, not both")
    session = open_session(connection)
    nodes = or_host(nodes, connection)
    if chains.raw:
        check_raw(output, names, has_chains, family=which.family)
        raise Exit(print_raw(session, build_nftables_text_plan(), nodes, debug_pod))
    asked = ask(session, build_nftables_plan(), nodes, debug_pod)
    if has_chains:
        listed = report_chains(asked.readings, wanted, asked.gaps, asked.notes)
        raise Exit(finish_chains(listed, output, is_nft=True))
    state = read_cluster_state(session.api)
    report = report_rules(asked.readings, state, with_namespace(wish, session), asked.gaps, asked.notes)
    raise Exit(finish_rules(report, output, as_tree=bool(names)))
