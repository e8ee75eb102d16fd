"""What nodes' rules do with packets to Services: what `rules`, `iptables`, `nftables` and `ipvs` answer."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import msgspec
from msgspec.structs import replace

from netinspect.analyze.ipvs.listing import list_virtual_servers
from netinspect.analyze.rules.chains import ChainWish, check_wanted_chains, list_wanted_chains
from netinspect.analyze.rules.choice import (
    are_rules_meant,
    choose_rules,
    choose_virtual_servers,
    is_server_meant,
)
from netinspect.analyze.rules.expected_rules import check_targets, explain_no_rules, find_service
from netinspect.analyze.rules.missing_ports import ExpectedPort, describe_missing_ports, list_expected_ports
from netinspect.analyze.rules.notes import (
    Unfound,
    describe_hidden_ports,
    describe_missing_hooks,
    describe_missing_ipvs,
    describe_reading,
    describe_unfound,
)
from netinspect.analyze.rules.service_maps import (
    ReadMap,
    choose_maps,
    list_local_addresses,
    list_reading_gaps,
    read_maps,
)
from netinspect.analyze.rules.service_rules import ServiceNames, build_service_names, name_rules
from netinspect.analyze.rules.target import RuleTarget, with_port_names
from netinspect.models.chain_listing import ListedChain
from netinspect.models.cluster_state import ClusterState
from netinspect.models.fact import Gap, Known
from netinspect.models.ipvs_listing import ListedVirtualServer
from netinspect.models.report import Report
from netinspect.models.rules_reading import RulesReading
from netinspect.models.service_map import Mode
from netinspect.models.service_rules import ServiceRules
from netinspect.usecases.cluster_state import gaps_of

RULES_KIND = "ServiceRulesList"
CHAINS_KIND = "ChainList"
SERVERS_KIND = "VirtualServerList"


class RulesWish(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for.

    Attributes:
        targets: Services and destinations; none is everything.
        namespace: of Services named; `""` without targets is every namespace.
        families: 4, 6, or both.
        mode: only rules of this dataplane; None is what kube-proxy uses on the node.
    """

    targets: tuple[RuleTarget, ...] = ()
    namespace: str = ""
    families: tuple[int, ...] = (4, 6)
    mode: Mode | None = None


def report_rules(
    readings: Mapping[str, RulesReading],
    state: ClusterState,
    wish: RulesWish,
    gaps: tuple[Gap, ...] = (),
    notes: tuple[str, ...] = (),
) -> Report[ServiceRules]:
    """Say what each node does with packets to the Services that are meant.

    Args:
        readings: by node, what was read.
        state: what the API says, for names.
        wish: what is asked for.
        gaps: nodes that failed.
        notes: on how the nodes were read.

    Raises:
        TargetError: a Service is named that neither the API nor any node knows, or a port that it does not have.
    """
    wish = _with_port_names(wish, state)
    names = _build_names(readings, state)
    local = {node: list_local_addresses(reading) for node, reading in readings.items()}
    chosen = {node: _choose(reading, wish) for node, reading in readings.items()}
    maps = [each.service_map for of_node in chosen.values() for each in of_node]
    named = tuple(rules for each in maps for rules in name_rules(each, names))
    items = choose_rules(named, wish.targets, wish.namespace, local)
    doubtful = {(each.node, each.family) for each in maps if each.gaps}
    found = {
        node: tuple(
            target
            for target in wish.targets
            if any(
                each.node == node and are_rules_meant(each, target, wish.namespace, local[node])
                for each in items
            )
        )
        for node in readings
    }
    filled = {each.node for each in items}
    unfound, reasons = _find_unfound(wish, state, found, filled)
    return Report(
        kind=RULES_KIND,
        items=items,
        notes=(
            *(
                note
                for node, reading in readings.items()
                for note in describe_reading(reading, chosen[node], wish.mode)
            ),
            *describe_missing_hooks(
                items,
                named,
                without_links=[each.node for each in readings.values() if not isinstance(each.links, Known)],
                doubtful=doubtful,
            ),
            *describe_missing_ports(
                _expect_ports(readings, state, wish, found, filled), named, wish.families, doubtful
            ),
            *reasons,
            *(
                describe_unfound(each, readings[each.node], chosen[each.node], wish.mode, wish.families)
                for each in unfound
            ),
            *notes,
        ),
        gaps=(
            *gaps,
            *gaps_of(state),
            *(gap for reading in readings.values() for gap in list_reading_gaps(reading)),
            *(gap for each in maps for gap in each.gaps),
        ),
    )


def report_chains(
    readings: Mapping[str, RulesReading],
    wish: ChainWish,
    gaps: tuple[Gap, ...] = (),
    notes: tuple[str, ...] = (),
) -> Report[ListedChain]:
    """List chains of iptables and nft with their rules, of what was asked for.

    Raises:
        TargetError: no node has one of the tables or chains named, and all could be read.
    """
    items = tuple(each for reading in readings.values() for each in list_wanted_chains(reading, wish))
    missing = tuple(gap for reading in readings.values() for gap in list_reading_gaps(reading))
    if not gaps and not missing:
        check_wanted_chains(tuple(readings.values()), wish)
    return Report(kind=CHAINS_KIND, items=items, notes=notes, gaps=(*gaps, *missing))


