"""The space of a packet's sources, cut into pieces in which every branch either matches or does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network
from string import ascii_lowercase, digits

import msgspec

from netinspect.analyze.service_map.source_conditions import holds_for_link
from netinspect.models.address import Address
from netinspect.models.service_map import Branch, SourceCondition, SourceKind

_BITS = {4: 32, 6: 128}


class SourceRegion(msgspec.Struct, frozen=True, kw_only=True):
    """Sources that no condition tells apart.

    Attributes:
        family: 4 or 6.
        first: the lowest address, as a number.
        last: the highest.
        link: an example of a link by which they come in; None where there is none (OUTPUT), or where none is asked for.
    """

    family: int
    first: int
    last: int
    link: str | None = None

    @property
    def example(self) -> Address:
        """One address of the region; not the network's own where there is another."""
        number = min(self.first + 1, self.last)
        return IPv4Address(number) if self.family == 4 else IPv6Address(number)

    def holds(self, address: Address) -> bool:
        """Whether an address is in the region."""
        return address.version == self.family and self.first <= int(address) <= self.last


def cut_sources(branches: Iterable[Branch], family: int, *, has_link: bool) -> Iterator[SourceRegion]:
    """Yield the pieces into which the conditions of all the branches cut the sources.

    Args:
        branches: of all maps that are compared.
        family: 4 or 6.
        has_link: whether packets have come in by a link.
    """
    conditions = {condition for branch in branches for condition in branch.when}
    links = _examples_of_links(conditions) if has_link else [None]
    starts = {0}
    for condition in conditions:
        if condition.kind is SourceKind.NETWORK:
            for first, last in _ranges(condition.values):
                starts |= {first, last + 1}
    end = 1 << _BITS[family]
    borders = sorted(each for each in starts if each < end)
    for first, following in zip(borders, [*borders[1:], end], strict=True):
        for link in links:
            yield SourceRegion(family=family, first=first, last=following - 1, link=link)


def branch_in(region: SourceRegion, branches: Sequence[Branch]) -> Branch | None:
    """Return the first branch that takes packets of the region."""
    return next((each for each in branches if all(_is_met(one, region) for one in each.when)), None)


def _is_met(condition: SourceCondition, region: SourceRegion) -> bool:
    if condition.kind is SourceKind.LINK:
        return holds_for_link(condition, region.link)
    found = any(first <= region.first <= last for first, last in _ranges(condition.values))
    return found is not condition.negated


def _examples_of_links(conditions: Iterable[SourceCondition]) -> list[str | None]:
    """Return a link of each kind that is told apart, and last one that no condition names."""
    patterns = {
        each for condition in conditions if condition.kind is SourceKind.LINK for each in condition.values
    }
    if not patterns:
        return [None]
    prefixes = sorted(each[:-1] for each in patterns if each.endswith("+"))
    exact = sorted(each for each in patterns if not each.endswith("+"))
    return [*exact, *(_unnamed(prefix, patterns) for prefix in prefixes), _unnamed("", patterns)]


def _unnamed(prefix: str, patterns: Iterable[str]) -> str:
    """Return a link of a prefix that no longer name or prefix stands for."""
    longer = tuple(each for each in patterns if len(each.removesuffix("+")) > len(prefix))
    named = SourceCondition(kind=SourceKind.LINK, values=longer)
    ends = (*digits, *ascii_lowercase) if prefix else ("another", *digits, *ascii_lowercase)
    names = (f"{prefix}{each}" for each in ends)
    # No link's name holds a slash.
    return next((name for name in names if not holds_for_link(named, name)), f"{prefix}/")


@lru_cache(maxsize=4096)
def _ranges(values: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    networks = (ip_network(each) for each in values)
    return tuple((int(each.network_address), int(each.broadcast_address)) for each in networks)
