"""Count keys of which there may be any number, in constant memory, and know how wrong each count may be.

The Space-Saving summary (Metwally, Agrawal, El Abbadi: Efficient computation of frequent and top-k elements in data
streams, 2005), with many keys dropped at a time, as its twin by Misra and Gries allows it (Agarwal and others:
Mergeable summaries, 2012). Up to twice `capacity` keys are kept. When there are more, those whose upper bound is not
above the `capacity + 1`st largest, T, are dropped, and T becomes what a key that is not kept may have had at most:
that is what a key that comes (again) starts from. T - its former value is taken off `capacity + 1` keys at least, so
their sum over time, `folded`, is at most the total of all counts, divided by `capacity + 1`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

from netinspect.models.bounded_counts import BoundedCounts

K = TypeVar("K", bound=Hashable)


class BoundedCounter(Generic[K]):
    """Counts keys.

    A key that was counted more often than `total / (capacity + 1)` is always kept; one that was there before the first
    time that keys were dropped, and ever since, is counted exactly.

    Attributes:
        capacity: how many keys are kept when others are dropped.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._most: dict[K, int] = {}
        self._missed: dict[K, int] = {}
        self._folded = 0

    def add(self, counts: Mapping[K, int]) -> None:
        """Add counts. A bounded number of keys at a time, or they are what fills the memory."""
        most, folded = self._most, self._folded
        if folded:
            self._missed.update((key, folded) for key in counts if key not in most)
        for key, count in counts.items():
            most[key] = most.get(key, folded) + count
        if len(most) > 2 * self.capacity:
            self._drop()

    def counts(self) -> BoundedCounts[K]:
        """Return what was counted so far."""
        return BoundedCounts(most=dict(self._most), missed=dict(self._missed), folded=self._folded)

    def _drop(self) -> None:
        self._folded = threshold = sorted(self._most.values(), reverse=True)[self.capacity]
        self._most = {key: most for key, most in self._most.items() if most > threshold}
        self._missed = {key: each for key, each in self._missed.items() if key in self._most}
