"""What a series of questions says about the servers: loss, times, statuses, and where they disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations

from netinspect.models.address import Address
from netinspect.models.dns import (
    DnsAnswer,
    DnsDisagreement,
    DnsOutcome,
    DnsProtocol,
    DnsRun,
    DnsServerStatistics,
    DnsVersion,
)
from netinspect.models.fact import Known

# Below these, a percentile would be the slowest answer under another name.
_LEAST_FOR_P90 = 10
_LEAST_FOR_P99 = 100


def summarise_servers(runs: Iterable[DnsRun]) -> tuple[DnsServerStatistics, ...]:
    """Return the statistics of each server, port and protocol, in the order first asked.

    A question that dig did not put (`not-sent`) says nothing of the server: it stands in `failures`, and is neither
    sent nor lost.
    """
    groups: dict[tuple[Address, int, DnsProtocol], list[DnsRun]] = {}
    for run in runs:
        groups.setdefault((run.server, run.port, run.protocol), []).append(run)
    return tuple(_summarise(*key, group) for key, group in groups.items())


def _summarise(
    server: Address, port: int, protocol: DnsProtocol, runs: Sequence[DnsRun]
) -> DnsServerStatistics:
    read = [run.answer.value for run in runs if isinstance(run.answer, Known)]
    answered = [answer for answer in read if answer.outcome is DnsOutcome.ANSWERED]
    failed = [answer for answer in read if answer.outcome is not DnsOutcome.ANSWERED]
    not_sent = sum(answer.outcome is DnsOutcome.NOT_SENT for answer in failed)
    lost = len(failed) - not_sent
    timed = [answer for answer in answered if answer.query_time_us is not None]
    times = sorted(answer.query_time_us for answer in timed if answer.query_time_us is not None)
    return DnsServerStatistics(
        server=server,
        port=port,
        protocol=protocol,
        sent=len(runs) - not_sent,
        answered=len(answered),
        lost=lost,
        unreadable=len(runs) - len(read),
        loss=lost / (len(answered) + lost) if answered or lost else None,
        statuses=dict(Counter(answer.status for answer in answered)),
        failures=dict(Counter(answer.outcome for answer in failed)),
        min_us=times[0] if times else None,
        p50_us=percentile(times, 50) if times else None,
        p90_us=percentile(times, 90) if len(times) >= _LEAST_FOR_P90 else None,
        p99_us=percentile(times, 99) if len(times) >= _LEAST_FOR_P99 else None,
        max_us=times[-1] if times else None,
        is_coarse=any(answer.is_time_coarse for answer in timed),
    )


def find_disagreements(runs: Iterable[DnsRun]) -> tuple[DnsDisagreement, ...]:
    """Return the questions to which not all answers were the same, TTLs and order of records aside.

    An answer that is truncated does not tell what it lacks, so it is not compared.
    """
    questions: dict[tuple[str, str], list[tuple[Address, _Said]]] = {}
    for run in runs:
        if isinstance(run.answer, Known) and _is_comparable(run.answer.value):
            said = (run.server, _say(run.answer.value))
            questions.setdefault((run.name, run.type), []).append(said)
    return tuple(
        _disagreement(name, type_, answers)
        for (name, type_), answers in questions.items()
        if len({said for _, said in answers}) > 1
    )


_Said = tuple[str, tuple[str, ...]]
_TELLING = ("NOERROR", "NXDOMAIN")
"""What says something of the name; other rcodes say something of the server."""


def _is_comparable(answer: DnsAnswer) -> bool:
    return answer.outcome is DnsOutcome.ANSWERED and "tc" not in answer.flags


def _say(answer: DnsAnswer) -> _Said:
    """Return what counts of an answer: its rcode and its records, without TTLs and without order."""
    return answer.status, tuple(sorted(f"{record.type} {record.rdata}" for record in answer.answer))


def _disagreement(name: str, type_: str, answers: Sequence[tuple[Address, _Said]]) -> DnsDisagreement:
    frequency = Counter(said for _, said in answers)
    servers = tuple(dict.fromkeys(server for server, _ in answers))
    given = set(answers)
    versions = tuple(
        DnsVersion(
            status=status,
            records=records,
            servers=tuple(server for server in servers if (server, (status, records)) in given),
        )
        for (status, records), _ in frequency.most_common()
    )
    said = {server: {each for one, each in answers if one == server} for server in servers}
    telling = [{each for each in own if each[0] in _TELLING} for own in said.values()]
    is_between = any(
        one.isdisjoint(other) for one, other in combinations([each for each in telling if each], 2)
    )
    return DnsDisagreement(name=name, type=type_, versions=versions, is_between_servers=is_between)


def percentile(ordered: Sequence[int], percent: int) -> int:
    """Return the nearest-rank percentile of values in ascending order: the ceil(n * percent / 100)-th.

    Raises:
        ValueError: there are no values, or `percent` is not from 1 to 100.
    """
    if not ordered or not 1 <= percent <= 100:
        raise ValueError(f"no {percent}th percentile of {len(ordered)} values")
    return ordered[-(-len(ordered) * percent // 100) - 1]
