"""Plans of lookups against what getaddrinfo of glibc and of musl really does.

Every case is looked up by the real resolver, with a resolv.conf and name servers of our own, and the questions that
came in, their order and the result are compared with what the plan says.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Mapping, Sequence

import pytest

from netinspect.analyze.dns.follow import follow_plan
from netinspect.analyze.dns.plan import plan_queries
from netinspect.models.address import parse_address
from netinspect.models.dns import DnsAnswer, DnsOutcome, DnsQuestion, DnsRecord
from netinspect.models.resolver import Libc, LookupEnd, LookupResult, QueryPlan
from netinspect.parse.resolv_conf import parse_resolv_conf
from tests.netns.resolver_lab import Case, Seen, musl_version, run_lab, why_not

pytestmark = pytest.mark.netns

SERVER, SECOND = "127.0.0.53", "127.0.0.54"
POD = "search demo.svc.cluster.local svc.cluster.local cluster.local"
QUICK = f"nameserver {SERVER}\noptions ndots:5 timeout:1 attempts:1\n"
CODES = {
    0: LookupEnd.FOUND,
    socket.EAI_NONAME: LookupEnd.NOT_FOUND,
    socket.EAI_NODATA: LookupEnd.NO_ADDRESS,
    socket.EAI_AGAIN: LookupEnd.TRY_AGAIN,
}


@pytest.fixture(params=list(Libc))
def libc(request: pytest.FixtureRequest) -> Libc:
    chosen = Libc(request.param)
    reason = why_not(chosen)
    if reason is not None:
        pytest.skip(reason)
    return chosen


def plan_of(case: Case) -> QueryPlan:
    return plan_queries(case.name, parse_resolv_conf(case.resolv_conf.encode()), Libc(case.libc))


def answer_of(name: str, kind: str, word: str) -> DnsAnswer:
    """What dig would have said of a reply of the laboratory's table."""
    question = DnsQuestion(name=name, rrclass="IN", type=kind)
    if word == "silent":
        return DnsAnswer(outcome=DnsOutcome.TIMED_OUT, exit_code=9)
    statuses = {"nxdomain", "servfail", "refused", "notimp", "formerr"}
    records: tuple[DnsRecord, ...] = ()
    if word == "cname":
        records = (DnsRecord(name=name, ttl=30, rrclass="IN", type="CNAME", rdata="nowhere.test."),)
    elif word not in statuses | {"nodata", "lame"}:
        records = (DnsRecord(name=name, ttl=30, rrclass="IN", type=kind, rdata=word),)
    return DnsAnswer(
        outcome=DnsOutcome.ANSWERED,
        exit_code=0,
        status=word.upper() if word in statuses else "NOERROR",
        flags=("qr", "rd") if word == "lame" else ("qr", "aa", "rd"),
        question=question,
        answer=records,
    )


def follow(case: Case) -> LookupResult:
    """Follow the plan of a case by the table of its first server."""
    plan = plan_of(case)
    said = case.servers[SERVER]
    keys = {(step.name, kind) for step in plan.steps for kind in step.types}
    return follow_plan(
        plan,
        {(name, kind): answer_of(name, kind, said.get(f"{name} {kind}", "nxdomain")) for name, kind in keys},
    )


def names_asked(seen: Seen) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for _, _, name, _ in seen.asked))


def compare(cases: Sequence[Case]) -> list[Seen]:
    """Hold each case's plan against what the resolver did."""
    observed = run_lab(cases)
    for case, seen in zip(cases, observed, strict=True):
        result = follow(case)
        assert names_asked(seen) == tuple(dict.fromkeys(result.asked)), (case, seen)
        if result.end is LookupEnd.NOT_ASKED:
            is_address = "is an address" in result.reason
            assert seen.code == (0 if is_address else socket.EAI_NONAME), (case, seen)
            continue
        end = CODES[seen.code]
        if case.libc == "musl" and result.end is LookupEnd.NO_ADDRESS:
            # musl before 1.2.4 calls it EAI_NONAME.
            assert end in (LookupEnd.NO_ADDRESS, LookupEnd.NOT_FOUND), (case, seen)
        else:
            assert end is result.end, (case, seen)
        assert {parse_address(each) for each in seen.addresses} == set(result.addresses), (case, seen)
    return observed


NAMES = (
    *("web", "web.", "web.demo", "kubernetes.default.svc", "a.b.c.d.e.f", "example.com", "example.com."),
    *("a.b.c.d.e", "a.b.c.d", "_x.web", "a..b", ".web", "web..", ".", "-web", "w*b", "é", "x" * 63, "x" * 64),
    *(
        "a." * 110 + "b",
        "a." * 126 + "b",
        "a." * 127 + "b",
        "127.1",
        "::1",
        "0x7f.1",
        "1.2.3.4.5",
        "256.1.1.1",
    ),
)
FILES = (
    POD,
    "search demo.svc.cluster.local\nsearch svc.cluster.local. .local ",
    "search a b\ndomain c d",
    "domain c\nsearch a b",
    "search .",
    "search a . b",
    "search a.\t\tb..c d",
    "",
    " search a b",
    "search\tone two\noptions ndots:0",
    "search a b\noptions ndots:1",
    "search a b\noptions ndots:30 no-tld-query",
    "search a b\noptions -no-tld-query no-aaaa",
    "search a a b a",
    "search a b\nsearch \t",
    "search a b\nsearch",
    "search " + " ".join(f"d{number}.example" for number in range(10)),
    "search short\nsearch " + " ".join(f"domain{number:02}.example" for number in range(20)),
    "search " + "x" * 70 + " b",
    "search " + "y." * 100 + "z b",
)


