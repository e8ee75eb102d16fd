"""What kube-proxy's IPVS mode does with a Service's port: virtual servers, and the few rules and sets around them.

Source: kubernetes 1.36, pkg/proxy/ipvs/proxier.go (syncProxyRules, syncEndpoint, writeIptablesRules,
ipsetWithIptablesChain, iptablesJumpChain) and pkg/proxy/ipvs/netlink_linux.go (GetAllLocalAddressesExcept).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from netinspect.analyze.expected.endpoints_used import UsedEndpoint
from netinspect.analyze.expected.proxied_ports import ProxiedPort
from netinspect.analyze.expected.proxy_place import ProxyPlace
from netinspect.models.address import Address
from netinspect.models.service_map import Branch, Hook, MapEntry, Outcome, SourceCondition, SourceKind

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
        yield entry(hook, port, port.cluster_ip, port.port, internal)
        for address in port.external_ips:
            yield entry(hook, port, address, port.port, external)
        for address in port.load_balancer_ips:
            guarded = (*_firewall(port, place, hook, address), *external)
            yield entry(hook, port, address, port.port, guarded)
        if port.node_port:
            branches = _external(port, place, port.node_port, cluster_ips)
            for to in node_port_places(port, place):
                yield MapEntry(hook=hook, destination=to, branches=branches, service=str(port.name))
    yield from health_checks(port, place)


def _internal(port: ProxiedPort, place: ProxyPlace, cluster_ips: ClusterIps) -> Branches:
    endpoints = _fall_back(port.internal, port, place)
    if not endpoints:
        return refusal(port, place)
    if place.config.masquerade_all:
        return masqueraded(port, endpoints, place)
    plain = to_backends(port, endpoints, place)
    if place.pods is None:
        return (*_from_cluster_ips(port, place, endpoints, port.port, cluster_ips), plain)
    return (*masqueraded(port, endpoints, place, (negate(place.pods),)), plain)


def _external(port: ProxiedPort, place: ProxyPlace, number: int, cluster_ips: ClusterIps) -> Branches:
    """Return what happens to packets to a port of an external address: masqueraded unless the policy is Local."""
    endpoints = _fall_back(port.external, port, place)
    if not endpoints:
        return refusal(port, place)
    if not port.is_external_local:
        return masqueraded(port, endpoints, place)
    own = _from_cluster_ips(port, place, endpoints, number, cluster_ips)
    return (*short_ways(port, place), *own, to_backends(port, endpoints, place))


def _fall_back(
    endpoints: tuple[UsedEndpoint, ...], port: ProxiedPort, place: ProxyPlace
) -> tuple[UsedEndpoint, ...]:
    """Return the endpoints of all nodes where there are none that the policy asks for."""
    return endpoints or (() if place.traits.refuses else port.choice.cluster)


def _from_cluster_ips(
    port: ProxiedPort,
    place: ProxyPlace,
    endpoints: Sequence[UsedEndpoint],
    number: int,
    cluster_ips: ClusterIps,
) -> Branches:
    """Return the branches of packets that the node sends with a ClusterIP as source: all of these are on kube-ipvs0.

    Where nothing tells pods' traffic, these are masqueraded instead of what comes from elsewhere. The rule asks for
    the port that they are sent to, and not for the address.
    """
    own = cluster_ips.get((port.name.protocol, number), ())
    if place.config.masquerade_all or place.pods is not None or not own:
        return ()
    values = canonical(str(ip_network(each)) for each in own)
    return masqueraded(port, endpoints, place, (SourceCondition(kind=SourceKind.NETWORK, values=values),))


def _firewall(port: ProxiedPort, place: ProxyPlace, hook: Hook, address: Address) -> Branches:
    """Return what the source ranges keep from a load balancer's address."""
    if not has_firewall(port, place, hook):
        return ()
    own = str(ip_network(address))
    is_node_in = any(place.node_ip in ip_network(each) for each in port.source_ranges)
    if hook is Hook.PREROUTING:
        # ipset refuses a network of all addresses as a member (hash:ip,port,net), and kube-proxy goes on without it.
        ranges = tuple(each for each in port.source_ranges if ip_network(each).prefixlen)
        allowed = (*ranges, own) if is_node_in else ranges
        return (Branch(outcome=Outcome.DROP, when=(no_source(allowed),)),)
    if is_node_in:
        return ()
    # The node's own packets to the address have it as source, which stands in no range.
    source = SourceCondition(kind=SourceKind.NETWORK, values=(own,))
    return (Branch(outcome=Outcome.DROP, when=(source,)),)
