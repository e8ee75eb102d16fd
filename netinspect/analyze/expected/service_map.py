"""The service map that a node should have, derived from the API and from kube-proxy's own settings.

It has the shape that readers of rules give, so that the two can be compared by meaning (`service_map_compare`); what it
says is what kube-proxy writes, not what somebody may have wanted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from netinspect.analyze.expected.endpoints_used import ZONE_LABEL, NodeTopology, UsedEndpoint
from netinspect.analyze.expected.ipvs import expect_ipvs
from netinspect.analyze.expected.mode_traits import ModeTraits, Version, read_version, traits_of
from netinspect.analyze.expected.netfilter import expect_netfilter
from netinspect.analyze.expected.proxied_ports import ProxiedPort, build_proxied_ports
from netinspect.analyze.expected.proxy_place import ProxyPlace, build_place
from netinspect.models.address import Address, address_key
from netinspect.models.cluster_state import ClusterState
from netinspect.models.fact import Gap, Known, Reason
from netinspect.models.kubernetes import Node
from netinspect.models.proxy_config import ProxyConfig
from netinspect.models.service_map import Branch, Destination, Hook, MapEntry, Mode, Outcome, ServiceMap

_HOOKS = tuple(Hook)


def expected_service_map(
    state: ClusterState,
    node: str,
    family: int,
    mode: Mode,
    config: ProxyConfig,
    local_addresses: Iterable[Address],
    version: Version | None = None,
    traits: ModeTraits | None = None,
) -> ServiceMap:
    """Return what a node should do with packets to Services.

    Args:
        state: what the API says; Services, EndpointSlices and nodes are needed.
        node: the node's name.
        family: 4 or 6.
        mode: how its kube-proxy writes rules.
        config: the settings that kube-proxy runs with.
        local_addresses: the node's addresses (of links, loopback too); in IPVS mode without those of `kube-ipvs0`.
        version: kube-proxy's; None takes the kubelet's.
        traits: what a kube-proxy of that mode and version does; None takes it from the table.

    Returns:
        The map. Where it is left to chance what kube-proxy does (several Services claim one destination, slices list
        one endpoint in several states), the branch is undecided and a gap says why.

    Raises:
        ValueError: a list of the API is missing, or the node is not in it; nothing can be said then.
    """
    if not (isinstance(state.services, Known) and isinstance(state.slices, Known)):
        raise ValueError("a list of the API is missing")
    found = _find_node(state, node)
    known = version or read_version(found.status.node_info.kubelet_version)
    traits = traits or traits_of(mode, known, config.feature_gates)
    topology = NodeTopology(
        node=node,
        zone=found.metadata.labels.get(ZONE_LABEL, ""),
        reads_nodes=traits.reads_node_hints,
    )
    ports = build_proxied_ports(state.services.value, state.slices.value, family, topology, traits)
    place = build_place(found, family, config, traits, local_addresses)
    place = replace(place, local_endpoints=_local_endpoints(ports, mode))
    entries = _settle(_expect(ports, place, mode))
    return ServiceMap(
        node=node,
        family=family,
        mode=mode,
        layout=f"expected of kube-proxy {known[0]}.{known[1]}",
        entries=entries,
        gaps=tuple(_gaps(entries)),
    )


def _find_node(state: ClusterState, name: str) -> Node:
    if not isinstance(state.nodes, Known):
        raise ValueError("the list of nodes is missing")
    for node in state.nodes.value:
        if node.metadata.name == name:
            return node
    raise ValueError(f"the API has no node {name}")


def _local_endpoints(ports: Iterable[ProxiedPort], mode: Mode) -> frozenset[tuple[Address, int, str]]:
    """Return what the set of hairpin connections holds: in IPVS mode endpoints in any condition."""

    def used(port: ProxiedPort) -> Sequence[UsedEndpoint]:
        return port.endpoints if mode is Mode.IPVS else port.choice.reachable

    return frozenset(
        (each.address, each.port, port.name.protocol)
        for port in ports
        for each in used(port)
        if each.is_local
    )


def _expect(ports: Sequence[ProxiedPort], place: ProxyPlace, mode: Mode) -> Iterator[MapEntry]:
    cluster_ips: dict[tuple[str, int], list[Address]] = defaultdict(list)
    for port in ports:
        cluster_ips[port.name.protocol, port.port].append(port.cluster_ip)
    for port in ports:
        is_ipvs = mode is Mode.IPVS
        entries = expect_ipvs(port, place, cluster_ips) if is_ipvs else expect_netfilter(port, place)
        doubted = [str(each.address) for each in port.endpoints if each.is_doubted]
        why = f"slices list {', '.join(doubted)} in several states: any may count"
        yield from (_leave_open(each, why) for each in entries) if doubted else entries


def _settle(entries: Iterable[MapEntry]) -> tuple[MapEntry, ...]:
    """Sort entries, leave out those that do nothing, and leave undecided what Services do not agree on."""
    found: dict[tuple[Hook, Destination], MapEntry] = {}
    for entry in entries:
        if all(branch.outcome is Outcome.NONE and not branch.undecided for branch in entry.branches):
            continue
        key = entry.hook, entry.destination
        other = found.setdefault(key, entry)
        if other.branches != entry.branches:
            names = sorted({other.service, entry.service})
            found[key] = _leave_open(other, f"claimed by {' and '.join(names)}: either may get it")
    return tuple(sorted(found.values(), key=_order))


def _leave_open(entry: MapEntry, why: str) -> MapEntry:
    return replace(entry, branches=(Branch(outcome=Outcome.NONE, undecided=(why,)),))


def _gaps(entries: Iterable[MapEntry]) -> Iterator[Gap]:
    for entry in entries:
        for why in {each for branch in entry.branches for each in branch.undecided}:
            to = entry.destination
            where = f"{to.address or 'any local address'} {to.protocol} {to.port} at {entry.hook.value}"
            yield Gap("expected service map", where, Reason.NOT_APPLICABLE, why)


def _order(entry: MapEntry) -> tuple[object, ...]:
    to = entry.destination
    address = (1, 0, 0) if to.address is None else (0, *address_key(to.address))
    return address, to.protocol, to.port, to.except_, _HOOKS.index(entry.hook)
