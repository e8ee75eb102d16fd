"""Whether a row of a listing is meant: what `analyze.flow_filter.matches` decides on a flow, at the pace of a stream.

Each condition looks at one column or a few, whose values repeat: what it decided on a value is remembered, up to a
bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import compress
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeVar

from netinspect.analyze.conntrack.flow_filter import is_within
from netinspect.models.address import Address, parse_address
from netinspect.models.flow_filter import FlowFilter, Network
from netinspect.models.flow_row import Column, FlowRow

K = TypeVar("K")
V = TypeVar("V")

_MAX_REMEMBERED = 16384
_POSITIONS = (Column.SRC, Column.DST, Column.REPLY_SRC, Column.REPLY_DST)


class Memo(dict[K, V], Generic[K, V]):
    """What a function returned, by its argument: a lookup in a dict where it was asked before."""

    def __init__(self, function: Callable[[K], V]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, key: K) -> V:
        """Ask the function. When too much is remembered, all is forgotten: what is asked often is soon back."""
        if len(self) >= _MAX_REMEMBERED:
            self.clear()
        value = self[key] = self._function(key)
        return value


class _Check(NamedTuple):
    """A condition: picks what it looks at from a row (a column's value, or a tuple of several), and decides by that."""

    pick: Callable[[FlowRow], Any]
    decide: Callable[[Any], bool]


class RowFilter:
    """Chooses the rows that a filter means."""

    def __init__(self, wanted: FlowFilter) -> None:
        self._checks = tuple(_checks(wanted))

    def select(self, rows: list[FlowRow]) -> list[FlowRow]:
        """Return the rows that meet all conditions, in their order."""
        for pick, decide in self._checks:
            rows = list(compress(rows, map(decide, map(pick, rows))))
        return rows


def _checks(wanted: FlowFilter) -> Iterator[_Check]:
    if wanted.addresses:
        is_wanted: Memo[bytes, bool] = Memo(lambda text: _address(text) in wanted.addresses)
        yield _Check(itemgetter(*_POSITIONS), lambda texts: any(is_wanted[text] for text in texts))
    if wanted.protocols:
        yield _remembered(lambda text: int(text) in wanted.protocols, Column.PROTOCOL_NUMBER)
    for column, port in ((Column.SPORT, wanted.sport), (Column.DPORT, wanted.dport)):
        if port is not None:
            yield _remembered(_is_number(port), column)
    for column, networks in ((Column.SRC, wanted.src), (Column.DST, wanted.dst)):
        if networks:
            yield _remembered(_is_within(networks), column)
    if wanted.states:
        yield _remembered(
            lambda texts: not wanted.states.isdisjoint(_states_of(*texts)),
            *(Column.STATE, Column.UNREPLIED, Column.STATUS),
        )
    if wanted.zone is not None:
        yield _remembered(
            lambda texts: wanted.zone in _zones_of(*map(_number, texts)),
            *(Column.ZONE_ORIG, Column.ZONE_REPLY, Column.ZONE),
        )
    if wanted.mark is not None:
        yield _remembered(_is_mark(wanted.mark, wanted.mark_mask), Column.MARK)


def _remembered(decide: Callable[[Any], bool], *columns: Column) -> _Check:
    return _Check(itemgetter(*columns), Memo(decide).__getitem__)


def _is_number(wanted: int) -> Callable[[bytes], bool]:
    return lambda text: _number(text) == wanted


def _is_within(networks: tuple[Network, ...]) -> Callable[[bytes], bool]:
    return lambda text: is_within(_address(text), networks)


def _is_mark(wanted: int, mask: int) -> Callable[[bytes], bool]:
    return lambda text: (_number(text) or 0) & mask == wanted & mask


def _number(text: bytes) -> int | None:
    return int(text) if text else None


def _address(text: bytes) -> Address:
    return parse_address(text.decode())


def _states_of(state: bytes, unreplied: bytes, status: bytes) -> Iterator[str]:
    yield from (text.decode() for text in (state, unreplied, status) if text)
    if status.endswith(b"OFFLOAD"):
        yield "OFFLOAD"


def _zones_of(original: int | None, reply: int | None, both: int | None) -> tuple[int | None, ...]:
    return (original, reply) if original or reply else (both or 0,)
