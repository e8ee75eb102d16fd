"""List debug pods that are still there, and delete those that may go."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from netinspect.cluster import debug_pod
from netinspect.cluster.identity import get_user
from netinspect.errors import ClusterError
from netinspect.models.debug_pod_entry import DebugPodEntry, DebugPodState
from netinspect.models.fact import Gap, Reason
from netinspect.models.kubernetes import Pod
from netinspect.models.report import Report

if TYPE_CHECKING:
    from netinspect.cluster.client import ClusterClient

KIND = "DebugPodList"


def clean_up(
    client: ClusterClient,
    namespace: str,
    *,
    all_namespaces: bool,
    all_users: bool,
    force: bool,
    dry_run: bool,
) -> Report[DebugPodEntry]:
    """Delete this user's debug pods that are expired or kept.

    Args:
        client: the API server.
        namespace: where to look, unless `all_namespaces`.
        all_namespaces: look everywhere.
        all_users: also delete other users' pods, but only those past their time.
        force: also delete pods of this user in which a command may be working.
        dry_run: only list.

    Raises:
        ClusterError: the API server refused or failed.
    """
    user = get_user(client)
    path = "/api/v1/pods" if all_namespaces else f"/api/v1/namespaces/{namespace}/pods"
    pods = client.list_objects(Pod, path, label_selector=debug_pod.SELECTOR).items
    now = datetime.now(UTC)
    entries: list[DebugPodEntry] = []
    gaps: list[Gap] = []
    for pod in pods:
        state = judge_state(pod, now)
        reason = why_left(state, is_own=debug_pod.is_owned_by(pod, user), all_users=all_users, force=force)
        try:
            entries.append(_settle(client, pod, state, reason, dry_run=dry_run))
        except ClusterError as error:
            subject = f"pod/{pod.metadata.namespace}/{pod.metadata.name}"
            gaps.append(Gap(subject, "whether it is gone", Reason.FAILED, error.message))
    if gaps and not entries:
        raise ClusterError(gaps[0].detail)
    return Report(kind=KIND, items=tuple(entries), gaps=tuple(gaps))


def judge_state(pod: Pod, now: datetime) -> DebugPodState:
    """Say what a debug pod is still there for. What bears no expiry was tampered with: it counts as in use."""
    if debug_pod.is_expired(pod, now):
        return DebugPodState.EXPIRED
    is_kept = debug_pod.KEPT_ANNOTATION in pod.metadata.annotations
    return DebugPodState.KEPT if is_kept else DebugPodState.IN_USE


def why_left(state: DebugPodState, *, is_own: bool, all_users: bool, force: bool) -> str:
    """Return why a debug pod is left alone, or "" where it may be deleted."""
    if not is_own:
        if state is DebugPodState.EXPIRED and all_users:
            return ""
        return "another user's" + (": --all-users deletes it" if state is DebugPodState.EXPIRED else "")
    if state is DebugPodState.IN_USE and not force:
        return "a command may be working in it: --force deletes it"
    return ""


def _settle(
    client: ClusterClient, pod: Pod, state: DebugPodState, reason: str, *, dry_run: bool
) -> DebugPodEntry:
    meta = pod.metadata
    if reason:
        outcome = f"left ({reason})"
    elif dry_run:
        outcome = "left (dry run)"
    else:
        client.delete(f"/api/v1/namespaces/{meta.namespace}/pods/{meta.name}", uid=meta.uid, grace_period_s=0)
        outcome = "deleted"
    return DebugPodEntry(
        namespace=meta.namespace,
        name=meta.name,
        node=pod.spec.node_name,
        user=meta.annotations.get(debug_pod.USER_ANNOTATION, ""),
        expires=meta.annotations.get(debug_pod.EXPIRES_ANNOTATION, ""),
        state=state,
        outcome=outcome,
    )