def report_virtual_servers(
    readings: Mapping[str, RulesReading],
    state: ClusterState,
    wish: RulesWish,
    gaps: tuple[Gap, ...] = (),
    notes: tuple[str, ...] = (),
) -> Report[ListedVirtualServer]:
    """List the virtual servers of nodes.

    Raises:
        TargetError: a Service is named that neither the API nor any node knows, or a port that it does not have.
    """
    wish = _with_port_names(wish, state)
    names = _build_names(readings, state)
    all_servers = (each for reading in readings.values() for each in _list_servers(reading, names))
    of_family = (each for each in all_servers if each.address.family in wish.families)
    items = choose_virtual_servers(of_family, wish.targets, wish.namespace)
    found = {
        node: tuple(
            target
            for target in wish.targets
            if any(each.node == node and is_server_meant(each, target, wish.namespace) for each in items)
        )
        for node in readings
    }
    unfound, reasons = _find_unfound(wish, state, found, {each.node for each in items})
    return Report(
        kind=SERVERS_KIND,
        items=items,
        notes=(
            *reasons,
            *(note for each in unfound for note in _describe_no_servers(each, readings[each.node], wish)),
            *notes,
        ),
        gaps=(
            *gaps,
            *gaps_of(state),
            *(gap for reading in readings.values() for gap in list_reading_gaps(reading)),
        ),
    )


def _build_names(readings: Mapping[str, RulesReading], state: ClusterState) -> ServiceNames:
    links = {
        node: reading.links.value for node, reading in readings.items() if isinstance(reading.links, Known)
    }
    return build_service_names(state, links)


def _with_port_names(wish: RulesWish, state: ClusterState) -> RulesWish:
    services = state.services.value if isinstance(state.services, Known) else ()
    targets = tuple(with_port_names(each, wish.namespace, services) for each in wish.targets)
    return replace(wish, targets=targets)


def _choose(reading: RulesReading, wish: RulesWish) -> tuple[ReadMap, ...]:
    maps = [each for each in read_maps(reading) if each.service_map.family in wish.families]
    if wish.mode is not None:
        return tuple(each for each in maps if each.service_map.mode is wish.mode)
    return choose_maps(maps, _mode_of(reading))


def _mode_of(reading: RulesReading) -> str | None:
    return reading.kube_proxy_mode.value if isinstance(reading.kube_proxy_mode, Known) else None


def _find_unfound(
    wish: RulesWish,
    state: ClusterState,
    found: Mapping[str, Collection[RuleTarget]],
    filled: Collection[str],
) -> tuple[tuple[Unfound, ...], tuple[str, ...]]:
    """Return what nodes have nothing for, and what there is to say of it whatever the node.

    Args:
        wish: what is asked for.
        state: what the API says.
        found: by node, the targets that something was found for.
        filled: nodes that something was found on.

    Raises:
        TargetError: a Service or a port does not exist.
    """
    if not wish.targets:
        what = f"any Service in namespace {wish.namespace}" if wish.namespace else "any Service"
        empty = Unfound(
            node="",
            what=what,
            is_expected=not wish.namespace,
            by_rules=bool(wish.namespace) and not isinstance(state.services, Known),
        )
        return tuple(replace(empty, node=node) for node in found if node not in filled), ()
    anywhere = {target for targets in found.values() for target in targets}
    services = state.services.value if isinstance(state.services, Known) else ()
    if isinstance(state.services, Known):
        check_targets(wish.targets, wish.namespace, services, anywhere)
    named = {target: find_service(target, wish.namespace, services) for target in wish.targets}
    reasons = {
        target: explain_no_rules(service)
        for target, service in named.items()
        if service is not None and target not in anywhere
    }
    unfound: list[Unfound] = []
    for node, targets in found.items():
        missing = [each for each in wish.targets if each not in targets and not reasons.get(each)]
        if missing:
            what = ", ".join(each.text for each in missing)
            is_expected = any(named[each] is not None for each in missing)
            by_rules = not isinstance(state.services, Known) and any(each.service for each in missing)
            unfound.append(Unfound(node=node, what=what, is_expected=is_expected, by_rules=by_rules))
    hidden = describe_hidden_ports(each for each in wish.targets if each not in anywhere)
    return tuple(unfound), (*dict.fromkeys(filter(None, reasons.values())), *hidden)


def _expect_ports(
    readings: Mapping[str, RulesReading],
    state: ClusterState,
    wish: RulesWish,
    found: Mapping[str, Collection[RuleTarget]],
    filled: Collection[str],
) -> dict[str, tuple[ExpectedPort, ...]]:
    """Return by node the ports that its rules should be for.

    Not of nodes that could not be read whole, nor of what is told as not found at all; and of rules of another
    dataplane than kube-proxy's nothing is expected.
    """
    if wish.mode is not None or not isinstance(state.services, Known):
        return {}
    services = state.services.value
    return {
        node: tuple(list_expected_ports(services, tuple(found[node]), wish.namespace))
        for node, reading in readings.items()
        if node in filled and not list_reading_gaps(reading)
    }


def _describe_no_servers(unfound: Unfound, reading: RulesReading, wish: RulesWish) -> Iterator[str]:
    """Say of one node that it has none, or none of those that are meant."""
    if not isinstance(reading.virtual_servers, Known):
        return
    if reading.has_ipvs is False:
        yield from describe_missing_ipvs(reading)
    elif not reading.virtual_servers.value:
        yield f"node {unfound.node} has no virtual server"
    else:
        yield describe_unfound(unfound, reading, (), Mode.IPVS, wish.families)


def _list_servers(reading: RulesReading, names: ServiceNames) -> Iterator[ListedVirtualServer]:
    if not isinstance(reading.virtual_servers, Known):
        return
    local = list_local_addresses(reading) if isinstance(reading.links, Known) else None
    traffic = reading.traffic.value if isinstance(reading.traffic, Known) else ()
    yield from list_virtual_servers(
        reading.node, reading.virtual_servers.value, names, traffic=traffic, local=local
    )
