"""The way onto a node: find a kept debug pod or create one, wait until it runs, delete it on every way out.

What stays behind nevertheless (SIGKILL, a lost API server) ends by its own deadline and is swept by the next run.
"""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from netinspect.cluster import debug_pod
from netinspect.cluster.deadline import Deadline
from netinspect.cluster.identity import get_user, may
from netinspect.cluster.pod_progress import check_node, explain_refusal, judge_pod
from netinspect.cluster.signals import shielded
from netinspect.errors import ClusterError, DeadlineError, DebugPodError
from netinspect.models.codec import encode_json
from netinspect.models.debug_pod import DebugPodOptions, Privilege
from netinspect.models.kubernetes import Node, Pod
from netinspect.parse.api import parse_object

if TYPE_CHECKING:
    from netinspect.cluster.client import ClusterClient

_MARGIN_S = 30
"""A debug pod may outlive the command's own deadline by this much: the time to see it off in good order."""

_PACE_S = 0.1
"""At most ten pods a second are created, however many nodes are asked."""

_REMOVE_S = 20.0
"""How long deleting a pod may take in all, retries included; signals wait for it."""

_UNCERTAIN_S = 6.0
"""How long a pod is looked for whose creation was sent and never answered."""


class Handle(msgspec.Struct, frozen=True):
    """A running container to exec into.

    Attributes:
        namespace: of the pod.
        name: of the pod.
        container: whose tools are used.
        node: the node that it runs on.
        privilege: what it may do.
        is_new: whether it was created by this run.
        expires: when it ends (RFC 3339); "" for a pod that is not ours.
    """

    namespace: str
    name: str
    container: str
    node: str
    privilege: Privilege
    is_new: bool
    expires: str = ""


def design_debug_pod(
    options: DebugPodOptions,
    node: str,
    privilege: Privilege,
    *,
    user: str,
    run_id: str,
    lifetime_s: float,
    command: tuple[str, ...] | None = None,
) -> debug_pod.DebugPod:
    """Decide on a debug pod: its name, and how long it may live.

    It lives a little longer than the command may take, and at least as long as `--keep` says.
    """
    keep_s = (options.keep_s or 0) if command is None else 0
    lifetime = math.ceil(max(keep_s, lifetime_s + _MARGIN_S))
    return debug_pod.DebugPod(
        name=debug_pod.pod_name(node, f"{run_id}{secrets.token_hex(2)}"),
        namespace=options.namespace or "default",
        node=node,
        image=options.image,
        privilege=privilege,
        lifetime_s=lifetime,
        expires=debug_pod.format_time(datetime.now(UTC) + timedelta(seconds=lifetime)),
        user=user,
        run_id=run_id,
        is_kept=keep_s > 0,
        command=command,
        pull_policy=options.image_pull_policy,
        pull_secrets=options.image_pull_secrets,
    )


