"""What a series says about the servers."""

from __future__ import annotations

import math
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netinspect.analyze.dns.statistics import find_disagreements, percentile, summarise_servers
from netinspect.models.dns import DnsAnswer, DnsOutcome, DnsProtocol, DnsRecord, DnsRun
from netinspect.models.fact import Fact, Known, Reason, Unavailable

FIRST, SECOND, THIRD = "fd00:10:244:1::5", "fd00:10:244:2::9", "10.244.2.9"
UNREADABLE = Unavailable(Reason.UNPARSABLE, "no output of dig")


def answered(
    *records: str,
    status: str = "NOERROR",
    time_us: int | None = 500,
    coarse: bool = False,
    ttl: int = 30,
    flags: str = "",
) -> DnsAnswer:
    """An answer with records, each "TYPE RDATA"."""
    found = (record.split(maxsplit=1) for record in records)
    return DnsAnswer(
        outcome=DnsOutcome.ANSWERED,
        exit_code=0,
        status=status,
        flags=tuple(flags.split()),
        answer=tuple(
            DnsRecord(name="web.", ttl=ttl, rrclass="IN", type=type_, rdata=rdata) for type_, rdata in found
        ),
        query_time_us=time_us,
        is_time_coarse=coarse,
    )


def failed(outcome: DnsOutcome) -> DnsAnswer:
    return DnsAnswer(outcome=outcome, exit_code=9, cause="as dig says")


def run(
    server: str,
    answer: DnsAnswer | Unavailable,
    *,
    protocol: DnsProtocol = DnsProtocol.UDP,
    name: str = "web.",
    type_: str = "AAAA",
) -> DnsRun:
    fact: Fact[DnsAnswer] = answer if isinstance(answer, Unavailable) else Known(answer)
    return DnsRun(
        sequence=1,
        start_s=0.0,
        server=ip_address(server),
        port=53,
        protocol=protocol,
        type=type_,
        name=name,
        exit_code=0,
        answer=fact,
    )


def test_counts_what_came_of_each_question() -> None:
    """Answers of any status, losses by their kind, and what could not be read, which is neither."""
    (found,) = summarise_servers(
        [
            run(FIRST, answered("AAAA ::1")),
            run(FIRST, answered(status="NXDOMAIN")),
            run(FIRST, answered(status="SERVFAIL")),
            run(FIRST, failed(DnsOutcome.TIMED_OUT)),
            run(FIRST, failed(DnsOutcome.TIMED_OUT)),
            run(FIRST, failed(DnsOutcome.MALFORMED)),
            run(FIRST, UNREADABLE),
        ]
    )
    assert (found.sent, found.answered, found.lost, found.unreadable) == (7, 3, 3, 1)
    assert found.loss == 0.5
    assert found.statuses == {"NOERROR": 1, "NXDOMAIN": 1, "SERVFAIL": 1}
    assert found.failures == {DnsOutcome.TIMED_OUT: 2, DnsOutcome.MALFORMED: 1}


def test_a_question_that_was_not_put_is_no_loss() -> None:
    """A name that cannot be sent says nothing of the server."""
    (mixed,) = summarise_servers([run(FIRST, answered()), run(FIRST, failed(DnsOutcome.NOT_SENT))])
    assert (mixed.sent, mixed.answered, mixed.lost, mixed.loss) == (1, 1, 0, 0.0)
    assert mixed.failures == {DnsOutcome.NOT_SENT: 1}
    (alone,) = summarise_servers([run(FIRST, failed(DnsOutcome.NOT_SENT))])
    assert (alone.sent, alone.lost, alone.loss) == (0, 0, None)


def test_nothing_readable_is_no_loss() -> None:
    """And no gain: the loss is not known."""
    (found,) = summarise_servers([run(FIRST, UNREADABLE)])
    assert (found.sent, found.unreadable, found.lost, found.loss) == (1, 1, 0, None)


def test_servers_and_protocols_are_apart_in_the_order_asked() -> None:
    """UDP and TCP of one server are two rows."""
    runs = [
        run(SECOND, answered()),
        run(FIRST, answered(), protocol=DnsProtocol.TCP),
        run(SECOND, failed(DnsOutcome.TIMED_OUT)),
        run(FIRST, answered()),
    ]
    found = [(str(each.server), each.protocol, each.sent) for each in summarise_servers(runs)]
    assert found == [(SECOND, "udp", 2), (FIRST, "tcp", 1), (FIRST, "udp", 1)]
    assert summarise_servers([]) == ()


