"""What to ask a node to compare name servers: a series of questions, and the conntrack counters around it."""

from __future__ import annotations

from collections.abc import Sequence

from netinspect.models.dns_query import DnsQuery
from netinspect.models.netns import PodNetns
from netinspect.probes.catalog import LINKS
from netinspect.probes.conntrack import STATISTICS, STATISTICS_AGAIN
from netinspect.probes.dns import build_dns_probe
from netinspect.probes.plan import Plan

SERIES = "dns-series"


def build_links_plan() -> Plan:
    """Ask for the node's links alone: NodeLocal DNSCache has one."""
    return Plan((LINKS,))


def build_series_plan(
    queries: Sequence[DnsQuery], *, rounds: int, pause_s: float, limit_s: int, netns: PodNetns | None = None
) -> Plan:
    """Put all questions `rounds` times, and read the node's conntrack counters before and after.

    Args:
        queries: the questions of one round.
        rounds: how often all of them are put.
        pause_s: the pause between two questions.
        limit_s: seconds after which no more are begun.
        netns: a pod's netns, where they are put from there.

    Raises:
        ValueError: there are none, or too many in one round.
    """
    series = build_dns_probe(
        queries, name=SERIES, rounds=rounds, pause_s=pause_s, limit_s=limit_s, netns=netns
    )
    return Plan((LINKS, STATISTICS, series, STATISTICS_AGAIN))
