"""From a pod to kubectl's STATUS, READY and RESTARTS."""

from __future__ import annotations

import ipaddress
from typing import Any

import msgspec
import pytest

from netinspect.analyze.pods import build_pod_entry
from netinspect.models.kubernetes import Pod
from netinspect.models.listing import Owner
from netinspect.parse.api import parse_object

RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
COMPLETED = {"terminated": {"exitCode": 0, "reason": "Completed"}}


def make_pod(
    status: dict[str, Any], *, spec: dict[str, Any] | None = None, metadata: dict[str, Any] | None = None
) -> Pod:
    """Read a pod as the API sends it; its containers are those that `status` speaks of."""
    containers = [{"name": each["name"]} for each in status.get("containerStatuses", [])] or [{"name": "c"}]
    pod = {
        "metadata": {"name": "p", "namespace": "demo", **(metadata or {})},
        "spec": {"containers": containers, **(spec or {})},
        "status": {"phase": "Running", **status},
    }
    return parse_object(Pod, msgspec.json.encode(pod))


def container(name: str, state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "ready": "running" in state, "restartCount": 0, **more}


def ready(status: str) -> dict[str, str]:
    return {"type": "Ready", "status": status}


def show(pod: Pod) -> tuple[str, str]:
    entry = build_pod_entry(pod)
    return entry.status, f"{entry.ready_containers}/{entry.total_containers}"


def test_addresses_keep_the_order_of_the_api_ipv6_first_where_it_is_primary() -> None:
    """The first address is the primary family's; sorting would hide which one that is."""
    pod = make_pod({"podIPs": [{"ip": "fd00::7"}, {"ip": "10.0.0.7"}], "hostIP": "fd00::1"})
    entry = build_pod_entry(pod)
    assert entry.pod_ips == (ipaddress.ip_address("fd00::7"), ipaddress.ip_address("10.0.0.7"))
    assert entry.host_ip == "fd00::1"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({"phase": "Pending"}, ("Pending", "0/1"), id="not started"),
        pytest.param({"phase": "Failed", "reason": "Evicted"}, ("Evicted", "0/1"), id="evicted"),
        pytest.param(
            {
                "phase": "Pending",
                "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}],
            },
            ("SchedulingGated", "0/1"),
            id="held by a scheduling gate",
        ),
        pytest.param({"containerStatuses": [container("a", RUNNING)]}, ("Running", "1/1"), id="running"),
        pytest.param(
            {"containerStatuses": [container("a", {"waiting": {"reason": "CrashLoopBackOff"}})]},
            ("CrashLoopBackOff", "0/1"),
            id="crashing",
        ),
        pytest.param(
            {"phase": "Pending", "containerStatuses": [container("a", {"waiting": {}})]},
            ("Pending", "0/1"),
            id="waiting without a reason",
        ),
        pytest.param(
            {"phase": "Succeeded", "containerStatuses": [container("a", COMPLETED)]},
            ("Completed", "0/1"),
            id="completed",
        ),
        pytest.param(
            {"phase": "Failed", "containerStatuses": [container("a", {"terminated": {"exitCode": 3}})]},
            ("ExitCode:3", "0/1"),
            id="failed without a reason",
        ),
        pytest.param(
            {
                "phase": "Failed",
                "containerStatuses": [container("a", {"terminated": {"exitCode": 137, "signal": 9}})],
            },
            ("Signal:9", "0/1"),
            id="killed by a signal",
        ),
        pytest.param(
            {
                "containerStatuses": [container("a", COMPLETED), container("b", RUNNING)],
                "conditions": [ready("False")],
            },
            ("NotReady", "1/2"),
            id="one of two completed",
        ),
        pytest.param(
            {
                "containerStatuses": [container("a", COMPLETED), container("b", RUNNING)],
                "conditions": [ready("True")],
            },
            ("Running", "1/2"),
            id="one of two completed, and yet ready",
        ),
        pytest.param(
            {
                "phase": "Failed",
                "containerStatuses": [
                    container("a", COMPLETED),
                    container("b", {"terminated": {"exitCode": 1, "reason": "Error"}}),
                ],
            },
            ("Error", "0/2"),
            id="a failure outweighs a success before it",
        ),
    ],
)
def test_status_and_ready_are_kubectls(status: dict[str, Any], expected: tuple[str, str]) -> None:
    """What kubectl prints for the same status (printers.go, printPod)."""
    assert show(make_pod(status)) == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        pytest.param({"waiting": {"reason": "PodInitializing"}}, "Init:1/3", id="its turn"),
        pytest.param(RUNNING, "Init:1/3", id="running"),
        pytest.param({"waiting": {"reason": "ErrImagePull"}}, "Init:ErrImagePull", id="no image"),
        pytest.param({"terminated": {"exitCode": 1, "reason": "Error"}}, "Init:Error", id="failed"),
        pytest.param({"terminated": {"exitCode": 4}}, "Init:ExitCode:4", id="failed without a reason"),
        pytest.param({"terminated": {"exitCode": 1, "signal": 15}}, "Init:Signal:15", id="killed"),
    ],
)
def test_the_first_init_container_that_is_not_through_speaks_for_the_pod(
    state: dict[str, Any], expected: str
) -> None:
    """The containers after it wait, and what they say is left out."""
    pod = make_pod(
        {
            "phase": "Pending",
            "initContainerStatuses": [
                container("one", COMPLETED),
                container("two", state),
                container("three", {"waiting": {"reason": "PodInitializing"}}),
            ],
            "containerStatuses": [container("c", {"waiting": {"reason": "PodInitializing"}})],
        },
        spec={"initContainers": [{"name": "one"}, {"name": "two"}, {"name": "three"}]},
    )
    assert show(pod) == (expected, "0/1")


