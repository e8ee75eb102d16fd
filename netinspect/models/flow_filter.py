"""Which flows are meant, in conntrack-tools' own words."""

from __future__ import annotations

import ipaddress
from typing import TypeAlias

import msgspec

from netinspect.models.address import Address

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class FlowFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Conditions on a flow; all that are given must hold, and of one that has several values, any.

    Attributes:
        addresses: exact addresses, one of which must stand in any of the four positions (the flows of a pod).
        src: networks that the source of the original tuple is in.
        dst: networks that the destination of the original tuple is in.
        sport: source port of the original tuple.
        dport: destination port of the original tuple.
        protocols: protocol numbers (IANA).
        states: states of the protocol (`ESTABLISHED`), or `UNREPLIED`, `ASSURED`, `OFFLOAD`, in upper case.
        zone: conntrack zone, of both directions or of one.
        mark: connection mark.
        mark_mask: the bits of the mark that count.
    """

    addresses: frozenset[Address] = frozenset()
    src: tuple[Network, ...] = ()
    dst: tuple[Network, ...] = ()
    sport: int | None = None
    dport: int | None = None
    protocols: frozenset[int] = frozenset()
    states: frozenset[str] = frozenset()
    zone: int | None = None
    mark: int | None = None
    mark_mask: int = 0xFFFFFFFF
