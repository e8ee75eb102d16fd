"""Give the entries of a service map their names: Services by the rules, by hash or by the API, backends by pod."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

import msgspec

from netinspect.analyze.address_book import AddressBook, build_address_book
from netinspect.analyze.rules.join import group_same, join_branches
from netinspect.analyze.service_map.chain_names import ServicePortName, hash_in_chain, names_by_hash
from netinspect.models.address import Address, address_key, parse_address
from netinspect.models.address_owner import AddressOwner, OwnerKind
from netinspect.models.cluster_state import ClusterState
from netinspect.models.fact import Known
from netinspect.models.kubernetes import Service, ServicePort
from netinspect.models.link import Link
from netinspect.models.service_map import Backend, Branch, Destination, Hook, MapEntry, ServiceMap
from netinspect.models.service_rules import NamedBackend, NamedBranch, NamedBy, Role, ServiceRules

_Key: TypeAlias = tuple[Address | None, str, int]
DestinationOwner: TypeAlias = tuple[ServicePortName, Role]


class ServiceNames(msgspec.Struct, frozen=True, kw_only=True):
    """What the API knows of Services' destinations.

    Attributes:
        destinations: by address (None for a node port), protocol and port, whose it is. A ClusterIP is never shared;
            of several that share another address and port, the first by name.
        by_hash: by the hash of iptables chains, whose it is.
        endpoints: by namespace, Service and address, the pod that an EndpointSlice names for it.
        book: whose an address is.
    """

    destinations: Mapping[_Key, DestinationOwner]
    by_hash: Mapping[str, ServicePortName]
    endpoints: Mapping[tuple[str, str, Address], AddressOwner]
    book: AddressBook


def build_service_names(
    state: ClusterState, links: Mapping[str, Iterable[Link]] | None = None
) -> ServiceNames:
    """Collect what the API says; lists that could not be read name nothing.

    Args:
        state: what the API says.
        links: by node, the links of its own netns: their addresses take node ports.
    """
    services = state.services.value if isinstance(state.services, Known) else ()
    ordered = sorted(services, key=lambda each: (each.metadata.namespace, each.metadata.name))
    owned: dict[_Key, DestinationOwner] = {}
    for key, owner in _order_roles(pair for each in ordered for pair in _destinations(each)):
        owned.setdefault(key, owner)
    ports = (_port_name(service, port) for service in ordered for port in service.spec.ports)
    return ServiceNames(
        destinations=owned,
        by_hash=names_by_hash(ports),
        endpoints=dict(_endpoints(state)),
        book=build_address_book(state, links),
    )


def find_destination_owner(destination: Destination, names: ServiceNames) -> DestinationOwner | None:
    """Return whose a destination is by the API, and which way in it is; None where no Service has it."""
    key = (destination.address, destination.protocol, destination.port)
    found = names.destinations.get(key)
    if found is not None or destination.address is None:
        return found
    if names.book.owner(destination.address).kind not in (OwnerKind.NODE, OwnerKind.LOOPBACK):
        return None
    # A node port that the rules name address by address.
    return names.destinations.get((None, destination.protocol, destination.port))


def find_backend_owner(
    address: Address, service: ServicePortName | None, names: ServiceNames
) -> AddressOwner:
    """Return whose a backend's address is, the backend being one of the Service's (None: not known whose)."""
    owner = names.book.owner(address)
    if owner.kind is OwnerKind.POD or service is None:
        return owner
    # A hostNetwork pod bears its node's address; only its Service's slices tell.
    return names.endpoints.get((service.namespace, service.service, address), owner)


def name_rules(service_map: ServiceMap, names: ServiceNames) -> tuple[ServiceRules, ...]:
    """Name all entries of a node's map, those of one destination at two hooks as one where the same happens."""
    grouped: dict[Destination, list[MapEntry]] = {}
    for entry in service_map.entries:
        grouped.setdefault(entry.destination, []).append(entry)
    named = (
        _name(service_map, entries, names)
        for of_destination in grouped.values()
        for entries in group_same(of_destination)
    )
    return tuple(sorted(named, key=_order))


def _name(service_map: ServiceMap, entries: Sequence[MapEntry], names: ServiceNames) -> ServiceRules:
    destination = entries[0].destination
    by_api = find_destination_owner(destination, names)
    named_by, name = _find_name(entries, by_api, names)
    branches = join_branches(entries, service_map.family)
    return ServiceRules(
        node=service_map.node,
        family=service_map.family,
        mode=service_map.mode,
        namespace=name.namespace if name else "",
        service=name.service if name else "",
        port_name=name.port_name if name else "",
        named_by=named_by,
        role=by_api[1] if by_api else Role.UNKNOWN,
        destination=destination,
        hooks=tuple(entry.hook for entry in entries),
        branches=tuple(_name_branch(each, name, names) for each in branches),
    )


