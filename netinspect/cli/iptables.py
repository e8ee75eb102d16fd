"""`kubectl netinspect iptables`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typer import Argument, Exit, Option

from netinspect.cli.flags import ChainFlags, DebugPodFlags, OutputFlags, RuleFlags, TableNodeFlags
from netinspect.cli.source_flags import SourceFlags, or_host
from netinspect.errors import UsageError

if TYPE_CHECKING:
    from netinspect.models.rules_reading import SaveKind

_BACKENDS = ("nft", "legacy")


def iptables(
    names: Annotated[
        list[str] | None,
        Argument(
            metavar="SERVICE[:PORT]|IP[:PORT]|:NODEPORT",
            help="Services (web, svc/web:http), destinations or node ports (default: all).",
        ),
    ] = None,
    *,
    nodes: TableNodeFlags,
    backend: Annotated[str, Option(help="nft or legacy (default: both).", metavar="BACKEND")] = "",
    which: RuleFlags,
    chains: ChainFlags,
    output: OutputFlags,
    debug_pod: DebugPodFlags,
    connection: SourceFlags,
) -> None:
    """Show Services as iptables has them on nodes, or chains rule by rule.

    Both backends are read: rules of iptables-nft and of iptables-legacy are two sets, and packets meet both.

    Examples:

      # Services as kube-proxy's rules have them
      kubectl netinspect iptables --node node-a

      # One chain, parsed, with counters, and who jumps to it
      kubectl netinspect iptables --node node-a -t nat --chain KUBE-SERVICES -o wide

      # What iptables-save -c prints
      kubectl netinspect iptables --node node-a --backend nft --family 4 --raw
    """
    from netinspect.cli.rules_run import (
        ask,
        check_raw,
        finish_chains,
        finish_rules,
        print_raw,
        read_chain_wish,
        read_families,
        read_wish,
        with_namespace,
    )
    from netinspect.cli.run import read_output
    from netinspect.cli.session import open_session
    from netinspect.models.service_map import Mode
    from netinspect.probes.rules import build_iptables_plan, build_iptables_text_plan
    from netinspect.usecases.cluster_state import read_cluster_state
    from netinspect.usecases.rule_listings import report_chains
    from netinspect.usecases.rules import report_rules

    read_output(output)
    wish = read_wish(names, which, connection, Mode.IPTABLES)
    saves = _choose(backend, read_families(which))
    wanted = read_chain_wish(chains, wish.families)
    has_chains = bool(chains.table or chains.chain)
    if has_chains and names:
        raise UsageError("name Services, or chains with --table and --chain, not both")
    session = open_session(connection)
    nodes = or_host(nodes, connection)
    if chains.raw:
        check_raw(output, names, has_chains)
        raise Exit(print_raw(session, build_iptables_text_plan(saves), nodes, debug_pod))
    asked = ask(session, build_iptables_plan(saves), nodes, debug_pod)
    if has_chains:
        listed = report_chains(asked.readings, wanted, asked.gaps, asked.notes)
        raise Exit(finish_chains(listed, output))
    state = read_cluster_state(session.api)
    report = report_rules(asked.readings, state, with_namespace(wish, session), asked.gaps, asked.notes)
    raise Exit(finish_rules(report, output, as_tree=bool(names)))


def _choose(backend: str, families: tuple[int, ...]) -> tuple[SaveKind, ...]:
    from netinspect.probes.rules import SAVES

    if backend and backend not in _BACKENDS:
        raise UsageError(f'--backend "{backend}" is none of: {", ".join(_BACKENDS)}')
    return tuple(each for each in SAVES if each.family in families and backend in ("", each.backend))