def test_sidecars_count_as_containers_and_ordinary_init_containers_do_not() -> None:
    """An init container with restartPolicy Always runs beside the pod's own, in READY and in RESTARTS."""
    pod = make_pod(
        {
            "initContainerStatuses": [
                container("setup", COMPLETED, restartCount=5),
                container("proxy", RUNNING, started=True, restartCount=2),
            ],
            "containerStatuses": [container("c", RUNNING, restartCount=1)],
            "conditions": [{"type": "Initialized", "status": "True"}, ready("True")],
        },
        spec={"initContainers": [{"name": "setup"}, {"name": "proxy", "restartPolicy": "Always"}]},
    )
    assert show(pod) == ("Running", "2/2")
    assert build_pod_entry(pod).restarts == 3


def test_a_sidecar_that_has_not_started_holds_the_pod_up() -> None:
    """Until its startup probe passes, the next container waits."""
    pod = make_pod(
        {"phase": "Pending", "initContainerStatuses": [container("proxy", RUNNING, started=False)]},
        spec={"initContainers": [{"name": "proxy", "restartPolicy": "Always"}]},
    )
    assert show(pod) == ("Init:0/1", "0/2")


def test_a_sidecar_that_crashes_later_does_not_hide_the_containers() -> None:
    """Once the pod is initialized, its containers speak, though an init container is not through."""
    pod = make_pod(
        {
            "initContainerStatuses": [container("proxy", {"waiting": {"reason": "CrashLoopBackOff"}})],
            "containerStatuses": [container("c", {"waiting": {"reason": "ErrImagePull"}})],
            "conditions": [{"type": "Initialized", "status": "True"}],
        },
        spec={"initContainers": [{"name": "proxy", "restartPolicy": "Always"}]},
    )
    assert show(pod) == ("ErrImagePull", "0/2")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({"containerStatuses": [container("c", RUNNING)]}, "Terminating", id="running"),
        pytest.param({"reason": "NodeLost"}, "Unknown", id="on a lost node"),
        pytest.param(
            {"phase": "Succeeded", "containerStatuses": [container("c", COMPLETED)]},
            "Completed",
            id="ended before",
        ),
    ],
)
def test_a_pod_that_is_deleted_is_terminating_unless_it_has_ended(
    status: dict[str, Any], expected: str
) -> None:
    """A pod on a lost node is unknown: nobody can say whether it still runs."""
    pod = make_pod(status, metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    assert build_pod_entry(pod).status == expected


def test_the_last_restart_is_the_latest_end_of_any_container() -> None:
    """RESTARTS says how long ago it was."""
    ends = ["2026-01-01T00:00:09Z", "2026-01-01T00:00:10Z", "2025-12-31T23:59:59Z"]
    pod = make_pod(
        {
            "containerStatuses": [
                container(f"c{i}", RUNNING, restartCount=1, lastState={"terminated": {"finishedAt": end}})
                for i, end in enumerate(ends)
            ]
        }
    )
    entry = build_pod_entry(pod)
    assert (entry.restarts, entry.last_restart) == (3, "2026-01-01T00:00:10Z")


def test_the_owner_is_the_controller() -> None:
    """Other owners (a backup object, a custom resource) do not run the pod."""
    owners = [
        {"kind": "Backup", "name": "b"},
        {"kind": "ReplicaSet", "name": "web-76b95bbdf9", "controller": True},
    ]
    pod = make_pod({}, metadata={"ownerReferences": owners})
    assert build_pod_entry(pod).owner == Owner(kind="ReplicaSet", name="web-76b95bbdf9")
    assert build_pod_entry(make_pod({})).owner is None
