"""What is wrong with a name: found elsewhere only, answered otherwise than the API says, expensive, a libc's choice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netinspect.analyze.dns.case import DnsCase, answer_of, evidence_of, has_records, is_answered, show_run
from netinspect.analyze.dns.corefile import servers_with
from netinspect.analyze.dns.expected import addresses_of, differs, is_same
from netinspect.analyze.dns.results import follow_one_type
from netinspect.models.dns import DnsProtocol, DnsRun
from netinspect.models.dns_report import DnsLookup, ExpectedKind, ExpectedName, LibcResult
from netinspect.models.fact import Known
from netinspect.models.finding import Evidence, Finding, Severity
from netinspect.models.resolver import Libc, LookupEnd, LookupResult

GRACE_S = 60.0
"""How long an answer may lag: a TTL of 30 s, and as long in the server's cache (dataplane reference, F66)."""

_FAILED_ENDS = (LookupEnd.NOT_FOUND, LookupEnd.NO_ADDRESS)
_UNCLEAR_ENDS = (LookupEnd.UNDECIDED, LookupEnd.NOT_ASKED)
_MANY_NAMES = 3
# Plugins of CoreDNS that change answers about names of the cluster, by right.
_REWRITERS = ("rewrite", "template", "hosts", "view", "file", "auto")


def judge_lookup(case: DnsCase, lookup: DnsLookup) -> Iterator[Finding]:
    """Judge one name."""
    reasons = [*_judge_missing(case, lookup), *_judge_empty(case, lookup)]
    for expected in lookup.expected:
        reasons += _judge_answer(case, lookup, expected)
    yield from reasons
    if not reasons and _is_missing(lookup):
        yield _not_found(case, lookup)
    yield from _judge_libcs(case, lookup)
    yield from _judge_expansion(case, lookup)


def is_settled(expected: ExpectedName) -> bool:
    """Whether what the API says has been so for long enough to be answered by now."""
    return expected.changed_s is not None and expected.changed_s >= GRACE_S


def _is_missing(lookup: DnsLookup) -> bool:
    """Whether both libcs learn that the name is not there, or has no address; of one type, that it is not there."""
    failed = _FAILED_ENDS if lookup.results else (LookupEnd.NOT_FOUND,)
    ends = _ends(lookup)
    return bool(ends) and all(each.result.end in failed for each in ends)


def _ends(lookup: DnsLookup) -> tuple[LibcResult, ...]:
    """Return how the lookup ends, of A or AAAA alone where the other was not asked for."""
    return lookup.results or follow_one_type(lookup.plans, lookup.runs)


def _judge_missing(case: DnsCase, lookup: DnsLookup) -> Iterator[Finding]:
    """A name that is not found, and is there under another name, at another server, or in another namespace."""
    if not _is_missing(lookup):
        return
    found = [run for run in lookup.others if has_records(run)]
    in_plan = {step.name for plan in lookup.plans for step in plan.steps}
    beside = [run for run in found if run.name not in in_plan]
    if beside:
        yield _search_list(case, lookup, beside)
    elif found:
        yield _foreign_server(case, lookup, found)
    elif case.elsewhere.get(lookup.name):
        yield _other_namespace(case, lookup, case.elsewhere[lookup.name])


def _not_found(case: DnsCase, lookup: DnsLookup) -> Finding:
    """Nothing is wrong with DNS: it says that there is no such name, or none with an address."""
    return Finding(
        id="dns-name-not-found",
        severity=Severity.INFO,
        subject=case.subject,
        node=case.origin.node,
        message=f"{lookup.name} is not found: {_ends(lookup)[0].result.reason}",
        evidence=evidence_of(case, [run for run in lookup.runs if is_answered(run)][:3]),
        advice="is it the name that is meant? The servers answered, and none of the names asked for has an address",
    )


def _search_list(case: DnsCase, lookup: DnsLookup, found: Sequence[DnsRun]) -> Finding:
    full = found[0].name
    because = (
        "it ends with a dot, so that no search list is applied"
        if lookup.name.endswith(".")
        else _why(case, lookup)
    )
    return Finding(
        id="dns-nxdomain-search-list",
        severity=Severity.MED,
        subject=case.subject,
        node=case.origin.node,
        message=f"{lookup.name} is not found, though {full} exists: {because}",
        evidence=evidence_of(case, found),
        advice=f"use {full.removesuffix('.')}, or correct the search list (dnsPolicy, dnsConfig.searches)",
    )


