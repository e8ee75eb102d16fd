"""From what was read of a node to its service maps: one for each set of rules that packets meet there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from netinspect.analyze.iptables.service_map import read_iptables_map
from netinspect.analyze.ipvs.service_map import read_ipvs_map
from netinspect.analyze.nft.service_map import read_nft_map
from netinspect.models.address import Address
from netinspect.models.fact import Gap, Known, Reason, Unavailable
from netinspect.models.iptables import Ruleset
from netinspect.models.rules_reading import RulesReading
from netinspect.models.service_map import ServiceMap

FAMILIES = (4, 6)
_NO_SHELL = 'exec: "sh": executable file not found'
"""As runtimes say it (runc's message)."""


class ReadMap(msgspec.Struct, frozen=True, kw_only=True):
    """A service map, and which tool's rules it was read from (`iptables-legacy-save`, `nft`, `ipvsadm`)."""

    tool: str
    service_map: ServiceMap


def list_local_addresses(reading: RulesReading) -> tuple[Address, ...]:
    """Return the addresses of the node's own links, both families, each once."""
    if not isinstance(reading.links, Known):
        return ()
    return tuple(dict.fromkeys(entry.local for link in reading.links.value for entry in link.addresses))


def read_maps(reading: RulesReading) -> tuple[ReadMap, ...]:
    """Read a map from each set of rules that is known, empty ones too."""
    local = list_local_addresses(reading)
    by_family = {family: [each for each in local if each.version == family] for family in FAMILIES}
    return tuple(
        each
        for family in FAMILIES
        for each in (
            *_read_saves(reading, family, by_family[family]),
            *_read_nft(reading, family, by_family[family]),
            *_read_ipvs(reading, family, by_family[family]),
        )
    )


def choose_maps(maps: Iterable[ReadMap], kube_proxy_mode: str | None) -> tuple[ReadMap, ...]:
    """Return the maps of a node that its packets meet as kube-proxy's: of its mode where that says something.

    Args:
        maps: of one node, both families.
        kube_proxy_mode: what kube-proxy itself says; None where it could not be asked.
    """
    filled = [each for each in maps if each.service_map.entries]
    chosen = [each for each in filled if each.service_map.mode.value == kube_proxy_mode]
    return tuple(chosen or filled)


def list_reading_gaps(reading: RulesReading) -> tuple[Gap, ...]:
    """Return what of a node's rules could not be read; what was not asked for is none.

    What needs programs that the image does not have is one gap: it would be one for every program else.
    """
    facts = (
        ("the links", "ip", reading.links),
        *((f"the rules of {kind.tool}", kind.tool, fact) for kind, fact in reading.saves.items()),
        ("the rules of nft", "nft", reading.nft),
        ("the virtual servers of IPVS", "ipvsadm", reading.virtual_servers),
        ("the traffic of IPVS", "ipvsadm", reading.traffic),
        ("the sets of ipset", "ipset", reading.ipsets),
    )
    missing = [
        (what, program, fact)
        for what, program, fact in facts
        if isinstance(fact, Unavailable) and fact.reason is not Reason.NOT_APPLICABLE
    ]
    without_tool = [each for each in missing if each[2].reason is Reason.TOOL_MISSING]
    if len(without_tool) < 2:
        without_tool = []
    subject = f"node/{reading.node}"
    single = (
        Gap(subject, what, fact.reason, fact.detail)
        for what, program, fact in missing
        if (what, program, fact) not in without_tool
    )
    return (*reading.gaps, *_without_tools(subject, without_tool), *single, *_unreadable_tables(reading))


def find_missing_program(fact: Unavailable, program: str) -> str:
    """Return which program the image lacks for a fact: the one that it comes from, or the shell around it."""
    return "shell" if _NO_SHELL in fact.detail else program


def _without_tools(subject: str, missing: Sequence[tuple[str, str, Unavailable]]) -> Iterator[Gap]:
    if not missing:
        return
    *others, last = dict.fromkeys(what for what, _, _ in missing)
    programs = ", ".join(dict.fromkeys(find_missing_program(fact, program) for _, program, fact in missing))
    what = f"{', '.join(others)} and {last}" if others else last
    yield Gap(subject, what, Reason.TOOL_MISSING, f"the image has no {programs}")


def _unreadable_tables(reading: RulesReading) -> Iterator[Gap]:
    for kind, fact in reading.saves.items():
        for table in fact.value.tables.values() if isinstance(fact, Known) else ():
            if table.unreadable is not None:
                what = f"table {table.name} of {kind.tool}"
                yield Gap(f"node/{reading.node}", what, Reason.UNPARSABLE, table.unreadable)


def _read_saves(reading: RulesReading, family: int, local: Sequence[Address]) -> Iterator[ReadMap]:
    sets = reading.ipsets.value if isinstance(reading.ipsets, Known) else {}
    for kind, fact in reading.saves.items():
        if kind.family == family and isinstance(fact, Known):
            yield ReadMap(
                tool=kind.tool,
                service_map=read_iptables_map(reading.node, family, fact.value, local, sets),
            )


def _read_nft(reading: RulesReading, family: int, local: Sequence[Address]) -> Iterator[ReadMap]:
    if isinstance(reading.nft, Known):
        service_map = read_nft_map(reading.node, family, reading.nft.value, local)
        yield ReadMap(tool="nft", service_map=service_map)


def _read_ipvs(reading: RulesReading, family: int, local: Sequence[Address]) -> Iterator[ReadMap]:
    """Read the virtual servers; which rules of iptables stand before them depends on the backend that has any."""
    if not isinstance(reading.virtual_servers, Known):
        return
    servers = [each for each in reading.virtual_servers.value if each.service.family == family]
    if not servers:
        return
    sets = reading.ipsets.value if isinstance(reading.ipsets, Known) else {}
    rules = _kube_proxy_rules(reading, family)
    service_map = read_ipvs_map(reading.node, family, servers, rules, sets, local)
    yield ReadMap(tool="ipvsadm", service_map=service_map)


def _kube_proxy_rules(reading: RulesReading, family: int) -> Ruleset:
    known = [
        fact.value
        for kind, fact in reading.saves.items()
        if kind.family == family and isinstance(fact, Known)
    ]
    ours = [each for each in known if each.chain("nat", "KUBE-SERVICES") is not None]
    return next(iter((*ours, *known)), Ruleset())
