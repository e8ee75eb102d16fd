"""Every way out of a debug pod, against the fake API server: what is deleted, what is kept, what is never made."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from netinspect.cluster.access import Handle, NodeAccess, design_debug_pod
from netinspect.cluster.client import ClusterClient
from netinspect.cluster.deadline import CancelledError, Deadline
from netinspect.cluster.debug_pod import DebugPod, build_debug_pod, format_time
from netinspect.cluster.signals import SIGNALS, install_handlers
from netinspect.errors import ClusterError, DeadlineError, DebugPodError, Interrupted
from netinspect.models.debug_pod import DebugPodOptions, Privilege
from tests.fake import faults, pods
from tests.fake.api import FakeApi
from tests.fake.messages import Object, failure

PODS = "/api/v1/namespaces/demo/pods"
IMAGE = "registry.example/tools:1"
SYSADMIN, NETADMIN = Privilege.SYSADMIN, Privilege.NETADMIN


class Desk:
    """A user at the command line: opens nodes, and hears what is said meanwhile."""

    def __init__(self, client: ClusterClient, api: FakeApi) -> None:
        self.client = client
        self.api = api
        self.said: list[str] = []
        self.warnings: list[str] = []
        for name in ("node-a", "node-b", "node-c"):
            api.store.add("nodes", node(name))

    def access(self, deadline: Deadline | None = None, **options: Any) -> NodeAccess:
        """What one command makes for itself."""
        return NodeAccess(
            self.client,
            DebugPodOptions(image=IMAGE, **options),
            deadline or Deadline.after(20),
            lambda node, text: self.said.append(f"{node}: {text}"),
            self.warnings.append,
        )

    @property
    def pods(self) -> list[str]:
        return self.api.store.names("pods")

    def created(self) -> list[Object]:
        return [json.loads(each.body) for each in self.api.seen("POST", "/pods$")]


def node(name: str, ready: str = "True") -> Object:
    return {
        "metadata": {"name": name},
        "status": {
            "conditions": [{"type": "Ready", "status": ready, "reason": "KubeletNotReady"}],
            "nodeInfo": {"operatingSystem": "linux"},
        },
    }


@pytest.fixture
def desk(client: ClusterClient, fake_api: FakeApi) -> Desk:
    return Desk(client, fake_api)


def open_it(access: NodeAccess, privilege: Privilege = SYSADMIN, node: str = "node-a") -> Handle:
    """Open a node, do nothing there, and close it again."""
    with access.open(node, privilege, lifetime_s=60) as handle:
        return handle


def test_a_pod_is_there_while_it_is_used_and_not_after(desk: Desk) -> None:
    """Created in the context's namespace, waited for, deleted at once and without a grace period."""
    with desk.access().open("node-a", SYSADMIN, lifetime_s=60) as handle:
        (name,) = desk.pods
        expires = desk.created()[0]["metadata"]["annotations"]["kubectl-netinspect/expires"]
        assert handle == Handle("demo", name, "netinspect", "node-a", SYSADMIN, is_new=True, expires=expires)
        assert desk.created()[0]["metadata"]["namespace"] == "demo"
    assert desk.pods == []
    (request,) = desk.api.seen("DELETE")
    assert (request.path, json.loads(request.body)["gracePeriodSeconds"]) == (f"{PODS}/{name}", 0)
    assert desk.warnings == []


def test_what_is_waited_for_is_said(desk: Desk) -> None:
    """From the API server's yes to the image."""
    open_it(desk.access())
    (name,) = (pod["metadata"]["name"] for pod in desk.created())
    assert desk.said[0] == f"node-a: the API server to accept debug pod {name}"
    assert (
        f"node-a: node node-a to start the container (image {IMAGE}, pulled if it is not there)" in desk.said
    )


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), ClusterError("lost"), Interrupted(2), KeyboardInterrupt()]
)
def test_a_pod_is_deleted_whatever_ends_its_use(desk: Desk, error: BaseException) -> None:
    """And the failure is handed on as it is."""
    access = desk.access()

    def use() -> None:
        with access.open("node-a", SYSADMIN, lifetime_s=60):
            assert len(desk.pods) == 1
            raise error

    with pytest.raises(type(error)) as caught:
        use()
    assert caught.value is error
    assert desk.pods == []


@pytest.mark.parametrize(
    ("evolution", "message"),
    [
        (pods.image_pull_backoff, "the node cannot pull the image"),
        (pods.out_of_pods, "as many pods as it may"),
    ],
)
def test_a_pod_that_does_not_come_up_is_deleted(desk: Desk, evolution: pods.Evolution, message: str) -> None:
    """With what kept it from starting as the error."""
    desk.api.evolve = evolution
    with pytest.raises(DebugPodError, match=message):
        open_it(desk.access())
    assert desk.pods == []


