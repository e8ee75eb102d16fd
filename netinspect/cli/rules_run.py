"""What `rules`, `iptables`, `nftables` and `ipvs` have in common: reading wishes, asking nodes, printing rules."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from netinspect.cli.flags import ChainFlags, DebugPodFlags, OutputFlags, RuleFlags, TableNodeFlags
from netinspect.cli.source_flags import SourceFlags
from netinspect.errors import UsageError

if TYPE_CHECKING:
    from netinspect.analyze.rules.chains import ChainWish
    from netinspect.cli.session import Session
    from netinspect.models.chain_listing import ListedChain
    from netinspect.models.command import CommandResult
    from netinspect.models.fact import Gap
    from netinspect.models.report import Report
    from netinspect.models.rules_reading import RulesReading
    from netinspect.models.service_map import Mode
    from netinspect.models.service_rules import ServiceRules
    from netinspect.probes.plan import Plan
    from netinspect.usecases.rules import RulesWish

_FAMILIES = {None: (4, 6), "4": (4,), "6": (6,)}
TIMEOUT_S = 180.0
"""Rules of a large cluster take a minute to print, to send and to read."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking nodes.

    Attributes:
        readings: by node, what was read.
        gaps: nodes that failed.
        notes: on how they were read, and on what was left out.
    """

    readings: dict[str, RulesReading]
    gaps: tuple[Gap, ...]
    notes: tuple[str, ...]


def read_families(flags: RuleFlags) -> tuple[int, ...]:
    """Read `--family`.

    Raises:
        UsageError: it is neither 4 nor 6.
    """
    if flags.family not in _FAMILIES:
        raise UsageError(f'--family "{flags.family}" is none of: 4, 6')
    return _FAMILIES[flags.family]


def read_wish(
    names: Sequence[str] | None, flags: RuleFlags, connection: SourceFlags, mode: Mode | None = None
) -> RulesWish:
    """Read the Services and destinations that are named, before anything is asked.

    Raises:
        UsageError: one is neither; the family is none.
    """
    from netinspect.analyze.rules.target import parse_rule_targets
    from netinspect.usecases.rules import RulesWish

    targets = parse_rule_targets(names or ())
    return RulesWish(
        targets=targets, namespace=connection.namespace, families=read_families(flags), mode=mode
    )


def read_chain_wish(flags: ChainFlags, families: tuple[int, ...]) -> ChainWish:
    """Put together which chains are asked for, before anything is.

    Raises:
        UsageError: a name is empty.
    """
    from netinspect.analyze.rules.chains import ChainWish

    if not all((*(flags.table or ()), *(flags.chain or ()))):
        raise UsageError("a name is empty", "is the variable set that it comes from?")
    return ChainWish(tables=tuple(flags.table or ()), chains=tuple(flags.chain or ()), families=families)


def with_namespace(wish: RulesWish, session: Session) -> RulesWish:
    """Return the wish with the context's namespace, where Services are named without one."""
    return (
        msgspec.structs.replace(wish, namespace=wish.namespace or session.api.namespace)
        if wish.targets
        else wish
    )


def ask(session: Session, plan: Plan, nodes: TableNodeFlags, debug_pod: DebugPodFlags) -> Asked:
    """Read the rules of the nodes that are meant, in one trip each."""
    from functools import partial

    from netinspect.cli.nodes import visit_nodes
    from netinspect.collect.rules import collect_rules
    from netinspect.models.debug_pod import Privilege
    from netinspect.usecases.node_targets import resolve_nodes

    targets = resolve_nodes(session.api, nodes.node or (), all_nodes=nodes.all_nodes)
    readings, gaps, notes = visit_nodes(
        session,
        dict.fromkeys(targets.nodes, plan),
        debug_pod,
        partial(collect_rules, plan=plan),
        privilege=Privilege.NETADMIN,
        default_timeout_s=TIMEOUT_S,
    )
    return Asked(readings=readings, gaps=gaps, notes=(*targets.notes, *notes))


