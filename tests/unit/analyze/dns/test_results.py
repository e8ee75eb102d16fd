"""Which of several servers' answers a lookup takes."""

from __future__ import annotations

from netinspect.analyze.dns.plan import plan_queries
from netinspect.analyze.dns.results import follow_all
from netinspect.models.address import parse_address
from netinspect.models.dns import DnsAnswer, DnsOutcome, DnsProtocol, DnsQuestion, DnsRecord, DnsRun
from netinspect.models.fact import Known
from netinspect.models.resolver import Libc, LookupEnd, LookupResult, ResolvConf

ONE, TWO = "fd00::1", "10.0.0.2"


def run(
    server: str,
    type_: str,
    said: str,
    *,
    time_us: int = 500,
    protocol: DnsProtocol = DnsProtocol.UDP,
    flags: tuple[str, ...] = ("qr", "aa"),
) -> DnsRun:
    """A question to a server: answered with an address, a status, or not at all."""
    question = DnsQuestion(name="a.test.", rrclass="IN", type=type_)
    record = DnsRecord(name="a.test.", ttl=30, rrclass="IN", type=type_, rdata=said)
    is_address = said[0].isdigit() or ":" in said
    answer = DnsAnswer(
        outcome=DnsOutcome.TIMED_OUT if said == "timeout" else DnsOutcome.ANSWERED,
        exit_code=0,
        status="" if said == "timeout" else "NOERROR" if is_address or said == "none" else said,
        flags=flags,
        question=question,
        answer=(record,) if is_address else (),
        query_time_us=time_us,
    )
    return DnsRun(
        sequence=1,
        start_s=0.0,
        server=parse_address(server),
        port=53,
        protocol=protocol,
        type=type_,
        name="a.test.",
        exit_code=0,
        answer=Known(answer),
    )


def results(*runs: DnsRun) -> dict[Libc, LookupResult]:
    conf = ResolvConf(nameservers=(parse_address(ONE), parse_address(TWO)))
    plans = [plan_queries("a.test.", conf, libc) for libc in Libc]
    return {each.libc: each.result for each in follow_all(plans, runs)}


def test_glibc_asks_in_turn_and_musl_takes_the_fastest() -> None:
    """Both servers answer, each something else."""
    found = results(
        run(ONE, "A", "192.0.2.1", time_us=900),
        run(ONE, "AAAA", "none", time_us=900),
        run(TWO, "A", "192.0.2.2", time_us=100),
        run(TWO, "AAAA", "none", time_us=100),
    )
    assert [str(each) for each in found[Libc.GLIBC].addresses] == ["192.0.2.1"]
    assert [str(each) for each in found[Libc.MUSL].addresses] == ["192.0.2.2"]


def test_a_server_that_fails_or_is_silent_leads_to_the_next() -> None:
    """SERVFAIL of the first for A, silence for AAAA."""
    found = results(
        run(ONE, "A", "SERVFAIL"),
        run(ONE, "AAAA", "timeout"),
        run(TWO, "A", "192.0.2.2"),
        run(TWO, "AAAA", "2001:db8::2"),
    )
    for result in found.values():
        assert {str(each) for each in result.addresses} == {"192.0.2.2", "2001:db8::2"}


def test_where_all_fail_the_failure_counts() -> None:
    """And not the silence of another."""
    found = results(
        run(ONE, "A", "timeout"),
        run(ONE, "AAAA", "timeout"),
        run(TWO, "A", "SERVFAIL"),
        run(TWO, "AAAA", "SERVFAIL"),
    )
    assert {each.end for each in found.values()} == {LookupEnd.TRY_AGAIN}


def test_a_truncated_answer_is_taken_from_tcp() -> None:
    """As resolvers do; where TCP was not asked, the end is not known."""
    cut = [run(ONE, "A", "192.0.2.1", flags=("qr", "tc")), run(ONE, "AAAA", "none")]
    whole = run(ONE, "A", "192.0.2.9", protocol=DnsProtocol.TCP)
    assert [str(each) for each in results(*cut, whole)[Libc.GLIBC].addresses] == ["192.0.2.9"]
    assert results(*cut)[Libc.GLIBC].end is LookupEnd.UNDECIDED


def test_without_questions_for_addresses_no_lookup_is_followed() -> None:
    """`--type SRV` says nothing about getaddrinfo."""
    assert results(run(ONE, "A", "192.0.2.1")) == {}
