"""Put two sides together by key, and their properties side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from netinspect.models.difference import Change, FieldChange

K = TypeVar("K")
V = TypeVar("V")


def pair(before: Mapping[K, V], after: Mapping[K, V]) -> Iterator[tuple[K, V | None, V | None]]:
    """Yield every key of either side with what both have under it, in the order of the keys."""
    for key in sorted(before.keys() | after.keys(), key=_order):
        yield key, before.get(key), after.get(key)


def change_of(before: object | None, after: object | None) -> Change:
    """Return what became of a thing that is None where it is not there."""
    if before is None:
        return Change.ADDED
    return Change.REMOVED if after is None else Change.CHANGED


def compare_fields(
    before: Mapping[str, str] | None, after: Mapping[str, str] | None
) -> tuple[FieldChange, ...]:
    """Return the properties that differ, in their order; where one side is not there, all that have a value."""
    old, new = before or {}, after or {}
    return tuple(
        FieldChange(field=name, before=old.get(name, ""), after=new.get(name, ""))
        for name in {**old, **new}
        if old.get(name, "") != new.get(name, "")
    )


def show_all(values: Iterable[object]) -> str:
    """Write values as a list; "" for none."""
    return ", ".join(map(str, values))


def _order(key: Any) -> tuple[str, ...]:
    return tuple(map(str, key)) if isinstance(key, tuple) else (str(key),)
