"""Ask the cluster's DNS for names, from a node or from a pod's netns, and judge what came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from netinspect.analyze.dns.case import DnsCase, find_unsent
from netinspect.analyze.dns.expected import NamedServices, find_expected, key_of
from netinspect.analyze.dns.judge import judge_dns
from netinspect.analyze.dns.notes import describe_case
from netinspect.analyze.dns.questions import (
    DnsServer,
    NameQuestions,
    design_questions,
    find_service_label,
    list_full_names,
    list_steps,
    plan_name,
)
from netinspect.analyze.dns.results import follow_all
from netinspect.collect.dns import DnsReading, collect_dns
from netinspect.errors import UsageError
from netinspect.models.address import Address
from netinspect.models.dns import DnsRun
from netinspect.models.dns_cluster import DnsCluster
from netinspect.models.dns_query import DnsQuery
from netinspect.models.dns_report import DnsLookup, DnsOrigin, DnsReport, ExpectedKind, ExpectedName
from netinspect.models.fact import Fact, Gap, Known, Reason, Unavailable
from netinspect.models.netns import PodNetns
from netinspect.probes.dns import DNS, MAX_QUERIES, build_dns_probe
from netinspect.probes.plan import Probe
from netinspect.usecases.attempts import attempt
from netinspect.usecases.dns_origin import ask_a_pod_for_the_domain, assume_pod_origin, read_pod_origin
from netinspect.usecases.dns_services import read_named_services
from netinspect.usecases.dns_targets import (
    find_dns_gaps,
    find_service_by_address,
    with_search_domain,
)
from netinspect.usecases.dns_wish import DnsWish, list_cluster_servers

if TYPE_CHECKING:
    from netinspect.sources.interface import ApiSource, NodeSource

KIND = "DnsLookupList"

_USUAL_NAMESPACES = {"default", "kube-system"}
_AGAIN, _OTHERS = "dns-again", "dns-others"
_SERIES_S, _SHORT_S = 60, 15
"""Seconds after which no more questions are begun: enough for one name where nothing answers at all."""


class _Start(msgspec.Struct, frozen=True, kw_only=True):
    """What is known before the questions are chosen."""

    origin: DnsOrigin
    cluster: DnsCluster
    servers: tuple[DnsServer, ...]
    netns: PodNetns | None = None
    notes: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()


class _Work(msgspec.Struct, frozen=True, kw_only=True):
    """The questions, and what the API said of their names before they were put."""

    names: tuple[NameQuestions, ...]
    known: dict[str, ExpectedName]
    before: NamedServices
    gaps: tuple[Gap, ...] = ()


def look_up(api: ApiSource, source: NodeSource, wish: DnsWish, cluster: DnsCluster) -> DnsReport:
    """Ask for the names, and judge the answers.

    With a pod this makes two trips to the node: what to ask depends on the pod's resolv.conf.

    Args:
        api: the API server, or a recording of it.
        source: the node to ask from.
        wish: what is to be asked.
        cluster: the cluster's DNS, as the API says.

    Raises:
        CommandError: the pod's netns or its resolv.conf could not be found.
        TargetError: there is no server to ask.
        UsageError: these are more questions than one run may put.
        ClusterError: the connection failed.
    """
    start = _find_origin(api, source, wish, cluster)
    work = _design(api, wish, start)
    reading = collect_dns(source, _build_probes(work.names, start.netns))
    later, later_gaps = _expect_again(api, wish, start.cluster, work)
    services, unknown, server_gaps = _name_servers(api, start)
    case = DnsCase(
        origin=start.origin,
        cluster=start.cluster,
        links=reading.links,
        lookups=tuple(_lookup(each, reading, work.known) for each in work.names),
        again=_runs_of(reading, _AGAIN),
        later=later,
        services=services,
        unknown=unknown,
        elsewhere=_elsewhere(wish, work, start.cluster.domain.name) if start.cluster.domain else {},
    )
    gaps = (*start.gaps, *work.gaps, *later_gaps, *server_gaps, *_reading_gaps(reading, case, work.names))
    return DnsReport(
        kind=KIND,
        items=case.lookups,
        notes=(*start.notes, *dict.fromkeys(describe_case(case))),
        gaps=tuple(dict.fromkeys(gaps)),
        findings=judge_dns(case),
        origin=start.origin,
        cluster=start.cluster,
    )


def _find_origin(api: ApiSource, source: NodeSource, wish: DnsWish, cluster: DnsCluster) -> _Start:
    gaps = find_dns_gaps(cluster)
    if wish.pod is None:
        cluster, more = ask_a_pod_for_the_domain(api, source, cluster)
        origin = assume_pod_origin(wish, cluster)
        servers = list_cluster_servers(cluster)
        return _Start(origin=origin, cluster=cluster, servers=servers, gaps=(*gaps, *more))
    origin, netns, notes = read_pod_origin(source, wish.pod)
    where = f"the search list of pod {wish.namespace}/{origin.pod}"
    return _Start(
        origin=origin,
        cluster=with_search_domain(cluster, wish.namespace, origin.conf.search, where),
        # A resolver that is told of no server asks its own host; it is as much as one of the pod's.
        servers=tuple(DnsServer(address) for address in plan_name("", origin.conf)[0].nameservers),
        netns=netns,
        notes=notes,
        gaps=gaps,
    )


def _design(api: ApiSource, wish: DnsWish, start: _Start) -> _Work:
    """Plan each name, ask the API what stands behind the names of the plans, and choose the questions."""
    domain = start.cluster.domain.name if start.cluster.domain is not None else None
    plans = {name: plan_name(name, start.origin.conf) for name in wish.names}
    full = {name: list_full_names(name, wish.namespace, domain) for name in wish.names}
    asked = [step.name for each in plans.values() for step in list_steps(each)]
    candidates = tuple(dict.fromkeys((*asked, *(each for names in full.values() for each in names))))
    found = NamedServices()
    gaps: tuple[Gap, ...] = ()
    if domain is not None:
        found, gaps = read_named_services(api, candidates, wish.names, domain)
    known = _expect(candidates, domain, found)
    questions = tuple(
        design_questions(
            name,
            plans[name],
            start.servers,
            list_cluster_servers(start.cluster),
            types=wish.types,
            known=known,
            full_names=full[name],
        )
        for name in wish.names
    )
    return _Work(names=questions, known=known, before=found, gaps=gaps)


def _expect(names: Iterable[str], domain: str | None, found: NamedServices) -> dict[str, ExpectedName]:
    if domain is None:
        return {}
    expected = {name: find_expected(name, domain, found) for name in names}
    return {name: each for name, each in expected.items() if each is not None}


def _expect_again(
    api: ApiSource, wish: DnsWish, cluster: DnsCluster, work: _Work
) -> tuple[dict[str, ExpectedName], tuple[Gap, ...]]:
    """Ask the API once more: only what it said before and after counts."""
    if cluster.domain is None or not work.known:
        return {}, ()
    found, gaps = read_named_services(api, work.known, (), cluster.domain.name)
    return _expect(work.known, cluster.domain.name, found), gaps


def _build_probes(names: Sequence[NameQuestions], netns: PodNetns | None) -> tuple[Probe, ...]:
    """Return the probes of one trip: all questions once; others; and once more what the API has an answer to."""
    series = _unique(each.series for each in names)
    if len(series) > MAX_QUERIES:
        raise UsageError(
            f"these are {len(series)} questions, more than {MAX_QUERIES}",
            "ask for fewer names or types at a time",
        )
    parts = (
        (DNS, series, _SERIES_S),
        (_OTHERS, _unique(each.others for each in names), _SHORT_S),
        (_AGAIN, _unique(each.again for each in names), _SHORT_S),
    )
    return tuple(
        build_dns_probe(queries[:MAX_QUERIES], name=name, limit_s=limit_s, netns=netns)
        for name, queries, limit_s in parts
        if queries
    )


def _unique(parts: Iterable[Sequence[DnsQuery]]) -> tuple[DnsQuery, ...]:
    return tuple(dict.fromkeys(query for part in parts for query in part))


def _lookup(questions: NameQuestions, reading: DnsReading, known: Mapping[str, ExpectedName]) -> DnsLookup:
    runs = _matching(_runs_of(reading, DNS), questions.series)
    names = dict.fromkeys(query.name for query in (*questions.series, *questions.others))
    return DnsLookup(
        name=questions.name,
        plans=questions.plans,
        runs=runs,
        again=_matching(_runs_of(reading, _AGAIN), questions.again),
        others=_matching(_runs_of(reading, _OTHERS), questions.others),
        results=follow_all(questions.plans, runs),
        expected=tuple(known[name] for name in names if name in known),
    )


def _runs_of(reading: DnsReading, name: str) -> tuple[DnsRun, ...]:
    fact: Fact[tuple[DnsRun, ...]] | None = reading.runs.get(name)
    return fact.value if isinstance(fact, Known) else ()


def _matching(runs: Iterable[DnsRun], queries: Iterable[DnsQuery]) -> tuple[DnsRun, ...]:
    wanted = set(queries)
    return tuple(run for run in runs if _query_of(run) in wanted)


def _query_of(run: DnsRun) -> DnsQuery:
    return DnsQuery(run.server, run.name, run.type, run.protocol, run.port)


def _name_servers(
    api: ApiSource, start: _Start
) -> tuple[dict[Address, str], tuple[Address, ...], tuple[Gap, ...]]:
    """Find out which Services name servers are that are not the DNS Service's."""
    own = {server.address for server in list_cluster_servers(start.cluster)}
    services: dict[Address, str] = {}
    unknown: list[Address] = []
    gaps: list[Gap] = []
    for address in (server.address for server in start.servers if server.address not in own):
        found = attempt(partial(find_service_by_address, api, address))
        if isinstance(found, Unavailable):
            unknown.append(address)
            gaps.append(Gap(f"nameserver/{address}", "whether it is a Service", found.reason, found.detail))
        elif found.value is not None:
            services[address] = key_of(found.value)
    return services, tuple(unknown), tuple(gaps)


