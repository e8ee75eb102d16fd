"""Recordings in memory: what a recorder writes, and what a replay answers from."""

from __future__ import annotations

import threading
from typing import Any

from netinspect.models.codec import encode_json
from netinspect.models.command import CommandResult
from netinspect.models.debug_pod import Privilege
from netinspect.models.recording import RecordedRequest, RecordedResult, RecordedTrip, Recording


class MemorySink:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests: list[RecordedRequest] = []
        self.trips: list[RecordedTrip] = []
        self.clock: list[float] = []
        self.log: list[str] = []

    def add_request(self, request: RecordedRequest) -> None:
        with self._lock:
            self.requests.append(request)

    def add_trip(self, trip: RecordedTrip) -> None:
        with self._lock:
            self.trips.append(trip)

    def add_time(self, seconds: float) -> None:
        self.clock.append(seconds)

    def add_log(self, line: str) -> None:
        self.log.append(line)

    @property
    def recording(self) -> Recording:
        """All of it."""
        return recording(*self.requests, trips=tuple(self.trips), clock=tuple(self.clock))


def recording(
    *requests: RecordedRequest, trips: tuple[RecordedTrip, ...] = (), clock: tuple[float, ...] = ()
) -> Recording:
    """A recording of these answers."""
    return Recording(
        made_at="2026-11-27T05:00:00Z",
        made_by="0",
        command="veth web-1",
        namespace="demo",
        clock=clock,
        requests=requests,
        trips=trips,
    )


def obj(name: str, namespace: str = "demo", *, node: str = "node-a", **labels: str) -> dict[str, Any]:
    """A pod as JSON."""
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"{namespace}-{name}", "labels": labels},
        "spec": {"nodeName": node},
        "status": {"phase": "Running"},
    }


def held_list(
    path: str, *items: dict[str, Any], labels: str = "", fields: str = "", version: str = "1"
) -> RecordedRequest:
    """A list that was recorded."""
    body = {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items}
    return RecordedRequest(
        path=path, is_list=True, label_selector=labels, field_selector=fields, body=encode_json(body)
    )


def held_object(path: str, item: dict[str, Any]) -> RecordedRequest:
    """An object that was recorded."""
    return RecordedRequest(path=path, body=encode_json(item))


def trip(
    *results: tuple[tuple[str, ...], CommandResult],
    node: str = "node-a",
    privilege: Privilege = Privilege.SYSADMIN,
    pods: tuple[str, ...] = (),
    netns: int | None = 4026531840,
    is_whole: bool = True,
) -> RecordedTrip:
    """A trip with these results, each behind its argv."""
    return RecordedTrip(
        node=node,
        privilege=privilege,
        how=f"with privilege {privilege.value}",
        pods=pods,
        netns=netns,
        results=tuple(RecordedResult(argv=argv, outcome=outcome) for argv, outcome in results),
        is_whole=is_whole,
    )
