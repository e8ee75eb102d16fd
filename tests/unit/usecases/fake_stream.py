"""Nodes on which events can be watched, from memory: each says what the test wants, when it wants."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from netinspect.cluster.deadline import CancelledError
from netinspect.errors import NetinspectError
from netinspect.models.command import CommandResult, NodeAnswer
from netinspect.models.debug_pod import Privilege
from netinspect.parse.frames import Sinks
from netinspect.probes.plan import Plan, Probe
from netinspect.sources.interface import LiveStream
from tests.unit.usecases.fake_node import LO, answer, pour, result

EVENTS_FILE = "/proc/sys/net/netfilter/nf_conntrack_events"

HOLD = "(the command goes on and says nothing more)"
"""A line that is none: the stream waits there until the watch is over."""


class FakeStream:
    """Lines, and how the command ended."""

    def __init__(self, said: Callable[[FakeStream], Iterator[str]], is_over: threading.Event) -> None:
        self._said = said
        self._is_over = is_over
        self.exit_code: int | None = 0
        self.stderr = ""
        self.taken = 0

    def lines(self) -> Iterator[str]:
        for line in self._said(self):
            if line == HOLD:
                assert self._is_over.wait(20)
            if self._is_over.is_set():
                raise CancelledError("stopped while waiting for the output of the remote command")
            self.taken += 1
            yield line


class FakeNode:
    """A node that answers a plan, and has a stream.

    Attributes:
        said: makes the lines, for a stream that it may change on the way.
        error: what opening it raises.
    """

    privilege = Privilege.NETADMIN

    def __init__(
        self,
        node: str,
        said: Callable[[FakeStream], Iterator[str]],
        *,
        mode: bytes | CommandResult = b"2",
        links: CommandResult | None = None,
        error: NetinspectError | None = None,
        exit_code: int | None = 0,
        stderr: str = "",
    ) -> None:
        self.node = node
        self.said = said
        self.error = error
        self.exit_code = exit_code
        self.stderr = stderr
        self.probes: list[Probe] = []
        self.streams: list[FakeStream] = []
        text = EVENTS_FILE.encode() + b":"
        self._answer = answer(
            links or result("links", LO),
            mode if isinstance(mode, CommandResult) else result("events-mode", text + mode + b"\n"),
        )

    def run(self, plan: Plan, sinks: Sinks | None = None) -> NodeAnswer:
        return pour(self._answer, sinks or {})


class FakeNodes:
    """Opens nodes; `cancel` ends what they wait for, as the command's deadline does."""

    def __init__(self, *nodes: FakeNode) -> None:
        self.nodes = {node.node: node for node in nodes}
        self.is_over = threading.Event()
        self.open_now: set[str] = set()

    def cancel(self) -> None:
        self.is_over.set()

    @contextmanager
    def open(self, name: str) -> Iterator[_Source]:
        node = self.nodes[name]
        if node.error is not None:
            raise node.error
        self.open_now.add(name)
        try:
            yield _Source(node, self.is_over)
        finally:
            self.open_now.remove(name)


class _Source:
    def __init__(self, node: FakeNode, is_over: threading.Event) -> None:
        self._node = node
        self._is_over = is_over
        self.node = node.node
        self.privilege = node.privilege
        self.run = node.run

    @contextmanager
    def stream(self, probe: Probe) -> Iterator[LiveStream]:
        node = self._node
        node.probes.append(probe)
        stream = FakeStream(node.said, self._is_over)
        stream.exit_code, stream.stderr = node.exit_code, node.stderr
        node.streams.append(stream)
        yield stream


def says(*lines: str) -> Callable[[FakeStream], Iterator[str]]:
    """Lines that come at once."""
    return lambda _: iter(lines)
