"""What a set or map of nft has for a packet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from netinspect.analyze.nft.packet import Packet, SplitError
from netinspect.analyze.nft.sets import (
    ASKED,
    EVERYTHING,
    ElementIndex,
    key_parts,
    source_condition,
    value_parts,
)
from netinspect.analyze.nft.values import Flags, Numbers, Symbol, Unclear, Value
from netinspect.models.nft import NftTable
from netinspect.models.nft_expression import Element, Expression, Range, Set, SetRef
from netinspect.models.service_map import SourceCondition


class Chances(msgspec.Struct, frozen=True):
    """Elements by chance.

    Attributes:
        of: how many numbers there are.
        found: how many of them lead to which element, in the order printed.
        missed: how many lead to none.
    """

    of: int
    found: tuple[tuple[int, Element], ...]
    missed: int


class Sourced(msgspec.Struct, frozen=True):
    """Elements by where the packet comes from; no two are for the same source.

    Attributes:
        symbol: what is asked.
        found: the part of each element's key that is asked, and the element.
        rest: the catch-all element, for all other sources.
    """

    symbol: Symbol
    found: tuple[tuple[Expression, Element], ...]
    rest: Element | None = None

    def condition(self, *, negated: bool = False) -> SourceCondition | Unclear | bool:
        """Return the condition that the source is in one of the elements."""
        if self.rest is not None:
            return not negated
        if len(self.found) > _MOST_SOURCES:
            return Unclear(None)
        return source_condition(self.symbol, (part for part, _ in self.found), negated=negated)


Found = Element | None | Chances | Sourced | Unclear
"""What was found: an element, none, or what it depends on."""


_MOST_SOURCES = 1000
"""A set of more sources (a block list) is not told apart; what asks for it is named as undecided."""
_PLAIN = frozenset((str, int))
_NO_VALUES = Unclear, Numbers, Flags


class SetReader:
    """Looks into the sets and maps of tables. Each is made ready once, when it is first asked."""

    def __init__(self) -> None:
        self._indexes: dict[tuple[int, int | None], tuple[object, ElementIndex]] = {}

    def find(self, elements: tuple[Element, ...], value: Value, packet: Packet) -> Found:
        """Return what a set or map has for a value.

        Raises:
            SplitError: it depends on which of its possible destinations the packet goes to.
        """
        if isinstance(value, Numbers):
            return _chances(value, elements)
        if isinstance(value, Flags):
            return _flagged(value, elements)
        parts = value_parts(value)
        if _PLAIN.issuperset(map(type, parts)):  # nearly all are: there is nothing to ask
            found = self._index(elements, None).find(parts)
            return found[0] if found else None
        if Symbol.ABSENT in parts:
            return None
        unclear = next((each for each in parts if isinstance(each, _NO_VALUES)), None)
        if unclear is not None:
            return unclear if isinstance(unclear, Unclear) else Unclear(None)
        return self._find_parts(elements, parts, packet)

    def _find_parts(self, elements: tuple[Element, ...], parts: Sequence[Value], packet: Packet) -> Found:
        opened = [at for at, each in enumerate(parts) if each in ASKED]
        if len(opened) > 1 or Symbol.NOT_LOCAL in parts:
            return Unclear(None)
        index = self._index(elements, opened[0] if opened else None)
        known = [each for each in parts if each not in ASKED]
        is_several = Symbol.DESTINATION in known
        found = _find_everywhere(index, known, packet) if is_several else index.find(known)
        if not opened:
            return found[0] if found else None
        symbol = parts[opened[0]]
        assert isinstance(symbol, Symbol)
        return Sourced(symbol, tuple((key_parts(each.key)[opened[0]], each) for each in found), index.rest)

    def _index(self, elements: tuple[Element, ...], open_part: int | None) -> ElementIndex:
        key = id(elements), open_part
        if key not in self._indexes:
            self._indexes[key] = elements, ElementIndex(elements, open_part)
        return self._indexes[key][1]


def elements_of(table: NftTable, data: Expression) -> tuple[Element, ...] | None:
    """Return the elements of an anonymous or a named set or map; None where it is not known."""
    if isinstance(data, Set):
        return data.elements
    if isinstance(data, SetRef):
        named = table.sets.get(data.name)
        return None if named is None or named.remainder else named.elements
    return None


def _find_everywhere(index: ElementIndex, known: Sequence[Value], packet: Packet) -> list[Element]:
    """Look for every address that the packet may go to; they must find the same.

    Raises:
        SplitError: they do not.
    """
    results: dict[tuple[int, ...], list[str]] = {}
    elements: list[Element] = []
    for address in packet.addresses:
        elements = index.find([address if each is Symbol.DESTINATION else each for each in known])
        results.setdefault(tuple(map(id, elements)), []).append(address)
    if len(results) > 1:
        raise SplitError(tuple(map(tuple, results.values())))
    return elements


def _chances(numbers: Numbers, elements: Iterable[Element]) -> Found:
    last = numbers.first + numbers.count - 1
    found: list[tuple[int, Element]] = []
    rest: Element | None = None
    for element in elements:
        key = element.key
        if isinstance(key, int):
            found.append((int(numbers.first <= key <= last), element))
        elif isinstance(key, Range) and isinstance(key.low, int) and isinstance(key.high, int):
            found.append((max(0, min(key.high, last) - max(key.low, numbers.first) + 1), element))
        elif key == EVERYTHING:
            rest = element
        else:
            return Unclear(element)
    missed = numbers.count - sum(count for count, _ in found)
    if rest is not None and missed > 0:
        found, missed = [*found, (missed, rest)], 0
    return Chances(numbers.count, tuple(each for each in found if each[0]), missed)


def _flagged(flags: Flags, elements: Iterable[Element]) -> Found:
    """A packet's one flag finds its element; several are not looked up by kube-proxy nor by others."""
    if len(flags.names) != 1:
        return Unclear(None)
    return next((each for each in elements if each.key in (*flags.names, EVERYTHING)), None)
