"""Which chains of a node are listed, and what is said of those that no node has."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from netinspect.analyze.iptables.listing import list_chains
from netinspect.analyze.nft.listing import list_nft_chains
from netinspect.errors import TargetError
from netinspect.models.chain_listing import ListedChain
from netinspect.models.fact import Known
from netinspect.models.rules_reading import RulesReading

_OTHER_FAMILY = {"ip": 6, "ip6": 4, "arp": 6}
"""By nft's family, whose packets it never meets; other families meet both."""
_OF_IPTABLES = ("filter", "mangle", "nat", "raw", "security")


class ChainWish(msgspec.Struct, frozen=True, kw_only=True):
    """Which chains are asked for.

    Attributes:
        tables: by name, of nft also with the family; none is all.
        chains: by name; none is all.
        families: 4, 6, or both: what packets of these meet.
    """

    tables: tuple[str, ...] = ()
    chains: tuple[str, ...] = ()
    families: tuple[int, ...] = (4, 6)


def list_wanted_chains(reading: RulesReading, wish: ChainWish) -> Iterator[ListedChain]:
    """Yield the chains of a node that are asked for."""
    for kind, fact in reading.saves.items():
        if isinstance(fact, Known) and kind.family in wish.families:
            yield from list_chains(reading.node, kind.tool, kind.family, fact.value, wish.tables, wish.chains)
    if isinstance(reading.nft, Known):
        for each in list_nft_chains(reading.node, reading.nft.value, wish.tables, wish.chains):
            if _is_met(each.family, wish.families):
                yield each


def check_wanted_chains(readings: Collection[RulesReading], wish: ChainWish) -> None:
    """Make sure that each table and chain named is somewhere.

    Raises:
        TargetError: no node has one of them.
    """
    tables: dict[str, None] = {}
    chains: dict[str, dict[str, None]] = {}
    for reading in readings:
        for family, table, names in _list_places(reading, wish.families):
            tables |= dict.fromkeys((table, f"{family} {table}"))
            is_meant = not wish.tables or table in wish.tables or f"{family} {table}" in wish.tables
            for name in names if is_meant else ():
                chains.setdefault(name, {})[table] = None
    has_nft = any(isinstance(reading.nft, Known) for reading in readings)
    over = f" for IPv{wish.families[0]}" if len(wish.families) == 1 else ""
    for name in wish.tables:
        if name not in tables:
            raise TargetError(
                f'no node that was asked has a table "{name}"{over}',
                _find_alike(name, tables) or (_point_at_iptables(name) if has_nft else ""),
            )
    where = f" in table {' or '.join(wish.tables)}" if wish.tables else ""
    for name in wish.chains:
        if name not in chains:
            raise TargetError(
                f'no node that was asked has a chain "{name}"{where}{over}', _find_alike(name, chains)
            )


def _list_places(
    reading: RulesReading, families: Collection[int]
) -> Iterator[tuple[str, str, Collection[str]]]:
    """Yield family, table and chains of each table."""
    for kind, fact in reading.saves.items():
        if isinstance(fact, Known) and kind.family in families:
            for table in fact.value.tables.values():
                yield ("ip" if kind.family == 4 else "ip6"), table.name, table.chains
    if isinstance(reading.nft, Known):
        for each in reading.nft.value.tables:
            if _is_met(each.family, families):
                yield each.family, each.name, each.chains


def _is_met(family: str, families: Collection[int]) -> bool:
    return any(_OTHER_FAMILY.get(family) != each for each in families)


def _find_alike(name: str, known: Collection[str]) -> str:
    """Return a hint at a name that differs in capitals only."""
    alike = next((each for each in known if each.lower() == name.lower()), "")
    return f'there is "{alike}"' if alike else ""


def _point_at_iptables(table: str) -> str:
    """Return where the tables of iptables-nft are shown: nft is not asked for them."""
    is_shown = table.rpartition(" ")[2] in _OF_IPTABLES
    return "tables that iptables wrote are shown by kubectl netinspect iptables" if is_shown else ""
