"""The debug pod as one value, its name, and what may become of one that is still there."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from netinspect import __version__
from netinspect.cluster.debug_pod import (
    DebugPod,
    build_debug_pod,
    can_reuse,
    format_time,
    is_expired,
    is_owned_by,
    pod_name,
    user_label,
)
from netinspect.models.codec import decode_json, encode_json
from netinspect.models.debug_pod import Privilege
from netinspect.models.kubernetes import (
    ContainerState,
    ContainerStateRunning,
    ContainerStatus,
    ObjectMeta,
    Pod,
    PodStatus,
)

NOW = datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)
IMAGE = "registry.example/tools@sha256:0123"

WISH = DebugPod(
    name="netinspect-node-a-0123456789",
    namespace="debug",
    node="node-a",
    image=IMAGE,
    privilege=Privilege.SYSADMIN,
    lifetime_s=150,
    expires="2026-07-01T12:02:30Z",
    user="jane@example.com",
    run_id="0123456789",
)

JANE = "8c87b489ce35cf2e2f39f80e282cb2e8"


def expected_pod(**spec: Any) -> dict[str, Any]:
    """The pod of WISH, with other fields in its spec."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "netinspect-node-a-0123456789",
            "namespace": "debug",
            "labels": {
                "app.kubernetes.io/name": "netinspect",
                "app.kubernetes.io/component": "debug-pod",
                "app.kubernetes.io/managed-by": "kubectl-netinspect",
                "app.kubernetes.io/version": __version__,
                "kubectl-netinspect/run-id": "0123456789",
                "kubectl-netinspect/user": JANE,
            },
            "annotations": {
                "kubectl-netinspect/expires": "2026-07-01T12:02:30Z",
                "kubectl-netinspect/user-name": "jane@example.com",
                "sidecar.istio.io/inject": "false",
                "linkerd.io/inject": "disabled",
            },
        },
        "spec": {
            "nodeName": "node-a",
            "tolerations": [{"operator": "Exists"}],
            "restartPolicy": "Never",
            "activeDeadlineSeconds": 150,
            "terminationGracePeriodSeconds": 0,
            "hostNetwork": True,
            "hostPID": True,
            "dnsPolicy": "Default",
            "enableServiceLinks": False,
            "automountServiceAccountToken": False,
            "containers": [expected_container()],
            **spec,
        },
    }


def expected_container(**fields: Any) -> dict[str, Any]:
    return {
        "name": "netinspect",
        "image": IMAGE,
        "command": ["sleep", "160"],
        "securityContext": {
            "runAsUser": 0,
            "runAsNonRoot": False,
            "readOnlyRootFilesystem": True,
            "privileged": True,
        },
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
        **fields,
    }