def ends_early(case: Case) -> bool:
    """Whether the musl that is here ends a lookup where later ones go on, as the plan's note says."""
    if case.libc == "glibc" or musl_version() >= (1, 2, 4):
        return False
    return any("before 1.2.4 ends there" in note for note in plan_of(case).notes)


def test_asks_what_the_plan_says(libc: Libc) -> None:
    """For odd names and odd files the names asked are the plan's steps, all of them where nothing exists."""
    cases = [
        Case(name, f"{QUICK}{file}\n", {SERVER: {}}, libc)
        for name in NAMES
        for file in (FILES if name in ("web", "example.com", "a.b.c.d.e.f", "web.") else FILES[:2])
    ]
    kept = [case for case in cases if not ends_early(case)]
    assert len(kept) > len(cases) * 0.8
    for case, seen in zip(kept, compare(kept), strict=True):
        # One question after the other, also where a name comes twice.
        asked = [(name, kind) for _, _, name, kind in seen.asked]
        steps = plan_of(case).steps
        assert sorted(asked) == sorted((step.name, kind) for step in steps for kind in step.types), case
        assert [name for name, kind in asked if kind == "A"] == [step.name for step in steps], case


def tables(dice: random.Random, names: Sequence[str], words: Sequence[str]) -> dict[str, str]:
    said = {}
    for name in names:
        for kind, address in (("A", "192.0.2.1"), ("AAAA", "2001:db8::1")):
            said[f"{name} {kind}"] = dice.choice((*words, address))
    return said


@pytest.mark.parametrize("name", ["web", "a.b.c.d.e.f"])
def test_goes_on_and_ends_as_the_plan_says(libc: Libc, name: str) -> None:
    """Whatever mixture of answers comes for A and AAAA, the lookup goes on and ends where the plan says."""
    dice = random.Random(libc + name)
    plan = plan_of(Case(name, f"{QUICK}{POD}\n", {}, libc))
    words = ["nxdomain"] * 4 + ["nodata", "nodata", "formerr", "cname"]
    # musl waits for a good answer until its time is over, a second here; glibc goes on at once.
    words += ["servfail", "refused", "notimp", "lame", "servfail"] if libc is Libc.GLIBC else []
    cases = [
        Case(name, f"{QUICK}{POD}\n", {SERVER: tables(dice, [step.name for step in plan.steps], words)}, libc)
        for _ in range(120 if libc is Libc.GLIBC else 12)
    ]
    compare(cases)


def test_failures_end_as_the_plan_says(libc: Libc) -> None:
    """A name whose A or AAAA fails or is not answered ends the lookup, or the list, or neither, as the plan says."""
    words = ("silent", "servfail", "refused", "nodata", "192.0.2.1")
    compare([pair_case(libc, one, two, "") for one in words for two in ("silent", "servfail", "nodata")])
    compare([pair_case(libc, "silent", two, "") for two in ("2001:db8::1", "nxdomain")])


def pair_case(libc: Libc, one: str, two: str, options: str) -> Case:
    """A lookup whose first name gets one answer for A and another for AAAA, and whose second name is there."""
    first, second = "web.demo.svc.cluster.local.", "web.svc.cluster.local."
    said = {
        f"{first} A": one,
        f"{first} AAAA": two,
        f"{second} A": "192.0.2.7",
        f"{second} AAAA": "2001:db8::7",
    }
    return Case("web", f"{QUICK}{POD}\noptions {options}\n", {SERVER: said}, libc)


@pytest.mark.parametrize("options", ["", "single-request", "single-request-reopen", "use-vc"])
def test_glibc_judges_each_pair_of_answers_as_the_plan_says(options: str) -> None:
    """Whatever comes for A and for AAAA, by UDP, one after the other, and by TCP."""
    if (reason := why_not("glibc")) is not None:
        pytest.skip(reason)
    words = ("servfail", "refused", "nodata", "nxdomain", "formerr", "lame", "cname")
    cases = [
        pair_case(Libc.GLIBC, one, two, options)
        for one in (*words, "192.0.2.1")
        for two in (*words, "2001:db8::1")
    ]
    if options == "use-vc":
        # Silent by TCP: the connection is closed, and nobody waits.
        cases += [pair_case(Libc.GLIBC, "silent", two, options) for two in words]
        cases += [pair_case(Libc.GLIBC, one, "silent", options) for one in (*words, "192.0.2.1")]
    compare(cases)


