"""From what was read on a node to how near its conntrack table is to its limit."""

from __future__ import annotations

from netinspect.analyze.conntrack.counters import add_up, count_rise
from netinspect.analyze.conntrack.kube_proxy_max import compute_max
from netinspect.analyze.conntrack.log import describe_table_full
from netinspect.models.conntrack import CpuStatistics
from netinspect.models.conntrack_limit import ConntrackSysctls, TableFull
from netinspect.models.fact import Fact, Gap, Known, Unavailable
from netinspect.models.node_limit import KubeProxyConntrack, LimitReading, NodeFacts, NodeLimit, TableFullLine


def describe_limit(
    reading: LimitReading, table_full: Fact[tuple[TableFull, ...]], *, is_capped: bool = True
) -> NodeLimit:
    """Put together what was read of a node's limit; what is missing is None (`list_gaps` says why).

    Args:
        reading: what was read.
        table_full: the lines of its kernel log that matter.
        is_capped: whether the node's kube-proxy caps its limit (`kube_proxy_max.is_capped`).
    """
    limits = _latest(reading)
    facts = reading.facts.value if isinstance(reading.facts, Known) else NodeFacts()
    own = reading.kube_proxy.value if isinstance(reading.kube_proxy, Known) else None
    growth = _growth_per_s(reading)
    counters, since_boot = _counters(reading), _since_boot(reading)
    return NodeLimit(
        node=reading.node,
        netns=reading.netns,
        is_initial_netns=facts.is_initial_netns if isinstance(reading.facts, Known) else None,
        count=limits.count,
        max=limits.max,
        used_percent=used_percent(limits.count, limits.max),
        buckets=limits.buckets,
        hashsize=limits.hashsize,
        flows_per_bucket=per_bucket(limits.max, limits.buckets),
        window_s=round(reading.statistics_window_s, 2) or None,
        growth_per_s=growth,
        time_to_full_s=_time_to_full_s(limits, growth),
        counters=None if counters is None else add_up(counters),
        counters_by_cpu=counters or (),
        counters_since_boot=since_boot,
        table_full=_table_full(reading, table_full, facts, since_boot),
        cpus=facts.cpus,
        memory_bytes=facts.memory_bytes,
        sysctls=limits if limits.max is not None else None,
        kube_proxy=own,
        kube_proxy_max=_kube_proxy_max(own, facts, is_capped=is_capped),
    )


def list_gaps(reading: LimitReading) -> tuple[Gap, ...]:
    """Return what of a node's limit could not be read. What kube-proxy says and an entry's size are no part of it."""
    facts = (
        ("its conntrack sysctls", reading.limits),
        ("its conntrack sysctls some seconds later", reading.limits_again),
        ("its conntrack statistics", reading.statistics),
        ("its conntrack statistics some seconds later", reading.statistics_again),
        ("its clock, CPUs and memory", reading.facts),
        ("its kernel log", reading.log),
    )
    subject = f"node/{reading.node}"
    missing = {
        (fact.reason, fact.detail): Gap(subject, what, fact.reason, fact.detail)
        for what, fact in reversed(facts)  # what failed twice in one way is told once, by its first name
        if isinstance(fact, Unavailable)
    }
    return (*reading.gaps, *reversed(missing.values()))


def used_percent(count: int | None, limit: int | None) -> float | None:
    """Return how full a table is; None where it has no limit (0)."""
    return round(100 * count / limit, 1) if count is not None and limit else None


def per_bucket(limit: int | None, buckets: int | None) -> float | None:
    """Return how many flows a bucket of the hash table has when the table is full."""
    return float(f"{limit / buckets:.3g}") if limit and buckets else None


def _latest(reading: LimitReading) -> ConntrackSysctls:
    for fact in (reading.limits_again, reading.limits):
        if isinstance(fact, Known):
            return fact.value
    return ConntrackSysctls()


def _growth_per_s(reading: LimitReading) -> float | None:
    first, last, window_s = reading.limits, reading.limits_again, reading.limits_window_s
    if isinstance(first, Unavailable) or isinstance(last, Unavailable) or window_s <= 0:
        return None
    return round(((last.value.count or 0) - (first.value.count or 0)) / window_s, 2)


def _time_to_full_s(limits: ConntrackSysctls, growth: float | None) -> float | None:
    if not limits.max or limits.count is None or growth is None or growth <= 0:
        return None
    return round(max(0, limits.max - limits.count) / growth, 1)


def _counters(reading: LimitReading) -> tuple[CpuStatistics, ...] | None:
    before, after = reading.statistics, reading.statistics_again
    if isinstance(before, Unavailable) or isinstance(after, Unavailable):
        return None
    return count_rise(before.value, after.value)


def _since_boot(reading: LimitReading) -> dict[str, int] | None:
    for fact in (reading.statistics_again, reading.statistics):
        if isinstance(fact, Known):
            return add_up(fact.value)
    return None


def _table_full(
    reading: LimitReading,
    lines: Fact[tuple[TableFull, ...]],
    facts: NodeFacts,
    since_boot: dict[str, int] | None,
) -> tuple[TableFullLine, ...] | None:
    if isinstance(lines, Unavailable):
        return None
    drops = since_boot.get("drop") if since_boot else None
    return describe_table_full(lines.value, reading.netns, facts, drops, reading.log_read_s)


def _kube_proxy_max(settings: KubeProxyConntrack | None, facts: NodeFacts, *, is_capped: bool) -> int | None:
    if settings is None or facts.cpus is None:
        return None
    return compute_max(settings, facts.cpus, is_capped=is_capped)
