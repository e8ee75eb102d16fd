"""Ask the API for what a command can do without: what is not to be had is Unavailable, not an error."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from netinspect.errors import ClusterError, DeadlineError, NoApiError, NotRecordedError
from netinspect.models.fact import Fact, Known, Reason, Unavailable

T = TypeVar("T")

_REASONS: dict[int | None, Reason] = {
    HTTPStatus.FORBIDDEN: Reason.PERMISSION_DENIED,
    HTTPStatus.NOT_FOUND: Reason.NOT_FOUND,
}


def attempt(read: Callable[[], T]) -> Fact[T]:
    """Ask the API; what it refuses, or does not have, is Unavailable.

    Raises:
        DeadlineError: the time is over.
    """
    try:
        return Known(read())
    except DeadlineError:
        raise
    except ClusterError as error:
        return Unavailable(reason_of(error), error.message)


def reason_of(error: ClusterError) -> Reason:
    """Return the class of the obstacle."""
    if isinstance(error, NotRecordedError):
        return Reason.NOT_RECORDED
    if isinstance(error, NoApiError):
        return Reason.NO_API
    return _REASONS.get(error.status, Reason.FAILED)
