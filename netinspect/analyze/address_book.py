"""Whose is this address? Pods, Services and nodes by their addresses, as the API gives them.

Exact addresses only. A hostNetwork pod bears its node's address and is not named for it; a completed pod's address may
be another pod's by now.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TypeAlias, TypeVar

import msgspec

from netinspect.models.address import Address, parse_address
from netinspect.models.address_owner import AddressOwner, OwnerKind
from netinspect.models.cluster_state import ClusterState
from netinspect.models.fact import Fact, Known
from netinspect.models.kubernetes import Node, Pod, Service
from netinspect.models.link import Link

T = TypeVar("T")

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_UNKNOWN = AddressOwner(kind=OwnerKind.UNKNOWN)
_LOOPBACK = AddressOwner(kind=OwnerKind.LOOPBACK)


class AddressBook(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses and what stands behind them.

    Attributes:
        pods: by address.
        nodes: by address, those of their links included, where these are known.
        services: by address.
        ports: by address, protocol (`tcp`) and port, the Service with its port's name.
        node_ports: by protocol and port.
        pod_ranges: the nodes' pod ranges (spec.podCIDRs).
        has_pods: whether the list of pods could be read: only then has an address of a pod range no pod.
        is_whole: whether pods, Services and nodes could be read: only then is a stranger's address external.
    """

    pods: dict[Address, AddressOwner]
    nodes: dict[Address, AddressOwner]
    services: dict[Address, AddressOwner]
    ports: dict[tuple[Address, str, int], AddressOwner]
    node_ports: dict[tuple[str, int], AddressOwner]
    pod_ranges: tuple[tuple[Network, str], ...]
    has_pods: bool
    is_whole: bool

    def owner(self, address: Address) -> AddressOwner:
        """Return whose the address is."""
        found = self.pods.get(address) or self.nodes.get(address) or self.services.get(address)
        return found if found is not None else self._stranger(address)

    def destination(self, address: Address, protocol: str, port: int | None) -> AddressOwner:
        """Return who is reached at an address and port: the Service's port, a node port, else the address' owner."""
        if port is not None:
            service = self.ports.get((address, protocol, port))
            if service is not None:
                return service
            # kube-proxy's iptables mode takes node ports on loopback, too (route_localnet).
            is_node = address in self.nodes or address.is_loopback
            if is_node and (node_port := self.node_ports.get((protocol, port))):
                return node_port
        return self.owner(address)

    def _stranger(self, address: Address) -> AddressOwner:
        if address.is_loopback:
            return _LOOPBACK
        if self.has_pods:
            for network, node in self.pod_ranges:
                if address.version == network.version and address in network:
                    return AddressOwner(kind=OwnerKind.GONE, node=node)
        if not self.is_whole:
            return _UNKNOWN
        return AddressOwner(kind=OwnerKind.EXTERNAL, detail=_reach(address))


def build_address_book(state: ClusterState, links: Mapping[str, Iterable[Link]] | None = None) -> AddressBook:
    """Collect the addresses of a cluster.

    Args:
        state: what the API says.
        links: by node, the links of its own netns: bridges and tunnels bear addresses that the API does not know.
    """
    services = _known(state.services)
    nodes = _known(state.nodes)
    by_service = {address: _service(each) for each in services for address in service_addresses(each)}
    # A load balancer's or external IP can be a node's own address: then it is the node's. But a Service's address on a
    # node's link (kube-ipvs0 has them all, nodelocaldns that of the DNS Service) stays the Service's.
    of_links = {each: owner for each, owner in _link_addresses(links or {}).items() if each not in by_service}
    return AddressBook(
        pods=_pods(_known(state.pods)),
        nodes={**of_links, **_node_addresses(nodes)},
        services=by_service,
        ports=_ports(services),
        node_ports=_node_ports(services),
        pod_ranges=_pod_ranges(nodes),
        has_pods=isinstance(state.pods, Known),
        is_whole=all(isinstance(each, Known) for each in (state.pods, state.services, state.nodes)),
    )


