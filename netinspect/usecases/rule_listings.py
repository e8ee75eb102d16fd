"""What nodes have, as their tools list it: chains with their rules, virtual servers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netinspect.analyze.ipvs.listing import list_virtual_servers
from netinspect.analyze.rules.chains import ChainWish, check_wanted_chains, list_wanted_chains
from netinspect.analyze.rules.choice import choose_virtual_servers, is_server_meant
from netinspect.analyze.rules.notes import Unfound, describe_missing_ipvs, describe_unfound
from netinspect.analyze.rules.service_maps import list_local_addresses, list_reading_gaps
from netinspect.analyze.rules.service_rules import ServiceNames
from netinspect.models.chain_listing import ListedChain
from netinspect.models.cluster_state import ClusterState
from netinspect.models.fact import Gap, Known
from netinspect.models.ipvs_listing import ListedVirtualServer
from netinspect.models.report import Report
from netinspect.models.rules_reading import RulesReading
from netinspect.models.service_map import Mode
from netinspect.usecases.cluster_state import gaps_of
from netinspect.usecases.rules import RulesWish, build_names, find_unfound, with_target_names

CHAINS_KIND = "ChainList"
SERVERS_KIND = "VirtualServerList"


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
    wish = with_target_names(wish, state)
    names = build_names(readings, state)
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
    unfound, reasons = find_unfound(wish, state, found, {each.node for each in items})
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
