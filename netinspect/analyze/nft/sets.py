"""Named and anonymous sets and maps of nft, made ready to be asked what they hold for a packet.

A key may have one part that is not known (the packet's source, or its link): what is found is then the elements that
fit the other parts, each with what the source has to be.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import summarize_address_range

from netinspect.analyze.nft.packet import number_of
from netinspect.analyze.nft.values import Several, Symbol, Unclear, Value, protocol_name, protocol_number
from netinspect.models.address import parse_address
from netinspect.models.nft_expression import Concat, Element, Expression, Prefix, Range
from netinspect.models.service_map import SourceCondition, SourceKind

ASKED = (Symbol.SOURCE, Symbol.LINK)
EVERYTHING = "*"
_SCALARS = str, int
_SPANS = Prefix, Range


class ElementIndex:
    """The elements of one set or map, by what is known of their keys.

    Args:
        elements: of the set.
        open_part: which part of the key is not known; None where all are.
    """

    def __init__(self, elements: Iterable[Element], open_part: int | None) -> None:
        self._open = open_part
        self._exact: dict[tuple[object, ...], list[Element]] = defaultdict(list)
        self._loose: list[tuple[tuple[Expression, ...], Element]] = []
        self._rest: list[Element] = []
        self._numbered: set[int] = set()
        self._spans: tuple[list[int], list[tuple[int, Element]]] | None = None
        for element in elements:
            self._add(element)

    @property
    def rest(self) -> Element | None:
        """The catch-all element."""
        return self._rest[0] if self._rest else None

    def find(self, known: Sequence[Value]) -> list[Element]:
        """Return the elements whose keys fit; where all of the key is known and none does, the catch-all one."""
        found = self._exact.get(tuple(known), [])
        if found and not self._loose:
            return found
        if (
            not found
            and self._numbered
            and any(at in self._numbered for at, each in enumerate(known) if isinstance(each, str))
        ):
            found = self._exact.get(tuple(map(protocol_number, known)), [])
        if self._loose:
            found = [*found, *self._find_loose(known)]
        return found or ([] if self._open is not None else self._rest)

    def _add(self, element: Element) -> None:
        if element.key == EVERYTHING:
            self._rest.append(element)
            return
        parts = key_parts(element.key)
        known = tuple(each for at, each in enumerate(parts) if at != self._open)
        if all(isinstance(each, _SCALARS) for each in known):
            self._exact[known].append(element)
            self._numbered.update(at for at, each in enumerate(known) if isinstance(each, int))
        else:
            self._loose.append((known, element))

    def _find_loose(self, known: Sequence[Value]) -> Iterable[Element]:
        if len(known) == 1 and self._open is None:
            return self._find_span(known[0])
        return [
            element
            for parts, element in self._loose
            if len(parts) == len(known) and all(map(is_within, known, parts))
        ]

    def _find_span(self, value: Value) -> Iterator[Element]:
        if self._spans is None:
            spans = sorted(
                ((*span, element) for parts, element in self._loose if (span := span_of(parts[0]))),
                key=lambda span: span[:2],
            )
            self._spans = [low for low, _, _ in spans], [(high, element) for _, high, element in spans]
        number = _number(value)
        if number is not None:
            at = bisect_right(self._spans[0], number) - 1
            if at >= 0 and number <= self._spans[1][at][0]:
                yield self._spans[1][at][1]


def key_parts(key: Expression) -> tuple[Expression, ...]:
    """Return a key's parts: those of a concatenation, or itself."""
    return key.parts if isinstance(key, Concat) else (key,)


def value_parts(value: Value) -> tuple[Value, ...]:
    """Return a value's parts: those that stand side by side, or itself."""
    return value.parts if isinstance(value, Several) else (value,)


def is_within(value: object, part: Expression) -> bool:
    """Whether a known value is in one part of a key: a value, a network or a range."""
    if isinstance(part, _SPANS):
        span, number = span_of(part), _number(value)
        return span is not None and number is not None and span[0] <= number <= span[1]
    return part in (value, EVERYTHING) or protocol_name(part) == value


def span_of(part: Expression) -> tuple[int, int] | None:
    """Return the first and last number of a network or range; None where it is of something else."""
    try:
        if isinstance(part, Prefix) and isinstance(part.addr, str):
            address = parse_address(part.addr)
            size = 1 << (address.max_prefixlen - part.len)
            return int(address), int(address) + size - 1
        if isinstance(part, Range):
            low, high = _number(part.low), _number(part.high)
            return None if low is None or high is None else (low, high)
    except ValueError:
        return None
    return None


def source_condition(
    symbol: Symbol, parts: Iterable[Expression], *, negated: bool
) -> SourceCondition | Unclear:
    """Return the condition that the source, or the link, is one of these."""
    values: set[str] = set()
    write = _networks if symbol is Symbol.SOURCE else _links
    for part in parts:
        try:
            values.update(write(part))
        except ValueError:
            return Unclear(part)
    kind = SourceKind.NETWORK if symbol is Symbol.SOURCE else SourceKind.LINK
    return SourceCondition(kind=kind, values=tuple(sorted(values)), negated=negated)


def _number(value: object) -> int | None:
    if isinstance(value, int):
        return value
    if not isinstance(value, str):
        return None
    protocol = protocol_number(value)
    if isinstance(protocol, int):
        return protocol
    try:
        return number_of(value)
    except ValueError:
        return None


def _networks(part: Expression) -> Iterator[str]:
    """Write a part of a key as CIDRs.

    Raises:
        ValueError: it is no address, network or range of addresses.
    """
    if isinstance(part, Prefix) and isinstance(part.addr, str):
        yield f"{parse_address(part.addr)}/{part.len}"
    elif isinstance(part, Range) and isinstance(part.low, str) and isinstance(part.high, str):
        low, high = parse_address(part.low), parse_address(part.high)
        for network in summarize_address_range(low, high):
            yield str(network)
    elif isinstance(part, str) and part != EVERYTHING:
        address = parse_address(part)
        yield f"{address}/{address.max_prefixlen}"
    else:
        raise ValueError("no address")


def _links(part: Expression) -> Iterator[str]:
    """Write a part of a key as a link's name.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(part, str) or part == EVERYTHING:
        raise ValueError("no link")
    yield part[:-1] + "+" if part.endswith("*") else part