NETADMIN_CONTEXT = {
    "runAsUser": 0,
    "runAsNonRoot": False,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def built(wish: DebugPod) -> dict[str, Any]:
    """The pod without its shape, which is a hash (tested by what it allows)."""
    pod = build_debug_pod(wish)
    assert re.fullmatch("[0-9a-f]{32}", pod["metadata"]["annotations"].pop("kubectl-netinspect/shape"))
    return pod


def test_the_pod_that_may_enter_pods() -> None:
    """Privileged, with the node's PIDs: the whole manifest, field by field."""
    assert built(WISH) == expected_pod()


def test_the_pod_for_the_nodes_own_tables() -> None:
    """Less in three places: no PIDs of the node, not privileged, two capabilities and no more."""
    container = expected_container(securityContext=NETADMIN_CONTEXT)
    expected = expected_pod(hostPID=False, containers=[container])
    assert built(replace(WISH, privilege=Privilege.NETADMIN)) == expected


def test_a_kept_pod_says_so() -> None:
    """One more annotation, by which later commands find it."""
    expected = expected_pod()
    expected["metadata"]["annotations"]["kubectl-netinspect/kept"] = "true"
    assert built(replace(WISH, is_kept=True)) == expected


def test_how_the_image_is_pulled() -> None:
    """Policy and Secrets appear where they were asked for, and nowhere else."""
    wish = replace(WISH, pull_policy="Never", pull_secrets=("one", "two"))
    container = expected_container(imagePullPolicy="Never")
    assert built(wish) == expected_pod(
        containers=[container], imagePullSecrets=[{"name": "one"}, {"name": "two"}]
    )


def test_the_api_leaves_a_commands_dollars_alone() -> None:
    """The API expands $(NAME) and $$ in a command: each dollar of ours is doubled, so that one arrives."""
    wish = replace(WISH, command=("sh", "-c", 'echo "$1" $(id) $$', "$HOME"))
    container = expected_container(command=["sh", "-c", 'echo "$$1" $$(id) $$$$', "$$HOME"])
    assert built(wish) == expected_pod(containers=[container])


@example("ip-10-0-1-7." + "a" * 240, "0" * 14)
@example("...", "0" * 14)
@given(
    st.text(max_size=300) | st.from_regex(r"[a-z0-9.-]{1,253}", fullmatch=True),
    st.text("0123456789abcdef", min_size=1, max_size=20),
)
def test_any_nodes_pod_has_a_valid_name(node: str, run_id: str) -> None:
    """A DNS-1123 label of at most 63 characters, whole run id at its end: it is also the pod's host name."""
    name = pod_name(node, run_id)
    assert re.fullmatch("[a-z0-9]([a-z0-9-]*[a-z0-9])?", name)
    assert len(name) <= 63
    assert name.endswith(f"-{run_id}")


def test_a_name_tells_the_node() -> None:
    """As much of its name as fits, dots as dashes."""
    assert pod_name("ip-10-0-1-7.ec2.internal", "00ff") == "netinspect-ip-10-0-1-7-ec2-internal-00ff"


@given(st.text())
def test_any_user_has_a_valid_label(user: str) -> None:
    """A user name may hold anything; a label's value may not."""
    assert re.fullmatch("[0-9a-f]{32}", user_label(user))


def test_users_are_told_apart() -> None:
    """By the hash of their whole name."""
    assert user_label("jane@example.com") == JANE
    assert user_label("Jane@example.com") != JANE


def test_a_moment_is_written_in_utc() -> None:
    """Whatever zone it is given in."""
    moment = datetime.fromisoformat("2026-07-01T14:30:00.9+02:00")
    assert format_time(moment) == "2026-07-01T12:30:00Z"


def live_pod(wish: DebugPod = WISH, *, image: str | None = None, **meta: Any) -> Pod:
    """The pod of a wish as the API shows it once it runs."""
    pod = decode_json(Pod, encode_json(build_debug_pod(wish)))
    running = ContainerState(running=ContainerStateRunning(started_at="x"))
    containers = tuple(replace(each, image=image or each.image) for each in pod.spec.containers)
    return replace(
        pod,
        metadata=replace(pod.metadata, **meta),
        spec=replace(pod.spec, containers=containers),
        status=PodStatus(
            phase="Running", container_statuses=(ContainerStatus(name="netinspect", state=running),)
        ),
    )


@pytest.mark.parametrize(
    ("expires", "expected"),
    [
        ("2026-07-01T11:59:59Z", True),
        ("2026-07-01T12:00:00Z", False),
        ("2026-07-01T12:00:01Z", False),
        ("2026-07-01T13:59:59+02:00", True),
        ("2026-07-01T10:00:01-02:00", False),
        ("2026-07-01T11:00:00", False),  # of no zone: tampered with
        ("2026-07-01", False),
        ("yesterday", False),
        ("", False),
        (None, False),
    ],
)
def test_when_a_pod_may_be_swept(expires: str | None, expected: bool) -> None:
    """Only past a moment that can be read; what bears none is never taken for expired."""
    annotations = {} if expires is None else {"kubectl-netinspect/expires": expires}
    assert is_expired(Pod(metadata=ObjectMeta(annotations=annotations)), NOW) is expected


def test_whose_a_pod_is() -> None:
    """By the label: a name in an annotation alone proves nothing."""
    assert is_owned_by(live_pod(), "jane@example.com")
    assert not is_owned_by(live_pod(), "john@example.com")
    assert not is_owned_by(live_pod(labels={}), "jane@example.com")


KEPT = replace(WISH, is_kept=True, expires=format_time(NOW + timedelta(minutes=5)))


def reusable(pod: Pod, **wish: Any) -> bool:
    wanted = {
        "user": WISH.user,
        "node": "node-a",
        "image": IMAGE,
        "privilege": Privilege.SYSADMIN,
        "now": NOW,
    }
    return can_reuse(pod, **{**wanted, **wish})


def test_a_kept_pod_is_used_by_its_users_next_command() -> None:
    """The one case in which all agree."""
    assert reusable(live_pod(KEPT))


@pytest.mark.parametrize(
    "wish",
    [
        {"user": "john@example.com"},
        {"node": "node-b"},
        {"image": "other"},
        {"privilege": Privilege.NETADMIN},
        {"now": NOW + timedelta(minutes=6)},
        {"now": NOW + timedelta(minutes=4, seconds=50)},  # it would end under the command
    ],
)
def test_a_kept_pod_that_is_not_what_is_wanted_is_left_alone(wish: dict[str, Any]) -> None:
    """Another user's, on another node, of another image or privilege, or (nearly) past its time."""
    assert not reusable(live_pod(KEPT), **wish)


@pytest.mark.parametrize(
    "pod",
    [
        live_pod(replace(KEPT, is_kept=False)),
        live_pod(KEPT, deletion_timestamp="2026-07-01T11:59:00Z"),
        live_pod(KEPT, labels={}),
        live_pod(KEPT, image="changed.example/tools"),
        replace(live_pod(KEPT), status=PodStatus(phase="Pending")),
        replace(live_pod(KEPT), status=PodStatus(container_statuses=(ContainerStatus(name="netinspect"),))),
        replace(
            live_pod(KEPT),
            status=PodStatus(
                container_statuses=(
                    ContainerStatus(
                        name="sidecar", state=ContainerState(running=ContainerStateRunning(started_at="x"))
                    ),
                )
            ),
        ),
    ],
    ids=[
        "not-kept",
        "being-deleted",
        "nobodys",
        "other-image",
        "pending",
        "not-running",
        "only-a-sidecar-runs",
    ],
)
def test_a_pod_that_is_not_as_we_left_it_is_not_used(pod: Pod) -> None:
    """It is not kept, not ours, not running, or was changed since."""
    assert not reusable(pod)


def test_a_pod_of_another_release_is_not_used() -> None:
    """Its shape may differ: it is remembered as a hash of release, image and privilege."""
    pod = live_pod(KEPT)
    annotations = {**pod.metadata.annotations, "kubectl-netinspect/shape": "0" * 32}
    assert not reusable(replace(pod, metadata=replace(pod.metadata, annotations=annotations)))
