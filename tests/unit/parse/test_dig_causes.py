"""The lines in which dig says why there is no answer, of all its versions."""

from __future__ import annotations

import pytest

from netinspect.models.dns import DnsOutcome
from netinspect.parse.dig_causes import find_cause, read_cause

# Of 9.18 and 9.20 in the captures; the others after BIND's bin/dig/dighost.c by the version named.
LINES = [
    (";; communications error to ::1#53: timed out", DnsOutcome.TIMED_OUT),
    (";; communications error to fe80::1%eth0#53: host unreachable", DnsOutcome.UNREACHABLE),
    (";; communications error to 10.0.0.1#53: end of file", DnsOutcome.CONNECTION_LOST),
    (";; communications error: connection reset", DnsOutcome.CONNECTION_LOST),  # 9.11
    (";; communications error to 10.0.0.1#53: something new", DnsOutcome.FAILED),
    (
        ";; UDP setup with 10.0.0.1#53(10.0.0.1) for x.test failed: network unreachable.",
        DnsOutcome.UNREACHABLE,
    ),
    (";; UDP setup with ::1#53(::1) for a failed: b: failed: permission denied.", DnsOutcome.UNREACHABLE),
    (";; Connection to ::1#53(::1) for x.test failed: connection refused.", DnsOutcome.CONNECTION_REFUSED),
    (";; Connection to ::1#53(::1) for x.test failed: timed out.", DnsOutcome.TIMED_OUT),
    (";; connection timed out; no servers could be reached", DnsOutcome.TIMED_OUT),  # 9.16
    (";; no servers could be reached", DnsOutcome.FAILED),
    (";; no response from 10.0.0.1#53", DnsOutcome.FAILED),
    (";; Warning: ID mismatch: expected ID 1, got 2", DnsOutcome.ID_MISMATCH),
    (";; ERROR: ID mismatch: expected ID 1, got 2", DnsOutcome.ID_MISMATCH),
    (";; ;; Question section mismatch: got a.test/A/IN", DnsOutcome.QUESTION_MISMATCH),
    (
        ";; reply from unexpected source: 10.0.0.9#53, expected 10.0.0.1#53",
        DnsOutcome.UNEXPECTED_SOURCE,
    ),  # 9.16
    (";; Got bad packet: FORMERR", DnsOutcome.MALFORMED),
    (";; Warning: Opcode mismatch: expected QUERY, got STATUS", DnsOutcome.MALFORMED),
    (";; No acceptable nameservers", DnsOutcome.NOT_SENT),
    (";; Warning, ignoring invalid class NOSUCH", DnsOutcome.NOT_SENT),
    ("dig: couldn't get address for 'nosuch.invalid': not found", DnsOutcome.NOT_SENT),
]


@pytest.mark.parametrize(("line", "outcome"), LINES)
def test_each_line_has_its_meaning(line: str, outcome: DnsOutcome) -> None:
    """And is kept in words, without the marks in front."""
    cause = read_cause(line)
    assert cause is not None
    assert cause.outcome is outcome
    assert line.endswith(cause.text)
    assert not cause.text.startswith(";")


@pytest.mark.parametrize(
    "line", [";; Got answer:", "; a remark", "", ";; communications", "::1 timed out", ";; dig: x"]
)
def test_other_lines_are_none(line: str) -> None:
    """What is no reason is left to others."""
    assert read_cause(line) is None


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (
            [
                ";; Warning: ID mismatch: expected ID 1, got 2",
                ";; communications error to ::1#53: timed out",
                ";; no servers could be reached",
            ],
            "Warning: ID mismatch: expected ID 1, got 2",
        ),
        (
            [";; no servers could be reached", ";; communications error to ::1#53: connection refused"],
            "communications error to ::1#53: connection refused",
        ),
        ([";; no servers could be reached"], "no servers could be reached"),
    ],
)
def test_the_line_that_tells_most_is_the_cause(lines: list[str], text: str) -> None:
    """Not the time-out that follows a forged answer, and not the line that closes every failure."""
    causes = [cause for line in lines if (cause := read_cause(line)) is not None]
    found = find_cause(causes)
    assert found is not None
    assert found.text == text


def test_a_warning_that_dig_goes_on_after_is_no_end() -> None:
    """The output was cut, or there is more to come."""
    cause = read_cause(";; Warning: short (< header size) message received")
    assert cause is not None
    assert find_cause([cause]) is None
    assert find_cause([]) is None
