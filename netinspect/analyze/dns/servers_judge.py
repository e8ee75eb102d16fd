"""What is wrong with the servers of a cluster's DNS, from many questions to each of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from netinspect.analyze.dns.servers import (
    evidence_of,
    is_used,
    join_statistics,
    list_addresses,
    subject_of,
)
from netinspect.analyze.dns.servers_path import judge_insert_race, judge_paths
from netinspect.models.dns import DnsDisagreement, DnsProtocol
from netinspect.models.dns_servers import AskedServer, DnsSeries, ServerRole
from netinspect.models.fact import Known
from netinspect.models.finding import Evidence, Finding, Severity, sort_findings

_SLOW_TIMES, _SLOW_US = 5, 20_000
_LEAST_ANSWERS = 10
"""Below so many answers a median says nothing of a server."""


def judge_series(series: DnsSeries, disagreements: Sequence[DnsDisagreement]) -> tuple[Finding, ...]:
    """Return what is wrong, the worst first."""
    joined = join_statistics(series)
    asked = tuple(each for each in joined if is_used(each.server))
    findings = [
        *_judge_no_endpoint(series),
        *judge_paths(series, asked),
        *_judge_slow(series, asked),
        *_judge_statuses(series, asked),
        *_judge_disagreements(series, disagreements),
        *judge_insert_race(series),
    ]
    return sort_findings(findings)


def _judge_no_endpoint(series: DnsSeries) -> Iterator[Finding]:
    """F60: an address of the Service behind which nothing is ready."""
    ready = {each.address.version for each in series.servers if each.is_ready}
    services = [each for each in series.servers if each.role is ServerRole.SERVICE]
    known = any(each.role is ServerRole.ENDPOINT for each in series.servers) or _has_no_endpoint(series)
    dead = [each for each in services if each.address.version not in ready]
    if not dead or not known:
        return
    is_all = len(dead) == len(services)
    yield Finding(
        id="dns-no-endpoints",
        severity=Severity.CRIT if is_all else Severity.HIGH,
        subject=f"service/{dead[0].name}",
        message=(
            "the DNS Service has no ready endpoint for "
            f"{', '.join(str(each.address) for each in dead)}: what is sent there is refused or dropped"
        ),
        evidence=(
            Evidence(
                source=f"EndpointSlices of service {dead[0].name}",
                text=f"{sum(each.role is ServerRole.ENDPOINT for each in series.servers)} endpoints, none ready",
            ),
        ),
        advice="look at the pods behind the Service: are they scheduled, running and ready?",
    )


def _has_no_endpoint(series: DnsSeries) -> bool:
    """Whether the API said that there is no endpoint at all, which is not the same as saying nothing."""
    service = series.cluster.service
    return (
        isinstance(service, Known)
        and isinstance(service.value.endpoints, Known)
        and not service.value.endpoints.value
    )


def _judge_slow(series: DnsSeries, asked: Sequence[AskedServer]) -> Iterator[Finding]:
    """A ready endpoint whose median is several times that of the others, and long enough to be felt."""
    timed = {
        each.server.address: (each, each.statistics.p50_us)
        for each in asked
        if each.server.role is ServerRole.ENDPOINT
        and each.statistics.protocol is DnsProtocol.UDP
        and each.statistics.answered >= _LEAST_ANSWERS
        and each.statistics.p50_us is not None
    }
    for address, (each, own) in timed.items():
        others = sorted(
            p50
            for other, (entry, p50) in timed.items()
            if other != address and entry.server.name != each.server.name and p50 is not None
        )
        if not others or own is None:
            continue
        usual = others[(len(others) - 1) // 2]
        if own >= _SLOW_US and own >= usual * _SLOW_TIMES:
            yield Finding(
                id="dns-endpoint-slow",
                severity=Severity.HIGH,
                subject=subject_of(each),
                node=series.node,
                message=(
                    f"{address} takes {own / 1000:.0f} ms for half of its answers, the other endpoints "
                    f"{usual / 1000:.1f} ms: lookups that are sent there are slow"
                ),
                evidence=(evidence_of(series, each),),
                advice="look at this pod's CPU limit and throttling, its node's load, and the way to that node",
            )


def _judge_statuses(series: DnsSeries, asked: Sequence[AskedServer]) -> Iterator[Finding]:
    for status, finding_id, what, advice in (
        (
            "SERVFAIL",
            "dns-servfail",
            "fails (SERVFAIL): it cannot find out what to answer",
            "read the log of the DNS pods: do they reach the API server, and what `forward` names?",
        ),
        (
            "REFUSED",
            "dns-refused",
            "refuses to answer (REFUSED)",
            "no zone of the Corefile is responsible for the name, or an `acl` forbids it",
        ),
    ):
        hit = [each for each in asked if each.statistics.statuses.get(status)]
        for subject in dict.fromkeys(subject_of(each) for each in hit):
            own = [each for each in hit if subject_of(each) == subject]
            yield Finding(
                id=finding_id,
                severity=Severity.HIGH,
                subject=subject,
                node=series.node,
                message=f"{list_addresses(own)} {what}",
                evidence=tuple(evidence_of(series, each) for each in own),
                advice=advice,
            )


def _judge_disagreements(series: DnsSeries, disagreements: Iterable[DnsDisagreement]) -> Iterator[Finding]:
    for each in disagreements:
        if not each.is_between_servers or each.name in series.unsettled:
            continue
        versions = [
            f"{version.status} {'; '.join(version.records) or 'no record'} from "
            f"{', '.join(str(server) for server in version.servers)}"
            for version in each.versions
        ]
        yield Finding(
            id="dns-servers-disagree",
            severity=Severity.MED,
            subject=f"name/{each.name}",
            node=series.node,
            message=f"servers give different answers to {each.name} {each.type}: which one counts is chance",
            evidence=tuple(Evidence(source=f"dig on node {series.node}", text=text) for text in versions[:5]),
            advice=(
                "a server that lags has lost its watch of the API (read its log); servers of different zones do not "
                "belong behind one address"
            ),
            not_judged=("answers that hold a random part of many records differ by right",),
        )
