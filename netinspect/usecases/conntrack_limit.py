"""How near nodes' conntrack tables are to their limit, what changing a limit means, and the change itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from netinspect.analyze.conntrack.limit import describe_limit, list_gaps
from netinspect.analyze.conntrack.limit_change import describe_change
from netinspect.analyze.conntrack.limit_findings import check_limit
from netinspect.collect.conntrack_limit import collect_limits, read_limits
from netinspect.errors import CommandError
from netinspect.models.command import CommandResult
from netinspect.models.conntrack_limit import TableFull
from netinspect.models.debug_pod import Privilege
from netinspect.models.fact import Fact, Gap, Known, Unavailable
from netinspect.models.finding import sort_findings
from netinspect.models.node_limit import LimitChange, LimitReading, NodeLimit
from netinspect.models.report import JudgedReport, Report
from netinspect.parse.conntrack_limit import find_table_full
from netinspect.probes.conntrack import (
    LIMITS,
    SET_LIMIT,
    build_limit_now_plan,
    build_set_limit_plan,
    set_limit_argv,
)
from netinspect.probes.plan import NODE
from netinspect.usecases.kube_proxy import find_is_capped, find_settings

if TYPE_CHECKING:
    from netinspect.sources.interface import ApiSource, NodeSource

KIND = "NodeLimitList"
CHANGE_KIND = "LimitChangeList"

MOST = 2**31 - 1
"""The kernel takes no higher limit (net.netfilter.nf_conntrack_max is an int)."""


def report_limits(
    api: ApiSource,
    readings: Mapping[str, LimitReading],
    gaps: tuple[Gap, ...] = (),
    notes: tuple[str, ...] = (),
) -> JudgedReport[NodeLimit]:
    """Judge what was read on nodes.

    Raises:
        ClusterError: a kube-proxy's version matters, and the API server refused or failed.
    """
    limits = tuple(_describe(api, reading) for reading in readings.values())
    return JudgedReport(
        kind=KIND,
        items=limits,
        notes=notes,
        gaps=(*gaps, *(gap for reading in readings.values() for gap in list_gaps(reading))),
        findings=sort_findings(finding for limit in limits for finding in check_limit(limit)),
    )


def report_changes(
    api: ApiSource,
    readings: Iterable[LimitReading],
    limit: int,
    gaps: tuple[Gap, ...] = (),
    notes: tuple[str, ...] = (),
    *,
    applied: bool = False,
    flags: str = "",
) -> Report[LimitChange]:
    """Say what setting the limit of nodes means, or, where it was applied, what it meant.

    Args:
        api: the API server, for kube-proxy's settings.
        readings: what was read on the nodes, before the change.
        limit: the new limit.
        gaps: nodes that failed.
        notes: on how they were read.
        applied: whether the change was made.
        flags: the user's flags that the command which undoes it must have, too, each behind a blank.

    Raises:
        CommandError: a node's present limit could not be read, and it is the only node.
        ClusterError: a kube-proxy's version matters, and the API server refused or failed.
    """
    changes, failed = [], []
    for reading in readings:
        try:
            changes.append(replace(_describe_change(api, reading, limit, flags), applied=applied))
        except CommandError as error:
            failed.append((reading, error))
    if failed and not changes:
        raise failed[0][1]
    missing = (gap for reading, _ in failed for gap in list_gaps(reading))
    return Report(kind=CHANGE_KIND, items=tuple(changes), notes=notes, gaps=(*gaps, *missing))


def set_limit(source: NodeSource, limit: int, *, below_count: bool = False) -> LimitReading:
    """Write a node's limit into its running kernel and read it back. Return what was read before.

    Args:
        source: the node.
        limit: the new limit.
        below_count: whether it may be lower than the number of flows that the node's table has now.

    Raises:
        CommandError: the present limit could not be read; the table has more flows; it was not written; or another
            value is read back.
    """
    before = collect_limits(source, build_limit_now_plan())
    if isinstance(before.limits, Unavailable):
        raise CommandError(
            f"the conntrack limit of node {source.node} could not be read: {before.limits.detail}",
            "nothing was changed",
        )
    count = before.limits.value.count
    if count is not None and limit < count and not below_count:
        raise CommandError(
            f"node {source.node} has {count} flows now, more than {limit}: no new connection could begin there",
            "nothing was changed; add --below-count if that is meant",
        )
    _write(source, limit, before)
    return before


def _write(source: NodeSource, limit: int, before: LimitReading) -> None:
    results = {
        each.name: each for each in source.run(build_set_limit_plan(limit)).results if each.key == NODE
    }
    after = read_limits(results.get(LIMITS.name))
    if isinstance(after, Unavailable):
        raise CommandError(
            f"whether nf_conntrack_max of node {source.node} was set to {limit} is not known: {after.detail}",
            f"kubectl netinspect conntrack limit --node {source.node} tells",
        )
    now, old = after.value.max, before.limits.value.max if isinstance(before.limits, Known) else None
    if now == limit:
        return
    what = f"nf_conntrack_max of node {source.node} could not be set to {limit}{_complaint(results.get(SET_LIMIT))}"
    state = "nothing was changed" if now == old else f"it was {old}"
    raise CommandError(f"{what}; {state}: it is {now}", _why_not(source, before))


def _complaint(result: CommandResult | None) -> str:
    """Quote what the command said: sysctl ends with 0 although the kernel refused (procps 4.0)."""
    text = result.stderr.decode("utf-8", "replace").strip() if result else ""
    return f" ({text})" if text else ""


def _why_not(source: NodeSource, before: LimitReading) -> str:
    if isinstance(before.facts, Known) and not before.facts.value.is_initial_netns:
        return (
            "this limit is one value for the whole machine, and the kernel takes it from the machine's first network "
            "namespace only; the node's is another (a node that is itself a container): set it on the machine"
        )
    if source.privilege is not Privilege.SYSADMIN:
        return "/proc/sys is read-only in a pod that is not privileged: use --privilege sysadmin"
    return ""


def _describe(api: ApiSource, reading: LimitReading) -> NodeLimit:
    capped = find_is_capped(api, reading.kube_proxy, reading)
    return describe_limit(reading, _table_full(reading), is_capped=capped)


def _table_full(reading: LimitReading) -> Fact[tuple[TableFull, ...]]:
    log = reading.log
    return Known(find_table_full(log.value)) if isinstance(log, Known) else log


def _describe_change(api: ApiSource, reading: LimitReading, limit: int, flags: str) -> LimitChange:
    settings = find_settings(api, reading)
    program = "kubectl netinspect conntrack limit"
    return describe_change(
        reading,
        limit,
        settings,
        is_capped=find_is_capped(api, settings, reading),
        command_of=lambda value: " ".join(set_limit_argv(value)),
        undo_of=lambda value: f"{program} --node {reading.node} --set {value} --apply{flags}",
    )
