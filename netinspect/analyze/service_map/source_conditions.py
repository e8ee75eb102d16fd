"""What follows from conditions on a packet's source: whether another one holds, does not, or may do both.

Sources are cut into regions at every border that the conditions name, so that each condition is the same for the
whole of a region; one source of each region (a witness) then stands for all. What is said is exact for any number of
networks and links, negations and overlaps.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache

from netinspect.models.address import Address
from netinspect.models.service_map import SourceCondition, SourceKind

_WILDCARD = "+"
_NO_NAME = "/"
"""No link's name holds a slash: a prefix with one behind it stands for the names that nothing else names."""


def decide(path: Sequence[SourceCondition], asked: SourceCondition) -> bool | None:
    """Return whether a condition holds for every source of a path (True), for none (False), or for some (None).

    Args:
        path: conditions that all hold already. Those of the other kind say nothing. Where no source satisfies them
            all, any condition holds.
        asked: the condition in question, of the family that the path's networks are of.

    Raises:
        ValueError: a value of a network condition is no CIDR.
    """
    return _decide(tuple(each for each in path if each.kind is asked.kind), asked)


def holds_for_network(condition: SourceCondition, source: Address) -> bool:
    """Return whether a condition of kind NETWORK holds for a source address."""
    return _holds_for_number(condition, source.version, int(source))


def holds_for_link(condition: SourceCondition, link: str | None) -> bool:
    """Return whether a condition of kind LINK holds for a packet that came in by a link.

    Args:
        condition: the condition.
        link: the link's name; None for a packet that the node itself sends, for which every negated condition holds.
    """
    is_inside = link is not None and any(_is_link_in(link, each) for each in condition.values)
    return is_inside != condition.negated


def witnesses_of_networks(conditions: Iterable[SourceCondition], family: int) -> tuple[Address, ...]:
    """Return one source address for each region that the NETWORK conditions cut a family's addresses into."""
    build = ipaddress.IPv6Address if family == 6 else ipaddress.IPv4Address
    return tuple(build(each) for each in _borders(conditions, family))


def witnesses_of_links(conditions: Iterable[SourceCondition]) -> tuple[str, ...]:
    """Return one link for each region that the LINK conditions cut links into: those named, and another.

    A link that stands for all the others has a name that no link can have (with a `/`).
    """
    named = {value for each in conditions if each.kind is SourceKind.LINK for value in each.values}
    found = {each.removesuffix(_WILDCARD) + _NO_NAME if each.endswith(_WILDCARD) else each for each in named}
    return tuple(sorted(found | {_NO_NAME}))


@lru_cache(maxsize=65536)
def _decide(path: tuple[SourceCondition, ...], asked: SourceCondition) -> bool | None:
    verdicts = _verdicts_of_links(path, asked) if asked.kind is SourceKind.LINK else _verdicts(path, asked)
    if verdicts == {True, False}:
        return None
    return True in verdicts or not verdicts


def _verdicts_of_links(path: tuple[SourceCondition, ...], asked: SourceCondition) -> set[bool]:
    return {
        holds_for_link(asked, link)
        for link in witnesses_of_links((*path, asked))
        if all(holds_for_link(each, link) for each in path)
    }


def _verdicts(path: tuple[SourceCondition, ...], asked: SourceCondition) -> set[bool]:
    family = _family_of(asked, path)
    return {
        _holds_for_number(asked, family, number)
        for number in _borders((*path, asked), family)
        if all(_holds_for_number(each, family, number) for each in path)
    }


def _holds_for_number(condition: SourceCondition, family: int, number: int) -> bool:
    is_inside = any(
        version == family and low <= number <= high for version, low, high in map(_interval, condition.values)
    )
    return is_inside != condition.negated


def _family_of(asked: SourceCondition, path: tuple[SourceCondition, ...]) -> int:
    for condition in (asked, *path):
        for value in condition.values:
            return _interval(value)[0]
    return 4  # nothing names an address: any family says the same


def _borders(conditions: Iterable[SourceCondition], family: int) -> tuple[int, ...]:
    """Return where a region begins: at the first address of all, of each network and of what follows it."""
    last = 2 ** (128 if family == 6 else 32) - 1
    borders = {0}
    for condition in conditions:
        if condition.kind is SourceKind.NETWORK:
            for version, low, high in map(_interval, condition.values):
                if version == family:
                    borders |= {low, high + 1}
    return tuple(sorted(each for each in borders if each <= last))


def _is_link_in(link: str, pattern: str) -> bool:
    if pattern.endswith(_WILDCARD):
        return link.startswith(pattern.removesuffix(_WILDCARD))
    return link == pattern


@lru_cache(maxsize=65536)
def _interval(cidr: str) -> tuple[int, int, int]:
    """Return a network's family, its first and its last address."""
    network = ipaddress.ip_network(cidr)
    first = int(network.network_address)
    return network.version, first, first + network.num_addresses - 1
