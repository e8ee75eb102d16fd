"""Which questions a lookup puts. `tests/netns/test_resolvers.py` holds the same against real resolvers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netinspect.analyze.dns.plan import plan_queries
from netinspect.models.dns import DnsProtocol
from netinspect.models.resolver import Libc, QueryPlan
from netinspect.parse.resolv_conf import parse_resolv_conf

POD = "search demo.svc.cluster.local svc.cluster.local cluster.local\nnameserver fd00:10:96::a\noptions ndots:5\n"
LIST = ("demo.svc.cluster.local", "svc.cluster.local", "cluster.local")
GLIBC, MUSL = Libc.GLIBC, Libc.MUSL


def plan(name: str, conf: str = POD, libc: Libc = GLIBC) -> QueryPlan:
    return plan_queries(name, parse_resolv_conf(conf.encode()), libc)


def names(name: str, conf: str = POD, libc: Libc = GLIBC) -> list[str]:
    return [step.name for step in plan(name, conf, libc).steps]


def searched(name: str) -> list[str]:
    return [f"{name}.{domain}." for domain in LIST]


@pytest.mark.parametrize("libc", Libc)
def test_a_short_name_goes_through_the_search_list(libc: Libc) -> None:
    """A and AAAA of each element, the name as given last; each step says what it cost to get there."""
    found = plan("web", libc=libc)
    assert [step.name for step in found.steps] == [*searched("web"), "web."]
    assert [step.domain for step in found.steps] == [*LIST, ""]
    assert [step.types for step in found.steps] == [("A", "AAAA")] * 4
    assert [step.questions_before for step in found.steps] == [0, 2, 4, 6]
    assert [str(address) for address in found.nameservers] == ["fd00:10:96::a"]


@pytest.mark.parametrize(
    ("name", "glibc", "musl"),
    [
        # Fully qualified: itself only.
        ("web.demo.svc.cluster.local.", ["web.demo.svc.cluster.local."], ["web.demo.svc.cluster.local."]),
        # Fewer dots than ndots.
        ("a.b.c.d.e", [*searched("a.b.c.d.e"), "a.b.c.d.e."], [*searched("a.b.c.d.e"), "a.b.c.d.e."]),
        # As many dots as ndots: glibc searches behind, musl never.
        ("a.b.c.d.e.f", ["a.b.c.d.e.f.", *searched("a.b.c.d.e.f")], ["a.b.c.d.e.f."]),
    ],
)
def test_dots_decide_where_to_begin(name: str, glibc: list[str], musl: list[str]) -> None:
    """The external name of two dots costs six questions in vain, with ndots:5."""
    assert names(name) == glibc
    assert names(name, libc=MUSL) == musl


@pytest.mark.parametrize(
    ("conf", "glibc", "musl"),
    [
        ("", ["web."], ["web."]),
        ("search .", ["web."], ["web."]),
        ("search a .b", ["web.a.", "web.b.", "web."], ["web.a.", "web."]),
        ("search a . b", ["web.a.", "web.", "web.b."], ["web.a.", "web.b.", "web."]),
        ("search a b..c d", ["web.a.", "web."], ["web.a.", "web.d.", "web."]),
        ("search a\ndomain b c", ["web.b.", "web."], ["web.b.", "web.c.", "web."]),
        ("search a b\noptions ndots:0", ["web.", "web.a.", "web.b."], ["web."]),
        ("search a b\noptions no-tld-query", ["web.a.", "web.b."], ["web.a.", "web.b.", "web."]),
        (
            "search a b\noptions no-tld-query -no-tld-query",
            ["web.a.", "web.b.", "web."],
            ["web.a.", "web.b.", "web."],
        ),
        ("options no-tld-query", ["web."], ["web."]),
    ],
)
def test_odd_search_lists(conf: str, glibc: list[str], musl: list[str]) -> None:
    """The root on the list, empty parts, several words of `domain`, options that one of the two knows."""
    assert names("web", conf) == glibc
    assert names("web", conf, MUSL) == musl


@pytest.mark.parametrize(
    ("name", "libcs"),
    [
        ("", (GLIBC, MUSL)),
        ("::1", (GLIBC, MUSL)),
        ("fe80::1%eth0", (GLIBC, MUSL)),
        ("10.96.0.1", (GLIBC, MUSL)),
        ("0x7f.1", (GLIBC, MUSL)),
        (".", (MUSL,)),
        ("web..", (GLIBC, MUSL)),
        ("-web", (GLIBC,)),
        ("w*b", (GLIBC,)),
        ("a b", (GLIBC,)),
        ("caf\u00e9", (GLIBC,)),
        ("x" * 64, (GLIBC, MUSL)),
        ("a..b", (GLIBC, MUSL)),
        ("x" * 63, ()),
        ("a." * 126 + "b", ()),
        ("a." * 126 + "bb", (GLIBC, MUSL)),
    ],
)
def test_names_that_nobody_is_asked_for(name: str, libcs: tuple[Libc, ...]) -> None:
    """Addresses, and what a libc takes for no host name: a reason, and no step."""
    for libc in Libc:
        found = plan(name, libc=libc)
        assert bool(found.refusal) is (libc in libcs), found
        assert bool(found.steps) is (libc not in libcs)


def test_names_that_get_too_long_are_passed_over() -> None:
    """glibc leaves the list at the first, musl tries the others; each says so."""
    long, conf = "x." * 110 + "x", f"search {'y' * 40} short\noptions ndots:15\n"
    name = ".".join(["x" * 30] * 7)
    found = plan(name, conf)
    assert [step.domain for step in found.steps] == [""]
    assert any("and all behind it are passed over" in note for note in found.notes)
    musl = plan(name, conf, MUSL)
    assert [step.domain for step in musl.steps] == ["short", ""]
    assert any("passed over; musl before 1.2.4 ends there" in note for note in musl.notes)
    # With fifteen dots or more nothing is searched by musl, so nothing is passed over.
    assert not any("passed over" in note for note in plan(long, conf, MUSL).notes)


@pytest.mark.parametrize(
    ("options", "glibc", "musl"),
    [
        ("", (1, 5, 2), (1, 5, 2)),
        ("ndots:99 timeout:99 attempts:99", (15, 30, 5), (15, 60, 10)),
        ("ndots:0 timeout:0 attempts:0", (0, 0, 0), (0, 0, 0)),
    ],
)
def test_each_libc_has_its_caps(
    options: str, glibc: tuple[int, int, int], musl: tuple[int, int, int]
) -> None:
    """ndots, timeout, attempts: the defaults, and the most."""
    for libc, expected in ((GLIBC, glibc), (MUSL, musl)):
        found = plan("web", f"nameserver ::1\noptions {options}\n", libc)
        assert (found.ndots, found.timeout_s, found.attempts) == expected


# By: servers, options; the wait for one name, for silence on the whole list, and the longest of all.
WAITS = [
    (1, "", GLIBC, 10, 20, 40),
    (1, "", MUSL, 5, 5, 20),
    (2, "", GLIBC, 20, 40, 80),
    (3, "", GLIBC, 2 * (5 + 3 + 6), 56, 112),
    (3, "", MUSL, 5, 5, 20),
    (2, "timeout:1 attempts:1", GLIBC, 2, 4, 8),
    (1, "timeout:0 attempts:1", GLIBC, 1, 2, 4),
    (1, "attempts:0", GLIBC, 0, 0, 0),
    (1, "use-vc", GLIBC, None, None, None),
    (1, "use-vc", MUSL, 5, 5, 20),
]


@pytest.mark.parametrize(("servers", "options", "libc", "name_s", "silence_s", "longest_s"), WAITS)
def test_waits(
    servers: int, options: str, libc: Libc, name_s: int | None, silence_s: int | None, longest_s: int | None
) -> None:
    """glibc: timeout by server and attempt, twice where the list is left for the name itself; musl: once."""
    conf = "search a b c\noptions ndots:5\n" + "".join(f"nameserver ::{n}\n" for n in range(1, servers + 1))
    found = plan("web", f"{conf}options {options}\n", libc)
    assert (found.name_wait_s, found.silence_wait_s, found.longest_wait_s) == (name_s, silence_s, longest_s)


def test_silence_with_a_list_that_is_never_left() -> None:
    """no-tld-query: the name itself is never asked for, so it is not waited for either."""
    conf = "search a b\nnameserver ::1\noptions no-tld-query"
    assert plan("web", conf).silence_wait_s == 10


def test_options_of_glibc_are_nothing_to_musl() -> None:
    """And musl says which it ignores."""
    conf = POD + "options rotate single-request use-vc no-aaaa\nnameserver ::2\n"
    glibc, musl = plan("web", conf), plan("web", conf, MUSL)
    assert (glibc.is_rotated, glibc.is_serial, glibc.protocol) == (True, True, DnsProtocol.TCP)
    assert {step.types for step in glibc.steps} == {("A",)}
    assert (musl.is_rotated, musl.is_serial, musl.protocol) == (False, False, DnsProtocol.UDP)
    assert {step.types for step in musl.steps} == {("A", "AAAA")}
    assert (glibc.is_parallel, musl.is_parallel) == (False, True)
    assert "musl ignores rotate, single-request, use-vc, no-aaaa" in musl.notes


@pytest.mark.parametrize("option", ["single-request", "single-request-reopen"])
def test_either_option_makes_it_serial(option: str) -> None:
    """One question after the other."""
    assert plan("web", f"options {option}").is_serial
    assert not plan("web", f"options -{option}").is_serial


# A file, and what a libc has to say about it (a part of a note), or nothing (None).
NOTES = [
    ("", GLIBC, "127.0.0.1 is asked"),
    ("nameserver ::1", GLIBC, "there is no search list"),
    ("nameserver ::1\nnameserver ::2\nnameserver ::3\nnameserver ::4", MUSL, "never ::4"),
    ("nameserver ::1\nnameserver ::2", MUSL, "the result changes by chance"),
    ("nameserver ::1\nnameserver ::2", GLIBC, "one after the other, the first one first"),
    ("nameserver ::1\nnameserver ::2\noptions rotate", GLIBC, "another one each time"),
    ("nameserver ::1\r", GLIBC, r"names no server to glibc: 'nameserver ::1\r'"),
    ("search a b c d e f g", GLIBC, "glibc before 2.26 reads 6 domains"),
    ("search a b c d e f", GLIBC, None),
    ("search " + "a" * 130 + " " + "b" * 130, GLIBC, "glibc before 2.26"),
    ("search a a", GLIBC, "more than once: web.a."),
    ("search .", MUSL, "the root is on the search list"),
    ("options ndots:20", MUSL, "ndots:20 counts as ndots:15 in musl"),
    ("options timeout:40", GLIBC, "timeout:40 counts as timeout:30 in glibc"),
    ("options timeout:40", MUSL, None),
    ("options attempts:0", MUSL, "SIGFPE"),
    ("options no-aaaa", GLIBC, "glibc before 2.36 asks"),
    ("options use-vc", GLIBC, "TCP only"),
    ("options single-request", GLIBC, "once A is answered"),
    ("options strict-error", GLIBC, "from glibc 2.41"),
    ("domain a b", MUSL, "another search list than glibc"),
    ("search a\noptions ndots:0", MUSL, "musl never searches for it"),
    ("search a\noptions ndots:1", MUSL, None),
]
ALWAYS = ("musl before 1.2.4 does not ask again", "there is no search list", "127.0.0.1 is asked")


@pytest.mark.parametrize(("conf", "libc", "part"), NOTES)
def test_what_is_special_is_said(conf: str, libc: Libc, part: str | None) -> None:
    """In sentences; what is ordinary is not remarked upon."""
    notes = plan("web", conf, libc).notes
    if part is None:
        assert [note for note in notes if not any(usual in note for usual in ALWAYS)] == []
    else:
        assert any(part in note for note in notes), notes


def test_what_ends_a_lookup_is_said() -> None:
    """By libc; what holds for A and AAAA only where both are asked."""
    assert any("NODATA" in end and "ends it" in end for end in plan("web", libc=MUSL).ends_when)
    glibc = plan("web").ends_when
    assert any("leads to the next name" in end for end in glibc)
    assert "if A is not answered, an answer to AAAA does not count" in glibc
    assert any("it waits 5 s" in end for end in glibc)
    assert not any("AAAA" in end for end in plan("web", "options no-aaaa").ends_when)
    assert "both A and AAAA have to be answered" in plan("web", "options use-vc").ends_when
    assert plan("::1").ends_when == ()


@settings(deadline=None)
@given(
    st.text(max_size=300),
    st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=80), max_size=8),
    st.sampled_from(Libc),
)
def test_any_name_and_any_list_make_a_plan(name: str, domains: list[str], libc: Libc) -> None:
    """Or a refusal, never both and never neither; each name of a plan can be sent."""
    conf = parse_resolv_conf(("search " + " ".join(domains)).encode())
    found = plan_queries(name, conf, libc)
    assert bool(found.refusal) is not bool(found.steps)
    for step in found.steps:
        text = step.name.removesuffix(".").encode()
        assert step.name.endswith(".")
        assert len(text) <= 253
        assert all(1 <= len(label) <= 63 for label in text.split(b".")) or text == b""
