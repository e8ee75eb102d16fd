"""IPVS in the words of ipvsadm(8): virtual servers (service addresses), their real servers, and what went through them.

Source: ipvsadm 1.31, ipvsadm.c print_service_entry. What a listing does not print is None.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from netinspect.models.address import Address


class _IpvsStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A part of a virtual server; what was not printed is left out of JSON."""


class Forwarding(StrEnum):
    """How packets get to a real server.

    `ipvsadm -S` prints `-g` for ROUTE and for LOCAL: only `ipvsadm -L` tells them apart.
    """

    MASQ = "masq"
    """The destination is rewritten (NAT)."""
    ROUTE = "route"
    """Direct routing: the packet is sent on unchanged, to the real server's link address."""
    TUNNEL = "tunnel"
    """The packet is put into another."""
    LOCAL = "local"
    """The real server is an address of the node itself. Kernels of today do not set it: they leave what was asked."""


class Tunnel(_IpvsStruct, frozen=True, kw_only=True):
    """How a tunnel packs.

    Attributes:
        type: `ipip`, `gue` or `gre`.
        port: destination port, of `gue`.
        checksum: `nocsum`, `csum` or `remcsum`; None for `ipip`, which has none.
    """

    type: str
    port: int | None = None
    checksum: str | None = None


class ServiceAddress(_IpvsStruct, frozen=True, kw_only=True):
    """What makes a packet one of a virtual server's: its destination, or its firewall mark.

    Attributes:
        family: 4 or 6.
        protocol: `tcp`, `udp` or `sctp`; None with a mark.
        address: destination address; None with a mark.
        port: destination port; 0 is any port (only with persistence); None with a mark.
        fwmark: the mark that iptables or nft gave the packet; None with an address.
    """

    family: int
    protocol: str | None = None
    address: Address | None = None
    port: int | None = None
    fwmark: int | None = None


class RealServer(_IpvsStruct, frozen=True, kw_only=True):
    """Where a virtual server sends packets.

    Attributes:
        address: its address.
        port: its port; 0 (of a virtual server by mark) leaves the packet's.
        forwarding: how packets get there.
        weight: its part of new connections; 0 gets none, and keeps those that it has.
        tunnel: how a tunnel packs, as `ipvsadm -S` prints it.
        active_connections: connections in the state ESTABLISHED, as `ipvsadm -L` prints it.
        inactive_connections: connections in any other state.
        raw: the line.
    """

    address: Address
    port: int
    forwarding: Forwarding
    weight: int
    tunnel: Tunnel | None = None
    active_connections: int | None = None
    inactive_connections: int | None = None
    raw: str = ""


class VirtualServer(_IpvsStruct, frozen=True, kw_only=True):
    """One virtual server.

    Attributes:
        service: what packets are its.
        scheduler: its scheduler: `rr`, `wrr`, `lc`, `mh` ...
        scheduler_flags: of the scheduler: `sh-port`.
        persistence_s: for so many seconds a client comes to the same real server again; None without persistence.
        persistence_mask: clients are told apart by so much of their address: a dotted mask of IPv4, a prefix length
            of IPv6; None is the whole address.
        persistence_engine: what else tells clients apart: `sip`.
        is_one_packet: whether every packet (UDP) is scheduled anew.
        real_servers: in the order printed, which ipvsadm sorts by address and port.
        raw: the line.
    """

    service: ServiceAddress
    scheduler: str
    scheduler_flags: tuple[str, ...] = ()
    persistence_s: int | None = None
    persistence_mask: str | None = None
    persistence_engine: str | None = None
    is_one_packet: bool = False
    real_servers: tuple[RealServer, ...] = ()
    raw: str = ""


class Traffic(_IpvsStruct, frozen=True, kw_only=True):
    """What went through: since the counters began (`--stats`), or in one second (`--rate`); two seconds old at most.

    Attributes:
        connections: connections.
        in_packets: packets from clients.
        out_packets: packets to clients; those that do not come back by the node are not counted.
        in_bytes: bytes from clients.
        out_bytes: bytes to clients.
        is_rounded: whether one of them was printed as `123456K`: rounded down, to 1,000, 1,000,000 ... (without
            `--exact`, from 100,000,000 on).
    """

    connections: int
    in_packets: int
    out_packets: int
    in_bytes: int
    out_bytes: int
    is_rounded: bool = False


class RealServerTraffic(_IpvsStruct, frozen=True, kw_only=True):
    """What went through one real server."""

    address: Address
    port: int
    traffic: Traffic


class VirtualServerTraffic(_IpvsStruct, frozen=True, kw_only=True):
    """What went through one virtual server, and through each of its real servers."""

    service: ServiceAddress
    traffic: Traffic
    real_servers: tuple[RealServerTraffic, ...] = ()
