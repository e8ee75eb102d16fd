"""Whether a flow still sends and is answered, by counters or by its timer; and how long it is idle."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from netinspect.analyze.conntrack.stale_traffic import idle_s, is_refreshed, judge_traffic
from netinspect.models.conntrack import Flow
from netinspect.models.conntrack_limit import ConntrackSysctls
from netinspect.models.stale_flow import FlowPair, StaleStatus, Verdict
from tests.unit.analyze.stale_build import TIMERS, flow

V6, V4 = "fd00:244:2::7", "10.244.2.7"


def verdict(
    first: dict[str, Any],
    second: dict[str, Any],
    *,
    timers: ConntrackSysctls | None = TIMERS,
    is_gone: bool = True,
    elapsed: float = 10.0,
    **both: Any,
) -> Verdict:
    pair = FlowPair(first=flow(**{**both, **first}), second=flow(**{**both, **second}), elapsed_s=elapsed)
    return judge_traffic(pair, timers, is_gone=is_gone)


@pytest.mark.parametrize("backend", [V6, V4])
@pytest.mark.parametrize(
    ("first", "second", "sends"),
    [
        (119, 119, True),
        (119, 112, False),
        (119, 109, False),
        (60, 118, True),
        (35, 119, True),
        (119, 113, True),
    ],
)
def test_udp_sends_while_its_timer_is_set_anew(backend: str, first: int, second: int, *, sends: bool) -> None:
    """More time is left than the time that passed allows; what may be rounding is none."""
    told = verdict({"timeout": first}, {"timeout": second}, backend=backend)
    assert (told.status is StaleStatus.SENDS) is sends
    assert told.answered is None
    assert f"{first} s" in told.reason
    assert f"{second} s" in told.reason


def test_udp_that_never_had_an_answer_has_none() -> None:
    """[UNREPLIED] in the second sample: nothing came back so far."""
    told = verdict({}, {}, backend=V6, timeout=29, flags="", unreplied="[UNREPLIED]")
    assert (told.status, told.answered) == (StaleStatus.SENDS, False)


@pytest.mark.parametrize(
    ("first", "second", "status", "answered"),
    [
        ((5, 5), (9, 5), StaleStatus.SENDS, False),
        ((5, 5), (9, 8), StaleStatus.SENDS, True),
        ((5, 5), (5, 5), StaleStatus.QUIET, False),
        ((5, 5), (5, 7), StaleStatus.QUIET, True),
    ],
)
def test_udp_is_counted_where_packets_are(
    first: tuple[int, int], second: tuple[int, int], status: StaleStatus, *, answered: bool
) -> None:
    """Counters say more than the timer, which a packet of either direction sets anew."""
    told = verdict({"packets": first}, {"packets": second}, backend=V6)
    assert (told.status, told.answered) == (status, answered)


@pytest.mark.parametrize("backend", [V6, V4])
def test_a_udp_timer_does_not_tell_which_side_sent(backend: str) -> None:
    """Somebody has the address and has answered before: what set the timer anew may have been his packet."""
    told = verdict({}, {}, backend=backend, is_gone=False)
    assert (told.status, told.answered) == (StaleStatus.NOT_JUDGED, None)
    assert told.reason == "the timer does not tell which side sent (nf_conntrack_acct is 0)"
    never = verdict({}, {}, backend=backend, is_gone=False, timeout=29, flags="", unreplied="[UNREPLIED]")
    assert (never.status, never.answered) == (StaleStatus.SENDS, False)
    assert verdict({}, {"timeout": 109}, backend=backend, is_gone=False).status is StaleStatus.QUIET


@pytest.mark.parametrize("backend", [V6, V4])
@pytest.mark.parametrize("second", [(4, 0), (600, 90), (4, 200)])
def test_counters_that_were_set_back_tell_nothing(backend: str, second: tuple[int, int]) -> None:
    """`conntrack -z` between the samples: the timer is what is left, and it says that something came."""
    both: dict[str, Any] = {"backend": backend}
    told = verdict({"packets": (500, 100)}, {"packets": second}, **both)
    assert (told.status, told.answered) == (StaleStatus.SENDS, None)
    assert "timer" in told.reason
    told = verdict({"packets": (500, 100)}, {"packets": second}, is_gone=False, **both)
    assert told.status is StaleStatus.NOT_JUDGED
    assert "set back" in told.reason
    still = verdict({"packets": (500, 100)}, {"packets": second, "timeout": 109}, **both)
    assert still.status is StaleStatus.QUIET
    assert "-" not in still.reason


@pytest.mark.parametrize("backend", [V6, V4])
def test_a_syn_without_an_answer_is_no_silence(backend: str) -> None:
    """Its timer runs down though it may be repeated: not judged; counted, each one shows."""
    syn: dict[str, Any] = {"words": "SYN_SENT", "flags": "", "unreplied": "[UNREPLIED]"}
    first, second = {"timeout": 110, **syn}, {"timeout": 100, **syn}
    for is_gone in (True, False):
        told = verdict(first, second, backend=backend, protocol="tcp", is_gone=is_gone)
        assert told.status is StaleStatus.NOT_JUDGED
        assert "a SYN less than 120 s old got no answer" in told.reason
    untold = verdict(first, second, backend=backend, protocol="tcp", timers=None)
    assert "a SYN got no answer" in untold.reason
    counted = [{"packets": (each, 0), **syn} for each in (3, 4)]
    told = verdict(*counted, backend=backend, protocol="tcp", is_gone=False)
    assert (told.status, told.answered) == (StaleStatus.SENDS, False)
    begun = {"timeout": 86390, "words": "ESTABLISHED"}
    assert verdict(first, begun, backend=backend, protocol="tcp").status is StaleStatus.NOT_JUDGED


@pytest.mark.parametrize("backend", [V6, V4])
def test_tcp_that_is_counted_and_not_answered_sends(backend: str) -> None:
    """Retransmissions: the original direction grows, the other does not."""
    told = verdict(
        {"packets": (5, 5)},
        {"packets": (7, 5)},
        backend=backend,
        protocol="tcp",
        words="ESTABLISHED",
        is_gone=False,
    )
    assert (told.status, told.answered) == (StaleStatus.SENDS, False)
    assert "2 packets went there within 10 s, and 0 came back" in told.reason


@pytest.mark.parametrize(
    ("second", "is_gone", "unreplied", "status"),
    [
        ((6, 5), True, "", StaleStatus.SENDS),
        ((6, 5), False, "[UNREPLIED]", StaleStatus.SENDS),
        # Its answer may be on its way.
        ((6, 5), False, "", StaleStatus.QUIET),
        ((9, 6), True, "", StaleStatus.ANSWERED),
        ((5, 6), True, "", StaleStatus.ANSWERED),
        ((5, 5), True, "", StaleStatus.QUIET),
    ],
)
def test_one_packet_of_tcp_is_no_proof_while_somebody_may_answer(
    second: tuple[int, int], unreplied: str, status: StaleStatus, *, is_gone: bool
) -> None:
    """A connection that is answered is none of a finding, whoever answers."""
    told = verdict(
        {"packets": (5, 5)},
        {"packets": second},
        protocol="tcp",
        words="ESTABLISHED",
        is_gone=is_gone,
        unreplied=unreplied,
    )
    assert told.status is status


@pytest.mark.parametrize("state", ["FIN_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE"])
def test_tcp_that_was_closed_is_no_more_than_that(state: str) -> None:
    """It repeats its end to nobody, and nobody waits for it."""
    told = verdict({"packets": (5, 5)}, {"packets": (9, 5)}, protocol="tcp", words=state)
    assert told.status is StaleStatus.CLOSING
    assert state in told.reason


@pytest.mark.parametrize(
    ("first", "second", "options", "status"),
    [
        # Data that is not acknowledged: the shorter timer, set anew.
        (299, 298, {}, StaleStatus.SENDS),
        (280, 299, {"words": "CLOSE_WAIT"}, StaleStatus.SENDS),
        (86399, 299, {}, StaleStatus.SENDS),
        (86399, 299, {"is_gone": False}, StaleStatus.NOT_JUDGED),
        # The shorter timer runs down: nothing was sent between the samples.
        (299, 289, {}, StaleStatus.QUIET),
        # An idle connection near its end looks the same.
        (210, 200, {}, StaleStatus.QUIET),
        # Something was sent, and no data waits for its acknowledgement.
        (86390, 86395, {}, StaleStatus.NOT_JUDGED),
        # Somebody may answer.
        (299, 298, {"is_gone": False}, StaleStatus.NOT_JUDGED),
        # It is not known which timer that is.
        (299, 298, {"timers": None}, StaleStatus.NOT_JUDGED),
        (299, 298, {"timers": replace(TIMERS, tcp_timeout_established=300)}, StaleStatus.NOT_JUDGED),
        (299, 298, {"timers": ConntrackSysctls(tcp_timeout_established=86400)}, StaleStatus.NOT_JUDGED),
        # Never an answer.
        (299, 298, {"unreplied": "[UNREPLIED]", "is_gone": False}, StaleStatus.SENDS),
        # A repeated SYN set the timer anew before Linux 5.10; since then it runs down.
        (110, 117, {"words": "SYN_SENT", "unreplied": "[UNREPLIED]"}, StaleStatus.SENDS),
        (110, 100, {"words": "SYN_SENT", "unreplied": "[UNREPLIED]"}, StaleStatus.NOT_JUDGED),
    ],
)
@pytest.mark.parametrize("backend", [V6, V4])
def test_tcp_without_counters_sends_only_where_its_timer_proves_it(
    backend: str, first: int, second: int, options: dict[str, Any], status: StaleStatus
) -> None:
    """Silence is preferred to a guess."""
    told = verdict(
        {"timeout": first},
        {"timeout": second},
        **{"backend": backend, "protocol": "tcp", "words": "ESTABLISHED", **options},
    )
    assert told.status is status


@pytest.mark.parametrize("flags", ["[OFFLOAD]", "[HW_OFFLOAD]"])
def test_offloaded_flows_are_not_judged(flags: str) -> None:
    """Neither their timer nor their counters tell when a packet came."""
    told = verdict({}, {}, backend=V6, flags=flags, packets=(1, 1))
    assert told.status is StaleStatus.NOT_JUDGED


def test_sctp_is_not_judged() -> None:
    """It is listed only."""
    told = verdict({}, {}, backend=V6, protocol="sctp", words="ESTABLISHED")
    assert told.status is StaleStatus.NOT_JUDGED
    assert "sctp" in told.reason


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"timeout": 119}, 1),
        ({"timeout": 0}, 120),
        ({"timeout": 25, "flags": ""}, 5),
        # Set by something else than the node's own sysctls.
        ({"timeout": 100, "flags": ""}, None),
        ({"timeout": 86340, "protocol": "tcp", "words": "ESTABLISHED"}, 60),
        ({"timeout": 299, "protocol": "tcp", "words": "ESTABLISHED"}, None),
        ({"timeout": 301, "protocol": "tcp", "words": "CLOSE_WAIT"}, 3299),
        ({"timeout": 100, "protocol": "tcp", "words": "SYN_SENT"}, 20),
        # Repeated SYNs do not show.
        ({"timeout": 100, "protocol": "tcp", "words": "SYN_SENT", "unreplied": "[UNREPLIED]"}, None),
        ({"timeout": 200, "protocol": "sctp", "words": "ESTABLISHED"}, 10),
        # A state whose timeout is not known.
        ({"timeout": 10, "protocol": "sctp", "words": "SHUTDOWN_SENT"}, None),
        ({"timeout": 119, "flags": "[OFFLOAD]"}, None),
    ],
)
@pytest.mark.parametrize("backend", [V6, V4])
def test_idle_time_is_what_is_missing_from_the_full_timer(
    backend: str, options: dict[str, Any], expected: int | None
) -> None:
    """Unknown where the timer may be one of several."""
    assert idle_s(flow(backend, **options), TIMERS) == expected
    assert idle_s(flow(backend, **options), None) is None


def test_a_timer_that_is_not_printed_tells_nothing() -> None:
    """Neither idle time nor that a packet came."""
    silent: Flow = replace(flow(V6), timeout_s=None)
    assert idle_s(silent, TIMERS) is None
    assert not is_refreshed(FlowPair(first=silent, second=flow(V6), elapsed_s=10))


@given(st.integers(0, 120), st.integers(5, 90), st.floats(0, 1.9))
def test_a_timer_that_only_runs_down_is_never_taken_for_a_packet(
    first: int, elapsed: int, rounding: float
) -> None:
    """Whatever is rounded on the way."""
    left = max(0, int(first - elapsed + rounding))
    if left <= first - elapsed + rounding:
        pair = FlowPair(first=flow(V6, timeout=first), second=flow(V6, timeout=left), elapsed_s=elapsed)
        assert not is_refreshed(pair)