def join_address_books(before: AddressBook, after: AddressBook) -> AddressBook:
    """Join what the API said before and after a node was read: the later word counts, but nothing is forgotten.

    A pod that is gone by now may have been there when the node was read: its address is still its own, unless another
    has it.
    """
    return AddressBook(
        pods=before.pods | after.pods,
        nodes=before.nodes | after.nodes,
        services=before.services | after.services,
        ports=before.ports | after.ports,
        node_ports=before.node_ports | after.node_ports,
        pod_ranges=tuple(dict.fromkeys(after.pod_ranges + before.pod_ranges)),
        has_pods=before.has_pods and after.has_pods,
        is_whole=before.is_whole and after.is_whole,
    )


def service_addresses(service: Service) -> tuple[Address, ...]:
    """Return the addresses at which a Service takes packets: ClusterIPs, external IPs, load balancer addresses."""
    texts = (
        *service.spec.cluster_ips,
        *service.spec.external_ips,
        *(each.ip for each in service.status.load_balancer.ingress),
    )
    return tuple(_addresses(texts))


def _addresses(texts: Iterable[str]) -> Iterator[Address]:
    """Yield the addresses among what may be "None", empty, or written in a way that older API servers let pass."""
    for text in texts:
        with suppress(ValueError):
            yield parse_address(text)


def _reach(address: Address) -> str:
    """Say how far an address reaches, where that is not everywhere."""
    if address.is_multicast:
        return "multicast"
    if address.is_link_local:
        return "link-local"
    return "broadcast" if str(address) == "255.255.255.255" else ""


def _known(fact: Fact[tuple[T, ...]]) -> tuple[T, ...]:
    return fact.value if isinstance(fact, Known) else ()


def _pods(pods: Iterable[Pod]) -> dict[Address, AddressOwner]:
    bearers = [pod for pod in pods if not pod.spec.host_network and not pod.is_completed]
    # Where two bear one address, the one that stays, and of those the younger, is meant: it is written last.
    bearers.sort(key=lambda pod: (pod.metadata.deletion_timestamp is None, pod.metadata.creation_timestamp))
    return {address: _pod(pod) for pod in bearers for address in pod.addresses}


def _pod(pod: Pod) -> AddressOwner:
    meta = pod.metadata
    return AddressOwner(
        kind=OwnerKind.POD,
        namespace=meta.namespace,
        name=meta.name,
        node=pod.spec.node_name,
        detail="terminating" if meta.deletion_timestamp else "",
    )


def _node_addresses(nodes: Iterable[Node]) -> dict[Address, AddressOwner]:
    return {
        address: AddressOwner(kind=OwnerKind.NODE, name=node.metadata.name)
        for node in nodes
        for address in _addresses(
            each.address for each in node.status.addresses if each.type in ("InternalIP", "ExternalIP")
        )
    }


def _link_addresses(links: Mapping[str, Iterable[Link]]) -> dict[Address, AddressOwner]:
    return {
        entry.local: AddressOwner(kind=OwnerKind.NODE, name=node, detail=link.ifname)
        for node, own in links.items()
        for link in own
        for entry in link.addresses
        if not entry.local.is_loopback and not entry.local.is_link_local
    }


def _service(service: Service, port_name: str = "", detail: str = "") -> AddressOwner:
    meta = service.metadata
    return AddressOwner(
        kind=OwnerKind.SERVICE, namespace=meta.namespace, name=meta.name, port_name=port_name, detail=detail
    )


def _ports(services: Iterable[Service]) -> dict[tuple[Address, str, int], AddressOwner]:
    return {
        (address, port.protocol.lower(), port.port): _service(service, port.name)
        for service in services
        for address in service_addresses(service)
        for port in service.spec.ports
    }


def _node_ports(services: Iterable[Service]) -> dict[tuple[str, int], AddressOwner]:
    return {
        (port.protocol.lower(), port.node_port): _service(service, port.name, f"nodePort {port.node_port}")
        for service in services
        for port in service.spec.ports
        if port.node_port
    }


def _pod_ranges(nodes: Iterable[Node]) -> tuple[tuple[Network, str], ...]:
    found = []
    for node in nodes:
        for cidr in node.spec.pod_cidrs:
            with suppress(ValueError):
                found.append((ipaddress.ip_network(cidr, strict=False), node.metadata.name))
    return tuple(found)
