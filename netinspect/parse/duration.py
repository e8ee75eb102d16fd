"""Durations as kubectl takes them."""

from __future__ import annotations

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_MOST_S = 2562047.0 * 3600
"""What Go's int64 of nanoseconds holds: about 292 years."""

_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def parse_duration(text: str) -> float:
    """Return the seconds of a duration: `90s`, `1m30s`, `1.5h` (Go, time.ParseDuration), or `90`, seconds as well.

    Raises:
        ValueError: the text is no duration.
    """
    written = f"{text}s" if text.isdecimal() else text
    parts = _PART.findall(written)
    seconds = float(sum(float(number) * _UNITS[unit] for number, unit in parts))
    if not parts or "".join(number + unit for number, unit in parts) != written or seconds > _MOST_S:
        raise ValueError(f'invalid duration "{text}": write 30s, 5m or 1h30m')
    return seconds
