"""Facts from a live cluster: a plan is run in a debug pod on the node, or in a pod that is there already."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from netinspect.cluster.access import Handle, NodeAccess
from netinspect.cluster.identity import explain_exec_refusal
from netinspect.errors import ClusterError, CommandError, TargetError, UsageError
from netinspect.models.command import CommandResult, NodeAnswer
from netinspect.models.debug_pod import Privilege, Transport
from netinspect.models.kubernetes import Container, Pod
from netinspect.parse.frames import Sinks, parse_frames, parse_log_frames
from netinspect.probes.catalog import LISTINGS
from netinspect.probes.plan import NODE, Plan, Probe, build_log_command, encode_plan, node_script
from netinspect.probes.watch import build_watch_argv
from netinspect.sources.interface import LiveStream, NodeSource
from netinspect.sources.live_stream import ExecLines, listening

if TYPE_CHECKING:
    from netinspect.cluster.client import ClusterClient
    from netinspect.cluster.deadline import Deadline
    from netinspect.cluster.exec import ExecStatus, ExecStream

_STDOUT, _STDERR = 1, 2
_MAX_STDERR = 65536
_NO_SHELL = "the pod has no shell (sh) that can run the node side"


class LiveNodes:
    """Opens nodes of a live cluster."""

    def __init__(self, client: ClusterClient, access: NodeAccess, deadline: Deadline) -> None:
        self.client = client
        self.access = access
        self.deadline = deadline

    @contextmanager
    def open(self, node: str, privilege: Privilege) -> Iterator[NodeSource]:
        """Give a source for `node`, and take away what was made for it when the block ends."""
        options = self.access.options
        if options.transport is Transport.LOGS and not options.via:
            yield LogsNode(self, node, privilege)
            return
        with self.open_exec(node, privilege) as source:
            yield source

    @contextmanager
    def open_exec(self, node: str, privilege: Privilege) -> Iterator[ExecNode]:
        """Give a way onto `node` in which any command can be run, and take it away when the block ends."""
        via = self.access.options.via
        if via:
            yield ExecNode(self.client, find_via(self.client, via, node), self.deadline)
            return
        with self.access.open(node, privilege, lifetime_s=self.deadline.remaining_s()) as handle:
            yield ExecNode(self.client, handle, self._until_its_end(handle))

    def _until_its_end(self, handle: Handle) -> Deadline:
        """A kept pod may end before the command's time is up: a deadline says so, a killed program does not."""
        if handle.is_new or not handle.expires:
            return self.deadline
        left = datetime.fromisoformat(handle.expires) - datetime.now(UTC)
        return self.deadline.sooner(max(0.0, left.total_seconds()))


class ExecNode:
    """Runs plans by exec in a container on the node."""

    def __init__(self, client: ClusterClient, handle: Handle, deadline: Deadline) -> None:
        self.client = client
        self.handle = handle
        self.deadline = deadline

    @property
    def node(self) -> str:
        """The node's name."""
        return self.handle.node

    @property
    def privilege(self) -> Privilege:
        """What the pod on the node may do."""
        return self.handle.privilege

    def run(self, plan: Plan, sinks: Sinks | None = None) -> NodeAnswer:
        """Run the plan; without a shell in the pod, run the node's own probes argv by argv."""
        stream = self.exec(("sh", "-c", node_script()), stdin=True)
        complaints: list[bytes] = []
        with stream:
            threading.Thread(target=_feed, args=(stream, encode_plan(plan)), daemon=True).start()
            answer = parse_frames(_stdout_of(stream, complaints), sinks)
            status = stream.status
        if answer.netns is None and not answer.results:
            if status.exit_code is None and not status.is_cut:
                return self._run_each(plan, status, sinks or {})
            raise CommandError(
                f"the node side did not start on node {self.node}: {_complaint(complaints, status)}",
                "the image must hold sh, awk, grep, gzip, timeout, readlink and nsenter",
            )
        return answer

    def exec(self, argv: tuple[str, ...], *, stdin: bool, tty: bool = False) -> ExecStream:
        """Run a command in the pod that is the way onto the node, as it is."""
        handle = self.handle
        try:
            return self.client.exec(
                handle.namespace,
                handle.name,
                handle.container,
                argv,
                stdin=stdin,
                tty=tty,
                deadline=self.deadline,
            )
        except ClusterError as error:
            explained = explain_exec_refusal(self.client, error, handle.namespace)
            if explained is error:
                raise
            raise explained from error

    @contextmanager
    def stream(self, probe: Probe) -> Iterator[LiveStream]:
        """Run a probe and read its output live. It ends with the block, and by itself where nobody listens any more."""
        with self.exec(build_watch_argv(probe), stdin=True) as stream, listening(stream):
            yield ExecLines(stream)

    def _run_each(self, plan: Plan, refusal: ExecStatus, sinks: Sinks) -> NodeAnswer:
        """Ask a pod without a shell for what it can tell: the node's probes, one exec each."""
        if not plan.node_probes:
            raise CommandError(f"{_NO_SHELL} on node {self.node}: {refusal.message}")
        results = [self._run_one(probe, sinks.get((NODE, probe.name))) for probe in plan.node_probes]
        if plan.pods:
            # What the node side finds by itself takes a shell: a missing tool, as far as the facts go.
            results += [
                CommandResult(NODE, 0, "node", name, 127, b"", _NO_SHELL.encode()) for name in LISTINGS
            ]
        return NodeAnswer(None, tuple(results), is_whole=True)

    def _run_one(self, probe: Probe, sink: Callable[[bytes], None] | None) -> CommandResult:
        stdout: list[bytes] = []
        stderr: list[bytes] = []
        take = sink or stdout.append
        with self.exec(probe.argv, stdin=False) as stream:
            for piece in _stdout_of(stream, stderr):
                take(piece)
            status = stream.status
        exit_code = status.exit_code
        if exit_code is None and not status.is_cut:
            exit_code = 127  # the runtime found no such program: as a shell would say it
            stderr.append(status.message.encode())
        return CommandResult(NODE, 0, "node", probe.name, exit_code, b"".join(stdout), b"".join(stderr))


