"""How many entries of a connection tracking table belong to whom."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, TypeAlias

import msgspec

from netinspect.models.address import Address
from netinspect.models.address_owner import AddressOwner
from netinspect.models.bounded_counts import BoundedCounts
from netinspect.models.conntrack_limit import ConntrackSysctls
from netinspect.models.fact import Fact, Known
from netinspect.models.link import Link

ObjectName: TypeAlias = tuple[str, str]
"""Namespace and name of an object."""


class GroupBy(StrEnum):
    """What entries are counted by.

    POD: the pods that one of the entry's four addresses belongs to. SERVICE: that of the original destination, by
    address, protocol and port. PEER: the addresses in it that the API did not know when the counting began. STATE:
    protocol and state. PROTOCOL: family and protocol.
    """

    POD = "pod"
    SERVICE = "service"
    PEER = "peer"
    STATE = "state"
    PROTOCOL = "protocol"


class RoleCount(NamedTuple):
    """Entries of a pod, each counted once however many of its addresses are the pod's.

    Attributes:
        entries: all.
        as_client: those in which the pod asks: it is the original source, or where answers go.
        as_backend: those in which it is asked: it is the original destination, or where answers come from. A pod that
            speaks to itself through a Service is both.
    """

    entries: int
    as_client: int
    as_backend: int


class Kind(NamedTuple):
    """What an entry is.

    Attributes:
        family: 4 or 6.
        protocol: its name as the tool prints it.
        number: its number (IANA).
        state: the protocol's state; empty where it has none.
        unreplied: not empty if no packet was seen in the reply direction.
    """

    family: int
    protocol: bytes
    number: bytes
    state: bytes
    unreplied: bytes


class Talk(NamedTuple):
    """The TCP connections of one pod to one place.

    Attributes:
        client: the pod.
        dst: address that it asks for, before any translation, in canonical spelling.
        dport: port that it asks for.
    """

    client: ObjectName
    dst: bytes
    dport: bytes


class FlowTally(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted in one listing of one family.

    Attributes:
        entries: entries in the listing.
        counted: those that were meant; all the rest counts these.
        pods: by name, exact.
        services: by name, exact: the Services whose address, protocol and port, or node port, is the original
            destination. An entry to a Service's address at none of its ports (ICMP has none) counts for no Service; nor
            is that address a peer.
        peers: by canonical text of the address: addresses that no pod, node or Service had when the counting began.
        kinds: by what they are.
        waiting: TCP connections whose first packet was not answered (SYN_SENT and UNREPLIED).
        established: TCP connections that are or were established, to places that `waiting` has.
        shown: how many entries the tool says to have printed, those included that a filter on the node kept back.
        unread: lines that are no entry.
        unread_lines: the first of these.
    """

    entries: int
    counted: int
    pods: dict[ObjectName, RoleCount]
    services: dict[ObjectName, int]
    peers: BoundedCounts[bytes]
    kinds: BoundedCounts[Kind]
    waiting: BoundedCounts[Talk]
    established: BoundedCounts[Talk]
    shown: int | None = None
    unread: int = 0
    unread_lines: tuple[str, ...] = ()


class FlowSample(msgspec.Struct, frozen=True, kw_only=True):
    """One listing of the table, counted.

    Attributes:
        ipv4: the IPv4 entries.
        ipv6: the IPv6 entries.
        start_s: when it began, in seconds since the node's boot.
    """

    ipv4: Fact[FlowTally]
    ipv6: Fact[FlowTally]
    start_s: float = 0.0

    @property
    def facts(self) -> tuple[tuple[str, Fact[FlowTally]], ...]:
        """The families with their names."""
        return (("IPv4", self.ipv4), ("IPv6", self.ipv6))

    @property
    def tallies(self) -> tuple[FlowTally, ...]:
        """What is known."""
        return tuple(fact.value for _, fact in self.facts if isinstance(fact, Known))


class NodeCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What one trip brought of a node's table.

    Attributes:
        node: its name.
        links: the links of its own netns, whose addresses are the node's.
        size: its limit, and how many entries it has.
        samples: in the order taken.
        is_whole: whether the answer had its end mark.
    """

    node: str
    links: Fact[tuple[Link, ...]]
    size: Fact[ConntrackSysctls]
    samples: tuple[FlowSample, ...]
    is_whole: bool = True


class FlowGroup(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The entries that have something in common.

    Attributes:
        by: what they have in common.
        name: the group's name, as tables show it.
        entries: how many there are; at least so many where `entries_at_most` is there.
        entries_at_most: where the count is not exact: how many there are at most.
        as_client: of a pod: those in which it asks.
        as_backend: of a pod: those in which it is asked. An entry in which it does both is in both numbers.
        percent_of_table: of all entries of the node's table; left out where that is not known.
        percent_of_max: of nf_conntrack_max; left out where that could not be read.
        change: by how much `entries` grew between two listings.
        change_error: by how much the change may be wrong, up or down; left out where it is exact.
        per_second: the change, by the seconds between the listings.
        owner: the pod or Service; of a peer, what is known of it after the table was read.
        address: the peer's address.
        family: 4 or 6, where entries are counted by protocol.
        protocol: where entries are counted by protocol or state.
        state: the protocol's state, where it has one.
        unreplied: no packet was seen in the reply direction.
    """

    by: GroupBy
    name: str
    entries: int
    entries_at_most: int | None = None
    as_client: int | None = None
    as_backend: int | None = None
    percent_of_table: float | None = None
    percent_of_max: float | None = None
    change: int | None = None
    change_error: int | None = None
    per_second: float | None = None
    owner: AddressOwner | None = None
    address: Address | None = None
    family: int | None = None
    protocol: str = ""
    state: str = ""
    unreplied: bool = False


class TopOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which groups are listed.

    Attributes:
        by: the kinds, in the order of listing.
        limit: how many of each kind.
        by_growth: those that grew most, in place of the largest.
    """

    by: tuple[GroupBy, ...] = tuple(GroupBy)
    limit: int = 10
    by_growth: bool = False


class GroupsShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How much of one kind of groups is listed.

    Attributes:
        by: the kind.
        shown: groups that are listed.
        kept: groups that there are; at least so many where `folded` is there.
        folded: where not all groups could be kept: a group that is not listed has at most so many entries.
    """

    by: GroupBy
    shown: int
    kept: int
    folded: int | None = None


class NodeFlowCounts(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The entries of a node's table, by what they have in common.

    Attributes:
        node: its name.
        entries: entries that were counted.
        table: entries of the table, counted or not; left out where that is not known.
        max: nf_conntrack_max; left out where it could not be read.
        seconds: between the two listings; left out where there was one.
        change: by how much `entries` grew between them.
        groups: the groups, of each kind the largest first.
        listed: how many groups of each kind that are.
    """

    node: str
    entries: int
    table: int | None = None
    max: int | None = None
    seconds: float | None = None
    change: int | None = None
    groups: tuple[FlowGroup, ...] = ()
    listed: tuple[GroupsShown, ...] = ()
