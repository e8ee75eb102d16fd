"""Watches that neither hang nor end: short windows, each taken up where the one before stopped.

The server is asked to end each window by itself. One that says nothing for longer than that is half open (its
other end is gone, and no packet will ever say so); it is dropped and a new one opened.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from netinspect.cluster.deadline import Deadline, waiting_for
from netinspect.cluster.errors import ConnectionLost, RequestRefused, SilentServer, refusal, translated
from netinspect.cluster.listing import ListResult
from netinspect.cluster.retry import MAX_ATTEMPTS, jitter_s, retry_pause_s
from netinspect.errors import ClusterError
from netinspect.parse.api import WatchEvent, parse_object, parse_watch_event

if TYPE_CHECKING:
    from netinspect.cluster.client import ClusterClient

WINDOW_S = 30
"""timeoutSeconds of one window. Bookmarks come once a minute, so an idle window is silent."""

_GRACE_S = 10
_SHORTEST_WINDOW_S = 0.5
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
    """Yield events, window after window, until the deadline or an error that does not pass.

    Without a resourceVersion what exists is listed first. The API would send it by itself, but an API server in
    front of an etcd before 3.4.25 refuses that (no progress notifications), and this works with all.
    """
    if "resourceVersion" not in query:
        listed = _list(client, path, query, deadline)
        yield from (WatchEvent("ADDED", item) for item in listed.items)
        query["resourceVersion"] = listed.resource_version
    query |= {"watch": "true", "allowWatchBookmarks": "true"}
    failures = itertools.count()
    while True:
        start = time.monotonic()
        try:
            for event in _read_window(client, path, query, deadline, window_s):
                failures = itertools.count()
                version = _version_of(event)
                if version:
                    query["resourceVersion"] = version
                if event.type != "BOOKMARK":
                    yield event
            # A server that ends every window at once must not be asked without a pause.
            pause_s: float | None = jitter_s(1) if time.monotonic() - start < _SHORTEST_WINDOW_S else 0.0
        except (ConnectionLost, SilentServer, RequestRefused) as error:
            pause_s = _pause_s(error, next(failures), deadline)
            if pause_s is None:
                raise
        assert pause_s is not None
        deadline.sleep(pause_s, f"the watch of {path}")


def _list(
    client: ClusterClient, path: str, query: dict[str, Any], deadline: Deadline
) -> ListResult[msgspec.Raw]:
    return client.list_objects(
        msgspec.Raw,
        path,
        label_selector=str(query.get("labelSelector", "")),
        field_selector=str(query.get("fieldSelector", "")),
        deadline=deadline,
    )


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