def test_a_pod_that_is_not_up_in_time_is_deleted(desk: Desk) -> None:
    """The error says what it still waited for. The deletion is not under the time that is up."""
    desk.api.evolve = pods.stays_pending
    with pytest.raises(DeadlineError, match="still waiting for the kubelet of node node-a to take the pod"):
        open_it(desk.access(Deadline.after(1)))
    assert desk.pods == []


def test_a_command_that_is_given_up_deletes_its_pods(desk: Desk) -> None:
    """`cancel` is how the main thread ends the others: each takes away what it made."""
    desk.api.evolve = pods.stays_pending
    deadline = Deadline.after(20)

    def give_up() -> None:
        wait_until(lambda: bool(desk.pods))
        deadline.cancel()

    threading.Thread(target=give_up).start()
    with pytest.raises(CancelledError):
        open_it(desk.access(deadline))
    assert desk.pods == []
    assert desk.warnings == []


def test_a_pod_that_somebody_else_deletes_is_not_waited_for(desk: Desk) -> None:
    """Whoever deleted it had a reason; no second one is made."""
    desk.api.evolve = pods.stays_pending

    def remove() -> None:
        wait_until(lambda: bool(desk.api.seen("GET", "/pods$")[1:]))
        desk.api.store.remove("pods", "demo", desk.pods[0])

    threading.Thread(target=remove).start()
    with pytest.raises(DebugPodError, match="was deleted by somebody else while it started"):
        open_it(desk.access())
    assert len(desk.created()) == 1
    assert desk.warnings == []


def test_a_watch_that_lost_its_place_goes_on_from_the_pod_as_it_is(desk: Desk) -> None:
    """410 says nothing about the pod."""
    desk.api.faults.add(faults.answer(410, "Expired", "too old resource version"), method="WATCH")
    assert open_it(desk.access()).is_new
    assert desk.pods == []


def test_a_refused_pod_leaves_nothing_to_delete(desk: Desk) -> None:
    """The refusal is told as it came, with what helps; nothing is sent after it."""
    text = 'pods "x" is forbidden: violates PodSecurity "baseline:latest": privileged'
    desk.api.faults.add(faults.answer(403, "Forbidden", text), method="POST", path=PODS)
    with pytest.raises(DebugPodError, match="violates PodSecurity") as caught:
        open_it(desk.access())
    assert "pod-security.kubernetes.io/enforce=privileged" in caught.value.hint
    assert desk.api.seen("DELETE") == []


def fail_after_all(exchange: Any, request: Any) -> None:
    """The request is carried out, and a proxy that lost its patience answers."""
    exchange.handle(request)
    exchange.reply(failure(504, "Timeout", "the server was unable to return a response in the time allotted"))


@pytest.mark.parametrize(
    "fault",
    [faults.carry_out_and_reset(), faults.withhold(stall_s=3), fail_after_all],
    ids=["reset", "no-answer", "gateway-timeout"],
)
def test_a_pod_whose_creation_was_not_confirmed_is_deleted(desk: Desk, fault: faults.Fault) -> None:
    """The name is ours, so it can be found: the answer was lost, late, or said by somebody who cannot know."""
    desk.api.faults.add(fault, method="POST", path=PODS)
    desk.client.deadline = Deadline.after(20)
    access = desk.access()
    desk.client.options = type(desk.client.options)(request_timeout_s=1)
    with pytest.raises(ClusterError):
        open_it(access)
    assert desk.pods == []
    assert len(desk.created()) == 1


def test_a_pod_that_exists_already_under_our_name_is_ours(desk: Desk) -> None:
    """A proxy may send a request twice: the second is refused, and what the first made must not stay."""

    def twice(exchange: Any, request: Any) -> None:
        exchange.handle(request)
        exchange.reply(exchange.handle(request))

    desk.api.faults.add(twice, method="POST", path=PODS)
    with pytest.raises(ClusterError, match="already exists"):
        open_it(desk.access())
    assert desk.pods == []


def test_an_interrupted_creation_is_looked_for_until_it_shows(desk: Desk) -> None:
    """Ctrl-C comes before the pod does: it is created a second later, and deleted then."""
    desk.api.faults.add(faults.withhold(delay_s=1.0, stall_s=5), method="POST", path=PODS)
    access = desk.access()
    with signals_as_interrupts():
        send_when(signal.SIGINT, lambda: bool(desk.created()))
        with pytest.raises(Interrupted):
            open_it(access)
    assert desk.pods == []
    assert len(desk.api.seen("DELETE")) > 1
    assert desk.warnings == []


