"""A flow as a row of bytes: what counting a million of them needs, without an object a flow."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TypeAlias

FlowRow: TypeAlias = tuple[bytes, ...]
"""The columns of one flow, in the order of `Column`, as the tool printed them; empty where it printed nothing."""


class Column(IntEnum):
    """Where in a `FlowRow` a column is: `operator.itemgetter(Column.SRC, Column.DST)` picks some at C's speed.

    Addresses are well formed; two rows may spell one address differently, so count by `parse_address` of the text in
    the end. Ports and other numbers are decimal digits.

    Attributes:
        IPV4: `4` for an IPv4 flow, empty for an IPv6 one.
        PROTOCOL: its name as the tool prints it; `unknown` where the tool has none.
        PROTOCOL_NUMBER: its number (IANA).
        TIMEOUT: seconds until the entry ends if no packet comes.
        STATE: the protocol's state (tcp, sctp, dccp).
        SRC: source address of the original direction.
        DST: destination address of the original direction.
        SPORT: source port of the original direction.
        DPORT: destination port of the original direction.
        ICMP_TYPE: ICMP or ICMPv6 type of the original direction.
        SRC_KEY: GRE key of the original direction, hexadecimal without 0x.
        ZONE_ORIG: conntrack zone of the original direction only.
        PACKETS: packets of the original direction.
        BYTES: bytes of the original direction.
        UNREPLIED: not empty if no packet was seen in the reply direction.
        REPLY_SRC: source address of the reply direction: the backend of a DNAT.
        REPLY_DST: destination address of the reply direction.
        REPLY_SPORT: source port of the reply direction.
        REPLY_DPORT: destination port of the reply direction.
        ZONE_REPLY: conntrack zone of the reply direction only.
        REPLY_PACKETS: packets of the reply direction.
        REPLY_BYTES: bytes of the reply direction.
        STATUS: `ASSURED`, `OFFLOAD`, `HW_OFFLOAD` or empty.
        MARK: the connection mark.
        ZONE: the conntrack zone of both directions.
    """

    IPV4 = 0
    PROTOCOL = 1
    PROTOCOL_NUMBER = 2
    TIMEOUT = 3
    STATE = 4
    SRC = 5
    DST = 6
    SPORT = 7
    DPORT = 8
    ICMP_TYPE = 9
    SRC_KEY = 10
    ZONE_ORIG = 11
    PACKETS = 12
    BYTES = 13
    UNREPLIED = 14
    REPLY_SRC = 15
    REPLY_DST = 16
    REPLY_SPORT = 17
    REPLY_DPORT = 18
    ZONE_REPLY = 19
    REPLY_PACKETS = 20
    REPLY_BYTES = 21
    STATUS = 22
    MARK = 23
    ZONE = 24


RowTest: TypeAlias = Callable[[FlowRow], bool]
"""Says of a flow's columns whether the flow may be meant: "no" is certain, "yes" is not."""
