"""Which debug pods are deleted, which are left, and what is said of each; against the fake API server."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from netinspect.cluster.client import ClusterClient
from netinspect.cluster.debug_pod import DebugPod, build_debug_pod, format_time
from netinspect.errors import ExitCode
from netinspect.models.debug_pod import Privilege
from netinspect.models.debug_pod_entry import DebugPodState
from netinspect.models.kubernetes import ObjectMeta, Pod
from netinspect.usecases.cleanup import clean_up, judge_state, why_left
from tests.fake import faults
from tests.fake.api import FakeApi

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
EXPIRED, KEPT, IN_USE = DebugPodState.EXPIRED, DebugPodState.KEPT, DebugPodState.IN_USE


def debug_pod(
    name: str, state: DebugPodState, user: str = "alice", namespace: str = "demo"
) -> dict[str, Any]:
    expires = datetime.now(UTC) + timedelta(seconds=-60 if state is EXPIRED else 600)
    wish = DebugPod(
        name=name,
        namespace=namespace,
        node="node-a",
        image="tools",
        privilege=Privilege.SYSADMIN,
        lifetime_s=600,
        expires=format_time(expires),
        user=user,
        run_id="0",
        is_kept=state is KEPT,
    )
    return build_debug_pod(wish)


@pytest.fixture
def full(fake_api: FakeApi) -> FakeApi:
    """Each state of ours and of bob's, one of ours elsewhere, and a pod that is none of these."""
    for user, state in product(("alice", "bob"), DebugPodState):
        fake_api.store.add("pods", debug_pod(f"{user}-{state.name.lower().replace('_', '-')}", state, user))
    fake_api.store.add("pods", debug_pod("alice-elsewhere", EXPIRED, namespace="other"))
    fake_api.store.add("pods", {"metadata": {"name": "web-1", "namespace": "demo"}})
    return fake_api


def run(client: ClusterClient, **wishes: bool) -> dict[str, str]:
    """Clean up, and return by pod what was done with it."""
    everything = {"all_namespaces": False, "all_users": False, "force": False, "dry_run": False, **wishes}
    report = clean_up(client, "demo", **everything)
    assert report.kind == "DebugPodList"
    return {each.name: each.outcome for each in report.items}


OTHERS = {
    "bob-expired": "left (another user's: --all-users deletes it)",
    "bob-kept": "left (another user's)",
    "bob-in-use": "left (another user's)",
}
OURS = {
    "alice-expired": "deleted",
    "alice-kept": "deleted",
    "alice-in-use": "left (a command may be working in it: --force deletes it)",
}


def test_ours_that_are_kept_or_past_their_time_are_deleted(client: ClusterClient, full: FakeApi) -> None:
    """One that is in use and all of others' stay, and each is told with what would delete it."""
    assert run(client) == {**OURS, **OTHERS}
    assert sorted(full.store.names("pods")) == [
        "alice-elsewhere",
        "alice-in-use",
        "bob-expired",
        "bob-in-use",
        "bob-kept",
        "web-1",
    ]
    assert all(json.loads(each.body)["preconditions"]["uid"] for each in full.seen("DELETE"))


def test_force_takes_ours_that_are_in_use(client: ClusterClient, full: FakeApi) -> None:
    """And no one else's."""
    assert run(client, force=True) == {**OURS, "alice-in-use": "deleted", **OTHERS}


def test_other_users_lose_only_what_is_past_its_time(client: ClusterClient, full: FakeApi) -> None:
    """Not even force takes a live one of theirs."""
    done = run(client, all_users=True, force=True)
    assert done == {**OURS, "alice-in-use": "deleted", **OTHERS, "bob-expired": "deleted"}


def test_every_namespace_can_be_looked_through(client: ClusterClient, full: FakeApi) -> None:
    """Each pod is deleted in its own."""
    assert run(client, all_namespaces=True)["alice-elsewhere"] == "deleted"
    assert "alice-elsewhere" not in full.store.names("pods")


def test_a_dry_run_deletes_nothing(client: ClusterClient, full: FakeApi) -> None:
    """It says what would be deleted, and why the others would not."""
    dry = "left (dry run)"
    assert run(client, dry_run=True) == {**OURS, "alice-expired": dry, "alice-kept": dry, **OTHERS}
    assert full.seen("DELETE") == []


def test_what_is_listed_of_a_pod(client: ClusterClient, fake_api: FakeApi) -> None:
    """Where it is, whose it is, until when."""
    given = fake_api.store.add("pods", debug_pod("mine", KEPT))
    arguments = {"all_namespaces": False, "all_users": False, "force": False, "dry_run": True}
    (entry,) = clean_up(client, "demo", **arguments).items
    assert (entry.namespace, entry.name, entry.node, entry.user, entry.state) == (
        "demo",
        "mine",
        "node-a",
        "alice",
        KEPT,
    )
    assert entry.expires == given["metadata"]["annotations"]["kubectl-netinspect/expires"]


def test_a_refusal_is_a_gap_and_does_not_stop_the_rest(client: ClusterClient, full: FakeApi) -> None:
    """Who may not delete is told so, not "deleted", for each pod; the others are dealt with all the same."""
    full.faults.add(faults.answer(403, "Forbidden", "no"), method="DELETE")
    report = clean_up(client, "demo", all_namespaces=False, all_users=False, force=False, dry_run=False)
    assert report.exit_code is ExitCode.INCOMPLETE
    refused = {gap.subject for gap in report.gaps}
    assert refused
    outcomes = {f"pod/demo/{each.name}": each.outcome for each in report.items}
    assert not refused & set(outcomes)
    assert len(refused) + len(outcomes) == len(OURS) + len(OTHERS)


@pytest.mark.parametrize(
    ("expires", "is_kept", "state"),
    [
        ("2026-07-01T11:00:00Z", False, EXPIRED),
        ("2026-07-01T11:00:00Z", True, EXPIRED),
        ("2026-07-01T13:00:00Z", True, KEPT),
        ("2026-07-01T13:00:00Z", False, IN_USE),
        ("2026-07-01T11:00:00", False, IN_USE),
        ("nonsense", False, IN_USE),
        (None, False, IN_USE),
    ],
)
def test_what_a_pod_is_still_there_for(expires: str | None, is_kept: bool, state: DebugPodState) -> None:
    """What bears no moment that can be read counts as in use: the side that deletes nothing."""
    annotations = {} if expires is None else {"kubectl-netinspect/expires": expires}
    if is_kept:
        annotations["kubectl-netinspect/kept"] = "true"
    assert judge_state(Pod(metadata=ObjectMeta(annotations=annotations)), NOW) is state


@pytest.mark.parametrize(
    ("state", "is_own", "all_users", "force"), list(product(DebugPodState, *[(False, True)] * 3))
)
def test_when_a_pod_may_be_deleted(state: DebugPodState, is_own: bool, all_users: bool, force: bool) -> None:
    """The whole truth table: ours unless it is in use (then with force), others' only expired and with --all-users."""
    may_go = (state is not IN_USE or force) if is_own else (state is EXPIRED and all_users)
    assert (why_left(state, is_own=is_own, all_users=all_users, force=force) == "") is may_go
