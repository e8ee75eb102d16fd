"""Whether, and after how long, a request is sent again. Pure, but for the dice."""

from __future__ import annotations

import random

from netinspect.cluster.errors import ConnectionLost, RequestRefused
from netinspect.errors import ClusterError

MAX_ATTEMPTS = 5
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_LONGEST_RETRY_AFTER_S = 30.0
_IDEMPOTENT = ("GET", "DELETE")
_BUSY = (429, 503)


def retry_pause_s(error: ClusterError, method: str, attempt: int, remaining_s: float) -> float | None:
    """Return how long to wait before the request is sent again; None means that `error` stands.

    A create is never repeated: it may have been done. A pause that would outlast the deadline is not begun.

    Args:
        error: what came of the request.
        method: the HTTP method.
        attempt: how many times the request was sent before this one, from 0.
        remaining_s: until the deadline.
    """
    if method not in _IDEMPOTENT or attempt + 1 >= MAX_ATTEMPTS:
        return None
    if isinstance(error, ConnectionLost):
        pause_s = jitter_s(attempt)
    elif isinstance(error, RequestRefused) and error.status in _BUSY and error.retry_after_s is not None:
        pause_s = error.retry_after_s
        if pause_s > _LONGEST_RETRY_AFTER_S:
            return None
    else:
        return None
    return pause_s if pause_s < remaining_s else None


def jitter_s(attempt: int) -> float:
    """Full jitter: anything up to 0.2 s, 0.4 s, 0.8 s ... but no more than 5 s."""
    return random.uniform(0, min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**attempt))  # noqa: S311
