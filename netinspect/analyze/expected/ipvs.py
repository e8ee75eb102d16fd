"""What kube-proxy's IPVS mode does with a Service's port: virtual servers, and the few rules and sets around them.

Source: kubernetes 1.36, pkg/proxy/ipvs/proxier.go (syncProxyRules, syncEndpoint, writeIptablesRules,
ipsetWithIptablesChain, iptablesJumpChain) and pkg/proxy/ipvs/netlink_linux.go (GetAllLocalAddressesExcept).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_network

from netinspect.analyze.expected.branches import (
    ProxyPlace,
    canonical,
    health_check,
    negate,
    no_source,
    to_backends,
)
from netinspect.analyze.expected.endpoints_used import UsedEndpoint
from netinspect.analyze.expected.proxied_ports import ProxiedPort
from netinspect.models.address import Address
from netinspect.models.service_map import (
    Branch,
    Destination,
    Hook,
    MapEntry,
    Outcome,
    SourceCondition,
    SourceKind,
)

Branches = tuple[Branch, ...]
ClusterIps = Mapping[tuple[str, int], Sequence[Address]]
"""The ClusterIPs of all Services, by protocol and port: kube-proxy's set KUBE-CLUSTER-IP."""
_HOOKS = (Hook.PREROUTING, Hook.OUTPUT)


def expect_ipvs(port: ProxiedPort, place: ProxyPlace, cluster_ips: ClusterIps) -> Iterator[MapEntry]:
    """Yield the entries of one Service port.

    Args:
        port: the port.
        place: where kube-proxy runs.
        cluster_ips: of all Services.
    """
    external = _external(port, place, port.port, cluster_ips)
    internal = _internal(port, place, cluster_ips)
    for hook in _HOOKS:
        yield _entry(hook, port, port.cluster_ip, port.port, internal)
        for address in port.external_ips:
            yield _entry(hook, port, address, port.port, external)
        for address in port.load_balancer_ips:
            guarded = (*_firewall(port, place, hook, address), *external)
            yield _entry(hook, port, address, port.port, guarded)
        if port.node_port:
            branches = _external(port, place, port.node_port, cluster_ips)
            for address in _node_addresses(place):
                yield _entry(hook, port, address, port.node_port, branches)
    if port.health_check_port:
        for protocol in place.traits.health_check_protocols:
            yield health_check(port, protocol)


def _entry(hook: Hook, port: ProxiedPort, address: Address, number: int, branches: Branches) -> MapEntry:
    destination = Destination(address=address, protocol=port.name.protocol, port=number)
    return MapEntry(hook=hook, destination=destination, branches=branches, service=str(port.name))


def _internal(port: ProxiedPort, place: ProxyPlace, cluster_ips: ClusterIps) -> Branches:
    endpoints = port.internal or port.choice.cluster
    if not endpoints:
        return (Branch(outcome=Outcome.NO_DESTINATION),)
    if place.config.masquerade_all:
        return (_loopback(port, place, endpoints), to_backends(port, endpoints, place, masquerade=True))
    if place.pods is None:
        masqueraded = _from_cluster_ips(port, place, endpoints, port.port, cluster_ips)
    else:
        masqueraded = (to_backends(port, endpoints, place, masquerade=True, when=(negate(place.pods),)),)
    return (_loopback(port, place, endpoints), *masqueraded, to_backends(port, endpoints, place))


def _external(port: ProxiedPort, place: ProxyPlace, number: int, cluster_ips: ClusterIps) -> Branches:
    """Return what happens to packets to a port of an external address: masqueraded unless the policy is Local."""
    endpoints = port.external or port.choice.cluster  # where there are no local ones, those of all nodes
    if not endpoints:
        return (Branch(outcome=Outcome.NO_DESTINATION),)
    if port.is_external_local:
        own = _from_cluster_ips(port, place, endpoints, number, cluster_ips)
        return (*own, to_backends(port, endpoints, place))
    return _loopback(port, place, endpoints), to_backends(port, endpoints, place, masquerade=True)


def _from_cluster_ips(
    port: ProxiedPort,
    place: ProxyPlace,
    endpoints: Sequence[UsedEndpoint],
    number: int,
    cluster_ips: ClusterIps,
) -> Branches:
    """Return the branch of packets that the node sends with a ClusterIP as source: all of these are on kube-ipvs0.

    Where nothing tells pods' traffic, these are masqueraded instead of what comes from elsewhere. The rule asks for
    the port that they are sent to, and not for the address.
    """
    own = cluster_ips.get((port.name.protocol, number), ())
    if place.config.masquerade_all or place.pods is not None or not own:
        return ()
    values = canonical(str(ip_network(each)) for each in own)
    when = SourceCondition(kind=SourceKind.NETWORK, values=values)
    return (to_backends(port, endpoints, place, masquerade=True, when=(when,)),)


def _loopback(port: ProxiedPort, place: ProxyPlace, endpoints: Sequence[UsedEndpoint]) -> Branch:
    """Return the branch of packets from loopback addresses, which return from KUBE-SERVICES at once."""
    source = SourceCondition(kind=SourceKind.NETWORK, values=(place.loopback,))
    return to_backends(port, endpoints, place, when=(source,))


def _firewall(port: ProxiedPort, place: ProxyPlace, hook: Hook, address: Address) -> Branches:
    """Return what the source ranges keep from a load balancer's address."""
    if not port.source_ranges:
        return ()
    own = str(ip_network(address))
    is_node_in = any(place.node_ip in ip_network(each) for each in port.source_ranges)
    if hook is Hook.PREROUTING:
        allowed = (*port.source_ranges, own) if is_node_in else port.source_ranges
        return (Branch(outcome=Outcome.DROP, when=(no_source(allowed),)),)
    if is_node_in:
        return ()
    # The node's own packets to the address have it as source, which stands in no range.
    source = SourceCondition(kind=SourceKind.NETWORK, values=(own,))
    return (Branch(outcome=Outcome.DROP, when=(source,)),)


def _node_addresses(place: ProxyPlace) -> tuple[Address, ...]:
    if place.node_port_networks:
        return place.node_port_addresses
    return tuple(each for each in place.node_port_addresses if not (each.version == 6 and each.is_link_local))