def _elsewhere(wish: DnsWish, work: _Work, domain: str) -> dict[str, tuple[str, ...]]:
    """Return for each name as given the Services of its first label that no name asked for leads to.

    Only for names that can be of a Service: in `web.example.com` the first label says nothing.
    """
    own = {each.service for each in work.known.values() if each.kind is not ExpectedKind.NO_SERVICE}
    keys = {(key_of(each), each.metadata.name) for each in work.before.services if key_of(each) not in own}
    spaces = {wish.namespace, *(each.metadata.namespace for each in work.before.services)}
    firsts = {name: find_service_label(name, domain, spaces | _USUAL_NAMESPACES) for name in wish.names}
    return {name: tuple(sorted(key for key, last in keys if last == first)) for name, first in firsts.items()}


def _reading_gaps(reading: DnsReading, case: DnsCase, names: Sequence[NameQuestions]) -> Iterator[Gap]:
    """List what was not asked, or could not be read."""
    told: set[Reason] = set()
    for fact in reading.runs.values():
        if isinstance(fact, Unavailable) and fact.reason not in told:
            told.add(fact.reason)  # what one series could not do, the next cannot either
            is_missing = fact.reason is Reason.TOOL_MISSING
            hint = "; name an image that has dig with --image" if is_missing else ""
            yield Gap(case.subject, "the answers to its questions", fact.reason, f"{fact.detail}{hint}")
    for lookup, questions in zip(case.lookups, names, strict=True):
        missing = len(set(questions.series)) - len(lookup.runs)  # a server may be named twice
        if missing > 0 and isinstance(reading.runs.get(DNS), Known):
            detail = f"{missing} questions were not put: {_SERIES_S} s were over"
            yield Gap(case.subject, f"the answers for {lookup.name}", Reason.TIMED_OUT, detail)
        unsent = find_unsent(lookup.runs)
        if unsent is not None:
            yield Gap(case.subject, f"the answers for {lookup.name}", Reason.FAILED, unsent)
        unread = [run.answer for run in lookup.runs if isinstance(run.answer, Unavailable)]
        if unread:
            what = f"{len(unread)} of {len(lookup.runs)} answers for {lookup.name}"
            yield Gap(case.subject, what, unread[0].reason, unread[0].detail)