def test_servers_are_asked_as_the_plan_says(libc: Libc) -> None:
    """glibc asks the second server when the first is silent; musl asks both at once and takes the first answer."""
    file = f"nameserver {SERVER}\nnameserver {SECOND}\noptions timeout:1 attempts:2\n"
    silent = {f"web. {kind}": "silent" for kind in ("A", "AAAA")}
    answered = {"web. A": "192.0.2.1", "web. AAAA": "2001:db8::1"}
    case = Case("web.", file, {SERVER: silent, SECOND: answered}, libc)
    (seen,) = run_lab([case])
    plan = plan_of(case)
    assert seen.code == 0
    assert {server for server, *_ in seen.asked} == {SERVER, SECOND}
    assert plan.is_parallel is (seen.took_s < 0.9)
    assert plan.is_parallel is (libc is Libc.MUSL)


def look_up_in(case: Case, most_s: float) -> Seen:
    """Look up, and once more if it took longer: a busy machine makes waits longer, never shorter."""
    (seen,) = run_lab([case])
    return seen if seen.took_s <= most_s else run_lab([case])[0]


@pytest.mark.parametrize(
    "file",
    [
        f"nameserver {SERVER}\noptions timeout:1 attempts:1",
        f"nameserver {SERVER}\noptions timeout:2 attempts:2",
        f"nameserver {SERVER}\nnameserver {SECOND}\noptions timeout:1 attempts:1",
        f"nameserver {SERVER}\nnameserver {SECOND}\noptions timeout:2 attempts:1\nsearch a b c",
        f"nameserver {SERVER}\noptions timeout:0 attempts:1\nsearch a",
        f"nameserver {SERVER}\nsearch a b\noptions timeout:1 attempts:1 ndots:0",
    ],
)
def test_silence_lasts_as_long_as_the_plan_says(libc: Libc, file: str) -> None:
    """With silent servers the lookup fails after the plan's time."""
    said = {f"{name} {kind}": "silent" for name in ("x.", "x.a.", "x.b.", "x.c.") for kind in ("A", "AAAA")}
    case = Case("x", f"{file}\n", {SERVER: said, SECOND: said}, libc)
    expected = plan_of(case).silence_wait_s
    assert expected is not None
    seen = look_up_in(case, expected + 0.9)
    assert seen.code == socket.EAI_AGAIN
    assert expected - 0.1 <= seen.took_s <= expected + 0.9


def test_a_lost_half_is_waited_for(libc: Libc) -> None:
    """Where only A is answered, glibc waits, asks again one by one and takes it; musl fails."""
    case = Case(
        "web.",
        f"nameserver {SERVER}\noptions timeout:1\n",
        {SERVER: {"web. A": "192.0.2.1", "web. AAAA": "silent"}},
        libc,
    )
    seen = look_up_in(case, 3.9 if libc is Libc.GLIBC else 1.9)
    if libc is Libc.GLIBC:
        assert (seen.code, seen.addresses) == (0, ("192.0.2.1",))
        assert 2.9 <= seen.took_s <= 3.9
    else:
        assert seen.code == socket.EAI_AGAIN
        assert 0.9 <= seen.took_s <= 1.9


def options_seen(libc: Libc, options: str) -> Seen:
    answered = {"web. A": "192.0.2.1", "web. AAAA": "2001:db8::1"}
    file = f"nameserver {SERVER}\noptions {options}\n"
    return run_lab([Case("web.", file, {SERVER: answered}, libc)])[0]


CHANGES: Mapping[str, Callable[[QueryPlan], bool]] = {
    "no-aaaa": lambda plan: plan.steps[0].types == ("A",),
    "use-vc": lambda plan: plan.protocol == "tcp",
}


@pytest.mark.parametrize("option", CHANGES)
def test_options_do_what_the_plan_says(libc: Libc, option: str) -> None:
    """no-aaaa and use-vc change glibc's questions, and nothing of musl's."""
    seen = options_seen(libc, option)
    conf = parse_resolv_conf(f"nameserver {SERVER}\noptions {option}\n".encode())
    plan = plan_queries("web.", conf, libc)
    assert CHANGES[option](plan) is (libc is Libc.GLIBC)
    assert {kind for *_, kind in seen.asked} == set(plan.steps[0].types)
    assert {protocol for _, protocol, *_ in seen.asked} == {plan.protocol}


def test_no_attempts(libc: Libc) -> None:
    """attempts:0: glibc asks nobody and waits for nothing; musl divides by it and is killed."""
    seen = options_seen(libc, "attempts:0")
    plan = plan_queries("web.", parse_resolv_conf(b"options attempts:0\n"), libc)
    assert seen.asked == ()
    if libc is Libc.GLIBC:
        assert (seen.code, plan.silence_wait_s) == (socket.EAI_AGAIN, 0)
    else:
        assert seen.code == -8
        assert any("SIGFPE" in note for note in plan.notes)
