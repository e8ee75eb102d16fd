"""Where a kube-proxy runs: what it takes for the node's own address, for pods' traffic, and where it offers node ports.

Sources: kubernetes 1.36, cmd/kube-proxy/app/server.go (detectNodeIPs, newProxyServer: `primary`),
cmd/kube-proxy/app/server_linux.go (getLocalDetectors), pkg/util/node/node.go (GetNodeHostIPs),
pkg/proxy/util/nodeport_addresses.go (NewNodePortAddresses, GetNodeIPs), pkg/proxy/util/localdetector.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import msgspec

from netinspect.analyze.expected.mode_traits import ModeTraits
from netinspect.analyze.sloppy_address import parse_network_sloppy, parse_sloppy
from netinspect.models.address import Address, address_key
from netinspect.models.kubernetes import Node
from netinspect.models.proxy_config import PRIMARY, LocalMode, ProxyConfig
from netinspect.models.service_map import SourceCondition, SourceKind

LOOPBACK = {4: "127.0.0.0/8", 6: "::1/128"}
_NOT_TOLD = {4: "127.0.0.1", 6: "::1"}


class ProxyPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how a kube-proxy runs, in one family.

    Attributes:
        family: 4 or 6.
        node_ip: the node's primary address; a loopback one where the node has none.
        pods: what tells the node's pods' traffic (or all pods'); None where nothing does.
        node_port_networks: node ports are offered at the node's addresses in these; empty is at all.
        addresses: the node's addresses; in IPVS mode without those of `kube-ipvs0`.
        local_endpoints: address, port and protocol of each endpoint on the node that any Service uses.
        config: kube-proxy's settings.
        traits: what its mode and version do.
    """

    family: int
    node_ip: Address
    pods: SourceCondition | None
    node_port_networks: tuple[str, ...]
    addresses: tuple[Address, ...]
    local_endpoints: frozenset[tuple[Address, int, str]] = frozenset()
    config: ProxyConfig
    traits: ModeTraits

    @property
    def loopback(self) -> str:
        """The family's loopback network."""
        return LOOPBACK[self.family]

    @property
    def has_loopback(self) -> bool:
        """Whether node ports are offered at loopback addresses."""
        is_offered = self.config.localhost_node_ports and self.family == 4
        return is_offered and self.traits.node_ports_at_loopback

    @property
    def node_port_addresses(self) -> tuple[Address, ...]:
        """The node's addresses at which node ports are offered, where they are named one by one."""
        networks = [ip_network(each) for each in self.node_port_networks]
        own = (each for each in self.addresses if self.has_loopback or not each.is_loopback)
        if not networks:
            return tuple(each for each in own if not (each.version == 6 and each.is_link_local))
        return tuple(each for each in own if any(each in network for network in networks))


def build_place(
    node: Node, family: int, config: ProxyConfig, traits: ModeTraits, addresses: Iterable[Address]
) -> ProxyPlace:
    """Return where a node's kube-proxy stands."""
    node_ips = _node_ips(node, config, traits)
    own = {each for each in addresses if each.version == family}
    return ProxyPlace(
        family=family,
        node_ip=node_ips[family],
        pods=_local_detector(node, family, config),
        node_port_networks=_node_port_networks(family, config, traits, node_ips),
        addresses=tuple(sorted(own, key=address_key)),
        config=config,
        traits=traits,
    )


def _local_detector(node: Node, family: int, config: ProxyConfig) -> SourceCondition | None:
    mode = config.detect_local_mode
    if mode is LocalMode.BRIDGE_INTERFACE:
        return SourceCondition(kind=SourceKind.LINK, values=(config.bridge_interface,))
    if mode is LocalMode.INTERFACE_NAME_PREFIX:
        return SourceCondition(kind=SourceKind.LINK, values=(f"{config.interface_name_prefix}+",))
    networks = config.cluster_cidrs if mode is LocalMode.CLUSTER_CIDR else node.spec.pod_cidrs
    own = _of_family(networks, family)
    return SourceCondition(kind=SourceKind.NETWORK, values=(str(own[0]),)) if own else None


def _of_family(texts: Iterable[str], family: int) -> list[IPv4Network | IPv6Network]:
    networks = []
    for text in texts:
        with suppress(ValueError):
            networks.append(parse_network_sloppy(text))
    return [each for each in networks if each.version == family]


def _node_ips(node: Node, config: ProxyConfig, traits: ModeTraits) -> dict[int, Address]:
    """Return the node's primary address of each family: an InternalIP before an ExternalIP, in the API's order."""
    found: dict[int, Address] = {}
    for kind in ("InternalIP", "ExternalIP"):
        for each in node.status.addresses:
            if each.type == kind:
                with suppress(ValueError):
                    address = parse_sloppy(each.address)
                    found.setdefault(address.version, address)
    with suppress(ValueError):
        bound = parse_sloppy(config.bind_address)
        if not bound.is_unspecified:
            found = {
                bound.version: bound,
                **{family: ip for family, ip in found.items() if family != bound.version},
            }
    known = list(found.items()) if traits.knows_both_node_ips else list(found.items())[:1]
    return {family: dict(known).get(family, ip_address(text)) for family, text in _NOT_TOLD.items()}


def _node_port_networks(
    family: int, config: ProxyConfig, traits: ModeTraits, node_ips: dict[int, Address]
) -> tuple[str, ...]:
    """Return the networks of one family; empty where node ports are offered at all addresses.

    That none of this family is told means all of this family, whatever is told of the other.
    """
    told = config.node_port_addresses or ((PRIMARY,) if traits.node_ports_at_primary else ())
    if told == (PRIMARY,):
        primary = node_ips[family]
        return () if primary.is_loopback else (str(ip_network(primary)),)
    networks = _of_family(told, family)
    return () if any(each.prefixlen == 0 for each in networks) else tuple(map(str, networks))
