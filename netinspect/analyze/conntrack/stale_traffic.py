"""What two samples of a flow tell of its packets: whether it still sends, whether it is answered, how long it is idle.

Packets are counted where nf_conntrack_acct was on when the flow began. Else the timer tells: each packet that the
kernel takes for the flow's sets it anew (net/netfilter/nf_conntrack_proto_udp.c, nf_conntrack_proto_tcp.c). For TCP
the new value is that of the state, or, while data is not acknowledged or a packet was repeated, the shorter one of
nf_conntrack_tcp_timeout_unacknowledged or _max_retrans. Since Linux 5.10 a repeated SYN does not set it, so
that a SYN without an answer is seen by its entry alone.

Silence is preferred to a guess: what the timer cannot tell apart is not judged.
"""

from __future__ import annotations

from netinspect.models.conntrack import Flow
from netinspect.models.conntrack_limit import ConntrackSysctls
from netinspect.models.stale_flow import FlowPair, StaleStatus, Verdict

TCP, UDP, SCTP = 6, 17, 132

# Their sockets are gone or about to go: what they repeat is the end of the connection, and nobody waits for it.
_CLOSING = frozenset(("FIN_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE"))
# The timers are printed in whole seconds, and a large table takes a while to list, now more, now less.
_LEAST_SLACK_S = 2.0
_SLACK_SHARE = 0.3


def judge_traffic(pair: FlowPair, timers: ConntrackSysctls | None, *, is_gone: bool) -> Verdict:
    """Say whether a stale flow still sends, and is answered.

    Args:
        pair: the flow in both samples.
        timers: the node's sysctls; None where they could not be read.
        is_gone: whether nobody has the address that it leads to, so that no answer can come from there.
    """
    if pair.first.offload or pair.second.offload:
        return Verdict(
            status=StaleStatus.NOT_JUDGED, reason="it is offloaded: its counters and its timer lag behind"
        )
    if pair.second.protocol_number == UDP:
        return _judge_udp(pair, is_gone=is_gone)
    if pair.second.protocol_number == TCP:
        return _judge_tcp(pair, timers, is_gone=is_gone)
    return Verdict(
        status=StaleStatus.NOT_JUDGED, reason=f"flows of {pair.second.protocol} are listed, not judged"
    )


def is_closing(flow: Flow) -> bool:
    """Whether a connection was closed: by one side at least, whose socket is gone or about to go."""
    return flow.protocol_number == TCP and flow.state in _CLOSING


def is_counted(pair: FlowPair) -> bool:
    """Whether counters tell what came between the samples."""
    return _growth(pair) is not None


def idle_s(flow: Flow, timers: ConntrackSysctls | None) -> int | None:
    """Return the seconds since a flow's last packet, by its timer; None where the timer does not tell.

    A flow whose timeout was set by a policy of its own (nft `ct timeout`) is measured by the common one all the same.
    """
    base = _base_s(flow, timers)
    if _is_unanswered_syn(flow):
        return None  # it runs from the first SYN on, however often that is repeated
    if base is None or flow.timeout_s is None or flow.timeout_s > base or flow.offload:
        return None
    short = _short_s(timers)
    if flow.protocol_number == TCP and base > short >= flow.timeout_s:
        return None  # either nearly at its end, or not acknowledged
    return base - flow.timeout_s


def is_refreshed(pair: FlowPair) -> bool:
    """Whether the timer was set anew between the samples: it has more left than the time that passed allows."""
    first, second = pair.first.timeout_s, pair.second.timeout_s
    if first is None or second is None:
        return False
    return second > first - pair.elapsed_s + _slack_s(pair)


def is_shortened(pair: FlowPair) -> bool:
    """Whether the timer was set to less than the time that passed leaves: only a packet does that, too."""
    first, second = pair.first.timeout_s, pair.second.timeout_s
    if first is None or second is None:
        return False
    return second < first - pair.elapsed_s - _slack_s(pair)


def _slack_s(pair: FlowPair) -> float:
    return max(_LEAST_SLACK_S, _SLACK_SHARE * pair.elapsed_s)


def _judge_udp(pair: FlowPair, *, is_gone: bool) -> Verdict:
    grown = _growth(pair)
    if grown is not None:
        sent, back = grown
        status = StaleStatus.SENDS if sent > 0 else StaleStatus.QUIET
        return Verdict(status=status, reason=_counted(pair, sent, back), answered=back > 0)
    if not is_refreshed(pair):
        return Verdict(status=StaleStatus.QUIET, reason=_not_refreshed(pair))
    if not is_gone and not pair.second.unreplied:
        return Verdict(
            status=StaleStatus.NOT_JUDGED,
            reason=f"the timer does not tell which side sent ({_why_uncounted(pair)})",
        )
    answered = False if pair.second.unreplied else None
    return Verdict(status=StaleStatus.SENDS, reason=_refreshed(pair), answered=answered)


