"""What nodes' rules do with packets to Services: what `rules`, `iptables`, `nftables` and `ipvs` answer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec

from netinspect.analyze.iptables.listing import list_chains
from netinspect.analyze.ipvs.listing import list_virtual_servers
from netinspect.analyze.nft.listing import list_nft_chains
from netinspect.analyze.rules.choice import choose_rules, choose_virtual_servers
from netinspect.analyze.rules.service_maps import (
    ReadMap,
    choose_maps,
    list_local_addresses,
    list_reading_gaps,
    read_maps,
)
from netinspect.analyze.rules.service_rules import ServiceNames, build_service_names, name_rules
from netinspect.analyze.rules.target import RuleTarget
from netinspect.errors import TargetError
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
        TargetError: a Service is named that neither the API nor any node knows.
    """
    names = _build_names(readings, state)
    local = {node: list_local_addresses(reading) for node, reading in readings.items()}
    chosen = {node: _choose(reading, wish) for node, reading in readings.items()}
    named = tuple(
        rules for maps in chosen.values() for each in maps for rules in name_rules(each.service_map, names)
    )
    items = choose_rules(named, wish.targets, wish.namespace, local)
    _check_targets(wish, state, items)
    return Report(
        kind=RULES_KIND,
        items=items,
        notes=(
            *(note for node, reading in readings.items() for note in _describe(reading, chosen[node], wish)),
            *_nothing_found(items, readings, wish),
            *notes,
        ),
        gaps=(
            *gaps,
            *gaps_of(state),
            *(gap for reading in readings.values() for gap in list_reading_gaps(reading)),
            *(gap for maps in chosen.values() for each in maps for gap in each.service_map.gaps),
        ),
    )


def report_chains(
    readings: Mapping[str, RulesReading],
    tables: Collection[str],
    chains: Collection[str],
    gaps: tuple[Gap, ...] = (),
    notes: tuple[str, ...] = (),
) -> Report[ListedChain]:
    """List chains of iptables and nft with their rules, of what was asked for.

    Raises:
        TargetError: no node has one of the tables or chains named, and all could be read.
    """
    items = tuple(each for reading in readings.values() for each in _list_chains(reading, tables, chains))
    missing = tuple(gap for reading in readings.values() for gap in list_reading_gaps(reading))
    if not gaps and not missing:
        _check_chains(items, tables, chains)
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
        TargetError: a Service is named that neither the API nor any node knows.
    """
    names = _build_names(readings, state)
    found = tuple(each for reading in readings.values() for each in _list_servers(reading, names))
    of_family = (each for each in found if each.address.family in wish.families)
    items = choose_virtual_servers(of_family, wish.targets, wish.namespace)
    _check_targets(wish, state, items)
    nothing = (
        f"node {node} has no virtual server"
        for node, reading in readings.items()
        if isinstance(reading.virtual_servers, Known) and not reading.virtual_servers.value
    )
    return Report(
        kind=SERVERS_KIND,
        items=items,
        notes=(*nothing, *notes),
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


def _choose(reading: RulesReading, wish: RulesWish) -> tuple[ReadMap, ...]:
    maps = [each for each in read_maps(reading) if each.service_map.family in wish.families]
    if wish.mode is not None:
        return tuple(each for each in maps if each.service_map.mode is wish.mode)
    return choose_maps(maps, _mode_of(reading))


def _mode_of(reading: RulesReading) -> str | None:
    return reading.kube_proxy_mode.value if isinstance(reading.kube_proxy_mode, Known) else None


def _describe(reading: RulesReading, chosen: Sequence[ReadMap], wish: RulesWish) -> Iterator[str]:
    """Say where a node's rules were read from, and where else there are some."""
    node = reading.node
    for each in chosen:
        found = each.service_map
        if found.entries:
            layout = f" ({found.layout})" if found.layout else ""
            yield f"node {node}, IPv{found.family}: read from {each.tool}{layout}"
    if wish.mode is not None:
        return
    mode = _mode_of(reading)
    if not isinstance(reading.kube_proxy_mode, Known):
        yield (
            f"node {node}: kube-proxy did not tell its mode ({reading.kube_proxy_mode.detail}); "
            "what has rules for Services is shown"
        )
    elif not any(each.service_map.mode.value == mode for each in chosen):
        yield f"node {node}: kube-proxy is in {mode} mode, but no rule of it takes packets to Services"


def _nothing_found(
    items: Iterable[ServiceRules], readings: Mapping[str, RulesReading], wish: RulesWish
) -> Iterator[str]:
    found = {each.node for each in items}
    meant = ", ".join(each.text for each in wish.targets) or "any Service"
    where = f" in namespace {wish.namespace}" if wish.namespace and not wish.targets else ""
    for node in readings:
        if node not in found:
            yield f"no rule of node {node} takes packets to {meant}{where}"


def _check_targets(
    wish: RulesWish, state: ClusterState, items: Iterable[ServiceRules | ListedVirtualServer]
) -> None:
    """Make sure that Services named exist: in the API, or at least in rules."""
    if not isinstance(state.services, Known):
        return
    known = {(each.metadata.namespace, each.metadata.name) for each in state.services.value}
    known |= {(each.namespace, each.service) for each in items}
    for target in wish.targets:
        if target.service and (wish.namespace, target.service) not in known:
            raise TargetError(
                f'services "{target.service}" not found in namespace {wish.namespace}',
                "no rule that was read names it either; -n names another namespace",
            )


def _list_chains(
    reading: RulesReading, tables: Collection[str], chains: Collection[str]
) -> Iterator[ListedChain]:
    for kind, fact in reading.saves.items():
        if isinstance(fact, Known):
            yield from list_chains(reading.node, kind.tool, kind.family, fact.value, tables, chains)
    if isinstance(reading.nft, Known):
        yield from list_nft_chains(reading.node, reading.nft.value, tables, chains)


def _check_chains(items: Collection[ListedChain], tables: Collection[str], chains: Collection[str]) -> None:
    found_tables = {name for each in items for name in (each.table, f"{each.family} {each.table}")}
    found_chains = {each.chain for each in items}
    for what, wanted, found in (("table", tables, found_tables), ("chain", chains, found_chains)):
        for name in wanted:
            if name not in found:
                raise TargetError(
                    f'no node that was asked has a {what} "{name}" among the rules that are meant'
                )


def _list_servers(reading: RulesReading, names: ServiceNames) -> Iterator[ListedVirtualServer]:
    if not isinstance(reading.virtual_servers, Known):
        return
    local = list_local_addresses(reading) if isinstance(reading.links, Known) else None
    traffic = reading.traffic.value if isinstance(reading.traffic, Known) else ()
    yield from list_virtual_servers(
        reading.node, reading.virtual_servers.value, names, traffic=traffic, local=local
    )
