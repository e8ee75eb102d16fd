"""Ask every server of the cluster's DNS many times, past the Service too, and compare them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from netinspect.analyze.dns.case import find_unsent
from netinspect.analyze.dns.expected import find_expected
from netinspect.analyze.dns.judge_names import is_settled
from netinspect.analyze.dns.questions import list_full_names, plan_name
from netinspect.analyze.dns.servers import (
    complete_name,
    design_round,
    join_statistics,
    list_servers,
    mark_changed,
)
from netinspect.analyze.dns.servers_judge import judge_series
from netinspect.analyze.dns.statistics import find_disagreements
from netinspect.collect.dns_servers import SeriesReading, collect_links, collect_series
from netinspect.errors import TargetError, UsageError
from netinspect.models.address import Address
from netinspect.models.dns_cluster import DnsCluster
from netinspect.models.dns_query import DnsQuery
from netinspect.models.dns_report import DnsOrigin, ExpectedKind
from netinspect.models.dns_servers import DnsSeries, DnsServersReport, ServerToAsk
from netinspect.models.fact import Fact, Gap, Known, Reason, Unavailable
from netinspect.models.link import Link
from netinspect.models.netns import PodNetns
from netinspect.probes.dns import MAX_QUERIES
from netinspect.probes.dns_servers import build_links_plan, build_series_plan
from netinspect.probes.plan import Plan
from netinspect.usecases.dns_origin import ask_a_pod_for_the_domain, read_pod_origin
from netinspect.usecases.dns_services import read_named_services
from netinspect.usecases.dns_targets import find_dns_gaps, read_dns_cluster, with_search_domain
from netinspect.usecases.dns_wish import DnsWish

if TYPE_CHECKING:
    from netinspect.sources.interface import ApiSource, NodeSource

SERVERS_KIND = "DnsServerList"

_SILENT_S = 2.0
"""How long a question waits that nobody answers (dns.sh)."""

_ROUND_S, _USUAL_ROUND = 12, 30
"""Time for a round with a server that does not answer; questions of a round, for two endpoints of two families."""

_MARGIN_S = 60
"""What the way to the node and back may take besides."""


class SeriesWish(msgspec.Struct, frozen=True, kw_only=True):
    """How often is asked.

    Attributes:
        count: how often each question is put to each server.
        rate: questions a second, at most; they are put one after the other.
        limit_s: seconds after which no more are begun.
    """

    count: int
    rate: float
    limit_s: int

    @property
    def pause_s(self) -> float:
        """The pause between two questions."""
        return 1 / self.rate


def build_series_wish(count: int, rate: float, timeout_s: float | None) -> SeriesWish:
    """Check how often is to be asked.

    Args:
        count: of `--count`.
        rate: of `--rate`.
        timeout_s: of `--timeout`; None where it was not given: then there is time for a dead server among some.

    Raises:
        UsageError: a number has no meaning, or `--timeout` leaves no time to ask.
    """
    if not 1 <= count <= 1000:
        raise UsageError(f"--count {count} is not within 1 and 1000")
    if not 0.1 <= rate <= 200:
        raise UsageError(f"--rate {rate:g} is not within 0.1 and 200 questions a second")
    if timeout_s is None:
        limit_s = max(60, count * _ROUND_S, math.ceil(count * _USUAL_ROUND / rate))
        return SeriesWish(count=count, rate=rate, limit_s=min(1800, limit_s))
    limit_s = int(timeout_s - _MARGIN_S / 2)
    if limit_s < 1:
        raise UsageError(
            f"--timeout {timeout_s:g}s leaves no time to ask: the way to the node takes up to 30s"
        )
    return SeriesWish(count=count, rate=rate, limit_s=limit_s)


def default_timeout_s(wish: SeriesWish) -> float:
    """Return the time for the whole command."""
    return float(wish.limit_s + _MARGIN_S)


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """From where is asked, and whom.

    Attributes:
        pod: NAMESPACE/NAME; "" for the node itself.
        netns: the pod's.
        cluster: the cluster's DNS, with the domain that is known by now.
        servers: whom to ask.
        nameservers: those of them that the pod's resolv.conf names.
        notes: on how that was found.
        gaps: what of it could not be read.
    """

    pod: str = ""
    netns: PodNetns | None = None
    cluster: DnsCluster
    servers: tuple[ServerToAsk, ...]
    nameservers: tuple[Address, ...] = ()
    notes: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()


def compare_servers(
    api: ApiSource, source: NodeSource, wish: DnsWish, series_wish: SeriesWish, cluster: DnsCluster
) -> DnsServersReport:
    """Put the same questions to every server, round after round, and judge what came.

    Raises:
        CommandError: the pod's netns or its resolv.conf could not be found.
        TargetError: there is no server to ask.
        UsageError: these are more questions than one round may hold.
        ClusterError: the connection failed.
    """
    place = _find_place(api, source, wish, cluster)
    names, unsettled, name_gaps = _complete_names(api, wish, place.cluster)
    queries = _design(place.servers, names, wish.types)
    reading = collect_series(source, _build_plan(queries, series_wish, place.netns))
    series = DnsSeries(
        node=wish.node,
        pod=place.pod,
        servers=mark_changed(place.servers, read_dns_cluster(api)),
        cluster=place.cluster,
        nameservers=place.nameservers,
        unsettled=unsettled,
        runs=reading.runs.value if isinstance(reading.runs, Known) else (),
        counters=reading.counters,
    )
    disagreements = find_disagreements(series.runs)
    return DnsServersReport(
        kind=SERVERS_KIND,
        items=join_statistics(series),
        node=series.node,
        pod=series.pod,
        names=names,
        types=wish.types,
        disagreements=disagreements,
        counters=reading.counters.value if isinstance(reading.counters, Known) else None,
        findings=judge_series(series, disagreements),
        notes=(*place.notes, *_notes(series, len(queries) * series_wish.count, series_wish)),
        gaps=(*place.gaps, *name_gaps, *_reading_gaps(series, reading)),
    )


def design_dry_plan(cluster: DnsCluster, wish: DnsWish, series_wish: SeriesWish) -> Plan:
    """Return a plan of the kind that is sent, for `--dry-run`."""
    servers = list_servers(cluster, Unavailable(Reason.NOT_APPLICABLE, "not asked"))
    queries = design_round(servers, wish.names, wish.types)[:MAX_QUERIES]
    return _build_plan(queries, series_wish, None) if queries else build_links_plan()


def _find_place(api: ApiSource, source: NodeSource, wish: DnsWish, cluster: DnsCluster) -> _Place:
    gaps = list(find_dns_gaps(cluster))
    origin: DnsOrigin | None = None
    netns: PodNetns | None = None
    notes: tuple[str, ...] = ()
    if wish.pod is None:
        cluster, more = ask_a_pod_for_the_domain(api, source, cluster)
        gaps += more
    else:
        origin, netns, notes = read_pod_origin(source, wish.pod)
        where = f"the search list of pod {wish.namespace}/{origin.pod}"
        cluster = with_search_domain(cluster, wish.namespace, origin.conf.search, where)
    links, link_gaps = _read_links(source, cluster)
    # A resolver that is told of no server asks its own host.
    nameservers = plan_name("", origin.conf)[0].nameservers if origin is not None else ()
    return _Place(
        pod=f"{wish.namespace}/{origin.pod}" if origin is not None else "",
        netns=netns,
        cluster=cluster,
        servers=list_servers(cluster, links, nameservers),
        nameservers=nameservers,
        notes=notes,
        gaps=(*gaps, *link_gaps),
    )


def _read_links(source: NodeSource, cluster: DnsCluster) -> tuple[Fact[tuple[Link, ...]], tuple[Gap, ...]]:
    """Look for the link of NodeLocal DNSCache, where the cluster has it or may have it."""
    if isinstance(cluster.node_local, Known) and not cluster.node_local.value:
        return Unavailable(Reason.NOT_APPLICABLE, "the cluster has no NodeLocal DNSCache"), ()
    links = collect_links(source)
    if isinstance(links, Known):
        return links, ()
    return links, (Gap(f"node/{source.node}", "the links", links.reason, links.detail),)


def _complete_names(
    api: ApiSource, wish: DnsWish, cluster: DnsCluster
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Gap, ...]]:
    """Return the names fully qualified: `web.shop` is that Service, if there is one, and else a name outside.

    Beside them, those of Services that changed a short time ago, and what of the API could not be read.
    """
    if cluster.domain is None:
        return tuple(dict.fromkeys(complete_name(name, wish.namespace, None) for name in wish.names)), (), ()
    domain = cluster.domain.name
    meant = {
        name: (name,) if name.endswith(".") else list_full_names(name, wish.namespace, domain)
        for name in wish.names
    }
    candidates = [full for names in meant.values() for full in names]
    services, gaps = read_named_services(api, candidates, wish.names, domain)
    chosen, unsettled = [], []
    for name in wish.names:
        expected = [find_expected(full, domain, services) for full in meant[name]]
        found = [each for each in expected if each and each.kind is not ExpectedKind.NO_SERVICE]
        chosen.append(found[0].name if found else complete_name(name, wish.namespace, domain))
        unsettled += [each.name for each in found[:1] if not is_settled(each)]
    return tuple(dict.fromkeys(chosen)), tuple(unsettled), gaps


def _design(
    servers: Sequence[ServerToAsk], names: Sequence[str], types: Sequence[str]
) -> tuple[DnsQuery, ...]:
    queries = design_round(servers, names, types)
    if not queries:
        raise TargetError(
            "no server of the cluster's DNS is known: neither its Service nor its endpoints were found",
            "with --pod, the pod's own name servers are asked",
        )
    if len(queries) > MAX_QUERIES:
        raise UsageError(
            f"a round would be {len(queries)} questions, more than {MAX_QUERIES}",
            "ask for fewer names, or for one type (--type A)",
        )
    return queries


def _build_plan(queries: Sequence[DnsQuery], wish: SeriesWish, netns: PodNetns | None) -> Plan:
    return build_series_plan(
        queries, rounds=wish.count, pause_s=wish.pause_s, limit_s=wish.limit_s, netns=netns
    )


def _notes(series: DnsSeries, wanted: int, wish: SeriesWish) -> tuple[str, ...]:
    notes = []
    if series.runs and len(series.runs) < wanted:
        notes.append(
            f"the time was over after {len(series.runs)} of {wanted} questions ({wish.limit_s} s): "
            "a server that does not answer takes 2 s for each; --timeout gives more, --rate asks faster"
        )
    changed = [f"{each.address} ({each.name})" for each in series.servers if each.is_changed]
    if changed:
        notes.append(f"not judged, as they were ready only at one end of the run: {', '.join(changed)}")
    if series.unsettled:
        notes.append(
            f"differences were not judged, as it changed a short time ago: {', '.join(series.unsettled)}"
        )
    if any(each.is_ready is False for each in series.servers):
        notes.append("endpoints that are not ready were asked as well; lookups are not sent there")
    if not isinstance(series.cluster.service, Known):
        notes.append("the DNS Service is not known: only the pod's own name servers were asked")
    return tuple(notes)


def _reading_gaps(series: DnsSeries, reading: SeriesReading) -> tuple[Gap, ...]:
    facts: tuple[tuple[str, object], ...] = (
        ("the answers of the name servers", reading.runs),
        ("the conntrack counters", reading.counters),
    )
    gaps = [
        Gap(f"node/{series.node}", what, fact.reason, fact.detail)
        for what, fact in facts
        if isinstance(fact, Unavailable)
    ]
    unsent = find_unsent(series.runs)
    if unsent is not None:
        gaps.append(Gap(f"node/{series.node}", "the answers of the name servers", Reason.FAILED, unsent))
    unread = next((run.answer for run in series.runs if isinstance(run.answer, Unavailable)), None)
    if unread is not None:
        count = sum(isinstance(run.answer, Unavailable) for run in series.runs)
        gaps.append(Gap(f"node/{series.node}", f"{count} of dig's answers", unread.reason, unread.detail))
    return tuple(gaps)
