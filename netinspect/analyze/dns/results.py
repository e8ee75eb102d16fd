"""From the answers of several servers to how each libc's lookup ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from netinspect.analyze.dns.follow import follow_plan
from netinspect.analyze.dns.questions import ADDRESS_TYPES
from netinspect.models.dns import DnsAnswer, DnsOutcome, DnsProtocol, DnsRun
from netinspect.models.dns_report import LibcResult
from netinspect.models.fact import Known
from netinspect.models.resolver import Libc, PlanStep, QueryPlan

# What sends a resolver to its next name server (glibc, res_send.c; musl keeps waiting for the others' answers).
_NEXT_SERVER = ("SERVFAIL", "NOTIMP", "REFUSED")


def follow_all(plans: Sequence[QueryPlan], runs: Iterable[DnsRun]) -> tuple[LibcResult, ...]:
    """Say how the lookup of each libc ends; nothing where its types were not all asked for."""
    answers = _by_question(runs)
    types = {type_ for _, type_, _, _ in answers}
    if not set(ADDRESS_TYPES) <= types:
        return tuple(
            LibcResult(libc=plan.libc, result=follow_plan(plan, {})) for plan in plans if plan.refusal
        )
    return tuple(
        LibcResult(libc=plan.libc, result=follow_plan(plan, _choose(plan, answers))) for plan in plans
    )


def follow_one_type(plans: Sequence[QueryPlan], runs: Iterable[DnsRun]) -> tuple[LibcResult, ...]:
    """Say how the lookup of one family (getaddrinfo with AF_INET or AF_INET6) ends, where only its type was asked for.

    Returns:
        nothing where both types, or none of the two, were asked for. A name that has no address here may have one of
        the other family; only that it is not found says something about both.
    """
    answers = _by_question(runs)
    types = {type_ for _, type_, _, _ in answers if type_ in ADDRESS_TYPES}
    if len(types) != 1:
        return ()
    narrow = [replace(plan, steps=tuple(_keep(step, types) for step in plan.steps)) for plan in plans]
    return tuple(
        LibcResult(libc=plan.libc, result=follow_plan(plan, _choose(plan, answers))) for plan in narrow
    )


def _keep(step: PlanStep, types: set[str]) -> PlanStep:
    return replace(step, types=tuple(each for each in step.types if each in types))


_Answers = Mapping[tuple[str, str, str, DnsProtocol], DnsAnswer]


def _by_question(runs: Iterable[DnsRun]) -> _Answers:
    """Return the first readable answer to each question, by name, type, server and protocol."""
    found: dict[tuple[str, str, str, DnsProtocol], DnsAnswer] = {}
    for run in runs:
        if isinstance(run.answer, Known):
            found.setdefault((run.name, run.type, str(run.server), run.protocol), run.answer.value)
    return found


def _choose(plan: QueryPlan, answers: _Answers) -> dict[tuple[str, str], DnsAnswer]:
    """Return for each question of a plan the answer that the libc takes, of those that its name servers gave."""
    chosen: dict[tuple[str, str], DnsAnswer] = {}
    for step in plan.steps:
        for type_ in step.types:
            found = [
                answer
                for server in plan.nameservers
                if (answer := _whole(answers, step.name, type_, str(server), plan.protocol)) is not None
            ]
            if found:
                chosen[step.name, type_] = _take(plan.libc, found)
    return chosen


def _whole(answers: _Answers, name: str, type_: str, server: str, protocol: DnsProtocol) -> DnsAnswer | None:
    """Return a server's answer; of a truncated one, that by TCP, where it was asked for."""
    answer = answers.get((name, type_, server, protocol))
    if answer is not None and "tc" in answer.flags:
        return answers.get((name, type_, server, DnsProtocol.TCP), answer)
    return answer


def _take(libc: Libc, found: Sequence[DnsAnswer]) -> DnsAnswer:
    """Take the answer that counts: glibc asks the servers in turn, musl all at once and takes the fastest."""
    useful = [
        each for each in found if each.outcome is DnsOutcome.ANSWERED and each.status not in _NEXT_SERVER
    ]
    if not useful:
        return next((each for each in found if each.outcome is DnsOutcome.ANSWERED), found[0])
    if libc is Libc.GLIBC:
        return useful[0]
    return min(useful, key=lambda each: each.query_time_us or 0)
