"""What limits the connection tracking table, and what shows that it was full."""

from __future__ import annotations

import msgspec


class ConntrackSysctls(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The `nf_conntrack_*` sysctls as one netns shows them; None: not visible there, which is not 0.

    Sources of the meaning: the kernel's Documentation/networking/nf_conntrack-sysctl.rst; timeouts are in seconds.

    Attributes:
        count: entries of this netns now.
        max: entries that a netns may have. One value for the machine; other netns show it and cannot set it.
        buckets: size of the hash table, which all netns share.
        hashsize: the same, as the module's parameter: the one that can be written while the node runs.
        expect_max: expectations that may wait.
        acct: whether flows that begin now are counted (1) or not (0).
        events: whether events are made: 0 never, 1 always, 2 where someone listens as the flow begins.
        timestamp: whether flows that begin now bear the time of it.
        tcp_be_liberal: whether packets out of the window are taken for valid.
        tcp_loose: whether connections that were there before tracking are picked up.
        tcp_timeout_established: idle time of an established connection.
        tcp_timeout_close_wait: of one whose end was asked for by the other side.
        tcp_timeout_time_wait: of one that is closed.
        tcp_timeout_max_retrans: of one whose packets were repeated without an answer.
        tcp_timeout_unacknowledged: of an established one with data that is not acknowledged.
        udp_timeout: of a flow with packets in one direction, or young.
        udp_timeout_stream: of one with packets in both directions.
        generic_timeout: of a protocol that the kernel does not know.
        others: all others that were read, by their names without `nf_conntrack_`.
    """

    count: int | None = None
    max: int | None = None
    buckets: int | None = None
    hashsize: int | None = None
    expect_max: int | None = None
    acct: int | None = None
    events: int | None = None
    timestamp: int | None = None
    tcp_be_liberal: int | None = None
    tcp_loose: int | None = None
    tcp_timeout_established: int | None = None
    tcp_timeout_close_wait: int | None = None
    tcp_timeout_time_wait: int | None = None
    tcp_timeout_max_retrans: int | None = None
    tcp_timeout_unacknowledged: int | None = None
    udp_timeout: int | None = None
    udp_timeout_stream: int | None = None
    generic_timeout: int | None = None
    others: dict[str, int] = {}


class KernelLogLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A record of the kernel's log. It may have several lines.

    Attributes:
        time_s: when it was written, in seconds since boot; None where dmesg was told to leave times out.
        level: 0 (emerg) to 7 (debug), None where dmesg does not say.
        facility: 0 (kern) to 23 (local7), likewise.
        message: its text.
    """

    time_s: float | None = None
    level: int | None = None
    facility: int | None = None
    message: str


class TableFull(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The kernel's note that a packet was dropped because a table was full. It is rate-limited: one may stand for many.

    Source: net/netfilter/nf_conntrack_core.c __nf_conntrack_alloc.

    Attributes:
        time_s: when, in seconds since boot.
        netns: the inode of the netns whose table it was. None where the kernel does not name it: newer ones (6.18)
            leave it out for the initial netns only, older ones (6.1) never name any.
        raw: the message.
    """

    time_s: float | None = None
    netns: int | None = None
    raw: str