def _why(case: DnsCase, lookup: DnsLookup) -> str:
    conf = case.origin.conf
    return (
        f"the search list ({' '.join(conf.search) or 'there is none'}) with ndots:{lookup.plans[0].ndots} does not "
        "lead there"
    )


def _foreign_server(case: DnsCase, lookup: DnsLookup, found: Sequence[DnsRun]) -> Finding:
    asked = ", ".join(str(each) for each in lookup.plans[0].nameservers)
    return Finding(
        id="dns-unknown-to-nameserver",
        severity=Severity.HIGH,
        subject=case.subject,
        node=case.origin.node,
        message=f"{lookup.name} is not found at {asked}, and is at the cluster's DNS, which is not asked",
        evidence=evidence_of(case, found),
        advice="let the pod ask the cluster's DNS: dnsPolicy ClusterFirst (with hostNetwork: ClusterFirstWithHostNet)",
    )


def _other_namespace(case: DnsCase, lookup: DnsLookup, services: Sequence[str]) -> Finding:
    namespace, name = services[0].split("/")
    return Finding(
        id="dns-nxdomain-other-namespace",
        severity=Severity.MED,
        subject=case.subject,
        node=case.origin.node,
        message=f"{lookup.name} is not found; Services of that name are in other namespaces",
        evidence=(Evidence(source="the list of services", text=", ".join(services[:5])),),
        advice=f"use {name}.{namespace}, if that one is meant",
    )


def _judge_empty(case: DnsCase, lookup: DnsLookup) -> Iterator[Finding]:
    """A name that is not found because nothing stands behind it, as the API agrees."""
    ends = _ends(lookup)
    if not ends or any(each.result.end is LookupEnd.FOUND for each in ends):
        return
    in_plan = {step.name for plan in lookup.plans for step in plan.steps}
    for expected in lookup.expected:
        if expected.name not in in_plan or expected.addresses:
            continue
        if expected.kind is ExpectedKind.HEADLESS:
            message = f"{expected.name} has no address: the Service is headless and has no ready endpoint"
            advice = "look at the pods that its selector means: are they ready? (publishNotReadyAddresses shows others)"
        elif expected.kind is ExpectedKind.EXTERNAL_NAME and _is_missing(lookup):
            message = f"{expected.name} stands for {expected.cname} (ExternalName), which is not found"
            advice = f"correct spec.externalName, or find out why {expected.cname} is not found"
        else:
            continue
        yield Finding(
            id="dns-service-without-address",
            severity=Severity.MED,
            subject=f"service/{expected.service}",
            node=case.origin.node,
            message=message,
            evidence=(
                Evidence(source=expected.source, text=_say(expected)),
                *_runs_about(case, lookup, expected.name),
            ),
            advice=advice,
        )


def _runs_about(case: DnsCase, lookup: DnsLookup, name: str) -> tuple[Evidence, ...]:
    return evidence_of(case, [run for run in lookup.runs if run.name == name][:2])


def _judge_answer(case: DnsCase, lookup: DnsLookup, expected: ExpectedName) -> Iterator[Finding]:
    """An answer that is another than the API says, in two readings of each, and not because of a recent change."""
    if not is_settled(expected) or not is_same(expected, case.later.get(expected.name)):
        return
    differing = [run for run in lookup.runs if _is_judged(case, run, expected) and _differs(run, expected)]
    confirmed = [run for run in differing if _is_confirmed(case, run, expected)]
    if not confirmed:
        return
    is_headless = expected.kind in (ExpectedKind.HEADLESS, ExpectedKind.ENDPOINT)
    yield Finding(
        id="dns-answer-differs-from-api",
        severity=Severity.MED if is_headless else Severity.HIGH,
        subject=f"service/{expected.service}",
        node=case.origin.node,
        message=f"{expected.name} is answered otherwise than the API says: {_difference(confirmed[0], expected)}",
        evidence=(*evidence_of(case, confirmed[:4]), Evidence(source=expected.source, text=_say(expected))),
        advice=(
            "the API has said so for "
            f"{expected.changed_s or 0:.0f} s: read the log of the DNS pods; have they lost their watch of the API "
            "server, or does something between the pod and them answer from a cache?"
        ),
        not_judged=tuple(_may_rewrite(case)),
    )