def test_an_interrupted_wait_deletes_the_pod(desk: Desk) -> None:
    """SIGTERM while the image is pulled."""
    desk.api.evolve = pods.stays_pending
    access = desk.access()
    with signals_as_interrupts():
        send_when(signal.SIGTERM, lambda: bool(desk.pods))
        with pytest.raises(Interrupted) as caught:
            open_it(access)
    assert caught.value.exit_code == 143
    assert desk.pods == []


def test_who_may_not_delete_pods_gets_none(desk: Desk) -> None:
    """Asked before the first is created: a privileged pod that nobody can take away is worse than no answer."""
    desk.api.deny("delete", "pods")
    with pytest.raises(
        DebugPodError, match=r'User "alice" cannot delete resource "pods".*in the namespace "demo"'
    ) as caught:
        open_it(desk.access())
    assert "docs/rbac/" in caught.value.hint
    assert desk.created() == []


def test_no_pod_is_made_for_a_node_that_would_not_start_it(desk: Desk) -> None:
    """Not Ready, or not there at all."""
    desk.api.store.add("nodes", node("node-x", ready="False"))
    with pytest.raises(DebugPodError, match="node node-x is not Ready"):
        open_it(desk.access(), node="node-x")
    with pytest.raises(ClusterError, match='nodes "node-y" not found'):
        open_it(desk.access(), node="node-y")
    assert desk.created() == []


def test_a_deletion_that_fails_says_what_stays_and_how_to_end_it(desk: Desk) -> None:
    """The answer of the command stands; the leftover is a warning with the line that removes it."""
    desk.api.faults.add(faults.answer(500, "InternalError", "etcd is gone"), method="DELETE", times=9)
    handle = open_it(desk.access())
    (warning,) = desk.warnings
    assert f"debug pod {handle.name} could not be deleted" in warning
    assert "etcd is gone" in warning
    assert f"kubectl delete pod --now -n demo {handle.name}" in warning


def test_a_pod_that_is_gone_already_needs_no_deletion(desk: Desk) -> None:
    """Its deadline ended it, or somebody did: no warning."""
    with desk.access().open("node-a", SYSADMIN, lifetime_s=60) as handle:
        desk.api.store.remove("pods", "demo", handle.name)
    assert desk.warnings == []
    assert len(desk.api.seen("DELETE")) == 1


def test_the_namespace_of_debug_pods_can_be_another(desk: Desk) -> None:
    """All requests go there, and the pod says so, too."""
    open_it(desk.access(namespace="debug"))
    (pod,) = desk.created()
    assert pod["metadata"]["namespace"] == "debug"
    assert [each.path for each in desk.api.seen("POST", "/pods$")] == ["/api/v1/namespaces/debug/pods"]
    assert desk.api.seen("DELETE")[0].path.startswith("/api/v1/namespaces/debug/pods/")


