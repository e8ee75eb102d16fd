"""The debug pod as a value: built by small pure functions, compared whole in tests, created elsewhere.

Each field is there for a reason; the reasons are in docs/security.md.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from netinspect import __version__
from netinspect.models.debug_pod import Privilege
from netinspect.models.kubernetes import Pod

MANAGED_BY = "kubectl-netinspect"
CONTAINER = "netinspect"
RUN_LABEL = "kubectl-netinspect/run-id"
USER_LABEL = "kubectl-netinspect/user"
USER_ANNOTATION = "kubectl-netinspect/user-name"
EXPIRES_ANNOTATION = "kubectl-netinspect/expires"
SHAPE_ANNOTATION = "kubectl-netinspect/shape"
KEPT_ANNOTATION = "kubectl-netinspect/kept"

SELECTOR = f"app.kubernetes.io/managed-by={MANAGED_BY}"

_MAX_NAME = 63
_REST_S = 30
"""A kept pod is used as long as it has this many seconds left."""

_SLACK_S = 10
"""The container's own end stands behind the kubelet's deadline, so that the deadline is what ends the pod."""


class DebugPod(msgspec.Struct, frozen=True, kw_only=True):
    """All that distinguishes one debug pod from another.

    Attributes:
        name: chosen by us, so that a pod whose creation was never confirmed can still be deleted.
        namespace: where it is created.
        node: the node that it runs on.
        image: the image that holds the tools.
        privilege: what it may do.
        lifetime_s: whole seconds after which the kubelet ends it, whatever becomes of us.
        expires: when it may be swept (RFC 3339, UTC).
        user: who runs netinspect, as the API server names him.
        run_id: names the pods of one run.
        is_kept: whether later commands of this user may use it.
        command: what its container runs; None sleeps until exec comes.
        pull_policy: imagePullPolicy, None leaves it to the API server.
        pull_secrets: names of Secrets.
    """

    name: str
    namespace: str
    node: str
    image: str
    privilege: Privilege
    lifetime_s: int
    expires: str
    user: str
    run_id: str
    is_kept: bool = False
    command: tuple[str, ...] | None = None
    pull_policy: str | None = None
    pull_secrets: tuple[str, ...] = ()


def build_debug_pod(pod: DebugPod) -> dict[str, Any]:
    """Return the manifest of a debug pod."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _build_metadata(pod),
        "spec": _build_spec(pod),
    }


def pod_name(node: str, run_id: str) -> str:
    """Return a DNS-1123 name that tells the node: `netinspect-<node>-<run id>`, at most 63 characters."""
    room = _MAX_NAME - len("netinspect--") - len(run_id)
    readable = re.sub(r"[^a-z0-9-]+", "-", node.lower())[:room].strip("-")
    return f"netinspect-{readable}-{run_id}".replace("--", "-")


def user_label(user: str) -> str:
    """Return a label value for a user name (which may hold any character and be of any length)."""
    return hashlib.sha256(user.encode()).hexdigest()[:32]


def format_time(moment: datetime) -> str:
    """Write a moment as the API does: RFC 3339, UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_expired(pod: Pod, now: datetime) -> bool:
    """Whether a debug pod is past the moment until which it may live. What bears no such moment is not ours."""
    text = pod.metadata.annotations.get(EXPIRES_ANNOTATION)
    if text is None:
        return False
    try:
        return datetime.fromisoformat(text) < now
    except (ValueError, TypeError):  # no moment, or one without a time zone
        return False


def is_owned_by(pod: Pod, user: str) -> bool:
    """Whether a debug pod was made for `user`."""
    return pod.metadata.labels.get(USER_LABEL) == user_label(user)


def shape_of(image: str, privilege: Privilege) -> str:
    """Return what a kept pod must have in common with a wanted one to take its place."""
    text = json.dumps([__version__, image, privilege.value])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def can_reuse(pod: Pod, *, user: str, node: str, image: str, privilege: Privilege, now: datetime) -> bool:
    """Whether a kept pod of this user runs on the node and is what we would create now."""
    annotations = pod.metadata.annotations
    return (
        is_owned_by(pod, user)
        and KEPT_ANNOTATION in annotations
        and annotations.get(SHAPE_ANNOTATION) == shape_of(image, privilege)
        and pod.spec.node_name == node
        and [each.image for each in pod.spec.containers] == [image]
        and pod.metadata.deletion_timestamp is None
        and is_running(pod)
        and not is_expired(pod, now + timedelta(seconds=_REST_S))
    )


def is_running(pod: Pod) -> bool:
    """Whether our container (by name: admission may have added others) runs."""
    return any(
        each.name == CONTAINER and each.state.running is not None for each in pod.status.container_statuses
    )


def _build_metadata(pod: DebugPod) -> dict[str, Any]:
    annotations = {
        EXPIRES_ANNOTATION: pod.expires,
        USER_ANNOTATION: pod.user,
        SHAPE_ANNOTATION: shape_of(pod.image, pod.privilege),
        # A sidecar would share the node's network with us, and its container might hide ours.
        "sidecar.istio.io/inject": "false",
        "linkerd.io/inject": "disabled",
    }
    if pod.is_kept:
        annotations[KEPT_ANNOTATION] = "true"
    return {
        "name": pod.name,
        "namespace": pod.namespace,
        "labels": {
            "app.kubernetes.io/name": "netinspect",
            "app.kubernetes.io/component": "debug-pod",
            "app.kubernetes.io/managed-by": MANAGED_BY,
            "app.kubernetes.io/version": __version__,
            RUN_LABEL: pod.run_id,
            USER_LABEL: user_label(pod.user),
        },
        "annotations": annotations,
    }


def _build_spec(pod: DebugPod) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "nodeName": pod.node,
        "tolerations": [{"operator": "Exists"}],
        "restartPolicy": "Never",
        "activeDeadlineSeconds": pod.lifetime_s,
        "terminationGracePeriodSeconds": 0,
        "hostNetwork": True,
        "hostPID": pod.privilege is Privilege.SYSADMIN,
        "dnsPolicy": "Default",
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "containers": [_build_container(pod)],
    }
    if pod.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in pod.pull_secrets]
    return spec


def _build_container(pod: DebugPod) -> dict[str, Any]:
    command = pod.command or ("sleep", str(pod.lifetime_s + _SLACK_S))
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": pod.image,
        # The API replaces $(NAME) and $$ in a command (core/v1 Container.command): a $ of ours is written twice.
        "command": [each.replace("$", "$$") for each in command],
        "securityContext": _build_security_context(pod.privilege),
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi"},
            "limits": {"memory": "256Mi"},
        },
    }
    if pod.pull_policy:
        container["imagePullPolicy"] = pod.pull_policy
    return container


def _build_security_context(privilege: Privilege) -> dict[str, Any]:
    common: dict[str, Any] = {"runAsUser": 0, "runAsNonRoot": False, "readOnlyRootFilesystem": True}
    if privilege is Privilege.SYSADMIN:
        return {**common, "privileged": True}
    return {
        **common,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
