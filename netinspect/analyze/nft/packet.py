"""The packet that walks through nft's rules: new, to a known destination, from anywhere.

What is known of it before the walk is `Packet`; what the rules do to it on the way is `State`.
"""

from __future__ import annotations

import msgspec

from netinspect.models.address import parse_address
from netinspect.models.service_map import Hook, RuleRef


class Packet(msgspec.Struct, kw_only=True):
    """A new packet.

    Attributes:
        family: 4 or 6.
        origin: the hook where it comes in: PREROUTING or OUTPUT.
        protocol: `tcp`, `udp`, `sctp`.
        port: its destination port.
        addresses: its destination: one address, or all local addresses that it may be (none where they are unknown).
        is_any: whether `addresses` are those that it may be; else there is exactly one.
        is_local: whether its destination is one of the node's own addresses.
        is_translated: whether its destination is translated already (POSTROUTING).
        excepted: networks that rules on the way excluded by name from the local addresses; filled by the walk.
        reads: how often rules looked at where it comes from or goes to; counted by the walk.
        keys: what concatenations of its headers are, by the expression's id; filled by the walk.
    """

    family: int
    origin: Hook
    protocol: str
    port: int
    addresses: tuple[str, ...]
    is_any: bool = False
    is_local: bool = False
    is_translated: bool = False
    excepted: set[str] = msgspec.field(default_factory=set)
    reads: int = 0
    keys: dict[int, object] = msgspec.field(default_factory=dict)


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a packet so far.

    Attributes:
        mark: its mark; None where a rule set it to what cannot be known.
        ct_mark: likewise of its connection.
        host_marks: other marks of packets from single hosts (hairpin), by host.
        is_early: whether conntrack has not seen it yet.
        is_tracked: False after a `notrack` that came before conntrack.
        link: the link that it has come in by, where that is known.
        lookups: affinity sets that were looked into, with the chain that a hit leads to.
        updates: affinity sets that the packet's source is put into: name, seconds, chain.
        filled: sets that something of the packet is put into, or taken out of, on the way: family, table, name.
        service: whose Service the rules say it is; empty as long as they do not.
        trail: rules that led here.
        undecided: what could not be judged.
    """

    mark: int | None = 0
    ct_mark: int | None = 0
    host_marks: tuple[tuple[str, int | None], ...] = ()
    is_early: bool = False
    is_tracked: bool = True
    link: str = ""
    lookups: tuple[tuple[str, str], ...] = ()
    updates: tuple[tuple[str, int, str], ...] = ()
    filled: tuple[tuple[str, str, str], ...] = ()
    service: str = ""
    trail: tuple[RuleRef, ...] = ()
    undecided: tuple[str, ...] = ()

    @property
    def has_connection(self) -> bool:
        """Whether conntrack knows it."""
        return self.is_tracked and not self.is_early

    @property
    def effects(self) -> tuple[object, ...]:
        """What later rules can see of it."""
        return (
            self.mark,
            self.ct_mark,
            self.host_marks,
            self.is_early,
            self.is_tracked,
            self.updates,
            self.filled,
        )


class SplitError(Exception):
    """Rules treat some of the addresses that a packet may go to differently: it must be asked about each part.

    Attributes:
        parts: the addresses, cut up.
    """

    def __init__(self, parts: tuple[tuple[str, ...], ...]) -> None:
        super().__init__("the node's addresses are not treated alike")
        self.parts = parts


def number_of(address: str) -> int:
    """Return an address as a number.

    Raises:
        ValueError: it is none.
    """
    return int(parse_address(address))
