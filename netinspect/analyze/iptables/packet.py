"""The packet that walks through iptables rules: new, with a concrete destination and a source that is not known.

While it walks it notes what rules asked of it: where two packets agree in all that a chain asked, that chain does the
same to both, and has to be walked only once.
"""

from __future__ import annotations

from enum import IntFlag

import msgspec

from netinspect.analyze.service_map.packet_mark import Mark
from netinspect.models.address import Address
from netinspect.models.service_map import Hook


class Asked(IntFlag):
    """What rules may ask of a packet."""

    PROTOCOL = 1
    ADDRESS = 2
    PORT = 4
    LOCAL = 8
    HOOK = 16
    MARK = 32


_PROTOCOL, _ADDRESS, _PORT, _LOCAL, _HOOK, _MARK = (int(each) for each in Asked)


class Packet(msgspec.Struct, frozen=True, kw_only=True):
    """The first packet of a connection.

    Attributes:
        hook: PREROUTING or INPUT (it came in by a link, from anyone but the node), or OUTPUT (the node's own).
        family: 4 or 6.
        protocol: `tcp`, `udp`, `sctp`, or another as `/etc/protocols` has it.
        address: its destination; None is a local address that no rule names.
        port: its destination port.
        is_local: whether the destination is one of the node's addresses.
        is_translated: whether DNAT has happened on the way.
        is_back: whether it is one of the node's own that has left by `lo` and comes in again.
    """

    hook: Hook
    family: int
    protocol: str
    address: Address | None
    port: int
    is_local: bool
    is_translated: bool = False
    is_back: bool = False


class PacketView:
    """What rules see of a packet, and what they have asked so far."""

    __slots__ = ("_number", "asked", "is_own", "packet")

    def __init__(self, packet: Packet) -> None:
        self.packet = packet
        self.asked = 0
        self.is_own = packet.hook is Hook.OUTPUT
        self._number = -1 if packet.address is None else int(packet.address)

    @property
    def protocol(self) -> str:
        """The protocol's name."""
        self.asked |= _PROTOCOL
        return self.packet.protocol

    @property
    def number(self) -> int:
        """The destination as a number; -1 for a local address that no rule names."""
        self.asked |= _ADDRESS
        return self._number

    @property
    def address(self) -> Address | None:
        """The destination."""
        self.asked |= _ADDRESS
        return self.packet.address

    @property
    def port(self) -> int:
        """The destination port."""
        self.asked |= _PORT
        return self.packet.port

    @property
    def is_local(self) -> bool:
        """Whether the destination is one of the node's addresses."""
        self.asked |= _LOCAL
        return self.packet.is_local

    @property
    def has_link(self) -> bool:
        """Whether it came in by a link, so that its source is none of the node's addresses."""
        self.asked |= _HOOK
        return not self.is_own

    @property
    def is_back(self) -> bool:
        """Whether it is one of the node's own that has left by `lo` and comes in again."""
        self.asked |= _HOOK
        return self.packet.is_back

    @property
    def is_translated(self) -> bool:
        """Whether DNAT has happened."""
        self.asked |= _HOOK
        return self.packet.is_translated

    def key(self, asked: int, mark: Mark) -> tuple[object, ...]:
        """Return what a chain sees that asks so much: equal for two packets that it treats alike."""
        packet = self.packet
        return (
            asked,
            packet.protocol if asked & _PROTOCOL else None,
            self._number if asked & _ADDRESS else None,
            packet.port if asked & _PORT else None,
            packet.is_local if asked & _LOCAL else None,
            (self.is_own, packet.is_translated, packet.is_back) if asked & _HOOK else None,
            mark if asked & _MARK else None,
        )
