"""Virtual servers as a table: a row for each real server, and one for a virtual server without any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from netinspect.models.address import show_endpoint
from netinspect.models.address_owner import show_owner
from netinspect.models.ipvs import ServiceAddress, Traffic
from netinspect.models.ipvs_listing import ListedRealServer, ListedVirtualServer
from netinspect.render.table import Column


class ServerRow(msgspec.Struct, frozen=True):
    """A row: a real server, or (None) the virtual server itself: where it has none, and above its traffic."""

    virtual: ListedVirtualServer
    real: ListedRealServer | None


def rows_of(virtual: ListedVirtualServer) -> Iterator[ServerRow]:
    """Yield a row for each real server; where traffic was asked for, one of the virtual server before them."""
    if virtual.traffic is not None or not virtual.real_servers:
        yield ServerRow(virtual, None)
    yield from (ServerRow(virtual, real) for real in virtual.real_servers)


def name_of(virtual: ListedVirtualServer) -> str:
    """Return the name of the virtual server, as `-o name` prints it."""
    return f"virtual-server/{show_address(virtual.address)}"


def show_address(address: ServiceAddress) -> str:
    """Write what packets are a virtual server's: `10.96.0.10:53/udp`, `fwmark 5 (IPv6)`."""
    if address.address is None:
        return f"fwmark {address.fwmark} (IPv{address.family})"
    return f"{show_endpoint(address.address, address.port)}/{address.protocol}"


_WHAT: tuple[Column[ServerRow], ...] = (
    Column("NODE", lambda row: row.virtual.node),
    Column("SERVICE", lambda row: row.virtual.title),
    Column("TYPE", lambda row: row.virtual.role.value, is_wide=True),
    Column("VIRTUAL-SERVER", lambda row: show_address(row.virtual.address)),
    Column("SCHEDULER", lambda row: row.virtual.scheduler),
    Column("PERSISTENCE", lambda row: _persistence(row.virtual)),
    Column(
        "BOUND", lambda row: {None: "unknown", True: "yes", False: "no"}[row.virtual.is_bound], is_wide=True
    ),
    Column("REAL-SERVER", lambda row: show_endpoint(row.real.address, row.real.port) if row.real else ""),
    Column("OWNER", lambda row: _owner(row.real)),
    Column("FORWARDING", lambda row: row.real.forwarding.value if row.real else ""),
    Column("WEIGHT", lambda row: str(row.real.weight) if row.real else ""),
)

_CONNECTIONS: tuple[Column[ServerRow], ...] = (
    Column("ACTIVE", lambda row: _number(row.real.active_connections if row.real else None)),
    Column("INACTIVE", lambda row: _number(row.real.inactive_connections if row.real else None)),
)


def columns(*, stats: bool = False, rate: bool = False) -> Sequence[Column[ServerRow]]:
    """Return the columns: with ipvsadm's headers of `--stats` or `--rate`, or else with the connections of now."""
    if stats:
        headers = ("CONNS", "INPKTS", "OUTPKTS", "INBYTES", "OUTBYTES")
    elif rate:
        headers = ("CPS", "INPPS", "OUTPPS", "INBPS", "OUTBPS")
    else:
        return (*_WHAT, *_CONNECTIONS)
    fields = ("connections", "in_packets", "out_packets", "in_bytes", "out_bytes")
    return (*_WHAT, *(_traffic_column(*pair) for pair in zip(headers, fields, strict=True)))


def _traffic_column(header: str, field: str) -> Column[ServerRow]:
    def cell(row: ServerRow) -> str:
        traffic: Traffic | None = row.virtual.traffic if row.real is None else row.real.traffic
        return "" if traffic is None else str(getattr(traffic, field))

    return Column(header, cell)


def _persistence(virtual: ListedVirtualServer) -> str:
    return "" if virtual.persistence_s is None else f"{virtual.persistence_s}s"


def _owner(real: ListedRealServer | None) -> str:
    if real is None:
        return ""
    node = f" on {real.owner.node}" if real.owner.node else ""
    return f"{show_owner(real.owner)}{node}"


def _number(number: int | None) -> str:
    return "" if number is None else str(number)
