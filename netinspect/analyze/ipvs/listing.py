"""Join virtual servers with what went through them, with Services and with pods."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from netinspect.analyze.rules.service_rules import (
    DestinationOwner,
    ServiceNames,
    find_backend_owner,
    find_destination_owner,
)
from netinspect.analyze.service_map.chain_names import ServicePortName
from netinspect.models.address import Address
from netinspect.models.ipvs import ServiceAddress, Traffic, VirtualServer, VirtualServerTraffic
from netinspect.models.ipvs_listing import ListedRealServer, ListedVirtualServer
from netinspect.models.service_map import Destination
from netinspect.models.service_rules import Role

_RealKey = tuple[ServiceAddress, Address, int]


def list_virtual_servers(
    node: str,
    servers: Iterable[VirtualServer],
    names: ServiceNames,
    *,
    traffic: Sequence[VirtualServerTraffic] = (),
    local: Collection[Address] | None = None,
) -> Iterator[ListedVirtualServer]:
    """Yield virtual servers with names, in the order of ipvsadm.

    Args:
        node: the node's name.
        servers: `ipvsadm -Sn` or `-Ln`.
        names: what the API says.
        traffic: `ipvsadm -Ln --stats` or `--rate`. A server that came or went between the two listings has none.
        local: the node's own addresses; None where they could not be read.
    """
    of_virtual = {each.service: each.traffic for each in traffic}
    of_real: dict[_RealKey, Traffic] = {
        (virtual.service, real.address, real.port): real.traffic
        for virtual in traffic
        for real in virtual.real_servers
    }
    for server in servers:
        owner = _find_owner(server.service, names)
        name = owner[0] if owner else None
        yield ListedVirtualServer(
            node=node,
            namespace=name.namespace if name else "",
            service=name.service if name else "",
            port_name=name.port_name if name else "",
            role=owner[1] if owner else Role.UNKNOWN,
            address=server.service,
            scheduler=",".join((server.scheduler, *server.scheduler_flags)),
            persistence_s=server.persistence_s,
            is_one_packet=server.is_one_packet,
            is_bound=_is_bound(server.service, local),
            traffic=of_virtual.get(server.service),
            real_servers=tuple(_list_real_servers(server, name, names, of_real)),
        )


def _list_real_servers(
    server: VirtualServer,
    service: ServicePortName | None,
    names: ServiceNames,
    traffic: Mapping[_RealKey, Traffic],
) -> Iterator[ListedRealServer]:
    for real in server.real_servers:
        fields = {name: getattr(real, name) for name in real.__struct_fields__}
        yield ListedRealServer(
            **fields,
            owner=find_backend_owner(real.address, service, names),
            traffic=traffic.get((server.service, real.address, real.port)),
        )


def _find_owner(address: ServiceAddress, names: ServiceNames) -> DestinationOwner | None:
    if address.address is None or address.protocol is None or not address.port:
        return None  # a firewall mark, or every port of an address
    destination = Destination(address=address.address, protocol=address.protocol, port=address.port)
    return find_destination_owner(destination, names)


def _is_bound(address: ServiceAddress, local: Collection[Address] | None) -> bool | None:
    if local is None or address.address is None:
        return None
    return address.address in local