def _is_judged(case: DnsCase, run: DnsRun, expected: ExpectedName) -> bool:
    return (
        run.name == expected.name and run.protocol is DnsProtocol.UDP and case.is_cluster_server(run.server)
    )


def _differs(run: DnsRun, expected: ExpectedName) -> bool:
    answer = answer_of(run)
    return answer is not None and is_answered(run) and differs(expected, answer, run.type)


def _is_confirmed(case: DnsCase, run: DnsRun, expected: ExpectedName) -> bool:
    key = (run.server, run.name, run.type)
    return any((each.server, each.name, each.type) == key and _differs(each, expected) for each in case.again)


def _say(expected: ExpectedName) -> str:
    if expected.kind is ExpectedKind.EXTERNAL_NAME:
        return f"ExternalName {expected.cname}"
    shown = ", ".join(str(each) for each in expected.addresses) or "none"
    what = "ready endpoints" if expected.kind is not ExpectedKind.CLUSTER_IP else "clusterIPs"
    return f"{what}: {shown}"


def _difference(run: DnsRun, expected: ExpectedName) -> str:
    answer = answer_of(run)
    came = {record.rdata for record in answer.records} if answer is not None else set()
    if expected.kind is ExpectedKind.EXTERNAL_NAME:
        return f"no CNAME {expected.cname}"
    wanted = {str(each) for each in addresses_of(expected, run.type)}
    parts = [
        f"{word} {', '.join(sorted(addresses))}"
        for word, addresses in (("lacks", wanted - came), ("has beyond that", came - wanted))
        if addresses
    ]
    return f"{run.type} {' and '.join(parts)}" if parts else show_run(run)


def _may_rewrite(case: DnsCase) -> Iterator[str]:
    if not isinstance(case.cluster.corefile, Known):
        yield "the Corefile could not be read: the server may be told to answer otherwise"
        return
    used = [plugin for plugin in _REWRITERS if servers_with(case.cluster.corefile.value, plugin)]
    if used:
        yield f"the Corefile uses {', '.join(used)}, which may answer otherwise by right"


def _judge_libcs(case: DnsCase, lookup: DnsLookup) -> Iterator[Finding]:
    """A name that one libc finds and the other does not, or elsewhere, or gives up for good where the other retries."""
    results = {each.libc: each.result for each in lookup.results}
    if len(results) < 2 or any(each.end in _UNCLEAR_ENDS for each in results.values()):
        return
    glibc, musl = results[Libc.GLIBC], results[Libc.MUSL]
    if (glibc.end in _FAILED_ENDS) is (musl.end in _FAILED_ENDS) and set(glibc.addresses) == set(
        musl.addresses
    ):
        return
    yield Finding(
        id="dns-libc-differs",
        severity=Severity.MED,
        subject=case.subject,
        node=case.origin.node,
        message=f"{lookup.name} ends differently in images with glibc and with musl (Alpine)",
        evidence=tuple(
            Evidence(source=f"the answers above, as {each.libc.value} takes them", text=_end(each.result))
            for each in lookup.results
        ),
        advice="use the full name; with ndots and search lists the two go different ways",
    )


def _end(result: LookupResult) -> str:
    shown = ", ".join(str(each) for each in result.addresses)
    return f"{result.end.value} ({result.name}: {result.reason})" + (f": {shown}" if shown else "")


def _judge_expansion(case: DnsCase, lookup: DnsLookup) -> Iterator[Finding]:
    """F63: an external name that is asked for only after all of the search list."""
    costly: LibcResult | None = next(
        (each for each in lookup.results if each.result.end is LookupEnd.FOUND), None
    )
    if costly is None or len(costly.result.asked) <= _MANY_NAMES or case.is_cluster_name(costly.result.name):
        return
    result = costly.result
    yield Finding(
        id="dns-search-expansion",
        severity=Severity.INFO,
        subject=case.subject,
        node=case.origin.node,
        message=(
            f"each lookup of {lookup.name} takes {result.questions} questions: {len(result.asked) - 1} names of the "
            "search list are asked for first"
        ),
        evidence=(Evidence(source=case.origin.source, text=f"asked: {' '.join(result.asked)}"),),
        advice=f"write {lookup.name}. with a dot at its end where the program allows it, or lower ndots (dnsConfig)",
    )
