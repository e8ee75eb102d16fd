"""What the expectations of all modes are made of: backends with shares, conditions on sources, and what the modes do
alike but for their traits (`mode_traits`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_network

from msgspec.structs import replace

from netinspect.analyze.expected.endpoints_used import UsedEndpoint
from netinspect.analyze.expected.proxied_ports import ProxiedPort
from netinspect.analyze.expected.proxy_place import ProxyPlace
from netinspect.models.address import Address
from netinspect.models.service_map import (
    Backend,
    Branch,
    Destination,
    Hook,
    MapEntry,
    Outcome,
    SourceCondition,
    SourceKind,
)

Branches = tuple[Branch, ...]


def no_source(networks: Sequence[str]) -> SourceCondition:
    """Return the condition that the source is in none of the networks."""
    return SourceCondition(kind=SourceKind.NETWORK, values=canonical(networks), negated=True)


def canonical(networks: Iterable[str]) -> tuple[str, ...]:
    """Return networks as conditions hold them: canonical and sorted, each once."""
    return tuple(sorted({str(ip_network(each)) for each in networks}))


def negate(condition: SourceCondition) -> SourceCondition:
    """Return the opposite condition."""
    return replace(condition, negated=not condition.negated)


def to_backends(
    port: ProxiedPort,
    endpoints: Sequence[UsedEndpoint],
    place: ProxyPlace,
    *,
    masquerade: bool = False,
    when: tuple[SourceCondition, ...] = (),
) -> Branch:
    """Return the branch that spreads packets evenly over endpoints."""
    weight, forwarding = (1, "masq") if place.traits.is_weighted else (None, None)
    backends = (
        Backend(
            address=each.address,
            port=each.port,
            share=1 / len(endpoints),
            weight=weight,
            forwarding=forwarding,
            affinity_s=port.affinity_s,
            masqueraded_from=_hairpin(port, each, place),
        )
        for each in endpoints
    )
    return Branch(outcome=Outcome.BACKENDS, backends=tuple(backends), masquerade=masquerade, when=when)


def masqueraded(
    port: ProxiedPort,
    endpoints: Sequence[UsedEndpoint],
    place: ProxyPlace,
    when: tuple[SourceCondition, ...] = (),
) -> Branches:
    """Return the branch of packets whose source is rewritten, and before it that of those which are let alone."""
    branch = to_backends(port, endpoints, place, masquerade=True, when=when)
    if place.traits.masquerades_loopback:
        return (branch,)
    loopback = SourceCondition(kind=SourceKind.NETWORK, values=(place.loopback,))
    return to_backends(port, endpoints, place, when=(loopback,)), branch


def short_ways(port: ProxiedPort, place: ProxyPlace) -> Branches:
    """Return the branch of pods, whose packets go to all endpoints where others go to local ones only."""
    if not place.traits.short_ways or place.pods is None:
        return ()
    return (to_backends(port, port.choice.cluster, place, when=(place.pods,)),)


def refusal(port: ProxiedPort, place: ProxyPlace) -> Branches:
    """Return what happens to packets for which there is no endpoint."""
    if not place.traits.refuses:
        return (Branch(outcome=Outcome.NO_DESTINATION),)
    return (Branch(outcome=Outcome.DROP if port.choice.has_any else Outcome.REJECT),)


def has_firewall(port: ProxiedPort, place: ProxyPlace, hook: Hook) -> bool:
    """Whether source ranges keep packets from a load balancer's address."""
    traits = place.traits
    if not port.source_ranges or (hook is Hook.PREROUTING and not traits.firewall_on_entry):
        return False
    is_refused_first = hook is Hook.OUTPUT and traits.refuses_own_before_dnat and not port.external
    return not is_refused_first and (port.choice.has_any or traits.firewall_without_endpoints)


def node_port_places(port: ProxiedPort, place: ProxyPlace) -> Iterator[Destination]:
    """Yield where a node port is offered."""
    protocol, number = port.name.protocol, port.node_port
    if place.node_port_networks or place.traits.node_ports_one_by_one:
        for address in place.node_port_addresses:
            yield Destination(address=address, protocol=protocol, port=number)
        return
    except_ = () if place.has_loopback else (place.loopback,)
    yield Destination(address=None, protocol=protocol, port=number, except_=except_)


def health_checks(port: ProxiedPort, place: ProxyPlace) -> Iterator[MapEntry]:
    """Yield the entries by which a load balancer's question for endpoints is let in."""
    if not port.health_check_port or not place.traits.opens_health_checks:
        return
    for protocol in place.traits.health_check_protocols:
        yield MapEntry(
            hook=Hook.INPUT,
            destination=Destination(address=None, protocol=protocol, port=port.health_check_port),
            branches=(Branch(outcome=Outcome.ACCEPT),),
            service=str(port.name),
        )


def entry(hook: Hook, port: ProxiedPort, address: Address, number: int, branches: Branches) -> MapEntry:
    """Return what happens at a hook to packets to one address."""
    destination = Destination(address=address, protocol=port.name.protocol, port=number)
    return MapEntry(hook=hook, destination=destination, branches=branches, service=str(port.name))


def _hairpin(port: ProxiedPort, endpoint: UsedEndpoint, place: ProxyPlace) -> tuple[Address, ...]:
    key = endpoint.address, endpoint.port, port.name.protocol
    is_masqueraded = place.traits.hairpin_of_all or key in place.local_endpoints
    return (endpoint.address,) if is_masqueraded else ()
