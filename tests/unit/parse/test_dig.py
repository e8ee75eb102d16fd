"""dig's output: what captures cannot show, and what no output may be taken for."""

from __future__ import annotations

import re
import time
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netinspect.errors import ParseError
from netinspect.models.dns import DnsAnswer, DnsOutcome, DnsProtocol
from netinspect.parse.dig import parse_dig
from tests.captures.parsers import list_cases, split_exit_code

OUTPUTS = {case.stem: split_exit_code(case.read_bytes()) for case in list_cases("dig")}

# By a part of the case's name, the first that fits: what the outcome has to be.
EXPECTED = {
    "noerror": DnsOutcome.ANSWERED,
    "timed-out": DnsOutcome.TIMED_OUT,
    "connection-refused": DnsOutcome.CONNECTION_REFUSED,
    "unreachable": DnsOutcome.UNREACHABLE,
    "prohibited": DnsOutcome.UNREACHABLE,
    "blackhole": DnsOutcome.UNREACHABLE,
    "link-local": DnsOutcome.UNREACHABLE,
    "eof": DnsOutcome.CONNECTION_LOST,
    "reset": DnsOutcome.CONNECTION_LOST,
    "id-mismatch": DnsOutcome.ID_MISMATCH,
    "question-mismatch": DnsOutcome.QUESTION_MISMATCH,
    "short-message": DnsOutcome.MALFORMED,
    "empty-message": DnsOutcome.MALFORMED,
    "malformed": DnsOutcome.MALFORMED,
    "no-answer-bit": DnsOutcome.MALFORMED,
    "name-odd": DnsOutcome.ANSWERED,
    "name-": DnsOutcome.NOT_SENT,
    "type-unknown": DnsOutcome.NOT_SENT,
    "server-unknown": DnsOutcome.NOT_SENT,
}


def answer(case: str) -> DnsAnswer:
    return parse_dig(*OUTPUTS[case])


def text(case: str) -> str:
    return OUTPUTS[case][0].decode()


@pytest.mark.parametrize("case", OUTPUTS)
def test_each_outcome_is_told(case: str) -> None:
    """What became of the question, whatever the exit code: it is 0 for some of these."""
    wanted = next((outcome for part, outcome in EXPECTED.items() if part in case), DnsOutcome.ANSWERED)
    found = answer(case)
    assert found.outcome is wanted
    # A message that is there though it is broken has a warning; a question that was not put as told has a cause.
    has_cause = wanted is DnsOutcome.NOT_SENT or not found.status
    assert bool(found.cause) is has_cause
    assert found.remainder == ()


def test_every_outcome_has_a_case() -> None:
    """But for two that this dig cannot be brought to."""
    missing = {DnsOutcome.UNEXPECTED_SOURCE, DnsOutcome.FAILED}
    assert {answer(case).outcome for case in OUTPUTS} == set(DnsOutcome) - missing


@pytest.mark.parametrize(
    ("case", "server", "protocol"),
    [
        ("noerror-aaaa-by-ipv6", "::1", DnsProtocol.UDP),
        ("noerror-aaaa-by-ipv6-tcp", "::1", DnsProtocol.TCP),
        ("noerror-a", "127.0.0.10", DnsProtocol.UDP),
        ("noerror-a-tcp", "127.0.0.10", DnsProtocol.TCP),
    ],
)
def test_tells_who_answered_and_how(case: str, server: str, protocol: DnsProtocol) -> None:
    """Server, port, protocol and time."""
    found = answer(case)
    assert (found.server, found.port, found.protocol) == (ip_address(server), 53, protocol)
    assert found.query_time_us is not None
    assert not found.is_time_coarse


def test_milliseconds_are_marked_as_coarse() -> None:
    """dig without -u: the same unit, and a mark."""
    found = answer("noerror-milliseconds-and-command")
    assert found.is_time_coarse
    assert found.query_time_us is not None
    assert found.query_time_us % 1000 == 0


def test_nodata_is_neither_nxdomain_nor_an_answer() -> None:
    """The name is there, the type is not; a chain that leads nowhere is none either."""
    assert answer("nodata").is_nodata
    assert answer("nodata-without-soa").is_nodata
    assert not answer("nxdomain").is_nodata
    assert not answer("noerror-cname-chain").is_nodata
    chain = text("noerror-cname-chain-ipv6").replace(
        "three.test.\t\t30\tIN\tAAAA", "three.test.\t\t30\tIN\tA"
    )
    assert parse_dig(chain.encode(), 0).is_nodata
    # NOERROR without a record, too, but the message is broken.
    for case in ("malformed", "no-answer-bit"):
        assert (answer(case).status, answer(case).records, answer(case).is_nodata) == ("NOERROR", (), False)
    emptied = text("truncated").replace("ANSWER: 5", "ANSWER: 0")
    emptied = "".join(line for line in emptied.splitlines(keepends=True) if "10.244.1." not in line)
    assert not parse_dig(emptied.encode(), 0).is_nodata


def test_records_are_those_of_the_type_asked_for() -> None:
    """Without the CNAMEs that lead to them."""
    found = answer("noerror-cname-chain-ipv6")
    assert [record.type for record in found.answer] == ["CNAME", "CNAME", "AAAA"]
    assert [record.rdata for record in found.records] == ["2001:db8::7"]


def test_truncation_is_told_both_ways() -> None:
    """Shown as it came, or asked again by TCP."""
    assert "tc" in answer("truncated").flags
    again = answer("truncated-asked-again")
    assert (again.was_truncated, again.protocol, len(again.records)) == (True, DnsProtocol.TCP, 40)


