"""resolv.conf as glibc and musl read it: what captures cannot show."""

from __future__ import annotations

import time
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netinspect.errors import ParseError
from netinspect.parse.resolv_conf import parse_resolv_conf


def test_three_servers_are_asked() -> None:
    """Of both families; those behind the third are kept as never asked."""
    text = (
        b"nameserver fd00::a\nnameserver 10.96.0.10\nnameserver ::1\nnameserver fd00::b\nnameserver 1.1.1.1\n"
    )
    found = parse_resolv_conf(text)
    assert found.nameservers == tuple(map(ip_address, ("fd00::a", "10.96.0.10", "::1")))
    assert found.ignored_nameservers == tuple(map(ip_address, ("fd00::b", "1.1.1.1")))


@pytest.mark.parametrize(
    ("text", "search", "musl"),
    [
        (b"search a b\ndomain c d", ("c",), ("c", "d")),
        (b"domain c d\nsearch a b", ("a", "b"), ("a", "b")),
        (b"search a b\nsearch\n", ("a", "b"), ()),
        (b"search a b\nsearch \t\n", ("a", "b"), ()),
        (b"search\ta \t b", ("a", "b"), ("a", "b")),
        (b" search a\nSEARCH b\nsearchx c", (), ()),
        (b"search a\r\n", ("a\r",), ("a",)),
        (b"search a\nsearch " + b"x" * 246, ("x" * 246,), ("x" * 246,)),
        (b"search a\nsearch " + b"x" * 247, ("x" * 247,), ("x" * 247,)),
        (b"search a\nsearch " + b"x" * 248, ("x" * 248,), ("a",)),
        (b"search a # b", ("a", "#", "b"), ("a", "#", "b")),
    ],
)
def test_the_search_list(text: bytes, search: tuple[str, ...], musl: tuple[str, ...]) -> None:
    """The last line counts, and musl reads another list in four ways."""
    found = parse_resolv_conf(text)
    assert (found.search, found.musl_search) == (search, musl)


@pytest.mark.parametrize(
    ("options", "ndots", "timeout_s", "attempts", "remainder"),
    [
        (b"ndots:5 timeout:3 attempts:4", 5, 3, 4, ()),
        (b"ndots:5 ndots:2", 2, None, None, ()),
        (b"ndots:0", 0, None, None, ()),
        (b"ndots:0000000000000007", 7, None, None, ()),
        (b"ndots:99999999999999999999", 999999999, None, None, ()),
        (b"ndots:5\r", 5, None, None, ("options ndots:5\r",)),
        (
            b"ndots: ndots:x timeout",
            None,
            None,
            None,
            ("options ndots:", "options ndots:x", "options timeout"),
        ),
        (b"edns0 -edns0 trust-ad nonsense", None, None, None, ("options nonsense",)),
        (b"ndots:\xd9\xa1", None, None, None, ("options ndots:\u0661",)),
    ],
)
def test_the_options(
    options: bytes, ndots: int | None, timeout_s: int | None, attempts: int | None, remainder: tuple[str, ...]
) -> None:
    """Numbers as far as they can be read; what nobody knows is kept."""
    found = parse_resolv_conf(b"options " + options)
    assert (found.ndots, found.timeout_s, found.attempts) == (ndots, timeout_s, attempts)
    assert found.remainder == remainder


def test_the_last_of_an_option_and_its_opposite_counts() -> None:
    """Over several lines, and for any of several names."""
    found = parse_resolv_conf(b"options rotate\noptions -rotate use-vc\noptions no_tld_query\n")
    assert not found.has_option("rotate")
    assert found.has_option("use-vc")
    assert found.has_option("no-tld-query", "no_tld_query")
    assert not found.has_option("edns0")


@pytest.mark.parametrize(
    "line",
    [
        "nameserver 10.0.0.300",
        "nameserver ::1::2",
        "nameserver",
        "nameserver dns.example",
        "family inet6 inet4",
    ],
)
def test_what_is_not_understood_is_kept(line: str) -> None:
    """As written."""
    assert parse_resolv_conf(line.encode()).remainder == (line,)


@pytest.mark.parametrize("text", [b"nameserver ::1\n\0", b"#" * (1 << 20) + b"\n"])
def test_what_is_no_text_file_is_an_error(text: bytes) -> None:
    """A NUL byte, or over a mebibyte."""
    with pytest.raises(ParseError):
        parse_resolv_conf(text)


LINES = st.sampled_from(
    [
        b"search",
        b"nameserver",
        b"options",
        b"domain",
        b" ",
        b"\t",
        b"\n",
        b"::1",
        b"1.1",
        b"ndots:",
        b"9",
        b"\xff",
        b"#",
    ]
)


@settings(deadline=None)
@given(st.one_of(st.binary(), st.lists(LINES).map(b"".join)))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    """Nothing else than a ParseError, ever; and what is read can be asked: at most three servers."""
    try:
        found = parse_resolv_conf(text)
    except ParseError:
        return
    assert len(found.nameservers) <= 3


def test_time_grows_with_the_text() -> None:
    """Ten times the lines take about ten times as long."""
    line = b"search a b c\noptions ndots:5 rotate\nnameserver fd00::1\n"
    assert seconds(line * 8000) < 30 * max(seconds(line * 800), 0.002)


def seconds(text: bytes) -> float:
    """The least of three: a busy machine makes it only more."""
    return min(measure(text) for _ in range(3))


def measure(text: bytes) -> float:
    started = time.perf_counter()
    parse_resolv_conf(text)
    return time.perf_counter() - started
