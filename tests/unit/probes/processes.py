"""Whether a process still runs, and waiting until it does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def is_running(pid: int) -> bool:
    """Whether there is such a process; one that only waits to be reaped has ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def until(probe: Callable[[], bool], timeout_s: float = 10) -> None:
    """Wait until something is true."""
    end = time.monotonic() + timeout_s
    while not probe():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
