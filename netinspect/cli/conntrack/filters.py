"""The flags that choose flows, read into a filter."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING

from netinspect.cli.flags import FlowFilterFlags
from netinspect.errors import UsageError

if TYPE_CHECKING:
    from netinspect.models.address import Address
    from netinspect.models.flow_filter import FlowFilter, Network

# IANA's numbers, by the names that conntrack-tools and /etc/protocols use.
PROTOCOLS = {
    "icmp": 1,
    "tcp": 6,
    "udp": 17,
    "dccp": 33,
    "gre": 47,
    "icmpv6": 58,
    "icmp6": 58,
    "ipv6-icmp": 58,
    "sctp": 132,
    "udplite": 136,
}
# nf_conntrack_tcp.c, nf_conntrack_proto_sctp.c, nf_conntrack_proto_dccp.c, as libnetfilter_conntrack names them.
STATES = frozenset(
    (
        *("NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT"),
        *("CLOSE", "SYN_SENT2"),
        *("CLOSED", "COOKIE_WAIT", "COOKIE_ECHOED", "SHUTDOWN_SENT", "SHUTDOWN_RECD", "SHUTDOWN_ACK_SENT"),
        *("HEARTBEAT_SENT", "HEARTBEAT_ACKED"),
        *("REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT", "IGNORE", "INVALID"),
        *("UNREPLIED", "ASSURED", "OFFLOAD", "HW_OFFLOAD"),
    )
)
_MAX_PORT, _MAX_ZONE, _MAX_MARK = 0xFFFF, 0xFFFF, 0xFFFFFFFF


def read_filter(flags: FlowFilterFlags, addresses: Iterable[Address] = ()) -> FlowFilter:
    """Read the flags.

    Args:
        flags: the command line's.
        addresses: of the pods that were named; none is no condition.

    Raises:
        UsageError: a value has no meaning.
    """
    from netinspect.models.flow_filter import FlowFilter

    mark, mask = _read_mark(flags.mark)
    return FlowFilter(
        addresses=frozenset(addresses),
        src=tuple(_read_network("--src", each) for each in flags.src or ()),
        dst=tuple(_read_network("--dst", each) for each in flags.dst or ()),
        sport=_read_number("--sport", flags.sport, _MAX_PORT),
        dport=_read_number("--dport", flags.dport, _MAX_PORT),
        protocols=frozenset(_read_protocol(each) for each in flags.proto or ()),
        states=frozenset(_read_state(each) for each in flags.state or ()),
        zone=_read_number("--zone", flags.zone, _MAX_ZONE),
        mark=mark,
        mark_mask=mask,
    )


def _read_network(flag: str, text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise UsageError(f'{flag}: "{text}" is no address and no network', "10.0.0.0/8, fd00::1") from error


def _read_number(flag: str, value: int | None, most: int) -> int | None:
    if value is not None and not 0 <= value <= most:
        raise UsageError(f"{flag}: {value} is not within 0 and {most}")
    return value


def _read_protocol(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= 255:
        return int(text)
    if text.lower() not in PROTOCOLS:
        raise UsageError(
            f'--proto: "{text}" is no protocol', f"a number to 255, or one of {', '.join(PROTOCOLS)}"
        )
    return PROTOCOLS[text.lower()]


def _read_state(text: str) -> str:
    if text.upper() not in STATES:
        raise UsageError(f'--state: "{text}" is no state', f"one of {', '.join(sorted(STATES))}")
    return text.upper()


def _read_mark(text: str) -> tuple[int | None, int]:
    if not text:
        return None, _MAX_MARK
    value, slash, mask = text.partition("/")
    try:
        read = int(value, 0), int(mask, 0) if slash else _MAX_MARK
    except ValueError as error:
        raise UsageError(f'--mark: "{text}" is no mark', "0x4000, 16384, 0x4000/0x4000") from error
    if not all(0 <= each <= _MAX_MARK for each in read):
        raise UsageError(f'--mark: "{text}" does not fit into 32 bits')
    return read
