"""A failure in a recording: written down, and raised again as what it was."""

from __future__ import annotations

from netinspect import errors
from netinspect.errors import ClusterError, NetinspectError, ParseError
from netinspect.models.recording import RecordedError

_KINDS = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, NetinspectError)
}


def record_error(error: NetinspectError) -> RecordedError:
    """Write a failure down. Kinds that only the cluster door tells apart become those that all know."""
    kind = next(each.__name__ for each in type(error).__mro__ if each.__name__ in _KINDS)
    status, reason = (error.status, error.reason) if isinstance(error, ClusterError) else (None, "")
    return RecordedError(kind=kind, message=error.message, hint=error.hint, status=status, reason=reason)


def restore_error(recorded: RecordedError) -> NetinspectError:
    """Return the failure as it was. One of a kind that is not known here is a `NetinspectError`."""
    kind = _KINDS.get(recorded.kind, NetinspectError)
    if issubclass(kind, ParseError):
        source, _, message = recorded.message.partition(": ")
        return ParseError(message, source=source)
    if issubclass(kind, ClusterError):
        return kind(recorded.message, recorded.hint, status=recorded.status, reason=recorded.reason)
    return kind(recorded.message, recorded.hint)