def _find_name(
    entries: Sequence[MapEntry], by_api: DestinationOwner | None, names: ServiceNames
) -> tuple[NamedBy, ServicePortName | None]:
    said = next((entry.service for entry in entries if entry.service), "")
    protocol = entries[0].destination.protocol
    if (name := _read_name(said, protocol)) is not None:
        return NamedBy.RULES, name
    for chain in _chains(entries):
        found = names.by_hash.get(hash_in_chain(chain) or "")
        if found is not None:
            return NamedBy.HASH, found
    return (NamedBy.API, by_api[0]) if by_api else (NamedBy.NOTHING, None)


def _read_name(text: str, protocol: str) -> ServicePortName | None:
    namespace, slash, rest = text.partition("/")
    if not slash:
        return None
    service, _, port_name = rest.partition(":")
    return ServicePortName(namespace=namespace, service=service, port_name=port_name, protocol=protocol)


def _chains(entries: Sequence[MapEntry]) -> Iterator[str]:
    """Yield the names of chains, as far as the rules that were walked lie in them (`nat KUBE-SVC-X`)."""
    for entry in entries:
        for branch in entry.branches:
            for rule in (*branch.rules, *(rule for each in branch.backends for rule in each.rules)):
                yield rule.where.rpartition(" ")[2]


def _name_branch(branch: Branch, service: ServicePortName | None, names: ServiceNames) -> NamedBranch:
    fields = {name: getattr(branch, name) for name in branch.__struct_fields__}
    fields["backends"] = tuple(_name_backend(each, service, names) for each in branch.backends)
    return NamedBranch(**fields)


def _name_backend(backend: Backend, service: ServicePortName | None, names: ServiceNames) -> NamedBackend:
    fields = {name: getattr(backend, name) for name in backend.__struct_fields__}
    return NamedBackend(**fields, owner=find_backend_owner(backend.address, service, names))


def _endpoints(state: ClusterState) -> Iterator[tuple[tuple[str, str, Address], AddressOwner]]:
    for slice_ in state.slices.value if isinstance(state.slices, Known) else ():
        for endpoint in slice_.endpoints:
            target = endpoint.target_ref
            if target is None or target.kind != "Pod":
                continue
            owner = AddressOwner(
                kind=OwnerKind.POD,
                namespace=target.namespace or slice_.metadata.namespace,
                name=target.name,
                node=endpoint.node_name,
            )
            for text in endpoint.addresses:
                with suppress(ValueError):  # a slice of host names (FQDN)
                    yield (slice_.metadata.namespace, slice_.service_name, parse_address(text)), owner


def _order(rules: ServiceRules) -> tuple[object, ...]:
    """Named ones by name, then the others; of one Service in the order of ways in."""
    address = rules.destination.address
    return (
        not rules.service,
        rules.namespace,
        rules.service,
        tuple(Role).index(rules.role),
        address_key(address) if address is not None else (0, 0),
        rules.destination.port,
        rules.destination.protocol,
        tuple(Hook).index(rules.hooks[0]),
    )


def _port_name(service: Service, port: ServicePort) -> ServicePortName:
    return ServicePortName(
        namespace=service.metadata.namespace,
        service=service.metadata.name,
        port_name=port.name,
        protocol=port.protocol.lower(),
    )


def _destinations(service: Service) -> Iterator[tuple[_Key, DestinationOwner]]:
    """Yield all destinations of a Service."""
    addresses = tuple(_addresses(service))
    for port in service.spec.ports:
        name, protocol = _port_name(service, port), port.protocol.lower()
        for address, role in addresses:
            yield (address, protocol, port.port), (name, role)
        if port.node_port:
            yield (None, protocol, port.node_port), (name, Role.NODE_PORT)
    if service.spec.health_check_node_port:
        name = ServicePortName(namespace=service.metadata.namespace, service=service.metadata.name)
        yield (None, "tcp", service.spec.health_check_node_port), (name, Role.HEALTH_CHECK)


def _addresses(service: Service) -> Iterator[tuple[Address, Role]]:
    texts = (
        *((each, Role.CLUSTER_IP) for each in service.spec.cluster_ips),
        *((each.ip, Role.LOAD_BALANCER) for each in service.status.load_balancer.ingress),
        *((each, Role.EXTERNAL_IP) for each in service.spec.external_ips),
    )
    for text, role in texts:
        with suppress(ValueError):  # "None", a load balancer's host name
            yield parse_address(text), role


def _order_roles(pairs: Iterable[tuple[_Key, DestinationOwner]]) -> list[tuple[_Key, DestinationOwner]]:
    """Put ClusterIPs first: where another Service claims one as its external IP, it stays its owner's."""
    return sorted(pairs, key=lambda pair: tuple(Role).index(pair[1][1]))
