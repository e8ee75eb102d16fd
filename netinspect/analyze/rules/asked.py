"""What becomes of packets for destinations that no rule names: rules for whole ranges may refuse or drop them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from msgspec.structs import replace

from netinspect.analyze.iptables.service_map import read_one_destination
from netinspect.analyze.nft.service_map import read_nft_destinations
from netinspect.analyze.rules.missing_ports import ExpectedPort
from netinspect.analyze.rules.service_maps import ReadMap, list_local_addresses
from netinspect.analyze.rules.target import PROTOCOLS, RuleTarget
from netinspect.models.fact import Known
from netinspect.models.rules_reading import RulesReading
from netinspect.models.service_map import Destination, Hook, MapEntry, Outcome, ServiceMap

_HOOKS = (Hook.PREROUTING, Hook.OUTPUT)
_MOST_ASKED = 500
"""Ports without rules that are walked for, a few milliseconds each: where more are missing, these tell of all."""


def list_asked(
    targets: Iterable[RuleTarget], expected: Iterable[ExpectedPort], named: Collection[Destination]
) -> tuple[Destination, ...]:
    """Return the destinations that are asked for and in no map.

    Args:
        targets: what was named and not found; of addresses only those with a port lead to a destination.
        expected: ports at ClusterIPs that there should be rules for.
        named: the destinations of a node's maps.
    """
    asked = [
        Destination(address=each.address, protocol=protocol, port=each.port)
        for each in targets
        if each.address is not None and isinstance(each.port, int)
        for protocol in ((each.protocol,) if each.protocol else PROTOCOLS)
    ]
    asked += [Destination(address=each.address, protocol=each.protocol, port=each.port) for each in expected]
    known = {(each.address, each.protocol, each.port) for each in named}
    return tuple(
        each for each in dict.fromkeys(asked) if (each.address, each.protocol, each.port) not in known
    )


def read_asked(
    reading: RulesReading, chosen: Iterable[ReadMap], asked: Collection[Destination]
) -> Iterator[ServiceMap]:
    """Yield maps of these destinations alone, each read from the rules that a map of the node was read from."""
    for each in chosen:
        family = each.service_map.family
        of_family = [to for to in asked if to.address is not None and to.address.version == family]
        entries = tuple(_read(reading, each.tool, family, of_family)) if of_family else ()
        if entries:
            yield replace(each.service_map, entries=entries, gaps=())


def _read(
    reading: RulesReading, tool: str, family: int, asked: Collection[Destination]
) -> Iterable[MapEntry]:
    local = [each for each in list_local_addresses(reading) if each.version == family]
    if tool == "nft" and isinstance(reading.nft, Known):
        return read_nft_destinations(family, reading.nft.value, local, asked)
    sets = reading.ipsets.value if isinstance(reading.ipsets, Known) else {}
    rules = next((fact for kind, fact in reading.saves.items() if kind.tool == tool), None)
    if not isinstance(rules, Known):
        return ()
    read = (
        MapEntry(
            hook=hook,
            destination=to,
            branches=read_one_destination(rules.value, local, hook, to.address, to.protocol, to.port, sets),
        )
        for to in asked
        for hook in _HOOKS
        if to.address is not None
    )
    return [
        each
        for each in read
        if any(one.outcome is not Outcome.NONE or one.undecided for one in each.branches)
    ]
