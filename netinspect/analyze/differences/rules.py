"""What nodes do with packets to Services, in two states: where two service maps mean something different."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from netinspect.analyze.rules.service_rules import ServiceNames, name_rules
from netinspect.analyze.service_map.compare import compare_maps
from netinspect.models.address import show_endpoint
from netinspect.models.difference import Change, Difference, FieldChange, Subject
from netinspect.models.fact import Known
from netinspect.models.network_state import NodeState, ToolMap
from netinspect.models.service_map import Backend, Branch, Destination, Hook, Outcome, ServiceMap
from netinspect.models.service_map_difference import MapDifference
from netinspect.models.service_rules import ServiceRules

FAMILIES = (4, 6)


def compare_rules(
    before: NodeState, after: NodeState, names: tuple[ServiceNames, ServiceNames]
) -> Iterator[Difference]:
    """Yield the destinations to which a node sends packets otherwise; counters and the rules' text are no part of it.

    Args:
        before: the node's first state.
        after: its second.
        names: what the API says of names, in both.
    """
    for family in FAMILIES:
        for old, new in pair_maps(before, after, family):
            local = {*before.local_addresses, *after.local_addresses}
            found = compare_maps(old, new, local)
            named = {**_names_of(new, names[1]), **_names_of(old, names[0])}
            for group in _group(found):
                yield _build(group, named, (old, new))


def pair_maps(before: NodeState, after: NodeState, family: int) -> Iterator[tuple[ServiceMap, ServiceMap]]:
    """Yield the maps to compare: the only one of each side, whichever tool has it; of several those of one tool.

    Where rules could not be read whole, a map that is not there may be one of them: nothing is compared with it.
    """
    if not isinstance(before.maps, Known) or not isinstance(after.maps, Known):
        return
    old_maps, new_maps = (
        [each for each in maps if each.service_map.family == family]
        for maps in (before.maps.value, after.maps.value)
    )
    if len(old_maps) == len(new_maps) == 1:
        yield from _comparable(old_maps[0].service_map, new_maps[0].service_map)
        return
    old_by, new_by = _by_tool(old_maps), _by_tool(new_maps)
    for tool in sorted(old_by.keys() | new_by.keys()):
        old, new = old_by.get(tool), new_by.get(tool)
        if old is None and new is not None and before.is_rules_whole:
            old = msgspec.structs.replace(new, entries=(), gaps=())
        if new is None and old is not None and after.is_rules_whole:
            new = msgspec.structs.replace(old, entries=(), gaps=())
        if old is not None and new is not None:
            yield from _comparable(old, new)


def _by_tool(maps: Iterable[ToolMap]) -> dict[str, ServiceMap]:
    return {each.tool: each.service_map for each in maps}


def _comparable(old: ServiceMap, new: ServiceMap) -> Iterator[tuple[ServiceMap, ServiceMap]]:
    """Yield the pair, unless one of the two could not be read as far as the other."""
    if old.gaps == new.gaps:
        yield old, new


_Group = list[MapDifference]


def _group(found: Iterable[MapDifference]) -> list[_Group]:
    """Put together what is said of one destination at several hooks and of several sources."""
    groups: dict[tuple[object, ...], _Group] = {}
    for each in found:
        to = each.destination
        key = (to.address, to.protocol, to.port, each.also_at)
        groups.setdefault(key, []).append(each)
    return list(groups.values())


def _names_of(service_map: ServiceMap, names: ServiceNames) -> dict[tuple[object, ...], ServiceRules]:
    return {_key(each.destination): each for each in name_rules(service_map, names)}


def _key(to: Destination) -> tuple[object, ...]:
    return to.address, to.protocol, to.port


def _build(
    group: _Group,
    named: dict[tuple[object, ...], ServiceRules],
    maps: tuple[ServiceMap, ServiceMap],
) -> Difference:
    to = group[0].destination
    owner = named.get(_key(to)) or named.get((None, to.protocol, to.port))
    at = f"{_show_place(to)}{f' and {len(group[0].also_at)} more' if group[0].also_at else ''}"
    port = f":{owner.port_name}" if owner and owner.port_name else ""
    service = f"{owner.namespace}/{owner.service}{port}" if owner and owner.service else ""
    return Difference(
        what=Subject.RULES,
        name=service or _show_place(to),
        namespace=owner.namespace if owner else "",
        node=maps[1].node,
        family=maps[1].family,
        at=at,
        hooks=tuple(hook for hook in Hook if any(each.hook is hook for each in group)),
        change=_change(to, maps),
        fields=_fields(group),
    )


def _show_place(to: Destination) -> str:
    if to.address is None:
        return f":{to.port}/{to.protocol}"
    return f"{show_endpoint(to.address, to.port)}/{to.protocol}"


def _change(to: Destination, maps: tuple[ServiceMap, ServiceMap]) -> Change:
    is_old, is_new = (any(_is_for(entry.destination, to) for entry in each.entries) for each in maps)
    if is_old == is_new:
        return Change.CHANGED
    return Change.REMOVED if is_old else Change.ADDED


def _is_for(entry: Destination, to: Destination) -> bool:
    return (entry.protocol, entry.port) == (to.protocol, to.port) and entry.address in (None, to.address)


def _fields(group: _Group) -> tuple[FieldChange, ...]:
    """Return what differs, each pair of values once; where they depend on the source, with one of the sources."""
    found: dict[tuple[str, str, str], str] = {}
    for each in group:
        for what in each.differs:
            field = "backends" if what == "outcome" else what
            found.setdefault((field, _show(what, each.expected), _show(what, each.seen)), str(each.source))
    names = Counter(field for field, _, _ in found)
    return tuple(
        FieldChange(field=field, before=before, after=after, source=source if names[field] > 1 else "")
        for (field, before, after), source in found.items()
    )


def _show(what: str, branch: Branch) -> str:
    if what in ("outcome", "backends"):
        return _show_outcome(branch)
    if what == "lost":
        return f"{branch.lost:.0%}"
    if what == "masquerade":
        return str(branch.masquerade).lower()
    if what == "undecided":
        return ", ".join(branch.undecided)
    return ", ".join(
        f"{show_endpoint(each.address, each.port)} {_show_trait(what, each)}" for each in branch.backends
    )


def _show_trait(what: str, backend: Backend) -> str:
    if what == "shares":
        return f"{backend.share:.0%}"
    if what == "affinity":
        return "none" if backend.affinity_s is None else f"{backend.affinity_s}s"
    if what == "hairpin":
        return "masqueraded" if backend.is_hairpin_masqueraded else "as it is"
    return str(backend.weight if what == "weight" else backend.forwarding)


def _show_outcome(branch: Branch) -> str:
    if branch.outcome is not Outcome.BACKENDS:
        return "" if branch.outcome is Outcome.NONE else f"none ({branch.outcome.value})"
    return ", ".join(show_endpoint(each.address, each.port) for each in branch.backends)