@pytest.mark.parametrize(
    ("count", "p50", "p90", "p99"),
    [
        (0, None, None, None),
        (1, 1, None, None),
        (2, 1, None, None),
        (3, 2, None, None),
        (9, 5, None, None),
        (10, 5, 9, None),
        (99, 50, 90, None),
        (100, 50, 90, 99),
        (101, 51, 91, 100),
    ],
)
def test_percentiles_by_nearest_rank(count: int, p50: int | None, p90: int | None, p99: int | None) -> None:
    """Of answers in any order; none that would only be the slowest under another name."""
    times = list(range(count, 0, -1))
    runs = [run(FIRST, answered(time_us=time)) for time in times] + [run(FIRST, failed(DnsOutcome.TIMED_OUT))]
    (found,) = summarise_servers(runs)
    assert (found.p50_us, found.p90_us, found.p99_us) == (p50, p90, p99)
    assert (found.min_us, found.max_us) == ((1, count) if count else (None, None))


def test_answers_without_times_have_no_percentiles() -> None:
    """But count as answers; times of milliseconds are marked, those of failures do not count."""
    (found,) = summarise_servers([run(FIRST, answered(time_us=None)) for _ in range(20)])
    assert (found.answered, found.p50_us, found.p90_us, found.is_coarse) == (20, None, None, False)
    (coarse,) = summarise_servers([run(FIRST, answered(coarse=True)), run(FIRST, answered())])
    assert coarse.is_coarse
    (slow,) = summarise_servers([run(FIRST, answered(time_us=None, coarse=True))])
    assert not slow.is_coarse


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**9), min_size=1), st.integers(1, 100))
def test_a_percentile_has_so_many_values_below_it(values: list[int], percent: int) -> None:
    """At least that part of the values is no greater, and it is the least value of which that is true."""
    ordered = sorted(values)
    found = percentile(ordered, percent)
    needed = math.ceil(len(values) * percent / 100)
    assert sum(value <= found for value in values) >= needed
    assert sum(value < found for value in values) < needed


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1], 0), ([1], 101)])
def test_there_is_no_percentile_of_nothing(values: list[int], percent: int) -> None:
    """Nor one outside of 1 to 100."""
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, percent)


def test_ttls_and_order_are_no_disagreement() -> None:
    """They differ by right; so do answers that were cut, and failures say nothing."""
    runs = [
        run(FIRST, answered("AAAA ::1", "AAAA ::2", ttl=30)),
        run(SECOND, answered("AAAA ::2", "AAAA ::1", ttl=5)),
        run(SECOND, answered("AAAA ::2", flags="qr tc")),
        run(SECOND, failed(DnsOutcome.TIMED_OUT)),
        run(THIRD, UNREADABLE),
        # A broken message, though dig prints what it can of it.
        run(THIRD, DnsAnswer(outcome=DnsOutcome.MALFORMED, exit_code=0, status="NOERROR")),
    ]
    assert find_disagreements(runs) == ()


def test_other_questions_are_not_compared() -> None:
    """Another name or type has another answer."""
    runs = [
        run(FIRST, answered("AAAA ::1")),
        run(FIRST, answered("A 10.0.0.1"), type_="A"),
        run(SECOND, answered("AAAA ::2"), name="db."),
    ]
    assert find_disagreements(runs) == ()


def test_servers_that_disagree_are_named() -> None:
    """The most frequent answer first, with who gave it."""
    new, old = answered("AAAA ::2"), answered("AAAA ::1")
    runs = [run(FIRST, old), run(SECOND, new), run(THIRD, new), run(FIRST, old), run(SECOND, new)]
    (found,) = find_disagreements(runs)
    assert (found.name, found.type, found.is_between_servers) == ("web.", "AAAA", True)
    assert [(each.status, each.records, tuple(map(str, each.servers))) for each in found.versions] == [
        ("NOERROR", ("AAAA ::2",), (SECOND, THIRD)),
        ("NOERROR", ("AAAA ::1",), (FIRST,)),
    ]


def test_a_change_in_time_is_not_between_servers() -> None:
    """Every server gave every answer: an update passed by."""
    old, new = answered("AAAA ::1"), answered("AAAA ::2")
    (found,) = find_disagreements(
        [run(server, answer) for answer in (old, new) for server in (FIRST, SECOND)]
    )
    assert not found.is_between_servers
    (alone,) = find_disagreements([run(FIRST, old), run(FIRST, new)])
    assert not alone.is_between_servers


def test_a_status_is_an_answer_too() -> None:
    """NXDOMAIN here and NODATA there is no agreement, though both are empty."""
    (found,) = find_disagreements([run(FIRST, answered(status="NXDOMAIN")), run(SECOND, answered())])
    assert {each.status for each in found.versions} == {"NXDOMAIN", "NOERROR"}
