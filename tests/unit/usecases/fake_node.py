"""A node that answers from memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from zlib import crc32

from msgspec.structs import replace

from netinspect.errors import NetinspectError
from netinspect.models.command import CommandResult, NodeAnswer
from netinspect.models.debug_pod import Privilege
from netinspect.models.kubernetes import ContainerStatus, ObjectMeta, Pod, PodSpec, PodStatus
from netinspect.parse.frames import Sinks
from netinspect.probes.plan import NODE, Plan

NODE_NETNS = 4026531840
LO = (
    b'[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP"],"mtu":65536,"operstate":"UNKNOWN",'
    b'"link_type":"loopback","address":"00:00:00:00:00:00","addr_info":[]}]'
)


def uid_of(name: str) -> str:
    """A UID that a name leads to."""
    return f"{crc32(name.encode()):08x}-f486-45b6-b7ab-1bcf1bd63978"


def pod(
    name: str,
    node: str = "node-a",
    *,
    phase: str = "Running",
    host_network: bool = False,
    container: str = "",
) -> Pod:
    """A pod of namespace `demo`."""
    statuses = (ContainerStatus(name="app", container_id=f"containerd://{container}"),) if container else ()
    return Pod(
        metadata=ObjectMeta(name=name, namespace="demo", uid=uid_of(name)),
        spec=PodSpec(node_name=node, host_network=host_network),
        status=PodStatus(phase=phase, container_statuses=statuses),
    )


def result(
    name: str,
    stdout: bytes = b"",
    *,
    code: int | None = 0,
    stderr: bytes = b"",
    key: str = NODE,
    netns: int = NODE_NETNS,
    how: str = "node",
) -> CommandResult:
    """A command's outcome, in the node's netns unless said otherwise."""
    return CommandResult(key, netns, how, name, code, stdout, stderr)


def listings(*processes: tuple[int, str, int]) -> tuple[CommandResult, ...]:
    """What the node side tells of /proc: pods' processes by PID, cgroup and netns, and the node's own PID 1."""
    cgroups = "".join(f"/proc/{pid}/cgroup:0::{cgroup}\n" for pid, cgroup, _ in processes)
    netns = "".join(
        f"lrwxrwxrwx 1 root root 0 Jan  1 00:00 /proc/{pid}/ns/net -> net:[{inode}]\n"
        for pid, _, inode in (*processes, (1, "/", NODE_NETNS))
    )
    comms = "".join(f"/proc/{pid}/comm:app\n" for pid, _, _ in processes)
    return (
        result("cgroups", f"{cgroups}\n".encode()),
        result("netns", f"{netns}\n".encode()),
        result("comms", f"{comms}\n".encode()),
    )


def answer(*results: CommandResult, is_whole: bool = True) -> NodeAnswer:
    return NodeAnswer(NODE_NETNS, results, is_whole)


def pour(answer: NodeAnswer, sinks: Sinks) -> NodeAnswer:
    """Give to sinks what is theirs, as a real source does while the output comes."""
    results = []
    for each in answer.results:
        sink = sinks.get((each.key, each.name))
        if sink is not None:
            sink(each.stdout)
            each = replace(each, stdout=b"")
        results.append(each)
    return replace(answer, results=tuple(results))


class FakeNode:
    """Gives one answer, and remembers what it was asked."""

    def __init__(
        self, answer: NodeAnswer, node: str = "node-a", privilege: Privilege = Privilege.SYSADMIN
    ) -> None:
        self.answer = answer
        self.node = node
        self.privilege = privilege
        self.plans: list[Plan] = []

    def run(self, plan: Plan, sinks: Sinks | None = None) -> NodeAnswer:
        self.plans.append(plan)
        return pour(self.answer, sinks or {})


class FakeNodes:
    """Opens nodes that answer, or fail to open; remembers what was opened and closed."""

    def __init__(self, answers: dict[str, NodeAnswer | NetinspectError]) -> None:
        self.answers = answers
        self.events: list[tuple[str, str, str]] = []

    @contextmanager
    def open(self, node: str, privilege: Privilege) -> Iterator[FakeNode]:
        self.events.append(("open", node, privilege.value))
        given = self.answers[node]
        if isinstance(given, NetinspectError):
            raise given
        try:
            yield FakeNode(given, node, privilege)
        finally:
            self.events.append(("close", node, privilege.value))


def names(pods: Sequence[Pod]) -> list[str]:
    return [each.metadata.name for each in pods]
