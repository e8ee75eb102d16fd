"""What a lookup comes to with certain answers; `tests/netns/test_resolvers.py` holds it against real resolvers."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from netinspect.analyze.dns.follow import follow_plan
from netinspect.analyze.dns.plan import plan_queries
from netinspect.models.dns import DnsAnswer, DnsOutcome, DnsQuestion, DnsRecord
from netinspect.models.resolver import Libc, LookupEnd, LookupResult, QueryPlan
from netinspect.parse.resolv_conf import parse_resolv_conf

POD = (
    "search demo.svc.cluster.local svc.cluster.local cluster.local\nnameserver fd00:10:96::a\noptions ndots:5"
)
FIRST, SECOND = "web.demo.svc.cluster.local.", "web.svc.cluster.local."
OUTCOMES = {
    "silent": DnsOutcome.TIMED_OUT,
    "malformed": DnsOutcome.MALFORMED,
    "other-id": DnsOutcome.ID_MISMATCH,
    "refused-connection": DnsOutcome.CONNECTION_REFUSED,
    "unreachable": DnsOutcome.UNREACHABLE,
    "not-sent": DnsOutcome.NOT_SENT,
    "failed": DnsOutcome.FAILED,
}
STATUSES = {"nxdomain", "servfail", "refused", "notimp", "formerr"}


def answer(name: str, type_: str, word: str) -> DnsAnswer:
    """An answer in a word: an outcome, an rcode, `nodata`, `lame`, `truncated`, `cname`, or an address."""
    if word in OUTCOMES:
        return DnsAnswer(outcome=OUTCOMES[word], exit_code=9, cause=word)
    records: tuple[DnsRecord, ...] = ()
    if word == "cname":
        records = (DnsRecord(name=name, ttl=5, rrclass="IN", type="CNAME", rdata="nowhere."),)
    elif word not in STATUSES | {"nodata", "lame", "truncated"}:
        records = (DnsRecord(name=name, ttl=5, rrclass="IN", type=type_, rdata=word),)
    flags = {"lame": ("qr",), "truncated": ("qr", "aa", "tc")}.get(word, ("qr", "aa"))
    return DnsAnswer(
        outcome=DnsOutcome.ANSWERED,
        exit_code=0,
        status=word.upper() if word in STATUSES else "NOERROR",
        flags=flags,
        question=DnsQuestion(name=name, rrclass="IN", type=type_),
        answer=records,
    )


def follow(
    said: Mapping[str, tuple[str, str]], *, name: str = "web", libc: Libc = Libc.GLIBC, options: str = ""
) -> LookupResult:
    """Follow a lookup; what is not in the table does not exist."""
    conf = parse_resolv_conf(f"{POD} {options}\n".encode())
    plan = plan_queries(name, conf, libc)
    words = {step.name: said.get(step.name, ("nxdomain", "nxdomain")) for step in plan.steps}
    answers = {
        (step.name, type_): answer(step.name, type_, word)
        for step in plan.steps
        for type_, word in zip(step.types, words[step.name], strict=False)
    }
    return follow_plan(plan, answers)


def test_the_first_name_with_an_address_ends_it() -> None:
    """Both families; the names before it were asked for, those behind it not."""
    for libc in Libc:
        found = follow({SECOND: ("192.0.2.7", "2001:db8::7")}, libc=libc)
        assert found.end is LookupEnd.FOUND
        assert found.name == SECOND
        assert [str(address) for address in found.addresses] == ["192.0.2.7", "2001:db8::7"]
        assert found.asked == (FIRST, SECOND)
        assert found.questions == 4


def test_nothing_exists() -> None:
    """All names were asked for: the search list costs three times two questions."""
    for libc in Libc:
        found = follow({}, libc=libc)
        assert (found.end, len(found.asked), found.questions) == (LookupEnd.NOT_FOUND, 4, 8)
        assert found.asked[-1] == "web."


# For the first name of the list, of which the second has addresses: does glibc go on (->), jump to the name as it was
# given (|>), or end there with (!) what? By UDP; one after the other (single-request); by TCP (use-vc).
PAIRS = [
    ("nxdomain", "nxdomain", "->", "->", "->"),
    ("nodata", "nodata", "->", "->", "->"),
    ("nodata", "2001:db8::1", "found", "found", "found"),
    ("192.0.2.1", "nodata", "found", "found", "found"),
    ("192.0.2.1", "servfail", "found", "found", "found"),
    ("servfail", "2001:db8::1", "found", "->", "found"),
    ("servfail", "servfail", "->", "->", "->"),
    ("servfail", "silent", "->", "->", "->"),
    ("refused", "nodata", "->", "|>", "|>"),
    ("refused", "refused", "|>", "|>", "|>"),
    ("nodata", "servfail", "->", "->", "|>"),
    ("nxdomain", "servfail", "->", "->", "->"),
    ("formerr", "nodata", "|>", "|>", "|>"),
    ("nodata", "formerr", "|>", "|>", "|>"),
    ("lame", "lame", "|>", "|>", "->"),
    ("lame", "nodata", "->", "|>", "->"),
    ("cname", "nodata", "none", "none", "none"),
    ("silent", "silent", "|>", "|>", "|>"),
    ("192.0.2.1", "silent", "found", "found", "|>"),
    ("nodata", "silent", "->", "->", "|>"),
    ("silent", "2001:db8::1", "|>", "|>", "|>"),
    ("silent", "nxdomain", "|>", "|>", "|>"),
    ("silent", "servfail", "->", "|>", "|>"),
    ("malformed", "other-id", "|>", "|>", "|>"),
    ("refused-connection", "refused-connection", "again", "again", "again"),
    ("unreachable", "unreachable", "again", "again", "again"),
]
WAYS = ("", "single-request", "use-vc")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def test_glibc_goes_on_or_ends(pair: tuple[str, ...], way: str) -> None:
    """By what came for A and for AAAA, and by how they were asked."""
    found = follow({FIRST: (pair[0], pair[1]), SECOND: ("192.0.2.7", "2001:db8::7")}, options=way)
    shown = {
        (LookupEnd.FOUND, (FIRST,)): "found",
        (LookupEnd.FOUND, (FIRST, SECOND)): "->",
        (LookupEnd.NOT_FOUND, (FIRST, "web.")): "|>",
        (LookupEnd.NOT_FOUND, (FIRST,)): "none",
        (LookupEnd.TRY_AGAIN, (FIRST,)): "again",
    }
    assert shown.get((found.end, found.asked)) == pair[2 + WAYS.index(way)], found


@pytest.mark.parametrize(
    ("pair", "end"),
    [
        (("192.0.2.1", "2001:db8::1"), LookupEnd.FOUND),
        (("192.0.2.1", "nodata"), LookupEnd.FOUND),
        (("lame", "2001:db8::1"), LookupEnd.FOUND),
        (("nodata", "nodata"), LookupEnd.NO_ADDRESS),
        (("lame", "lame"), LookupEnd.NO_ADDRESS),
        (("cname", "cname"), LookupEnd.NO_ADDRESS),
        (("192.0.2.1", "silent"), LookupEnd.TRY_AGAIN),
        (("192.0.2.1", "servfail"), LookupEnd.TRY_AGAIN),
        (("servfail", "2001:db8::1"), LookupEnd.TRY_AGAIN),
        (("refused", "refused"), LookupEnd.TRY_AGAIN),
        (("refused-connection", "refused-connection"), LookupEnd.TRY_AGAIN),
    ],
)
def test_musl_ends_at_all_but_nxdomain(pair: tuple[str, str], end: LookupEnd) -> None:
    """Also where only one of A and AAAA fails."""
    found = follow({FIRST: pair, SECOND: ("192.0.2.7", "2001:db8::7")}, libc=Libc.MUSL)
    assert (found.end, found.name, found.asked) == (end, FIRST, (FIRST,))
    assert bool(found.addresses) is (end is LookupEnd.FOUND)


@pytest.mark.parametrize("pair", [("nxdomain", "nodata"), ("nodata", "nxdomain"), ("nxdomain", "servfail")])
def test_musl_goes_on_if_nxdomain_comes_before_an_error(pair: tuple[str, str]) -> None:
    """A is judged first, then AAAA."""
    found = follow({FIRST: pair, SECOND: ("192.0.2.7", "2001:db8::7")}, libc=Libc.MUSL)
    assert (found.end, found.name) == (LookupEnd.FOUND, SECOND)


@pytest.mark.parametrize(
    ("said", "name", "end"),
    [
        ({FIRST: ("nodata", "nodata")}, "web", LookupEnd.NO_ADDRESS),
        ({FIRST: ("servfail", "servfail")}, "web", LookupEnd.TRY_AGAIN),
        ({"web.": ("nodata", "nodata")}, "web", LookupEnd.NO_ADDRESS),
        ({"web.": ("refused", "refused")}, "web", LookupEnd.TRY_AGAIN),
        # The name as given was first: its own result counts, whatever the list had.
        ({"a.b.c.d.e.f.": ("servfail", "servfail")}, "a.b.c.d.e.f", LookupEnd.TRY_AGAIN),
        ({"a.b.c.d.e.f.svc.cluster.local.": ("nodata", "nodata")}, "a.b.c.d.e.f", LookupEnd.NOT_FOUND),
    ],
)
def test_glibc_ends_with_the_mildest_of_its_results(
    said: Mapping[str, tuple[str, str]], name: str, end: LookupEnd
) -> None:
    """A name without an address, or a failure, is remembered over names that do not exist."""
    assert follow(said, name=name).end is end


@pytest.mark.parametrize("word", ["not-sent", "failed", "truncated"])
def test_what_cannot_be_judged_is_undecided(word: str) -> None:
    """A question that was not put, an unknown failure, half an answer: no guess."""
    for libc in Libc:
        found = follow({FIRST: ("nxdomain", "nxdomain"), SECOND: ("192.0.2.7", word)}, libc=libc)
        assert (found.end, found.name) == (LookupEnd.UNDECIDED, SECOND)
        assert SECOND in found.reason


def test_what_the_lookup_does_not_come_to_need_not_be_known() -> None:
    """It ends before."""
    for libc in Libc:
        found = follow({FIRST: ("192.0.2.1", "2001:db8::1"), SECOND: ("failed", "failed")}, libc=libc)
        assert found.end is LookupEnd.FOUND


def test_a_question_that_was_never_put_is_undecided() -> None:
    """Its answer is not there at all."""
    plan = plan_queries("web", parse_resolv_conf(POD.encode()), Libc.GLIBC)
    found = follow_plan(plan, {})
    assert (found.end, found.reason) == (LookupEnd.UNDECIDED, f"{FIRST} A was not asked for")


@pytest.mark.parametrize("name", ["::1", "127.1", "a..b", ""])
def test_a_name_that_nobody_is_asked_for(name: str) -> None:
    """An address, and what is no host name."""
    plan: QueryPlan = plan_queries(name, parse_resolv_conf(POD.encode()), Libc.GLIBC)
    found = follow_plan(plan, {})
    assert (found.end, found.reason, found.asked) == (LookupEnd.NOT_ASKED, plan.refusal, ())
    assert found.reason


def test_without_aaaa_a_alone_decides() -> None:
    """no-aaaa: one question a name."""
    found = follow({SECOND: ("192.0.2.7", "")}, options="no-aaaa")
    assert (found.end, found.questions) == (LookupEnd.FOUND, 2)
