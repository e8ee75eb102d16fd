"""The space of a packet's sources, cut into pieces in which every branch either matches or does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network

import msgspec

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
        found = region.link is not None and any(
            _is_link(region.link, pattern) for pattern in condition.values
        )
    else:
        found = any(first <= region.first <= last for first, last in _ranges(condition.values))
    return found is not condition.negated


def _is_link(ifname: str, pattern: str) -> bool:
    if pattern.endswith("+"):
        return ifname.startswith(pattern[:-1])
    return ifname == pattern


def _examples_of_links(conditions: Iterable[SourceCondition]) -> list[str | None]:
    """Return a link of each kind that is told apart, and last one that no condition names."""
    patterns = sorted(
        {each for condition in conditions if condition.kind is SourceKind.LINK for each in condition.values}
    )
    if not patterns:
        return [None]
    exact = {each for each in patterns if not each.endswith("+")}
    examples: list[str | None] = []
    for pattern in patterns:
        examples.append(pattern if pattern in exact else _unused(pattern[:-1], exact))
    examples.append(_unused_by_all(patterns))
    return examples


def _unused(prefix: str, exact: set[str]) -> str:
    """Return a link of that prefix which is none of the exact ones."""
    return next(name for number in range(len(exact) + 1) if (name := f"{prefix}{number}") not in exact)


def _unused_by_all(patterns: Sequence[str]) -> str:
    names = (f"{letter}other" for letter in "abcdefghijklmnopqrstuvwxyz")
    free = (name for name in names if not any(_is_link(name, pattern) for pattern in patterns))
    return next(free, "another")


@lru_cache(maxsize=4096)
def _ranges(values: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    networks = (ip_network(each) for each in values)
    return tuple((int(each.network_address), int(each.broadcast_address)) for each in networks)