def _judge_tcp(pair: FlowPair, timers: ConntrackSysctls | None, *, is_gone: bool) -> Verdict:
    if is_closing(pair.second):
        return Verdict(
            status=StaleStatus.CLOSING,
            reason=f"the connection was closed ({pair.second.state}): the entry ends soon",
        )
    grown = _growth(pair)
    if grown is not None:
        return _judge_counted_tcp(pair, *grown, is_gone=is_gone)
    if _is_unanswered_syn(pair.first) and _is_unanswered_syn(pair.second) and not is_refreshed(pair):
        # The client may have given it up: every rollout leaves some that were sent a moment before.
        return Verdict(status=StaleStatus.NOT_JUDGED, reason=_unanswered_syn(pair, timers))
    if not is_refreshed(pair) and not is_shortened(pair):
        return Verdict(status=StaleStatus.QUIET, reason=_not_refreshed(pair))
    if pair.first.unreplied and pair.second.unreplied:
        reason = f"{_refreshed(pair)}, and no answer was ever seen ([UNREPLIED])"
        return Verdict(status=StaleStatus.SENDS, reason=reason, answered=False)
    if is_gone and _is_unacknowledged(pair.second, timers):
        reason = (
            f"{_refreshed(pair)}, and it is the shorter timer of data that is not acknowledged "
            f"(up to {_short_s(timers)} s, not {_base_s(pair.second, timers)} s)"
        )
        return Verdict(status=StaleStatus.SENDS, reason=reason, answered=False)
    reason = f"{_refreshed(pair)}, but whether answers are missing is not told ({_why_uncounted(pair)})"
    return Verdict(status=StaleStatus.NOT_JUDGED, reason=reason)


def _judge_counted_tcp(pair: FlowPair, sent: int, back: int, *, is_gone: bool) -> Verdict:
    reason = _counted(pair, sent, back)
    if back > 0:
        return Verdict(status=StaleStatus.ANSWERED, reason=reason, answered=True)
    # A single packet may have gone out just before the second sample, its answer being under way.
    if sent > 1 or (sent == 1 and (is_gone or pair.second.unreplied)):
        return Verdict(status=StaleStatus.SENDS, reason=reason, answered=False)
    return Verdict(status=StaleStatus.QUIET, reason=reason, answered=False)


def _growth(pair: FlowPair) -> tuple[int, int] | None:
    """Return by how many packets each direction grew; None where packets are not counted, or were set to 0."""
    first, second = pair.first, pair.second
    sent = first.original.packets, second.original.packets
    back = first.reply.packets, second.reply.packets
    if sent[0] is None or sent[1] is None or back[0] is None or back[1] is None:
        return None
    if sent[1] < sent[0] or back[1] < back[0]:
        return None  # `conntrack -z` came between
    return sent[1] - sent[0], back[1] - back[0]


def _why_uncounted(pair: FlowPair) -> str:
    if pair.second.original.packets is None:
        return "nf_conntrack_acct is 0"
    return "the counters were set back, or began, between the samples"


def _is_unanswered_syn(flow: Flow) -> bool:
    return flow.protocol_number == TCP and flow.state == "SYN_SENT" and flow.unreplied


def _unanswered_syn(pair: FlowPair, timers: ConntrackSysctls | None) -> str:
    base = _base_s(pair.second, timers)
    age = f" less than {base} s old" if base is not None else ""
    return (
        f"a SYN{age} got no answer; whether it is still repeated is not told ({_why_uncounted(pair)}, and a repeated "
        "SYN does not set the timer)"
    )


def _is_unacknowledged(flow: Flow, timers: ConntrackSysctls | None) -> bool:
    """Whether a timer that was just set is the shorter one."""
    base, timeout = _base_s(flow, timers), flow.timeout_s
    return base is not None and timeout is not None and timeout <= _short_s(timers) < base


def _short_s(timers: ConntrackSysctls | None) -> int:
    """Return the longer of the two timers of connections without acknowledgement; 0 where they are not known."""
    if timers is None:
        return 0
    return max(timers.tcp_timeout_unacknowledged or 0, timers.tcp_timeout_max_retrans or 0)


def _base_s(flow: Flow, timers: ConntrackSysctls | None) -> int | None:
    """Return what a packet sets the timer to, apart from the shorter ones of TCP."""
    if timers is None:
        return None
    if flow.protocol_number == UDP:
        # [ASSURED] is set together with the longer timeout: answers, and packets for more than two seconds.
        return timers.udp_timeout_stream if flow.assured else timers.udp_timeout
    if flow.state is None:
        return None
    name = f"{flow.protocol}_timeout_{flow.state.lower()}"
    value: int | None = getattr(timers, name, timers.others.get(name))
    return value


def _counted(pair: FlowPair, sent: int, back: int) -> str:
    return f"{sent} packets went there within {pair.elapsed_s:.0f} s, and {back} came back"


def _refreshed(pair: FlowPair) -> str:
    first, second = pair.first.timeout_s, pair.second.timeout_s
    return f"its timer was set anew: {first} s left, and {second} s after {pair.elapsed_s:.0f} s more"


def _not_refreshed(pair: FlowPair) -> str:
    return f"no packet within {pair.elapsed_s:.0f} s (timer {pair.first.timeout_s} s, then {pair.second.timeout_s} s)"
