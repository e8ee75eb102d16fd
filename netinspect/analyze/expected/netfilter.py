"""What kube-proxy's rules in iptables and in nftables mode do with a Service's port.

Both are written from the same plan; where they differ, `mode_traits` says so. Sources: kubernetes 1.36,
pkg/proxy/iptables/proxier.go (syncProxyRules, iptablesJumpChains) and pkg/proxy/nftables/proxier.go (setupNFTables,
syncProxyRules).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from netinspect.analyze.expected.branches import (
    ProxyPlace,
    canonical,
    health_check,
    negate,
    no_source,
    to_backends,
)
from netinspect.analyze.expected.proxied_ports import ProxiedPort
from netinspect.models.address import Address
from netinspect.models.service_map import Branch, Destination, Hook, MapEntry, Outcome

Branches = tuple[Branch, ...]
_HOOKS = (Hook.PREROUTING, Hook.OUTPUT)


def expect_netfilter(port: ProxiedPort, place: ProxyPlace) -> Iterator[MapEntry]:
    """Yield the entries of one Service port, also those that do nothing."""
    internal = _internal(port, place)
    for hook in _HOOKS:
        yield _entry(hook, port, port.cluster_ip, port.port, internal)
        for address in port.external_ips:
            yield _entry(hook, port, address, port.port, _external(port, place, hook, address))
        for address in port.load_balancer_ips:
            yield _entry(hook, port, address, port.port, _load_balancer(port, place, hook, address))
        if port.node_port:
            yield from _node_ports(port, place, hook)
    if port.health_check_port and place.traits.opens_health_checks:
        for protocol in place.traits.health_check_protocols:
            yield health_check(port, protocol)


def _entry(
    hook: Hook, port: ProxiedPort, address: Address | None, number: int, branches: Branches
) -> MapEntry:
    destination = Destination(address=address, protocol=port.name.protocol, port=number)
    return MapEntry(hook=hook, destination=destination, branches=branches, service=str(port.name))


def _internal(port: ProxiedPort, place: ProxyPlace) -> Branches:
    """Return what happens to packets to the ClusterIP."""
    endpoints = port.internal
    if not endpoints:
        # iptables: filter KUBE-SERVICES is jumped to from FORWARD and OUTPUT. A ClusterIP is no local address.
        return _refusal(port)
    if place.config.masquerade_all:
        return (to_backends(port, endpoints, place, masquerade=True),)
    plain = to_backends(port, endpoints, place)
    if place.pods is None:
        return (plain,)
    return to_backends(port, endpoints, place, masquerade=True, when=(negate(place.pods),)), plain


def _external(port: ProxiedPort, place: ProxyPlace, hook: Hook, address: Address) -> Branches:
    """Return what happens to packets to an external address: chain KUBE-EXT, and what is behind it in filter."""
    refusal = _refusal(port) if not port.external and _is_refused(place, hook, address) else ()
    if hook is Hook.OUTPUT and place.traits.refuses_own_before_dnat and refusal:
        return refusal
    return _met((*_translation(port, place, hook), *refusal))


def _is_refused(place: ProxyPlace, hook: Hook, address: Address) -> bool:
    # What the node sends to itself comes in again by `lo`, and meets INPUT there.
    return hook is Hook.PREROUTING or place.traits.refuses_own or address in place.addresses


def _met(branches: Branches) -> Branches:
    """Return branches up to the first one that takes every source."""
    for number, branch in enumerate(branches, 1):
        if not branch.when:
            return branches[:number]
    return branches


def _refusal(port: ProxiedPort) -> Branches:
    return (Branch(outcome=Outcome.DROP if port.choice.has_any else Outcome.REJECT),)


def _translation(port: ProxiedPort, place: ProxyPlace, hook: Hook) -> Branches:
    """Return where packets to an external address are sent; nothing for those that are not translated."""
    if not port.choice.has_any:
        return ()
    if not port.is_external_local:
        return (to_backends(port, port.external, place, masquerade=True),)
    short = [] if place.pods is None else [to_backends(port, port.choice.cluster, place, when=(place.pods,))]
    if hook is Hook.OUTPUT:
        return (*short, to_backends(port, port.choice.cluster, place, masquerade=True))
    return (*short, to_backends(port, port.choice.local, place)) if port.choice.local else tuple(short)


def _load_balancer(port: ProxiedPort, place: ProxyPlace, hook: Hook, address: Address) -> Branches:
    """Return what happens to packets to a load balancer's address: the source ranges stand before all else."""
    branches = _external(port, place, hook, address)
    if not port.source_ranges or not _has_firewall(port, place, hook):
        return branches
    ranges = list(port.source_ranges)
    if any(place.node_ip in ip_network(each) for each in ranges):
        # A node's packets to the address may come back to it with the address as source.
        ranges.extend(str(ip_network(each)) for each in port.load_balancer_ips)
    dropped = Branch(outcome=Outcome.DROP, when=(no_source(canonical(ranges)),))
    return (dropped, *branches)


def _has_firewall(port: ProxiedPort, place: ProxyPlace, hook: Hook) -> bool:
    traits = place.traits
    if hook is Hook.PREROUTING and not traits.firewall_on_entry:
        return False
    is_refused_first = hook is Hook.OUTPUT and traits.refuses_own_before_dnat and not port.external
    return not is_refused_first and (port.choice.has_any or traits.firewall_without_endpoints)


def _node_ports(port: ProxiedPort, place: ProxyPlace, hook: Hook) -> Iterator[MapEntry]:
    """Yield the entries of a node port: where it is offered, and where it is only refused.

    It is refused at INPUT, where the node's own packets come to as well, by `lo`.
    """
    refused = () if port.external else _refusal(port)
    offered = _met((*_own_refusal(port, place, hook), *_translation(port, place, hook), *refused))
    elsewhere = refused if place.traits.refuses_node_ports_anywhere else ()
    if place.node_port_networks:
        for address in _offered_at(place):
            yield _entry(hook, port, address, port.node_port, offered)
        yield _entry(hook, port, None, port.node_port, elsewhere)
        return
    if _has_loopback(place):
        yield _entry(hook, port, None, port.node_port, offered)
        return
    destination = Destination(
        address=None, protocol=port.name.protocol, port=port.node_port, except_=(place.loopback,)
    )
    yield MapEntry(hook=hook, destination=destination, branches=offered, service=str(port.name))
    yield _entry(hook, port, None, port.node_port, elsewhere)


def _own_refusal(port: ProxiedPort, place: ProxyPlace, hook: Hook) -> Branches:
    is_refused = hook is Hook.OUTPUT and place.traits.refuses_own_to_node_ports and not port.external
    return _refusal(port) if is_refused else ()


def _has_loopback(place: ProxyPlace) -> bool:
    is_offered = place.config.localhost_node_ports and place.family == 4
    return is_offered and place.traits.node_ports_at_loopback


def _offered_at(place: ProxyPlace) -> tuple[Address, ...]:
    if not _has_loopback(place):
        return place.node_port_addresses
    networks = [ip_network(each) for each in place.node_port_networks]
    own = (each for each in place.addresses if each.is_loopback)
    return (*place.node_port_addresses, *(each for each in own if any(each in one for one in networks)))
