"""Durations as kubectl takes them."""

from __future__ import annotations

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def parse_duration(text: str) -> float:
    """Return the seconds of a duration: `90s`, `1m30s`, `1.5h` (Go, time.ParseDuration), or `90`, seconds as well.

    Raises:
        ValueError: the text is no duration.
    """
    if re.fullmatch(r"\d+", text):
        return float(text)
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f'invalid duration "{text}": write 30s, 5m or 1h30m')
    return float(sum(float(number) * _UNITS[unit] for number, unit in parts))
