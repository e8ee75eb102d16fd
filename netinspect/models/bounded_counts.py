"""Counts of more keys than are kept, with what each may lack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

import msgspec

K = TypeVar("K")


class Bounds(NamedTuple):
    """A count lies within these, both included; where they are equal it is exact."""

    least: int
    most: int

    def __add__(self, other: object) -> Bounds:
        """Add up the counts of two separate things."""
        if not isinstance(other, Bounds):
            return NotImplemented
        return Bounds(self.least + other.least, self.most + other.most)


ZERO = Bounds(0, 0)


class BoundedCounts(msgspec.Struct, Generic[K], frozen=True, kw_only=True):
    """Counts of the most frequent keys (`analyze.bounded_counter` tells how they come about and why they hold).

    Attributes:
        most: by key, at most how often it was counted.
        missed: by key, how many of these may be too many; a key that is not here was counted exactly.
        folded: what was counted for a key that is not in `most`, at most. 0: every key is kept, all counts are exact.
    """

    most: dict[K, int]
    missed: dict[K, int]
    folded: int

    def bounds(self, key: K) -> Bounds:
        """Return what is known of a key's count."""
        most = self.most.get(key)
        return Bounds(0, self.folded) if most is None else Bounds(most - self.missed.get(key, 0), most)

    def items(self) -> Iterator[tuple[K, Bounds]]:
        """Yield the keys that are kept, with their counts."""
        return ((key, Bounds(most - self.missed.get(key, 0), most)) for key, most in self.most.items())