def test_several_nodes_have_a_pod_each(desk: Desk) -> None:
    """At the same time, of one run, deleted one and all; what we may do is asked once."""
    access = desk.access()
    together = threading.Barrier(3, timeout=20)
    handles: list[Handle] = []

    def work(node: str) -> None:
        with access.open(node, SYSADMIN, lifetime_s=60) as handle:
            together.wait()
            handles.append(handle)

    threads = [threading.Thread(target=work, args=(f"node-{letter}",)) for letter in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(handle.node for handle in handles) == ["node-a", "node-b", "node-c"]
    assert len({handle.name for handle in handles}) == 3
    assert {pod["metadata"]["labels"]["kubectl-netinspect/run-id"] for pod in desk.created()} == {
        access.run_id
    }
    assert desk.pods == []
    assert len(desk.api.seen("POST", "selfsubjectaccessreviews")) == 1


def test_a_kept_pod_serves_the_next_command(desk: Desk) -> None:
    """It stays, is found again by what it is, and is neither created nor deleted by the second."""
    first = open_it(desk.access(keep_s=600))
    assert desk.pods == [first.name]
    second = open_it(desk.access(keep_s=600))
    assert (second.name, second.is_new) == (first.name, False)
    assert (len(desk.created()), desk.api.seen("DELETE")) == (1, [])
    third = open_it(desk.access())  # also of a command that keeps none of its own
    assert third.name == first.name
    assert desk.pods == [first.name]


@pytest.mark.parametrize(
    ("wish", "privilege", "node"),
    [({"image": "other"}, SYSADMIN, "node-a"), ({}, NETADMIN, "node-a"), ({}, SYSADMIN, "node-b")],
)
def test_a_kept_pod_of_another_kind_is_passed_by(
    desk: Desk, wish: dict[str, str], privilege: Privilege, node: str
) -> None:
    """Another image, another privilege, another node: a new one is made, and the kept one stays."""
    kept = open_it(desk.access(keep_s=600))
    options = DebugPodOptions(**{"image": IMAGE, **wish})  # type: ignore[arg-type]
    access = NodeAccess(desk.client, options, Deadline.after(20), lambda *_: None, desk.warnings.append)
    assert open_it(access, privilege, node).is_new
    assert desk.pods == [kept.name]


def test_another_users_kept_pod_is_passed_by(desk: Desk) -> None:
    """It may be in use, and it may be a trap."""
    add_pod(desk, "theirs", user="mallory", is_kept=True)
    assert open_it(desk.access()).is_new
    assert desk.pods == ["theirs"]


def test_a_pod_that_was_to_be_kept_and_did_not_start_is_deleted(desk: Desk) -> None:
    """There is nothing in it to come back to."""
    desk.api.evolve = pods.image_pull_backoff
    with pytest.raises(DebugPodError):
        open_it(desk.access(keep_s=600))
    assert desk.pods == []


def test_a_pod_with_its_own_command_is_neither_kept_nor_taken_from_the_kept(desk: Desk) -> None:
    """It ends with its command (transport by logs)."""
    kept = open_it(desk.access(keep_s=600))
    desk.api.evolve = pods.succeeds
    with desk.access(keep_s=600).open("node-a", SYSADMIN, lifetime_s=60, command=("true",)) as handle:
        assert handle.name != kept.name
    assert desk.pods == [kept.name]


def test_a_sweep_takes_what_is_ours_and_past_its_time(desk: Desk) -> None:
    """Never another user's, never one that is within its time, never what is not marked as ours."""
    add_pod(desk, "mine-old", age_s=1000)
    add_pod(desk, "mine-old-kept", age_s=1000, is_kept=True)
    add_pod(desk, "mine-live")
    add_pod(desk, "theirs-old", age_s=1000, user="bob")
    unmarked = add_pod(desk, "unmarked", age_s=1000)
    desk.api.store.update(
        "pods", "demo", unmarked, {"metadata": {"labels": {"app.kubernetes.io/managed-by": "helm"}}}
    )
    assert sorted(desk.access().sweep()) == ["mine-old", "mine-old-kept"]
    wait_until(lambda: sorted(desk.pods) == ["mine-live", "theirs-old", "unmarked"])
    uids = [json.loads(each.body)["preconditions"]["uid"] for each in desk.api.seen("DELETE")]
    assert all(uids)


def test_a_sweep_that_is_refused_keeps_nobody_from_working(desk: Desk) -> None:
    """It is a kindness, not the command."""
    add_pod(desk, "mine-old", age_s=1000)
    desk.api.deny("delete", "pods")
    assert desk.access().sweep() == []


def add_pod(desk: Desk, name: str, *, age_s: float = 0, user: str = "alice", is_kept: bool = False) -> str:
    """Put a running debug pod of an earlier command there; `age_s` is how long it is past its time."""
    wish = DebugPod(
        name=name,
        namespace="demo",
        node="node-a",
        image=IMAGE,
        privilege=SYSADMIN,
        lifetime_s=300,
        expires=format_time(datetime.now(UTC) + timedelta(seconds=-age_s if age_s else 300)),
        user=user,
        run_id="earlier",
        is_kept=is_kept,
    )
    running = {"phase": "Running", "containerStatuses": [{"name": "netinspect", "state": {"running": {}}}]}
    desk.api.store.add("pods", {**build_debug_pod(wish), "status": running})
    return name


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def send_when(signum: signal.Signals, condition: Callable[[], bool]) -> None:
    """Send this process a signal as soon as a condition holds."""

    def wait() -> None:
        wait_until(condition)
        os.kill(os.getpid(), signum)

    threading.Thread(target=wait).start()


@contextmanager
def signals_as_interrupts() -> Iterator[None]:
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    install_handlers()
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@pytest.mark.parametrize(
    ("keep_s", "command", "lifetime_s", "is_kept"),
    [
        (None, None, 90, False),
        (600.0, None, 600, True),
        (5.0, None, 90, True),  # not ended under the command that makes it
        (0.0, None, 90, False),
        (600.0, ("true",), 90, False),
    ],
)
def test_how_long_a_pod_may_live(
    keep_s: float | None, command: tuple[str, ...] | None, lifetime_s: int, is_kept: bool
) -> None:
    """The command's time and a margin, or what --keep says where that is more; its expiry follows from it."""
    options = DebugPodOptions(image=IMAGE, namespace="demo", keep_s=keep_s)
    before = datetime.now(UTC).replace(microsecond=0)
    pod = design_debug_pod(
        options, "node-a", SYSADMIN, user="alice", run_id="0011223344", lifetime_s=59.2, command=command
    )
    assert (pod.lifetime_s, pod.is_kept, pod.command) == (lifetime_s, is_kept, command)
    late = datetime.fromisoformat(pod.expires) - before - timedelta(seconds=lifetime_s)
    assert timedelta(0) <= late < timedelta(seconds=5)