class LogsNode:
    """Runs a plan as a debug pod's own command and reads the pod's log: for roles and nodes without exec."""

    def __init__(self, nodes: LiveNodes, node: str, privilege: Privilege) -> None:
        self._nodes = nodes
        self.privilege = privilege
        self.node = node

    def run(self, plan: Plan, sinks: Sinks | None = None) -> NodeAnswer:
        """Run the plan in a pod of its own."""
        access = self._nodes.access
        lifetime_s = self._nodes.deadline.remaining_s()
        try:
            command = build_log_command(plan)
        except ValueError as error:
            raise UsageError(str(error)) from error
        with access.open(self.node, self.privilege, lifetime_s=lifetime_s, command=command) as handle:
            path = f"/api/v1/namespaces/{handle.namespace}/pods/{handle.name}/log"
            log = self._nodes.client.request("GET", path, query={"container": handle.container})
        return parse_log_frames(log, sinks)


def find_via(client: ClusterClient, name: str, node: str) -> Handle:
    """Return the container of a running pod that can serve as a way onto `node`.

    Raises:
        TargetError: the pod is not on that node, does not run, or has a network of its own.
    """
    namespace, _, pod_name = name.rpartition("/")
    namespace = namespace or client.namespace
    pod = client.get_object(Pod, f"/api/v1/namespaces/{namespace}/pods/{pod_name}")
    shown = f"pod {namespace}/{pod_name}"
    if pod.spec.node_name != node:
        raise TargetError(f"{shown} runs on node {pod.spec.node_name}, not on {node}")
    if not pod.spec.host_network:
        raise TargetError(f"{shown} has a network of its own: --via needs a pod with hostNetwork")
    running = {each.name for each in pod.status.container_statuses if each.state.running is not None}
    candidates = [each for each in pod.spec.containers if each.name in running]
    if not candidates:
        raise TargetError(f"{shown} has no running container")
    chosen = max(candidates, key=_is_privileged)
    privilege = Privilege.SYSADMIN if _is_privileged(chosen) and pod.spec.host_pid else Privilege.NETADMIN
    return Handle(namespace, pod_name, chosen.name, node, privilege, False)


def _is_privileged(container: Container) -> bool:
    return container.security_context.privileged


def _feed(stream: ExecStream, plan: bytes) -> None:
    """Send the plan. In a thread of its own: the node side answers while it still reads."""
    try:
        stream.write_stdin(plan)
        stream.close_stdin()
    except ClusterError:
        return  # the reader of the stream meets the same end, and reports it


def _stdout_of(stream: ExecStream, stderr: list[bytes]) -> Iterator[bytes]:
    size = 0
    for channel, data in stream:
        if channel == _STDOUT:
            yield data
        elif channel == _STDERR and size < _MAX_STDERR:
            size += len(data)
            stderr.append(data)


def _complaint(stderr: list[bytes], status: ExecStatus) -> str:
    text = b"".join(stderr).decode("utf-8", "replace").strip()
    return text or status.message or "the connection was cut"
