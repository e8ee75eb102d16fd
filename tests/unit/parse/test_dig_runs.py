"""What dns.sh prints, as runs; a series that is cut is never a shorter one."""

from __future__ import annotations

import time
from ipaddress import ip_address

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netinspect.errors import ParseError
from netinspect.models.dns import DnsOutcome, DnsProtocol
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.parse.dig_runs import parse_dig_runs
from tests.captures.parsers import TOOLS

SERIES = (TOOLS / "dig-runs" / "two-rounds.out").read_bytes()


def run(
    sequence: int = 1,
    *,
    name: bytes = b"a.test.",
    printed: bytes = b";; no servers could be reached",
    exit_code: int = 9,
    server: str = "fd00::a",
    start: str = "12.34",
) -> bytes:
    """One run, as dns.sh writes it."""
    head = f"run {sequence} {start} {exit_code} {server} 53 udp AAAA {len(name)} {len(printed)}\n"
    return head.encode() + name + b"\n" + printed + b"\n"


def test_reads_a_series() -> None:
    """In the order asked, each with its question and its answer."""
    runs = parse_dig_runs(SERIES)
    assert [each.sequence for each in runs] == list(range(1, 15))
    assert [each.start_s for each in runs] == sorted(each.start_s for each in runs)
    second = runs[1]
    assert (second.server, second.port, second.protocol) == (ip_address("::1"), 53, DnsProtocol.TCP)
    assert (second.type, second.name, second.exit_code) == ("AAAA", "a.test.", 0)
    outcomes = [each.answer.value.outcome for each in runs[:7] if isinstance(each.answer, Known)]
    assert outcomes == [
        *(DnsOutcome.ANSWERED, DnsOutcome.ANSWERED, DnsOutcome.ANSWERED),
        *(DnsOutcome.CONNECTION_REFUSED, DnsOutcome.ANSWERED, DnsOutcome.ANSWERED, DnsOutcome.NOT_SENT),
    ]
    assert runs[5].name == '+@ "é\n.test.'


def test_a_series_cut_at_any_byte_is_an_error() -> None:
    """Never fewer runs."""
    for length in range(len(SERIES)):
        with pytest.raises(ParseError):
            parse_dig_runs(SERIES[:length])


def test_names_and_answers_may_hold_what_looks_like_a_frame() -> None:
    """Lengths say where a part ends."""
    inner = run(7) + b"done 1\n"
    (found,) = parse_dig_runs(
        run(name=inner, printed=inner + b";; no servers could be reached") + b"done 1\n"
    )
    assert found.name == inner.decode()


def test_bytes_that_are_no_text_are_escaped() -> None:
    """A name is whatever a user typed."""
    (found,) = parse_dig_runs(run(name=b"\xff.test.") + b"done 1\n")
    assert found.name == "\\xff.test."


def test_an_answer_that_cannot_be_read_does_not_end_the_series() -> None:
    """It is unavailable, with the reason."""
    data = run(1, printed=b"garbage", exit_code=0) + run(2, printed=b"dig: not found", exit_code=127) + run(3)
    first, second, third = (each.answer for each in parse_dig_runs(data + b"done 3\n"))
    assert isinstance(first, Unavailable)
    assert (first.reason, "garbage" in first.detail) == (Reason.UNPARSABLE, True)
    assert second == Unavailable(Reason.TOOL_MISSING, "dig: not found")
    assert isinstance(third, Known)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"done 1\n",
        b"done 0",
        b"done 0\n\n",
        run(2) + b"done 1\n",
        run(1) + run(1) + b"done 2\n",
        run(1) + b"done 2\n",
        run(1) + b"done 1\nrun",
        run(1, server="10.0.0.300") + b"done 1\n",
        run(1, server="dns.example") + b"done 1\n",
        run(1, start="now") + b"done 1\n",
        run(1).replace(b"udp", b"sctp") + b"done 1\n",
        run(1).replace(b" 7 ", b" 6 ") + b"done 1\n",
        run(1).replace(b" 7 ", b" 999999999 ") + b"done 1\n",
        # Two lengths that are wrong by one, in opposite directions.
        run(1).replace(b" 7 30\n", b" 6 31\n") + b"done 1\n",
    ],
)
def test_a_broken_frame_is_an_error(data: bytes) -> None:
    """A count, a place, a length or a word that does not fit."""
    with pytest.raises(ParseError):
        parse_dig_runs(data)


def test_nothing_asked_is_no_error() -> None:
    """A limit that leaves no time asks nothing, and says so."""
    assert parse_dig_runs(b"done 0\n") == ()


PIECES = st.sampled_from([b"run ", b"1 ", b"done 1\n", b"::1 ", b"udp ", b"A ", b"\n", b"0 ", run(1), run(2)])


@settings(deadline=None)
@given(st.one_of(st.binary(), st.lists(PIECES, max_size=20).map(b"".join)))
@example(b"run 1 1.0 0 ::1%x 53 udp A 0 0\n\n\ndone 1\n")
@example(b"run 1 1.0 0 1::% 53 udp A 0 0\n\n\ndone 1\n")
@example(b"run 1 1.0 0 ::1 99999 udp A 0 0\n\n\ndone 1\n")
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Nothing else than a ParseError, ever."""
    try:
        runs = parse_dig_runs(data)
    except ParseError:
        return
    assert data.endswith(b"done %d\n" % len(runs))


def test_time_grows_with_the_text() -> None:
    """Ten times the runs take about ten times as long."""
    assert seconds(5000) < 30 * max(seconds(500), 0.002)


def seconds(count: int) -> float:
    """The least of three: a busy machine makes it only more."""
    return min(measure(count) for _ in range(3))


def measure(count: int) -> float:
    data = b"".join(run(number) for number in range(1, count + 1)) + b"done %d\n" % count
    started = time.perf_counter()
    assert len(parse_dig_runs(data)) == count
    return time.perf_counter() - started
