"""Watches: events in order, taken up again where they stopped, never for ever."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator

import pytest

from netinspect.cluster.client import ClusterClient
from netinspect.cluster.deadline import CancelledError, Deadline
from netinspect.cluster.watching import watch_windows
from netinspect.errors import ClusterError, DeadlineError, ParseError
from netinspect.models.kubernetes import Pod
from netinspect.parse.api import WatchEvent, parse_object
from tests.fake import faults
from tests.fake.api import FakeApi
from tests.fake.plugin import pod

PODS = "/api/v1/namespaces/demo/pods"


def names(events: Iterator[WatchEvent], count: int) -> list[tuple[str, str]]:
    return [
        (event.type, parse_object(Pod, bytes(event.object)).metadata.name)
        for event in itertools.islice(events, count)
    ]


def watch(
    client: ClusterClient, version: str = "", seconds: float = 10, window_s: float = 30
) -> Iterator[WatchEvent]:
    query = {"resourceVersion": version} if version else {}
    return watch_windows(client, PODS, query, Deadline.after(seconds), window_s)


def line(type_: str, name: str, version: int) -> bytes:
    return (
        json.dumps(
            {"type": type_, "object": {"metadata": {"name": name, "resourceVersion": str(version)}}}
        ).encode()
        + b"\n"
    )


def test_what_exists_comes_first(client: ClusterClient, fake_api: FakeApi) -> None:
    """Without a resourceVersion the watch begins with what is there, then follows."""
    fake_api.store.add("pods", pod("old"))
    events = client.watch(
        PODS, query={"fieldSelector": "metadata.namespace=demo"}, deadline=Deadline.after(10)
    )
    assert names(events, 1) == [("ADDED", "old")]
    threading.Timer(0.1, fake_api.store.add, ("pods", pod("new"))).start()
    threading.Timer(0.3, fake_api.store.remove, ("pods", "demo", "old")).start()
    assert names(events, 2) == [("ADDED", "new"), ("DELETED", "old")]
    assert all(request.one("fieldSelector") for request in fake_api.requests)


def test_a_watch_goes_on_from_a_version(client: ClusterClient, fake_api: FakeApi) -> None:
    """With a resourceVersion only what happened since is told."""
    fake_api.store.add("pods", pod("old"))
    version = str(fake_api.store.version)
    fake_api.store.add("pods", pod("new"))
    assert names(watch(client, version), 1) == [("ADDED", "new")]


def test_a_watch_ends_with_the_deadline(client: ClusterClient, fake_api: FakeApi) -> None:
    """Nothing happens: the deadline is raised, and names the watch."""
    start = time.monotonic()
    with pytest.raises(DeadlineError, match=f"waiting for the watch of {PODS}"):
        list(watch(client, "1", seconds=1.2))
    assert time.monotonic() - start < 3


def test_a_watch_can_be_cancelled(client: ClusterClient, fake_api: FakeApi) -> None:
    """Another thread ends the wait."""
    threading.Timer(0.2, client.deadline.cancel).start()
    with pytest.raises(CancelledError):
        list(client.watch(PODS))


@pytest.mark.parametrize("then", ["end", "reset", "stall"])
def test_a_watch_is_taken_up_where_it_stopped(client: ClusterClient, fake_api: FakeApi, then: str) -> None:
    """The window ends, the connection is reset, or half open: no event is lost, none comes twice."""
    fake_api.store.add("pods", pod("a"))
    fake_api.faults.add(faults.watch_lines(line("ADDED", "x", 101), then=then), method="WATCH")
    fake_api.store.add("pods", pod("b"))
    assert names(watch(client, "100", window_s=1), 2) == [("ADDED", "x"), ("ADDED", "b")]
    assert [request.one("resourceVersion") for request in fake_api.requests[:2]] == ["100", "101"]


def test_bookmarks_move_the_place_and_are_not_shown(client: ClusterClient, fake_api: FakeApi) -> None:
    """The next window starts at the bookmark."""
    fake_api.store.add("pods", pod("a"))
    fake_api.faults.add(faults.watch_lines(line("BOOKMARK", "", 101)), method="WATCH")
    fake_api.store.add("pods", pod("b"))
    assert names(watch(client, "5"), 1) == [("ADDED", "b")]
    assert fake_api.requests[1].one("resourceVersion") == "101"
    assert fake_api.requests[0].one("allowWatchBookmarks") == "true"


def test_a_forgotten_place_is_an_error(client: ClusterClient, fake_api: FakeApi) -> None:
    """410, as an ERROR event or as the answer's status: the caller must list again."""
    fake_api.store.add("pods", pod("a"))
    fake_api.store.compact()
    with pytest.raises(ClusterError, match="too old resource version") as caught:
        list(watch(client, "1"))
    assert caught.value.status == 410
    fake_api.faults.add(faults.answer(410, "Expired", "gone"), method="WATCH")
    with pytest.raises(ClusterError) as caught:
        list(watch(client, "101"))
    assert caught.value.status == 410


def test_a_line_that_is_cut_off_comes_again(client: ClusterClient, fake_api: FakeApi) -> None:
    """Half a line at the end of a connection is no event."""
    whole = line("ADDED", "x", 101)
    fake_api.faults.add(faults.watch_lines(whole[:20], then="reset"), method="WATCH")
    fake_api.faults.add(faults.watch_lines(whole[:30], whole[30:]), method="WATCH")
    assert names(watch(client, "100"), 1) == [("ADDED", "x")]


def test_a_watch_that_always_fails_is_an_error(client: ClusterClient, fake_api: FakeApi) -> None:
    """Five resets without an event in between, then the error stands."""
    fake_api.faults.add(faults.reset(), method="WATCH", times=99)
    with pytest.raises(ClusterError, match="the connection was lost"):
        list(watch(client, "1"))


def test_a_forbidden_watch_is_an_error(client: ClusterClient, fake_api: FakeApi) -> None:
    """403 is not tried again."""
    fake_api.deny("watch", "pods")
    with pytest.raises(ClusterError, match='cannot watch resource "pods"'):
        list(watch(client, "1"))
    assert len(fake_api.requests) == 1


def test_a_watch_of_something_else_is_a_parse_error(client: ClusterClient, fake_api: FakeApi) -> None:
    """A line that is no event is shown."""
    fake_api.faults.add(faults.watch_lines(b"<html>\n"), method="WATCH")
    with pytest.raises(ParseError, match="<html>"):
        list(watch(client, "1"))


def test_windows_that_end_at_once_are_not_asked_for_in_a_loop(
    client: ClusterClient, fake_api: FakeApi
) -> None:
    """A server that ends each window empty is asked a few times a second, no more."""
    fake_api.faults.add(faults.watch_lines(), method="WATCH", times=10_000)
    with pytest.raises(DeadlineError):
        list(watch(client, "1", seconds=1.5))
    assert len(fake_api.requests) < 40


def test_the_deadline_is_not_in_force_in_the_callers_code(client: ClusterClient, fake_api: FakeApi) -> None:
    """Between two events the caller may make requests of its own, under deadlines of their own."""
    fake_api.store.add("pods", pod("a"))
    events = watch(client, seconds=0.6)
    next(events)
    time.sleep(0.8)
    client.request("GET", PODS)