def test_noise_is_no_warning() -> None:
    """That .local is for multicast, and that a server does not recurse, say nothing new."""
    assert ".local is reserved" in text("nodata")
    assert "recursion requested" in text("nodata")
    assert answer("nodata").warnings == ()
    assert answer("bytes-behind-the-message").warnings == ("WARNING: Message has 2 extra bytes at end",)


@pytest.mark.parametrize("case", OUTPUTS)
def test_output_that_is_cut_is_never_another_answer(case: str) -> None:
    """Cut at any byte it is the same, an error, or a failure; never fewer records, never another status."""
    printed, exit_code = OUTPUTS[case]
    whole = parse_dig(printed, exit_code)
    for length in range(len(printed)):
        try:
            found = parse_dig(printed[:length], exit_code)
        except ParseError:
            continue
        if found.status or whole.status:
            # What is left is the size, that lost a digit, or the line end.
            assert len(printed) - length <= len(";; MSG SIZE  rcvd: 1") + 2, printed[:length]
            assert (found.status, found.answer, found.authority) == (
                whole.status,
                whole.answer,
                whole.authority,
            )
        else:
            # Half of an error's name is a cause that nobody knows.
            assert found.outcome in (whole.outcome, DnsOutcome.FAILED), printed[:length]


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r"ANSWER: 1,", "ANSWER: 2,", "counts"),
        (r"a\.test\.\t+30\tIN\tA\t10.96.0.1\n", "", "counts"),
        (r";; MSG SIZE .*\n", "", "MSG SIZE"),
        (r";; flags: .*\n", "", "MSG SIZE"),
        (r"30\tIN\tA\t", "thirty\tIN\tA\t", "no record"),
        (r"127\.0\.0\.10#53", "dns.example#53", "does not appear to be"),
        (r"Query time: [0-9]+ usec", "Query time: soon", "not as dig prints it"),
        (r"id: [0-9]+", "id: x", "not as dig prints it"),
        (r"(?s)\A(.*)\Z", r"\1\1", "second answer"),
    ],
)
def test_what_does_not_fit_is_an_error(pattern: str, replacement: str, message: str) -> None:
    """A header's counts, the last line, a line's form, two answers in one output."""
    changed = re.sub(pattern, replacement, text("noerror-a"), count=1)
    assert changed != text("noerror-a")
    with pytest.raises(ParseError, match=message):
        parse_dig(changed.encode(), 0)


@pytest.mark.parametrize(
    "printed", [b"", b"\n\n", b"Segmentation fault\n", b";; Warning: ID mismatch: expected ID 1, got 2\n"]
)
def test_no_reason_is_an_error(printed: bytes) -> None:
    """Nothing, what is no dig, and a warning that dig goes on waiting after."""
    with pytest.raises(ParseError, match="neither an answer nor a reason"):
        parse_dig(printed, 9)


def test_unknown_lines_are_kept() -> None:
    """Beside an answer that is whole all the same."""
    found = parse_dig(b";; something new\n; and this\n" + OUTPUTS["noerror-a"][0], 0)
    assert found.remainder == (";; something new", "; and this")
    assert found.outcome is DnsOutcome.ANSWERED


def test_what_stderr_says_counts() -> None:
    """Where the two streams were kept apart."""
    printed, exit_code = OUTPUTS["server-unknown"]
    assert parse_dig(b"", exit_code, printed) == answer("server-unknown")


def test_an_answer_behind_a_wrong_one_is_an_answer() -> None:
    """By UDP dig goes on waiting after another's id: the remark stays as a warning."""
    remark = OUTPUTS["id-mismatch"][0].partition(b"\n")[0] + b"\n"
    found = parse_dig(remark + OUTPUTS["noerror-a"][0], 0)
    assert found.outcome is DnsOutcome.ANSWERED
    assert found.warnings[0].startswith("Warning: ID mismatch")


def test_a_time_below_zero_is_none() -> None:
    """Some clocks step back."""
    found = parse_dig(re.sub(rb"time: [0-9]+", b"time: -7", OUTPUTS["noerror-a"][0]), 0)
    assert found.query_time_us == 0


def test_older_digs_name_no_protocol() -> None:
    """Before 9.18 it stays unknown."""
    found = parse_dig(OUTPUTS["noerror-a"][0].replace(b" (UDP)", b""), 0)
    assert found.protocol is None
    assert found.server == ip_address("127.0.0.10")


PIECES = st.sampled_from([part + b"\n" for printed, _ in OUTPUTS.values() for part in printed.split(b"\n")])


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(), st.lists(PIECES, max_size=30).map(b"".join)), st.integers(0, 255))
def test_any_bytes_are_read_or_refused(printed: bytes, exit_code: int) -> None:
    """Nothing else than a ParseError, ever."""
    try:
        found = parse_dig(printed, exit_code)
    except ParseError:
        return
    assert found.exit_code == exit_code


def test_time_grows_with_the_text() -> None:
    """Ten times the records take about ten times as long."""
    assert seconds(30_000) < 30 * max(seconds(3000), 0.002)


def seconds(count: int) -> float:
    """The least of three: a busy machine makes it only more."""
    return min(measure(count) for _ in range(3))


def measure(count: int) -> float:
    printed = text("noerror-a").replace("ANSWER: 1,", f"ANSWER: {count},")
    line = "a.test.\t\t\t30\tIN\tA\t10.96.0.1\n"
    data = printed.replace(line, line * count).encode()
    started = time.perf_counter()
    assert len(parse_dig(data, 0).answer) == count
    return time.perf_counter() - started
