"""Which rules and virtual servers of nodes a target means."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from ipaddress import ip_network

from netinspect.analyze.rules.target import RuleTarget
from netinspect.models.address import Address
from netinspect.models.ipvs_listing import ListedVirtualServer
from netinspect.models.service_rules import Role, ServiceRules

_OF_SERVICES = (Role.CLUSTER_IP, Role.LOAD_BALANCER, Role.EXTERNAL_IP)
"""Ways in at addresses that are a Service's and no node's."""


def choose_rules(
    items: Iterable[ServiceRules],
    targets: Sequence[RuleTarget],
    namespace: str,
    local: Mapping[str, Collection[Address]],
) -> tuple[ServiceRules, ...]:
    """Return what one of the targets means, in its order; without targets all of the namespace (`""`: everything).

    Args:
        items: rules of any nodes.
        targets: what was named.
        namespace: where Services are looked for.
        local: by node, its own addresses: only there are node ports taken.
    """
    if not targets:
        return tuple(each for each in items if not namespace or each.namespace == namespace)
    return tuple(
        each
        for each in items
        if any(are_rules_meant(each, target, namespace, local.get(each.node, ())) for target in targets)
    )


def choose_virtual_servers(
    items: Iterable[ListedVirtualServer], targets: Sequence[RuleTarget], namespace: str
) -> tuple[ListedVirtualServer, ...]:
    """Return the virtual servers that one of the targets means, as `choose_rules` does."""
    if not targets:
        return tuple(each for each in items if not namespace or each.namespace == namespace)
    return tuple(each for each in items if any(is_server_meant(each, one, namespace) for one in targets))


def is_server_meant(server: ListedVirtualServer, target: RuleTarget, namespace: str) -> bool:
    """Whether a target means a virtual server."""
    address = server.address
    if target.protocol and target.protocol != address.protocol:
        return False
    if target.service:
        is_named = server.service == target.service and server.namespace == namespace
        return is_named and target.names_port(server.port_name, address.port)
    if target.is_node_port:
        return target.port == address.port and server.role not in _OF_SERVICES
    # Port 0 takes every port.
    return address.address == target.address and (not address.port or target.port in (None, address.port))


def are_rules_meant(
    rules: ServiceRules, target: RuleTarget, namespace: str, local: Collection[Address]
) -> bool:
    """Whether a target means what a node does with one destination.

    Args:
        rules: of one node.
        target: what was named.
        namespace: where Services are looked for.
        local: the node's own addresses.
    """
    destination = rules.destination
    if target.protocol and target.protocol != destination.protocol:
        return False
    if target.service:
        is_named = rules.service == target.service and rules.namespace == namespace
        return is_named and target.names_port(rules.port_name, destination.port)
    if target.address is None:
        return target.port == destination.port and rules.role not in _OF_SERVICES
    if destination.address is not None:
        return destination.address == target.address and target.port in (None, destination.port)
    # An address without a port asks for what the address has itself: not for all node ports.
    return target.port == destination.port and _is_taken(rules, target.address, local)


def _is_taken(rules: ServiceRules, address: Address, local: Collection[Address]) -> bool:
    """Whether an address is one of the node's at which it takes the node port."""
    return (
        address.version == rules.family
        and (address in local or address.is_loopback)
        and not any(_is_in(address, network) for network in rules.destination.except_)
    )


def _is_in(address: Address, network: str) -> bool:
    read = ip_network(network)
    return read.version == address.version and address in read