class NodeAccess:
    """Makes debug pods for one command, and knows which of them are still to be deleted.

    Attributes:
        namespace: where debug pods are made.
        user: who we are to the API server.
        run_id: names this run's pods.
    """

    def __init__(
        self,
        client: ClusterClient,
        options: DebugPodOptions,
        deadline: Deadline,
        notify: Callable[[str, str], None],
        warn: Callable[[str], None],
    ) -> None:
        self.client = client
        self.namespace = options.namespace or client.context.own_namespace
        self.options = replace(options, namespace=self.namespace)
        self.deadline = deadline
        self.run_id = secrets.token_hex(5)
        self.user = get_user(client)
        self._notify = notify
        self._warn = warn
        self._lock = threading.Lock()
        self._may_delete: bool | None = None
        self._uncertain: dict[str, bool] = {}
        self._next_create = 0.0
        self._ours = self._list_ours()

    @contextmanager
    def open(
        self, node: str, privilege: Privilege, *, lifetime_s: float, command: tuple[str, ...] | None = None
    ) -> Iterator[Handle]:
        """Give a debug pod on `node` for as long as the block runs.

        Args:
            node: the node's name.
            privilege: what the pod has to be able to do.
            lifetime_s: how long the work may take once the pod runs.
            command: the pod's own command (transport by logs); None sleeps and waits for exec.

        Raises:
            DebugPodError: the pod was refused or did not come up.
            TargetError: the node can have no such pod.
            ClusterError: the API server failed.
        """
        kept = None if command else self._find_kept(node, privilege)
        if kept is not None:
            expires = kept.metadata.annotations.get(debug_pod.EXPIRES_ANNOTATION, "")
            yield self._handle(kept.metadata.name, node, privilege, is_new=False, expires=expires)
            return
        self._check_before_create(node)
        pod = design_debug_pod(
            self.options,
            node,
            privilege,
            user=self.user,
            run_id=self.run_id,
            lifetime_s=lifetime_s,
            command=command,
        )
        is_used = False
        try:
            self._wait(pod, self._create(pod))
            is_used = pod.is_kept
            if pod.is_kept:
                self._warn(
                    f"privileged debug pod {self.namespace}/{pod.name} is kept until {pod.expires}; "
                    "kubectl netinspect cleanup removes it"
                )
            yield self._handle(pod.name, node, privilege, is_new=True, expires=pod.expires)
        finally:
            if not is_used:
                self._remove(pod.name)

    def sweep(self) -> list[str]:
        """Delete this user's debug pods that are past their expiry; return their names.

        A pod of somebody else, or one that is still within its time, is never touched.
        """
        now = datetime.now(UTC)
        swept = []
        for pod in self._ours:
            if debug_pod.is_owned_by(pod, self.user) and debug_pod.is_expired(pod, now):
                with suppress(ClusterError):
                    self.client.delete(self._path(pod.metadata.name), uid=pod.metadata.uid)
                    swept.append(pod.metadata.name)
        return swept

    def _list_ours(self) -> tuple[Pod, ...]:
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        return tuple(self.client.list_objects(Pod, path, label_selector=debug_pod.SELECTOR).items)

    def _find_kept(self, node: str, privilege: Privilege) -> Pod | None:
        now = datetime.now(UTC)
        wanted = {"user": self.user, "node": node, "image": self.options.image, "privilege": privilege}
        return next((pod for pod in self._ours if debug_pod.can_reuse(pod, now=now, **wanted)), None)  # type: ignore[arg-type]

    def _check_before_create(self, node: str) -> None:
        check_node(self.client.get_object(Node, f"/api/v1/nodes/{node}"))
        with self._lock:
            if self._may_delete is None:
                self._may_delete = may(self.client, "delete", "pods", self.namespace)
        if not self._may_delete:
            raise DebugPodError(
                f'User "{self.user}" cannot delete resource "pods" in API group "" '
                f'in the namespace "{self.namespace}": no debug pod is created that could not be deleted',
                "docs/rbac/ holds the roles that netinspect needs",
            )

    def _create(self, pod: debug_pod.DebugPod) -> Pod:
        self._notify(pod.node, f"the API server to accept debug pod {pod.name}")
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        self._pace()
        self._uncertain[pod.name] = True
        try:
            answer = self.client.create(path, encode_json(debug_pod.build_debug_pod(pod)))
        except ClusterError as error:
            # The name is ours alone: what bears it already is ours, of a request that arrived twice.
            if error.status is None or error.status >= 500 or error.reason == "AlreadyExists":
                raise
            del self._uncertain[pod.name]
            raise explain_refusal(error, self.namespace) from error
        self._uncertain[pod.name] = False
        return parse_object(Pod, answer)

    def _pace(self) -> None:
        """Let two creations of this run begin no closer together than `_PACE_S`."""
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._next_create)
            self._next_create = begin + _PACE_S
        self.deadline.sleep(begin - now, "its turn to create a debug pod")

    def _wait(self, pod: debug_pod.DebugPod, created: Pod) -> None:
        """Watch the pod until it is ready, from the moment of its creation."""
        current, waiting_for = created, ""
        while True:
            try:
                for state in self._states(pod, current):
                    progress = judge_pod(state, is_command=pod.command is not None)
                    if progress.is_ready:
                        self._notify(pod.node, "")
                        return
                    waiting_for = progress.waiting_for
                    self._notify(pod.node, waiting_for)
            except DeadlineError as error:
                raise DeadlineError(
                    f"debug pod {pod.name} did not come up in time: still waiting for {waiting_for}",
                    "--timeout gives it longer; kubectl describe node may tell why",
                ) from error
            except ClusterError as error:
                if error.status != HTTPStatus.GONE:
                    raise
                # The server no longer knows that moment: go on from the pod as it is now.
                current = self.client.get_object(Pod, self._path(pod.name))

    def _states(self, pod: debug_pod.DebugPod, current: Pod) -> Iterator[Pod]:
        yield current
        events = self.client.watch(
            f"/api/v1/namespaces/{self.namespace}/pods",
            query={
                "fieldSelector": f"metadata.name={pod.name}",
                "resourceVersion": current.metadata.resource_version,
            },
            deadline=self.deadline,
        )
        for event in events:
            if event.type == "DELETED":
                raise DebugPodError(f"debug pod {pod.name} was deleted by somebody else while it started")
            yield parse_object(Pod, bytes(event.object))

    def _remove(self, name: str) -> None:
        """Delete a pod that we created, or may have; if that fails, say what stays behind and until when."""
        if name not in self._uncertain:
            return
        by_hand = f"kubectl delete pod --now -n {self.namespace} {name}"
        with shielded(lambda: self._warn(f"still deleting debug pod {name}; by hand: {by_hand}")):
            end = time.monotonic() + _UNCERTAIN_S
            try:
                while not self._delete(name):
                    # Not there: either never created, or a create that was cut off is still under way.
                    if not self._uncertain[name]:
                        return
                    if time.monotonic() > end:
                        self._warn(
                            f"debug pod {name} was asked for and never seen; if it shows up: {by_hand}"
                        )
                        return
                    time.sleep(0.3)
            except ClusterError as error:
                self._warn(
                    f"debug pod {name} could not be deleted ({error.message}); it ends by itself at its "
                    f"deadline and is swept by your next run; by hand: {by_hand}"
                )

    def _delete(self, name: str) -> bool:
        """Delete under a deadline of its own: the command's may be over, or what was cancelled."""
        return self.client.delete(
            self._path(name), grace_period_s=0, timeout_s=_REMOVE_S, deadline=Deadline.after(_REMOVE_S)
        )

    def _handle(self, name: str, node: str, privilege: Privilege, *, is_new: bool, expires: str) -> Handle:
        return Handle(self.namespace, name, debug_pod.CONTAINER, node, privilege, is_new, expires)

    def _path(self, name: str) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{name}"
