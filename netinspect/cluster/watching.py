"""Watches that neither hang nor end: short windows, each taken up where the one before stopped.

The server is asked to end each window by itself. One that says nothing for longer than that is half open (its
other end is gone, and no packet will ever say so); it is dropped and a new one opened.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from netinspect.cluster.deadline import Deadline, waiting_for
from netinspect.cluster.errors import ConnectionLost, RequestRefused, SilentServer, refusal, translated
from netinspect.cluster.retry import MAX_ATTEMPTS, jitter_s, retry_pause_s
from netinspect.errors import ClusterError
from netinspect.parse.api import WatchEvent, parse_object, parse_watch_event

if TYPE_CHECKING:
    from netinspect.cluster.client import ClusterClient

WINDOW_S = 30
"""timeoutSeconds of one window. Bookmarks come once a minute, so an idle window is silent."""

_GRACE_S = 10
_CHUNK = 65536


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""


class _Versioned(msgspec.Struct, frozen=True):
    metadata: _Meta = _Meta()


class _Coded(msgspec.Struct, frozen=True):
    code: int = 500


def watch_windows(
    client: ClusterClient, path: str, query: dict[str, Any], deadline: Deadline, window_s: float = WINDOW_S
) -> Iterator[WatchEvent]:
    """Yield events, window after window, until the deadline or an error that does not pass."""
    query = {"watch": "true", "allowWatchBookmarks": "true", **query}
    failures = itertools.count()
    while True:
        try:
            for event in _read_window(client, path, query, deadline, window_s):
                failures = itertools.count()
                version = _version_of(event)
                if version:
                    query["resourceVersion"] = version
                if event.type != "BOOKMARK":
                    yield event
            continue
        except (ConnectionLost, SilentServer, RequestRefused) as error:
            pause_s = _pause_s(error, next(failures), deadline)
            if pause_s is None:
                raise
        deadline.sleep(pause_s, f"the watch of {path}")


def _pause_s(error: ClusterError, failures: int, deadline: Deadline) -> float | None:
    if isinstance(error, SilentServer):
        return jitter_s(failures) if failures < MAX_ATTEMPTS else None
    return retry_pause_s(error, "GET", failures, deadline.remaining_s())


def _read_window(
    client: ClusterClient, path: str, query: dict[str, Any], deadline: Deadline, window_s: float
) -> Iterator[WatchEvent]:
    deadline.check(f"the watch of {path}")
    seconds = max(1, round(min(window_s, deadline.remaining_s())))
    response = client.open(
        "GET",
        path,
        query={**query, "timeoutSeconds": seconds},
        deadline=deadline,
        read_s=window_s + min(_GRACE_S, window_s),
    )
    try:
        for line in _lines(client, response, path, deadline):
            yield _checked(parse_watch_event(line))
    finally:
        response.close()


def _lines(client: ClusterClient, response: Any, path: str, deadline: Deadline) -> Iterator[bytes]:
    """Cut the body into lines. A last one without its end was cut off, and comes again in the next window."""
    what = f"the watch of {path}"
    chunks = response.stream(_CHUNK)
    rest = b""
    while True:
        # Not around the `yield`: the deadline would be in force in the caller's code as well.
        with waiting_for(what, deadline), translated(client.context.server, what):
            chunk = next(chunks, None)
        if chunk is None:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        yield from filter(None, lines)


def _checked(event: WatchEvent) -> WatchEvent:
    """Raise what the server sends as an ERROR event: a Status, often 410."""
    if event.type != "ERROR":
        return event
    body = bytes(event.object)
    raise refusal(parse_object(_Coded, body).code, body)


def _version_of(event: WatchEvent) -> str:
    return parse_object(_Versioned, bytes(event.object)).metadata.resource_version
