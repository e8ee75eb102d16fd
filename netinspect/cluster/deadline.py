"""When to stop waiting: one value that every blocking call of the cluster door is given.

Python's sockets know a time limit for a single read only, so a peer that sends one byte now and then could
hold a command for ever. Here the limit belongs to the command: each wait is cut into slices of `POLL_S`,
and between them the deadline and its cancellation flag are looked at.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from netinspect.errors import ClusterError, DeadlineError

POLL_S = 0.5


class CancelledError(ClusterError):
    """The wait was given up because the command is ending (not because anything failed)."""


@dataclass(frozen=True, eq=False)
class Deadline:
    """A point in time, and a flag that ends the wait earlier.

    Attributes:
        end: in seconds of `time.monotonic()`; infinity where there is no limit.
        limit_s: what was allowed in all, for the message.
    """

    end: float = math.inf
    limit_s: float = math.inf
    _flag: threading.Event = field(default_factory=threading.Event, repr=False)

    @classmethod
    def after(cls, seconds: float | None) -> Deadline:
        """Return a deadline `seconds` from now; None means no limit."""
        if seconds is None:
            return cls()
        return cls(end=time.monotonic() + seconds, limit_s=seconds)

    def sooner(self, seconds: float | None) -> Deadline:
        """Return a deadline at most `seconds` from now, under the same cancellation flag."""
        if seconds is None or time.monotonic() + seconds >= self.end:
            return self
        return Deadline(end=time.monotonic() + seconds, limit_s=seconds, _flag=self._flag)

    def remaining_s(self) -> float:
        """Seconds that are left, never negative; infinity where there is no limit."""
        return max(0.0, self.end - time.monotonic())

    def slice_s(self, at_most: float = POLL_S) -> float:
        """How long one poll may sleep."""
        return min(POLL_S, at_most, self.remaining_s())

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called on this deadline, or on one that it shares its flag with."""
        return self._flag.is_set()

    def cancel(self) -> None:
        """Tell every wait under this deadline, in any thread, to stop within `POLL_S`."""
        self._flag.set()

    def check(self, what: str) -> None:
        """Return while there is time.

        Raises:
            DeadlineError: time is up; the message names `what` was waited for.
            CancelledError: `cancel` was called.
        """
        if self._flag.is_set():
            raise CancelledError(f"stopped while waiting for {what}")
        if time.monotonic() >= self.end:
            raise DeadlineError(f"timed out after {self.limit_s:g}s while waiting for {what}")

    def sleep(self, seconds: float, what: str) -> None:
        """Sleep, and raise as `check` does when the wait ends early."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.check(what)
            self._flag.wait(min(left, self.slice_s()))
        self.check(what)


_current: ContextVar[tuple[Deadline, str] | None] = ContextVar("netinspect_deadline", default=None)


@contextmanager
def waiting_for(what: str, deadline: Deadline) -> Iterator[None]:
    """Put every socket operation of this thread under `deadline` (see sockets.py)."""
    token = _current.set((deadline, what))
    try:
        yield
    finally:
        _current.reset(token)


def check_current() -> None:
    """Check the deadline that `waiting_for` set in this thread, if one is set."""
    current = _current.get()
    if current is not None:
        deadline, what = current
        deadline.check(what)
