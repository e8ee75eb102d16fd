"""Flows as the connection tracking table holds them, in conntrack-tools' own words.

A flow has two tuples: `original`, as its first packet came in, and `reply`, as an answer is expected. Where they are
not mirror images, addresses are translated: DNAT shows in `reply.src`, SNAT in `reply.dst`.
Source: libnetfilter_conntrack, src/conntrack/snprintf_default.c.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from netinspect.models.address import Address


class _ConntrackStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A part of a flow; what the tool did not print is None and left out of JSON."""


class FlowTuple(_ConntrackStruct, frozen=True, kw_only=True):
    """One direction of a flow.

    Attributes:
        src: source address.
        dst: destination address.
        sport: source port (tcp, udp, udplite, sctp, dccp).
        dport: destination port.
        icmp_type: ICMP or ICMPv6 type.
        icmp_code: its code.
        icmp_id: identifier of an echo; NAT may change it.
        src_key: GRE key of this direction.
        dst_key: GRE key of the other.
        zone: conntrack zone of this direction only (`zone-orig`, `zone-reply`).
        packets: packets seen, where nf_conntrack_acct was on when the flow began.
        bytes: bytes seen, likewise.
    """

    src: Address
    dst: Address
    sport: int | None = None
    dport: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    icmp_id: int | None = None
    src_key: int | None = None
    dst_key: int | None = None
    zone: int | None = None
    packets: int | None = None
    bytes: int | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """What names the tuple: all but its counters."""
        icmp = (self.icmp_type, self.icmp_code, self.icmp_id)
        return (self.src, self.dst, self.sport, self.dport, *icmp, self.src_key, self.dst_key, self.zone)


class Offload(StrEnum):
    """Who forwards the flow's packets in place of the table; its counters then lag."""

    SOFTWARE = "OFFLOAD"
    HARDWARE = "HW_OFFLOAD"


class Flow(_ConntrackStruct, frozen=True, kw_only=True):
    """An entry of the table.

    Attributes:
        family: `ipv4` or `ipv6`.
        protocol: its name as the tool prints it; `unknown` where the tool has none.
        protocol_number: its number (IANA).
        timeout_s: seconds until the entry ends if no packet comes; None where the kernel printed none.
        state: the protocol's state, for those that have one (tcp, sctp, dccp).
        original: the tuple of the first packet's direction.
        reply: the tuple of answers.
        unreplied: no packet was seen in the reply direction ([UNREPLIED]).
        assured: not evicted when the table is full ([ASSURED]).
        offload: [OFFLOAD] or [HW_OFFLOAD]; they stand in the place of [ASSURED], so `assured` is then unknown.
        mark: the connection mark; None where the kernel has none.
        zone: the conntrack zone of both directions; 0 is not printed.
        secmark: security mark.
        secctx: security context.
        delta_time_s: seconds since the flow began (nf_conntrack_timestamp).
        start: when it began, as the tool prints it.
        stop: when it ended, likewise.
        helper: the helper that follows it (ftp, sip ...).
        use: reference count.
        id: the kernel's id of the entry.
        labels: names or numbers of connection labels.
        remainder: fields that are not known here, as they stand.
        raw: the tool's line.
    """

    family: str
    protocol: str
    protocol_number: int
    timeout_s: int | None = None
    state: str | None = None
    original: FlowTuple
    reply: FlowTuple
    unreplied: bool = False
    assured: bool = False
    offload: Offload | None = None
    mark: int | None = None
    zone: int = 0
    secmark: int | None = None
    secctx: str | None = None
    delta_time_s: int | None = None
    start: str | None = None
    stop: str | None = None
    helper: str | None = None
    use: int | None = None
    id: int | None = None
    labels: tuple[str, ...] = ()
    remainder: tuple[str, ...] = ()
    raw: str = ""

    @property
    def is_dnat(self) -> bool:
        """Whether the destination is translated: answers come from elsewhere than the packets went to."""
        return (self.original.dst, self.original.dport) != (self.reply.src, self.reply.sport)

    @property
    def is_snat(self) -> bool:
        """Whether the source is translated: answers go to elsewhere than the packets came from."""
        return (self.original.src, self.original.sport) != (self.reply.dst, self.reply.dport)

    @property
    def key(self) -> tuple[object, ...]:
        """What names the flow across two listings and in events.

        The id, which the kernel makes of the entry's place in memory, tells it from one with the same tuples that came
        before it or after it; the tuples tell it from one whose id is equal by chance.
        """
        return (self.id, self.protocol_number, self.zone, self.original.key, self.reply.key)


class FlowEventType(StrEnum):
    """What happened to a flow."""

    NEW = "NEW"
    UPDATE = "UPDATE"
    DESTROY = "DESTROY"


class FlowEvent(_ConntrackStruct, frozen=True, kw_only=True):
    """A line of `conntrack -E`.

    Attributes:
        type: what happened.
        time: when, in seconds since the epoch, by the node's clock; None where no time was asked for.
        flow: the flow as it is after that.
        portid: the netlink port of the program that did it ([USERSPACE]); None for the kernel.
        progname: that program's name.
    """

    type: FlowEventType
    time: float | None = None
    flow: Flow
    portid: int | None = None
    progname: str | None = None


class CpuStatistics(_ConntrackStruct, frozen=True, kw_only=True):
    """A line of `conntrack -S`: 32-bit counters of one CPU since boot; only differences tell something.

    Attributes:
        cpu: its number.
        counters: by the tool's own names (`insert_failed`, `drop`, `early_drop` ...).
    """

    cpu: int
    counters: dict[str, int]
