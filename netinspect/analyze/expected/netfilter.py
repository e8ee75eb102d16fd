"""What kube-proxy's rules in iptables and in nftables mode do with a Service's port.

Both are written from the same plan; where they differ, `mode_traits` says so. Sources: kubernetes 1.36,
pkg/proxy/iptables/proxier.go (syncProxyRules, iptablesJumpChains) and pkg/proxy/nftables/proxier.go (setupNFTables,
syncProxyRules).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from netinspect.analyze.expected.branches import (
    Branches,
    canonical,
    entry,
    has_firewall,
    health_checks,
    masqueraded,
    negate,
    no_source,
    node_port_places,
    refusal,
    short_ways,
    to_backends,
)
from netinspect.analyze.expected.proxied_ports import ProxiedPort
from netinspect.analyze.expected.proxy_place import ProxyPlace
from netinspect.models.address import Address
from netinspect.models.service_map import Branch, Destination, Hook, MapEntry, Outcome

_HOOKS = (Hook.PREROUTING, Hook.OUTPUT)


def expect_netfilter(port: ProxiedPort, place: ProxyPlace) -> Iterator[MapEntry]:
    """Yield the entries of one Service port, also those that do nothing."""
    internal = _internal(port, place)
    for hook in _HOOKS:
        yield entry(hook, port, port.cluster_ip, port.port, internal)
        for address in port.external_ips:
            yield entry(hook, port, address, port.port, _external(port, place, hook, address))
        for address in port.load_balancer_ips:
            yield entry(hook, port, address, port.port, _load_balancer(port, place, hook, address))
        if port.node_port:
            yield from _node_ports(port, place, hook)
    yield from health_checks(port, place)


def _internal(port: ProxiedPort, place: ProxyPlace) -> Branches:
    """Return what happens to packets to the ClusterIP."""
    endpoints = port.internal
    if not endpoints:
        # iptables: filter KUBE-SERVICES is jumped to from FORWARD and OUTPUT. A ClusterIP is no local address.
        return refusal(port, place)
    if place.config.masquerade_all:
        return masqueraded(port, endpoints, place)
    plain = to_backends(port, endpoints, place)
    if place.pods is None:
        return (plain,)
    return (*masqueraded(port, endpoints, place, (negate(place.pods),)), plain)


def _external(port: ProxiedPort, place: ProxyPlace, hook: Hook, address: Address) -> Branches:
    """Return what happens to packets to an external address: chain KUBE-EXT, and what is behind it in filter."""
    refused = refusal(port, place) if not port.external and _is_refused(place, hook, address) else ()
    if hook is Hook.OUTPUT and place.traits.refuses_own_before_dnat and refused:
        return refused
    return _met((*_translation(port, place, hook), *refused))


def _is_refused(place: ProxyPlace, hook: Hook, address: Address) -> bool:
    # What the node sends to itself comes in again by `lo`, and meets INPUT there.
    return hook is Hook.PREROUTING or place.traits.refuses_own or address in place.addresses


def _met(branches: Branches) -> Branches:
    """Return branches up to the first one that takes every source."""
    for number, branch in enumerate(branches, 1):
        if not branch.when:
            return branches[:number]
    return branches


def _translation(port: ProxiedPort, place: ProxyPlace, hook: Hook) -> Branches:
    """Return where packets to an external address are sent; nothing for those that are not translated."""
    if not port.choice.has_any:
        return ()
    if not port.is_external_local:
        return masqueraded(port, port.external, place)
    short = short_ways(port, place)
    if hook is Hook.OUTPUT and place.traits.short_ways:
        return (*short, *masqueraded(port, port.choice.cluster, place))
    return (*short, to_backends(port, port.choice.local, place)) if port.choice.local else short


def _load_balancer(port: ProxiedPort, place: ProxyPlace, hook: Hook, address: Address) -> Branches:
    """Return what happens to packets to a load balancer's address: the source ranges stand before all else."""
    branches = _external(port, place, hook, address)
    if not has_firewall(port, place, hook):
        return branches
    ranges = list(port.source_ranges)
    if any(place.node_ip in ip_network(each) for each in ranges):
        # A node's packets to the address may come back to it with the address as source.
        ranges.extend(str(ip_network(each)) for each in port.load_balancer_ips)
    dropped = Branch(outcome=Outcome.DROP, when=(no_source(canonical(ranges)),))
    return (dropped, *branches)


def _node_ports(port: ProxiedPort, place: ProxyPlace, hook: Hook) -> Iterator[MapEntry]:
    """Yield the entries of a node port: where it is offered, and where it is only refused.

    It is refused at INPUT, where the node's own packets come to as well, by `lo`.
    """
    refused = () if port.external else refusal(port, place)
    is_refused_first = hook is Hook.OUTPUT and place.traits.refuses_own_to_node_ports
    offered = _met((*(refused if is_refused_first else ()), *_translation(port, place, hook), *refused))
    places = tuple(node_port_places(port, place))
    for destination in places:
        yield MapEntry(hook=hook, destination=destination, branches=offered, service=str(port.name))
    elsewhere = Destination(address=None, protocol=port.name.protocol, port=port.node_port)
    if place.traits.refuses_node_ports_anywhere and elsewhere not in places:
        yield MapEntry(hook=hook, destination=elsewhere, branches=refused, service=str(port.name))
