"""What nodes' rules do with packets to Services: what `rules`, `iptables`, `nftables` and `ipvs` answer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

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
    walks = [_walk(reading, state, wish, names) for reading in readings.values()]
    unfound, reasons = find_unfound(
        wish,
        state,
        {each.reading.node: each.found for each in walks},
        {each.reading.node for each in walks if each.items},
    )
    return Report(
        kind=RULES_KIND,
        items=tuple(item for each in walks for item in each.items),
        notes=(
            *(note for each in walks for note in _describe_maps(each, wish)),
            *(note for each in walks for note in _describe_lost(each, state, wish)),
            *reasons,
            *(_describe_unfound(each, walks, wish) for each in unfound),
            *notes,
        ),
        gaps=(
            *gaps,
            *gaps_of(state),
            *(gap for each in walks for gap in list_reading_gaps(each.reading)),
            *(gap for each in walks for read in each.chosen for gap in read.service_map.gaps),
        ),
    )


class _Walk(msgspec.Struct, frozen=True, kw_only=True):
    """What one node's rules say.

    Attributes:
        reading: what was read.
        maps: all maps of it.
        chosen: those that are shown.
        named: all that they hold, with names.
        missing: ports that the API has, of what is meant, and that no rule is for.
        asked: what becomes of packets to these, and to other destinations that are asked for and in no map.
        items: what is meant of all that.
        found: the targets that there is something for.
    """

    reading: RulesReading
    maps: tuple[ReadMap, ...]
    chosen: tuple[ReadMap, ...]
    named: tuple[ServiceRules, ...]
    missing: tuple[ExpectedPort, ...]
    asked: tuple[ServiceRules, ...]
    items: tuple[ServiceRules, ...]
    found: tuple[RuleTarget, ...]


def _walk(reading: RulesReading, state: ClusterState, wish: RulesWish, names: ServiceNames) -> _Walk:
    local = list_local_addresses(reading)
    maps = read_maps(reading)
    chosen = _choose(reading, maps, wish)
    named = tuple(rules for each in chosen for rules in name_rules(each.service_map, names))
    expected = _expect_ports(reading, state, wish, wish.targets) if chosen else ()
    missing = find_missing_ports(reading.node, expected, named)
    found = _find_targets(named, wish, local)
    unfound = [each for each in wish.targets if each not in found]
    asked = tuple(
        rules for each in _read_asked(reading, chosen, unfound, missing) for rules in name_rules(each, names)
    )
    return _Walk(
        reading=reading,
        maps=maps,
        chosen=chosen,
        named=named,
        missing=missing,
        asked=asked,
        items=(*choose_rules(named, wish.targets, wish.namespace, {reading.node: local}), *asked),
        found=_find_targets((*named, *asked), wish, local),
    )


def _describe_maps(walk: _Walk, wish: RulesWish) -> Iterator[str]:
    yield from describe_reading(walk.reading, walk.chosen, wish.mode)
    yield from describe_unwalked(walk.reading, walk.chosen, walk.maps, wish.families)


def _describe_lost(walk: _Walk, state: ClusterState, wish: RulesWish) -> Iterator[str]:
    """Say what is met at one hook only, and what has no rule though others have; not what is not found at all."""
    node = walk.reading.node
    doubtful = {(node, each.service_map.family) for each in walk.chosen if each.service_map.gaps}
    without_links = () if isinstance(walk.reading.links, Known) else (node,)
    yield from describe_missing_hooks(
        walk.items, (*walk.named, *walk.asked), without_links=without_links, doubtful=doubtful
    )
    if walk.items:
        told = set(_expect_ports(walk.reading, state, wish, walk.found))
        lost = [each for each in walk.missing if each in told]
        yield from describe_missing_ports({node: lost}, wish.families, doubtful)


def _describe_unfound(unfound: Unfound, walks: Sequence[_Walk], wish: RulesWish) -> str:
    [walk] = [each for each in walks if each.reading.node == unfound.node]
    return describe_unfound(unfound, walk.reading, walk.chosen, wish.mode, wish.families)


def _find_targets(
    named: Collection[ServiceRules], wish: RulesWish, local: Collection[Address]
) -> tuple[RuleTarget, ...]:
    """Return the targets that there is something for on a node."""
    return tuple(
        target
        for target in wish.targets
        if any(are_rules_meant(each, target, wish.namespace, local) for each in named)
    )


def _read_asked(
    reading: RulesReading,
    chosen: Collection[ReadMap],
    unfound: Collection[RuleTarget],
    missing: Collection[ExpectedPort],
) -> Iterable[ServiceMap]:
    """Walk the rules for what is asked for, or should be there, and that no rule names."""
    if not unfound and not missing:
        return ()
    named = {entry.destination for each in chosen for entry in each.service_map.entries}
    return read_asked(reading, chosen, list_asked(unfound, missing, named))


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
    reading: RulesReading, state: ClusterState, wish: RulesWish, targets: tuple[RuleTarget, ...]
) -> tuple[ExpectedPort, ...]:
    """Return the ports of targets that a node's rules should be for; without any targets named, of all Services.

    Not of a node that could not be read whole; and of rules of another dataplane than kube-proxy's nothing is expected.
    """
    if wish.mode is not None or not isinstance(state.services, Known) or list_reading_gaps(reading):
        return ()
    if wish.targets and not targets:
        return ()
    return tuple(list_expected_ports(state.services.value, targets, wish.namespace))
