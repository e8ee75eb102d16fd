"""Counting in constant memory: every count lies within its bounds, and these are as narrow as promised."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from netinspect.analyze.conntrack.bounded_counter import BoundedCounter
from netinspect.models.bounded_counts import BoundedCounts, Bounds


def counted(batches: list[dict[int, int]], capacity: int) -> tuple[BoundedCounts[int], Counter[int]]:
    """What a counter says, and what is true."""
    counter = BoundedCounter[int](capacity)
    truth: Counter[int] = Counter()
    for batch in batches:
        counter.add(batch)
        truth.update(batch)
    return counter.counts(), truth


batches = st.lists(st.dictionaries(st.integers(0, 40), st.integers(1, 9), max_size=12), max_size=30)


@given(batches, st.integers(1, 8))
def test_every_count_lies_within_its_bounds(given: list[dict[int, int]], capacity: int) -> None:
    """Of a key that is kept and of one that is not; no bound is looser than the total allows."""
    counts, truth = counted(given, capacity)
    for key in range(42):
        bounds = counts.bounds(key)
        assert bounds.least <= truth[key] <= bounds.most
        assert bounds.most - bounds.least <= counts.folded
    assert counts.folded * (capacity + 1) <= truth.total()
    assert dict(counts.items()) == {key: counts.bounds(key) for key in counts.most}


@given(batches, st.integers(1, 8))
def test_frequent_keys_are_always_kept(given: list[dict[int, int]], capacity: int) -> None:
    """All that are counted more often than the total divided by one more than the capacity."""
    counts, truth = counted(given, capacity)
    assert all(key in counts.most for key, count in truth.items() if count * (capacity + 1) > truth.total())


@given(batches)
def test_what_fits_is_counted_exactly(given: list[dict[int, int]]) -> None:
    """Up to twice the capacity, nothing is folded."""
    counts, truth = counted(given, 21)
    assert dict(counts.items()) == {key: Bounds(count, count) for key, count in truth.items()}
    assert counts.folded == 0


def test_no_more_than_twice_the_capacity_is_kept() -> None:
    """However many keys come; one that was there from the beginning is exact to the end."""
    counter = BoundedCounter[int](50)
    numbers = random.Random(7)
    counter.add({-1: 3})
    for _ in range(1000):
        counter.add(Counter(numbers.randrange(10**9) for _ in range(20)) | {-1: 5})
        assert len(counter.counts().most) <= 100
    counts = counter.counts()
    assert counts.bounds(-1) == Bounds(5003, 5003)
    assert len(counts.missed) <= 100
    assert counts.folded > 0


def test_a_key_that_was_dropped_and_came_again_is_not_said_to_be_exact() -> None:
    """What it had before is within its bounds, and so is what it has not."""
    counter = BoundedCounter[str](1)
    counter.add({"a": 1, "b": 2, "c": 3})  # drops a and b
    counter.add({"b": 1})
    counts = counter.counts()
    assert (counts.bounds("b"), counts.bounds("c"), counts.bounds("a")) == (
        Bounds(1, 3),
        Bounds(3, 3),
        Bounds(0, 2),
    )
