"""What conntrack's counters rose by between two samples. Their values since boot prove nothing: only a rise does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from netinspect.models.conntrack import CpuStatistics

_SIZE = 2**32
_RESET = 2**31
"""No counter rises by so much within minutes: it was set back, as by a module that was loaded anew."""


def count_rise(before: Iterable[CpuStatistics], after: Iterable[CpuStatistics]) -> tuple[CpuStatistics, ...]:
    """Return for each CPU what its counters rose by; 32-bit counters that went round are followed.

    A CPU or a counter that only one sample has, and a counter that was set back, is left out: its rise is not known.
    """
    first = {each.cpu: each.counters for each in before}
    return tuple(
        CpuStatistics(cpu=each.cpu, counters=_rise(first[each.cpu], each.counters))
        for each in after
        if each.cpu in first
    )


def _rise(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    rises = {name: (value - before[name]) % _SIZE for name, value in after.items() if name in before}
    return {name: rise for name, rise in rises.items() if rise < _RESET}


def add_up(statistics: Iterable[CpuStatistics]) -> dict[str, int]:
    """Return the counters of all CPUs together, in the order in which the tool has them."""
    total: Counter[str] = Counter()
    for each in statistics:
        for name, value in each.counters.items():
            total[name] += value
    return dict(total)
