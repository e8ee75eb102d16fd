"""The text of `dns`: whose resolver, and for each name the plan, the answers, and how a lookup ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from netinspect.models.address import Address
from netinspect.models.dns import DnsOutcome, DnsProtocol, DnsRun
from netinspect.models.dns_report import DnsLookup, DnsOrigin, DnsReport, ExpectedKind, ExpectedName
from netinspect.models.fact import Unavailable
from netinspect.models.resolver import LookupEnd, LookupResult, PlanStep, QueryPlan
from netinspect.render.sanitize import sanitize
from netinspect.render.table import Column, render_table

_ENDS = {
    LookupEnd.FOUND: "found",
    LookupEnd.NOT_FOUND: "not found",
    LookupEnd.NO_ADDRESS: "no address",
    LookupEnd.TRY_AGAIN: "fails for now (EAI_AGAIN)",
    LookupEnd.NOT_ASKED: "nobody is asked",
    LookupEnd.UNDECIDED: "not known",
}


@dataclass(frozen=True)
class Row:
    """The answers of one server, by one protocol, to the questions about one name that ended alike."""

    name: str
    server: Address
    protocol: DnsProtocol
    status: str
    runs: tuple[DnsRun, ...]
    remark: str = ""


COLUMNS: tuple[Column[Row], ...] = (
    Column("NAME", lambda row: row.name),
    Column("TYPE", lambda row: ",".join(dict.fromkeys(run.type for run in row.runs))),
    Column("SERVER", lambda row: str(row.server)),
    Column("PROTO", lambda row: row.protocol.value),
    Column("STATUS", lambda row: row.status),
    Column("TIME", lambda row: _time(row.runs)),
    Column("RECORDS", lambda row: _records(row.runs)),
    Column("FLAGS", lambda row: _flags(row.runs), is_wide=True),
    Column("REMARK", lambda row: row.remark, is_wide=True),
)


def name_of(lookup: DnsLookup) -> str:
    """Return the name as it was given, as `-o name` prints it."""
    return f"name/{lookup.name}"


def render_lookups(report: DnsReport, *, is_wide: bool = False, has_headers: bool = True) -> str:
    """Write the answer as text for people."""
    blocks = [_lines(_describe_origin(report))]
    blocks += [_block(lookup, is_wide=is_wide, has_headers=has_headers) for lookup in report.items]
    if not report.findings:
        blocks.append(f"nothing wrong was found{' in what could be read' if report.gaps else ''}\n")
    return "\n".join(blocks)


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{sanitize(' '.join(line.splitlines()))}\n" for line in lines)


def _describe_origin(report: DnsReport) -> Iterator[str]:
    origin = report.origin
    yield f"from      {_place(origin)}"
    conf = origin.conf
    options = " ".join(conf.options) or "none"
    yield f"resolver  {origin.source}"
    yield f"          nameserver {' '.join(str(each) for each in conf.nameservers) or 'none'}"
    yield f"          search {' '.join(conf.search) or 'none'}"
    yield f"          options {options}"
    if report.cluster.domain is not None:
        yield f"domain    {report.cluster.domain.name} ({report.cluster.domain.source})"
    service = report.cluster.service
    if isinstance(service, Unavailable):
        return
    endpoints = service.value.endpoints
    shown = "endpoints not known"
    if not isinstance(endpoints, Unavailable):
        ready = sum(each.is_ready for each in endpoints.value)
        shown = f"{ready} of {len(endpoints.value)} endpoints ready"
    addresses = " ".join(str(each) for each in service.value.cluster_ips)
    yield f"service   {service.value.key} {addresses} ({shown})"


def _place(origin: DnsOrigin) -> str:
    if not origin.pod:
        return f"node {origin.node}"
    where = "the node's netns: hostNetwork" if origin.netns is None else f"netns {origin.netns}"
    return f"pod {origin.namespace}/{origin.pod} on node {origin.node} ({where})"


def _block(lookup: DnsLookup, *, is_wide: bool, has_headers: bool) -> str:
    rows = [*_rows(lookup.runs), *_rows(lookup.others, "not a question of the resolver's")]
    table = render_table(COLUMNS, rows, is_wide=is_wide, has_headers=has_headers) if rows else ""
    parts = [_lines([f"NAME {lookup.name}"]), _lines(_describe_plans(lookup.plans))]
    parts += [table, _lines(_describe_results(lookup)), _lines(_describe_expected(lookup.expected))]
    return "".join(parts)


def _describe_plans(plans: Sequence[QueryPlan]) -> Iterator[str]:
    """Write the plans; once, where both libcs ask the same."""
    is_same = (
        len({(plan.refusal and plan.libc, tuple(step.name for step in plan.steps)) for plan in plans}) == 1
    )
    for plan in plans[:1] if is_same else plans:
        whose = " and ".join(each.libc.value for each in plans) if is_same else plan.libc.value
        if plan.refusal:
            yield f"plan      {whose}: {plan.refusal}"
            continue
        yield f"plan      {whose}: {_count(plan)}{_describe_waits(plans if is_same else (plan,))}"
        for place, step in enumerate(plan.steps, 1):
            yield f"          {place}. {step.name} {'+'.join(step.types)}{_because(step)}"
    for plan in plans:
        for note in plan.notes:
            yield (
                f"          {note}"
                if note.startswith(plan.libc.value)
                else f"          {plan.libc.value}: {note}"
            )


def _count(plan: QueryPlan) -> str:
    questions = sum(len(step.types) for step in plan.steps)
    names = f"{len(plan.steps)} names" if len(plan.steps) > 1 else "1 name"
    return f"up to {questions} questions for {names}, until one is found"


def _describe_waits(plans: Sequence[QueryPlan]) -> str:
    """Say when a lookup fails where nobody answers: that differs, where the libcs ask alike."""
    waits = {plan.libc.value: plan.silence_wait_s for plan in plans if plan.silence_wait_s is not None}
    if not waits:
        return ""
    if len(set(waits.values())) == 1:
        return f"; fails after {next(iter(waits.values()))} s if nobody answers"
    shown = ", ".join(f"{libc} after {seconds} s" for libc, seconds in waits.items())
    return f"; if nobody answers it fails, {shown}"


def _because(step: PlanStep) -> str:
    return f"  (search {step.domain})" if step.domain else "  (as given)"


def _rows(runs: Iterable[DnsRun], remark: str = "") -> Iterator[Row]:
    """Put together what one server said about one name: A and AAAA are one row where they ended alike."""
    groups: dict[tuple[str, Address, DnsProtocol, str], list[DnsRun]] = {}
    for run in runs:
        groups.setdefault((run.name, run.server, run.protocol, _status(run)), []).append(run)
    for (name, server, protocol, status), members in groups.items():
        yield Row(name, server, protocol, status, tuple(members), remark)


def _status(run: DnsRun) -> str:
    if isinstance(run.answer, Unavailable):
        return f"({run.answer.reason.value})"
    answer = run.answer.value
    if answer.outcome is not DnsOutcome.ANSWERED:
        return answer.outcome.value
    return f"{answer.status},truncated" if "tc" in answer.flags else answer.status


def _time(runs: Sequence[DnsRun]) -> str:
    """Show the slowest answer, in milliseconds."""
    times = [
        run.answer.value.query_time_us
        for run in runs
        if not isinstance(run.answer, Unavailable) and run.answer.value.query_time_us is not None
    ]
    return f"{max(times) / 1000:.1f} ms" if times else "-"


def _records(runs: Iterable[DnsRun]) -> str:
    """Show the data of the records, a type once."""
    by_type: dict[str, list[str]] = {}
    for run in runs:
        if isinstance(run.answer, Unavailable):
            continue
        for record in run.answer.value.answer:
            data = by_type.setdefault(record.type, [])
            if record.rdata not in data:
                data.append(record.rdata)
    return ", ".join(f"{type_} {' '.join(data)}" for type_, data in by_type.items()) or "-"


def _flags(runs: Iterable[DnsRun]) -> str:
    shown = (" ".join(run.answer.value.flags) for run in runs if not isinstance(run.answer, Unavailable))
    return ",".join(dict.fromkeys(each for each in shown if each))


def _describe_results(lookup: DnsLookup) -> Iterator[str]:
    """Say how lookups end; once, where both libcs come to the same."""
    # Why nobody is asked stands in the plan.
    asked = [each for each in lookup.results if each.result.end is not LookupEnd.NOT_ASKED]
    results = {each.libc: each.result for each in asked}
    alike = {(each.end, each.addresses, each.name, each.questions) for each in results.values()}
    for libc, result in list(results.items())[: 1 if len(alike) == 1 else None]:
        whose = " and ".join(each.value for each in results) if len(alike) == 1 else libc.value
        yield f"result    {whose}: {_describe_result(result)}"


def _describe_result(result: LookupResult) -> str:
    shown = " ".join(str(each) for each in result.addresses)
    if result.end is LookupEnd.FOUND:
        return f"found {shown} ({result.name} after {result.questions} questions)"
    return f"{_ENDS[result.end]}: {result.reason}"


def _describe_expected(expected: Iterable[ExpectedName]) -> Iterator[str]:
    for each in expected:
        if each.kind is ExpectedKind.NO_SERVICE:
            continue
        if each.kind is ExpectedKind.EXTERNAL_NAME:
            shown = f"ExternalName {each.cname}"
        else:
            addresses = " ".join(str(address) for address in each.addresses)
            shown = f"{each.kind.value} {addresses or 'without ready endpoints'}"
        yield f"API       {each.name} is service {each.service}: {shown}"
