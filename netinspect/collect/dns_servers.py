"""A series of questions to name servers, with what the node's conntrack counters rose by meanwhile."""

from __future__ import annotations

import msgspec

from netinspect.analyze.conntrack.counters import add_up, count_rise
from netinspect.collect.dns import read_dns_runs
from netinspect.collect.facts import read_fact
from netinspect.models.conntrack import CpuStatistics
from netinspect.models.dns import DnsRun
from netinspect.models.fact import Fact, Known, Unavailable
from netinspect.models.link import Link
from netinspect.parse.conntrack_limit import parse_statistics
from netinspect.parse.ip_addr import parse_ip_addr
from netinspect.probes.catalog import LINKS
from netinspect.probes.conntrack import STATISTICS, STATISTICS_AGAIN
from netinspect.probes.dns_servers import SERIES, build_links_plan
from netinspect.probes.plan import NODE, Plan
from netinspect.sources.interface import NodeSource


class SeriesReading(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one trip.

    Attributes:
        runs: the questions in the order put, each with its answer.
        counters: what the node's conntrack counters rose by, all CPUs together.
        links: the links of the node's own netns.
    """

    runs: Fact[tuple[DnsRun, ...]]
    counters: Fact[dict[str, int]]
    links: Fact[tuple[Link, ...]]


def collect_links(source: NodeSource) -> Fact[tuple[Link, ...]]:
    """Read the links of a node, in one trip.

    Raises:
        CommandError: the node side did not start.
        ParseError: its stream is broken.
        ClusterError: the connection failed before anything came.
    """
    answer = source.run(build_links_plan())
    return read_fact(next((each for each in answer.results if each.name == LINKS.name), None), parse_ip_addr)


def collect_series(source: NodeSource, plan: Plan) -> SeriesReading:
    """Make one trip with a plan of `probes.dns_servers.build_series_plan`.

    Raises:
        As `collect_links`.
    """
    answer = source.run(plan)
    results = {each.name: each for each in answer.results if each.key == NODE}
    before = read_fact(results.get(STATISTICS.name), parse_statistics)
    after = read_fact(results.get(STATISTICS_AGAIN.name), parse_statistics)
    return SeriesReading(
        runs=read_dns_runs(results.get(SERIES)),
        counters=_count_rise(before, after),
        links=read_fact(results.get(LINKS.name), parse_ip_addr),
    )


def _count_rise(
    before: Fact[tuple[CpuStatistics, ...]], after: Fact[tuple[CpuStatistics, ...]]
) -> Fact[dict[str, int]]:
    if isinstance(before, Unavailable):
        return before
    if isinstance(after, Unavailable):
        return after
    return Known(add_up(count_rise(before.value, after.value)))
