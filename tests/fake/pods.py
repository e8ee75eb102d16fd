"""How a created pod's status evolves: `(seconds to wait, status)` steps, chosen by the test."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tests.fake.messages import Object

Evolution = Callable[[Object], Iterable[tuple[float, Object]]]


def becomes_running(pod: Object) -> Iterable[tuple[float, Object]]:
    yield 0.0, {"phase": "Pending"}
    yield (
        0.02,
        {
            "phase": "Pending",
            "containerStatuses": _statuses(pod, {"waiting": {"reason": "ContainerCreating"}}),
        },
    )
    running = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    yield (
        0.02,
        {
            "phase": "Running",
            "podIP": "10.244.1.9",
            "podIPs": [{"ip": "10.244.1.9"}, {"ip": "fd00::9"}],
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": _statuses(pod, running, is_ready=True),
        },
    )


def stays_pending(pod: Object) -> Iterable[tuple[float, Object]]:
    yield 0.0, {"phase": "Pending"}


def image_pull_backoff(pod: Object) -> Iterable[tuple[float, Object]]:
    yield 0.0, {"phase": "Pending"}
    for reason in ("ErrImagePull", "ImagePullBackOff"):
        waiting = {"waiting": {"reason": reason, "message": "manifest unknown"}}
        yield 0.02, {"phase": "Pending", "containerStatuses": _statuses(pod, waiting)}


def out_of_pods(pod: Object) -> Iterable[tuple[float, Object]]:
    message = (
        "Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: 110, capacity: 110"
    )
    yield 0.02, {"phase": "Failed", "reason": "OutOfpods", "message": message}


def succeeds(pod: Object) -> Iterable[tuple[float, Object]]:
    yield from becomes_running(pod)
    ended = {"terminated": {"exitCode": 0, "reason": "Completed"}}
    yield 0.02, {"phase": "Succeeded", "containerStatuses": _statuses(pod, ended)}


def _statuses(pod: Object, state: Object, *, is_ready: bool = False) -> list[Object]:
    return [
        {"name": container["name"], "ready": is_ready, "state": state, "containerID": ""}
        for container in pod["spec"]["containers"]
    ]
