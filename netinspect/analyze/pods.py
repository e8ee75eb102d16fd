"""From a pod to what `kubectl get pods` says of it.

STATUS, READY and RESTARTS are a port of kubectl's own rules, which the API server applies for it.
Source: kubernetes v1.36, pkg/printers/internalversion/printers.go printPod.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from netinspect.models.kubernetes import ContainerState, ContainerStateTerminated, ContainerStatus, Pod
from netinspect.models.listing import Owner, PodEntry

_NODE_LOST = "NodeLost"  # status.reason of a pod whose node is unreachable (pkg/util/node)


class _Summary(NamedTuple):
    """What a row of statuses adds up to; `last_restart` is RFC 3339 in UTC, so that text sorts as time."""

    status: str
    ready: int = 0
    restarts: int = 0
    last_restart: str = ""


def build_pod_entry(pod: Pod) -> PodEntry:
    """Return what the listing shows of a pod."""
    summary = _summarize(pod)
    return PodEntry(
        namespace=pod.metadata.namespace,
        name=pod.metadata.name,
        node=pod.spec.node_name,
        phase=pod.status.phase,
        status=summary.status,
        ready_containers=summary.ready,
        total_containers=len(pod.spec.containers) + len(_sidecars(pod)),
        restarts=summary.restarts,
        last_restart=summary.last_restart,
        pod_ips=pod.addresses,
        host_network=pod.spec.host_network,
        host_ip=pod.status.host_ip,
        owner=_find_owner(pod),
        creation_timestamp=pod.metadata.creation_timestamp,
    )


def _find_owner(pod: Pod) -> Owner | None:
    controllers = (each for each in pod.metadata.owner_references if each.controller)
    return next((Owner(kind=each.kind, name=each.name) for each in controllers), None)


def _sidecars(pod: Pod) -> frozenset[str]:
    return frozenset(each.name for each in pod.spec.init_containers if each.is_sidecar)


def _summarize(pod: Pod) -> _Summary:
    reached, blocker = _split_init(pod)
    ready = sum(each.ready for each in reached if _is_up(pod, each))
    if blocker is not None and not _has_condition(pod, "Initialized"):
        return _Summary(
            _override(pod, _init_status(pod, blocker)), ready, _restarts(reached), _last_end(reached)
        )
    start = _base_status(pod) if blocker is None else _init_status(pod, blocker)
    sidecars = [each for each in reached if each.name in _sidecars(pod)]
    counted = [*sidecars, *pod.status.container_statuses]
    ready += sum(_is_ready(each) for each in pod.status.container_statuses)
    status = _override(pod, _container_status(pod, start))
    return _Summary(status, ready, _restarts(counted), _last_end(counted))


def _base_status(pod: Pod) -> str:
    is_gated = any(
        each.type == "PodScheduled" and each.reason == "SchedulingGated" for each in pod.status.conditions
    )
    return "SchedulingGated" if is_gated else pod.status.reason or pod.status.phase


def _split_init(pod: Pod) -> tuple[list[ContainerStatus], ContainerStatus | None]:
    """Return the init containers that the pod has come to, and of them the one that it waits for, if any."""
    reached: list[ContainerStatus] = []
    for each in pod.status.init_container_statuses:
        reached.append(each)
        if not (_has_succeeded(each) or _is_up(pod, each)):
            return reached, each
    return reached, None


def _has_succeeded(status: ContainerStatus) -> bool:
    ended = status.state.terminated
    return ended is not None and ended.exit_code == 0


def _is_up(pod: Pod, status: ContainerStatus) -> bool:
    """Whether it is a sidecar that has started: the pod goes on to its next container."""
    return not _has_succeeded(status) and status.started and status.name in _sidecars(pod)


def _init_status(pod: Pod, status: ContainerStatus) -> str:
    ended = status.state.terminated
    if ended is not None:
        return f"Init:{_end_reason(ended)}"
    reason = _waiting_reason(status.state)
    if reason and reason != "PodInitializing":
        return f"Init:{reason}"
    index = pod.status.init_container_statuses.index(status)
    return f"Init:{index}/{len(pod.spec.init_containers)}"


def _container_status(pod: Pod, status: str) -> str:
    """Let each container that waits or has ended speak for the pod; the first in the pod's order wins."""
    failure = ""
    for each in reversed(pod.status.container_statuses):
        if reason := _waiting_reason(each.state):
            status = reason
        elif each.state.terminated is not None:
            status = _end_reason(each.state.terminated)
            failure = failure if _has_succeeded(each) else status
    return _completed_status(pod, failure) if status == "Completed" else status


def _completed_status(pod: Pod, failure: str) -> str:
    """Say what a pod is whose first container has completed: others may run, or may have failed."""
    has_running = any(_is_ready(each) for each in pod.status.container_statuses)
    if has_running and _has_condition(pod, "Ready"):
        return "Running"
    return failure or ("NotReady" if has_running else "Completed")


def _override(pod: Pod, status: str) -> str:
    if pod.metadata.deletion_timestamp is None:
        return status
    if pod.status.reason == _NODE_LOST:
        return "Unknown"
    return status if pod.is_completed else "Terminating"


def _is_ready(status: ContainerStatus) -> bool:
    state = status.state
    return (
        status.ready and state.running is not None and state.terminated is None and not _waiting_reason(state)
    )


def _waiting_reason(state: ContainerState) -> str:
    return state.waiting.reason if state.waiting is not None else ""


def _end_reason(ended: ContainerStateTerminated) -> str:
    if ended.reason:
        return ended.reason
    return f"Signal:{ended.signal}" if ended.signal else f"ExitCode:{ended.exit_code}"


def _has_condition(pod: Pod, type_: str) -> bool:
    return any(each.type == type_ and each.status == "True" for each in pod.status.conditions)


def _restarts(statuses: Iterable[ContainerStatus]) -> int:
    return sum(each.restart_count for each in statuses)


def _last_end(statuses: Iterable[ContainerStatus]) -> str:
    ends = (each.last_state.terminated for each in statuses)
    return max((end.finished_at for end in ends if end is not None), default="")
