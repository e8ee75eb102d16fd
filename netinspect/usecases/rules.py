"""What nodes' rules do with packets to Services: what `rules`, `iptables`, `nftables` and `ipvs` answer."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from netinspect.analyze.rules.asked import list_asked, read_asked
from netinspect.analyze.rules.choice import (
    are_rules_meant,
    choose_rules,
)
from netinspect.analyze.rules.expected_rules import check_targets, explain_no_rules, find_service
from netinspect.analyze.rules.missing_ports import (
    ExpectedPort,
    describe_missing_ports,
    find_missing_ports,
    list_expected_ports,
)
from netinspect.analyze.rules.notes import (
    Unfound,
    describe_hidden_ports,
    describe_missing_hooks,
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
from netinspect.analyze.rules.unwalked import describe_unwalked
from netinspect.models.address import Address
from netinspect.models.cluster_state import ClusterState
from netinspect.models.fact import Gap, Known
from netinspect.models.report import Report
from netinspect.models.rules_reading import RulesReading
from netinspect.models.service_map import Mode, ServiceMap
from netinspect.models.service_rules import ServiceRules
from netinspect.usecases.cluster_state import gaps_of

RULES_KIND = "ServiceRulesList"


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
    wish = with_target_names(wish, state)
    names = build_names(readings, state)
    local = {node: list_local_addresses(reading) for node, reading in readings.items()}
    read = {node: read_maps(reading) for node, reading in readings.items()}
    chosen = {node: _choose(readings[node], maps, wish) for node, maps in read.items()}
    maps = [each.service_map for of_node in chosen.values() for each in of_node]
    named = tuple(rules for each in maps for rules in name_rules(each, names))
    found = _find_targets(named, wish, local)
    expected = _expect_ports(readings, state, wish, dict.fromkeys(readings, wish.targets))
    missing = {
        node: find_missing_ports(node, ports, named) for node, ports in expected.items() if chosen[node]
    }
    asked = tuple(
        rules
        for node, reading in readings.items()
        for each in _read_asked(reading, chosen[node], wish, found[node], missing.get(node, ()))
        for rules in name_rules(each, names)
    )
    items = tuple(
        each
        for node in readings
        for each in (*choose_rules(named, wish.targets, wish.namespace, local), *asked)
        if each.node == node
    )
    filled = {each.node for each in items}
    doubtful = {(each.node, each.family) for each in maps if each.gaps}
    found = _find_targets((*named, *asked), wish, local)
    unfound, reasons = find_unfound(wish, state, found, filled)
    # Of what is not found at all it is said so, and no more.
    told = _expect_ports(readings, state, wish, {node: found[node] for node in filled})
    lost = {node: [each for each in missing.get(node, ()) if each in ports] for node, ports in told.items()}
    return Report(
        kind=RULES_KIND,
        items=items,
        notes=(
            *(
                note
                for node, reading in readings.items()
                for note in (
                    *describe_reading(reading, chosen[node], wish.mode),
                    *describe_unwalked(reading, chosen[node], read[node], wish.families),
                )
            ),
            *describe_missing_hooks(
                items,
                (*named, *asked),
                without_links=[each.node for each in readings.values() if not isinstance(each.links, Known)],
                doubtful=doubtful,
            ),
            *describe_missing_ports(lost, wish.families, doubtful),
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


def _find_targets(
    named: Collection[ServiceRules], wish: RulesWish, local: Mapping[str, Collection[Address]]
) -> dict[str, tuple[RuleTarget, ...]]:
    """Return by node the targets that there is something for."""
    return {
        node: tuple(
            target
            for target in wish.targets
            if any(
                each.node == node and are_rules_meant(each, target, wish.namespace, addresses)
                for each in named
            )
        )
        for node, addresses in local.items()
    }


def _read_asked(
    reading: RulesReading,
    chosen: Collection[ReadMap],
    wish: RulesWish,
    found: Collection[RuleTarget],
    missing: Collection[ExpectedPort],
) -> Iterator[ServiceMap]:
    """Walk the rules for what is asked for, or should be there, and that no rule names."""
    unfound = [each for each in wish.targets if each not in found]
    named = {entry.destination for each in chosen for entry in each.service_map.entries}
    asked = list_asked(unfound, missing, named) if unfound or missing else ()
    return read_asked(reading, chosen, asked)


def build_names(readings: Mapping[str, RulesReading], state: ClusterState) -> ServiceNames:
    """Return what the API, and the nodes' links, say of names."""
    links = {
        node: reading.links.value for node, reading in readings.items() if isinstance(reading.links, Known)
    }
    return build_service_names(state, links)


def with_target_names(wish: RulesWish, state: ClusterState) -> RulesWish:
    """Return the wish with the names of ports that are named by their numbers."""
    services = state.services.value if isinstance(state.services, Known) else ()
    targets = tuple(with_port_names(each, wish.namespace, services) for each in wish.targets)
    return replace(wish, targets=targets)


def _choose(reading: RulesReading, read: Sequence[ReadMap], wish: RulesWish) -> tuple[ReadMap, ...]:
    maps = [each for each in read if each.service_map.family in wish.families]
    if wish.mode is not None:
        return tuple(each for each in maps if each.service_map.mode is wish.mode)
    return choose_maps(maps, _mode_of(reading))


def _mode_of(reading: RulesReading) -> str | None:
    return reading.kube_proxy_mode.value if isinstance(reading.kube_proxy_mode, Known) else None


def find_unfound(
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
    targets: Mapping[str, tuple[RuleTarget, ...]],
) -> dict[str, tuple[ExpectedPort, ...]]:
    """Return by node the ports of targets that its rules should be for; without any targets named, of all Services.

    Not of nodes that could not be read whole; and of rules of another dataplane than kube-proxy's nothing is expected.
    """
    if wish.mode is not None or not isinstance(state.services, Known):
        return {}
    services = state.services.value
    return {
        node: tuple(list_expected_ports(services, wanted, wish.namespace))
        for node, wanted in targets.items()
        if not list_reading_gaps(readings[node]) and (wanted or not wish.targets)
    }