def print_raw(session: Session, plan: Plan, nodes: TableNodeFlags, debug_pod: DebugPodFlags) -> int:
    """Print what the tools print on the nodes, and a line before each part that says where it comes from."""
    from functools import partial

    from netinspect.cli.live import say
    from netinspect.cli.nodes import visit_nodes
    from netinspect.collect.rules import collect_raw
    from netinspect.errors import ExitCode
    from netinspect.models.debug_pod import Privilege
    from netinspect.render.report import render_gap
    from netinspect.usecases.node_targets import resolve_nodes

    targets = resolve_nodes(session.api, nodes.node or (), all_nodes=nodes.all_nodes)
    results, gaps, notes = visit_nodes(
        session,
        dict.fromkeys(targets.nodes, plan),
        debug_pod,
        partial(collect_raw, plan=plan),
        privilege=Privilege.NETADMIN,
        default_timeout_s=TIMEOUT_S,
    )
    is_whole = not gaps
    for node, parts in results.items():
        for part in parts:
            is_whole = _print_part(node, part) and is_whole
    for note in (*targets.notes, *notes):
        say(note)
    for gap in gaps:
        say(f"gap: {render_gap(gap)}")
    return int(ExitCode.OK if is_whole else ExitCode.INCOMPLETE)


def _print_part(node: str, part: CommandResult) -> bool:
    """Print one tool's text; return whether it is whole."""
    from netinspect.cli.live import say
    from netinspect.render.sanitize import sanitize

    if not part.is_recorded:
        say(f"gap: node/{node}: the recording does not hold {part.name}")
        return False
    sys.stdout.write(f"# node {node}: {part.name}\n")
    text = part.stdout.decode("utf-8", "backslashreplace")
    sys.stdout.write("\n".join(sanitize(line) for line in text.split("\n")))
    sys.stdout.flush()
    complaints = Counter(part.stderr.decode("utf-8", "backslashreplace").splitlines())
    for line, count in complaints.items():  # nft says the same of every rule that iptables wrote
        say(f"node {node}: {part.name}: {sanitize(line)}{f' ({count} times)' if count > 1 else ''}")
    if part.exit_code != 0:
        how = "was cut" if part.exit_code is None else f"ended with exit code {part.exit_code}"
        say(f"gap: node/{node}: the output of {part.name} {how}")
    return part.exit_code == 0


def finish_rules(report: Report[ServiceRules], output: OutputFlags, *, as_tree: bool) -> int:
    """Print rules for Services: as a tree, or a row for each branch."""
    from netinspect.cli.run import finish, read_output
    from netinspect.render.output_format import OutputFormat
    from netinspect.render.service_rules import COLUMNS, WIDE_COLUMNS, name_of, render_tree, rows_of

    chosen = read_output(output)

    def tree(shown: Report[ServiceRules]) -> str:
        return render_tree(shown.items, is_wide=chosen is OutputFormat.WIDE)

    return finish(
        report,
        WIDE_COLUMNS if chosen is OutputFormat.WIDE else COLUMNS,
        name_of,
        chosen,
        rows_of=rows_of,
        has_headers=not output.no_headers,
        table_of=tree if as_tree else None,
        empty="No rules found",
    )


def finish_chains(report: Report[ListedChain], output: OutputFlags, *, is_nft: bool = False) -> int:
    """Print chains with their rules."""
    from netinspect.cli.run import finish, read_output
    from netinspect.render.chain_listing import COLUMNS, NFT_COLUMNS, name_of, rows_of

    return finish(
        report,
        NFT_COLUMNS if is_nft else COLUMNS,
        name_of,
        read_output(output),
        rows_of=rows_of,
        has_headers=not output.no_headers,
        empty="No chains found",
    )


def check_raw(output: OutputFlags, *others: object, family: str | None = None) -> None:
    """Make sure that `--raw` stands alone: it is text of the tool, not a report.

    Args:
        output: the flags of reports.
        others: what names a part of the rules.
        family: `--family`, where the tool prints both together.

    Raises:
        UsageError: something is asked for that raw text does not have.
    """
    if family:
        raise UsageError("--raw prints the tool's own text, all of it: --family does not narrow it")
    if any(others) or output.output != "table" or output.no_headers:
        raise UsageError(
            "--raw prints the tool's own text, all of it: no targets, chains, tables or --output"
        )
