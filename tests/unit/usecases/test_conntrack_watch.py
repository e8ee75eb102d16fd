"""Watching flows come and go: what is shown, when it ends, and what is told of what was not seen."""

from __future__ import annotations

import ipaddress
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from netinspect.errors import (
    ClusterError,
    CommandError,
    DeadlineError,
    DebugPodError,
    Interrupted,
    NetinspectError,
)
from netinspect.models.cluster_state import ClusterState
from netinspect.models.conntrack import FlowEventType
from netinspect.models.fact import Gap, Known, Reason
from netinspect.models.flow_filter import FlowFilter
from netinspect.models.flow_watch import NamedFlowEvent, NodeWatch, WatchSetting
from netinspect.models.kubernetes import Node
from netinspect.usecases.conntrack_watch import Watch, WatchEnd, WatchLimits, describe_setting
from netinspect.usecases.live_names import LiveNames
from tests.unit.usecases.fake_node import result
from tests.unit.usecases.fake_stream import HOLD, FakeNode, FakeNodes, FakeStream, says

STATE = ClusterState(pods=Known(()), services=Known(()), slices=Known(()), nodes=Known[tuple[Node, ...]](()))
OUT_OF_BUFFER = (
    "NOTICE: Netlink socket buffer size has been set to 16777216 bytes.\n"
    "WARNING: We have hit ENOBUFS! We are losing events.\n"
    "This message means that the current netlink socket buffer size is too small.\n"
)


def line(event: str, port: int, *, src: str = "10.1.0.5", dst: str = "10.1.0.9") -> str:
    """An event as conntrack 1.4.7 prints it."""
    family = "ipv6     10" if ":" in src else "ipv4     2"
    return (
        f"[1795333880.198052]\t{f'[{event}]':>9} {family} udp      17 30 src={src} dst={dst} sport={port} dport=53 "
        f"[UNREPLIED] src={dst} dst={src} sport=53 dport={port} id={port}"
    )


NEW4, NEW6 = line("NEW", 1), line("NEW", 2, src="fd00::5", dst="fd00::9")
DESTROY4, UPDATE6 = line("DESTROY", 1), line("UPDATE", 2, src="fd00::5", dst="fd00::9")


class Seen:
    """The audience of a watch."""

    def __init__(self, act: Callable[[NamedFlowEvent], None] = lambda _: None) -> None:
        self.events: list[NamedFlowEvent] = []
        self.settings: list[WatchSetting] = []
        self.warnings: list[str] = []
        self.threads: set[int] = set()
        self._act = act

    def begin(self, setting: WatchSetting) -> None:
        self.settings.append(setting)

    def show(self, event: NamedFlowEvent) -> None:
        self.events.append(event)
        self.threads.add(threading.get_ident())
        self._act(event)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    @property
    def short(self) -> list[tuple[str, str, int | None]]:
        """Node, event and source port of what was shown."""
        return [(each.node, each.event.value, each.flow.original.sport) for each in self.events]


def watch(
    *nodes: FakeNode,
    seen: Seen | None = None,
    wanted: FlowFilter | None = None,
    types: tuple[FlowEventType, ...] = (),
    for_s: float = float("inf"),
    count: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[WatchEnd, Seen]:
    """Watch nodes to the end; nothing is left open."""
    seen = seen or Seen()
    fakes = FakeNodes(*nodes)
    watches = [NodeWatch(node=node.node, wanted=wanted or FlowFilter(), types=types) for node in nodes]
    names = LiveNames(STATE, lambda: STATE)
    limits = WatchLimits(for_s=for_s, count=count)
    try:
        end = Watch(watches, names, limits, seen, clock=clock).run(fakes.open, 60, fakes.cancel)
    finally:
        assert fakes.open_now == set()
    return end, seen


def test_events_are_shown_in_the_order_of_the_node() -> None:
    """Both families, with type, time, flow and names."""
    node = FakeNode("node-a", says(NEW4, NEW6, UPDATE6, DESTROY4, HOLD))
    end, seen = watch(node, count=4)
    assert seen.short == [
        ("node-a", "NEW", 1),
        ("node-a", "NEW", 2),
        ("node-a", "UPDATE", 2),
        ("node-a", "DESTROY", 1),
    ]
    assert seen.events[0].time == datetime(2026, 11, 22, 7, 51, 20, 198052, UTC)
    assert seen.events[1].words == "external [fd00::5]:2 -> external [fd00::9]:53"
    assert seen.events[1].flow.raw == NEW6
    assert end == WatchEnd(shown=4, gaps=())


def test_our_own_filter_decides() -> None:
    """What the node lets through is not taken for what was meant; a pod's address may stand in any place."""
    node = FakeNode("node-a", says(NEW4, NEW6, DESTROY4, UPDATE6))
    wanted = FlowFilter(addresses=frozenset((ipaddress.ip_address("fd00::9"),)))
    _, seen = watch(node, wanted=wanted, types=(FlowEventType.NEW, FlowEventType.DESTROY))
    assert seen.short == [("node-a", "NEW", 2)]
    assert node.probes[0].argv[-2:] == ("-e", "NEW,DESTROY")


def test_count_ends_it_at_once() -> None:
    """So many events are shown and no more, whatever still comes."""
    lines = [line("NEW", port) for port in range(1, 500)]
    end, seen = watch(FakeNode("node-a", says(*lines, HOLD)), count=3)
    assert [port for *_, port in seen.short] == [1, 2, 3]
    assert end == WatchEnd(shown=3, gaps=())


def test_for_ends_it_though_nothing_comes() -> None:
    """The time counts from when the node is listened to, and its end is no error."""
    begin = time.monotonic()
    end, seen = watch(FakeNode("node-a", says(HOLD)), for_s=0.3)
    assert 0.3 <= time.monotonic() - begin < 5
    assert (end, seen.short) == (WatchEnd(shown=0, gaps=()), [])


def test_for_counts_from_when_the_last_node_is_up() -> None:
    """Each node is watched for as long as was asked for, however long another takes to come up."""
    up = threading.Event()

    class Slow(FakeNode):
        def run(self, *arguments: object) -> object:  # type: ignore[override]
            assert up.wait(10)
            return super().run(*arguments)  # type: ignore[arg-type]

    def late(_: FakeStream) -> Iterator[str]:
        yield line("NEW", 7)
        yield HOLD

    timer = threading.Timer(0.6, up.set)
    timer.start()
    end, seen = watch(FakeNode("node-a", says(NEW4, HOLD)), Slow("node-b", late), for_s=0.2)
    assert seen.short == [("node-a", "NEW", 1), ("node-b", "NEW", 7)]
    assert end.gaps == ()


def test_a_node_that_does_not_come_up_holds_nobody_up_for_ever() -> None:
    """After a while the time counts without it; that it was not watched is a gap."""
    now = iter([0.0, 0.0, *[200.0] * 3, *[300.0] * 1000])

    class Stuck(FakeNode):
        def run(self, *_: object) -> object:  # type: ignore[override]
            assert fakes_over.wait(10)
            raise ClusterError("stopped while waiting for node-b")

    fakes_over = threading.Event()
    timer = threading.Timer(1, fakes_over.set)
    timer.start()
    nodes = (FakeNode("node-a", says(NEW4, HOLD)), Stuck("node-b", says()))
    end, _ = watch(*nodes, for_s=10, clock=lambda: next(now))
    (gap,) = end.gaps
    assert (gap.subject, gap.fact, gap.reason) == ("node/node-b", "its events", Reason.TIMED_OUT)


def test_enough_events_are_enough_though_a_node_was_not_up_yet() -> None:
    """--count is reached by the others: nothing is missing."""
    over = threading.Event()

    class Slow(FakeNode):
        def run(self, *_: object) -> object:  # type: ignore[override]
            assert over.wait(10)
            raise ClusterError("stopped while waiting for node-b")

    timer = threading.Timer(0.5, over.set)
    timer.start()
    end, _ = watch(FakeNode("node-a", says(NEW4, NEW6, HOLD)), Slow("node-b", says()), count=2)
    assert end == WatchEnd(shown=2, gaps=())


def test_several_nodes_are_shown_by_one() -> None:
    """Each node's events stay in their order, and one thread alone shows them: lines are never interleaved."""
    nodes = [
        FakeNode(f"node-{name}", says(*(line("NEW", port) for port in range(1, 200)), HOLD)) for name in "abc"
    ]
    end, seen = watch(*nodes, count=3 * 199)
    assert seen.threads == {threading.get_ident()}
    for name in "abc":
        assert [port for node, _, port in seen.short if node == f"node-{name}"] == list(range(1, 200))
    assert end.gaps == ()


def test_a_slow_audience_makes_the_node_wait() -> None:
    """Memory stays bounded: lines are left where they are until those before them were shown."""
    ahead: list[int] = []

    def look(_: NamedFlowEvent) -> None:
        if len(seen.events) == 1:
            time.sleep(0.5)
            ahead.append(node.streams[0].taken)

    def endless(_: FakeStream) -> Iterator[str]:
        port = 0
        while True:
            port = port % 60_000 + 1
            yield line("NEW", port)

    seen = Seen(look)
    node = FakeNode("node-a", endless)
    end, _ = watch(node, seen=seen, count=3000)
    assert 500 < ahead[0] < 1100
    assert end.shown == 3000


def test_what_is_said_at_the_start() -> None:
    """Each node says what its sysctl means for what will be seen."""
    end, seen = watch(
        *(FakeNode(f"node-{mode}", says(HOLD), mode=mode.encode()) for mode in "0127"), for_s=0.1
    )
    assert sorted(describe_setting(each) for each in seen.settings) == [
        "warning: watching node-0 with privilege netadmin: nf_conntrack_events is 0: no flow sends any event",
        "watching node-1 with privilege netadmin: nf_conntrack_events is 1: every flow sends events",
        "watching node-2 with privilege netadmin: nf_conntrack_events is 2: flows that began while nobody listened "
        "send no UPDATE and no DESTROY",
        "watching node-7 with privilege netadmin: nf_conntrack_events is 7: which is not known here",
    ]
    assert end.gaps == ()


def test_a_sysctl_that_cannot_be_read_is_a_gap() -> None:
    """What silence means is then not known; the events come all the same."""
    mode = result("events-mode", code=2, stderr=b"grep: /proc/sys/...: No such file or directory\n")
    links = result("links", code=127, stderr=b"ip: not found\n")
    end, seen = watch(FakeNode("node-a", says(NEW4, HOLD), mode=mode, links=links), count=1)
    assert [(gap.fact, gap.reason) for gap in end.gaps] == [
        ("its links", Reason.TOOL_MISSING),
        ("nf_conntrack_events", Reason.FAILED),
    ]
    assert describe_setting(seen.settings[0]) == "watching node-a with privilege netadmin"


@pytest.mark.parametrize("broken", ["[NEW] tcp", "\x1b[2Jhello", line("NEW", 1)[:90], "[RENEW] udp 17"])
def test_a_broken_line_is_a_gap_and_not_the_end(broken: str) -> None:
    """It is told at once, counted, and shown in the gap; what comes behind it is shown."""
    end, seen = watch(FakeNode("node-a", says(NEW4, broken, broken, NEW6, HOLD)), count=2)
    assert seen.short == [("node-a", "NEW", 1), ("node-a", "NEW", 2)]
    (gap,) = end.gaps
    assert (gap.subject, gap.fact, gap.reason) == ("node/node-a", "2 lines of its events", Reason.UNPARSABLE)
    assert broken[:40] in gap.detail
    assert len(seen.warnings) == 1
    assert seen.warnings[0].startswith("node node-a: a line that is no event: conntrack -E: ")


def test_lost_events_are_a_gap() -> None:
    """The tool says once that the kernel dropped some, and goes on: it is told at once and at the end."""

    def said(stream: FakeStream) -> Iterator[str]:
        yield NEW4
        stream.stderr += OUT_OF_BUFFER
        yield NEW6
        yield HOLD

    node = FakeNode("node-a", said)
    end, seen = watch(node, for_s=0.3)
    assert seen.warnings == ["node node-a: events came faster than they were taken: some are lost"]
    assert [(gap.subject, gap.fact, gap.reason) for gap in end.gaps] == [
        ("node/node-a", "some of its events", Reason.TRUNCATED)
    ]
    assert end.failure is None


def test_losses_that_are_told_last_are_not_missed() -> None:
    """Older versions of the tool end there."""

    def said(stream: FakeStream) -> Iterator[str]:
        yield NEW4
        stream.stderr = OUT_OF_BUFFER

    end, _ = watch(FakeNode("node-a", said, exit_code=1))
    assert [gap.fact for gap in end.gaps] == ["some of its events", "the rest of its events"]


def test_losses_that_are_told_after_the_last_event_are_not_missed() -> None:
    """No further line comes before the watch is ended here."""

    def said(stream: FakeStream) -> Iterator[str]:
        yield NEW4
        stream.stderr = OUT_OF_BUFFER
        yield HOLD

    end, _ = watch(FakeNode("node-a", said), for_s=0.3)
    assert [gap.fact for gap in end.gaps] == ["some of its events"]


@pytest.mark.parametrize(
    ("exit_code", "stderr", "reason", "text"),
    [
        (127, "conntrack: not found\n", Reason.TOOL_MISSING, "conntrack: not found"),
        (1, "mnl_socket_bind: Operation not permitted\n", Reason.PERMISSION_DENIED, "not permitted"),
        (1, "conntrack v1.4.7 (conntrack-tools): Bad\n", Reason.FAILED, "Bad"),
        (124, "", Reason.TIMED_OUT, "exit code 124"),
        (137, "Killed", Reason.TRUNCATED, "was killed on the node (exit code 137): its pod was deleted"),
        (129, "Hangup\n", Reason.TIMED_OUT, "heard nothing from here for 60 s"),
        (
            0,
            "conntrack v1.4.7 (conntrack-tools): 7 flow events have been shown.\n",
            Reason.TRUNCATED,
            "was ended on the node (exit code 0)",
        ),
        (None, "the connection was closed", Reason.TRUNCATED, "lost: the connection was closed"),
    ],
)
def test_an_end_that_nobody_asked_for_is_told(
    exit_code: int | None, stderr: str, reason: Reason, text: str
) -> None:
    """After events, it is a gap: those until then were seen. Before any, the command failed."""
    end, _ = watch(FakeNode("node-a", says(NEW4), exit_code=exit_code, stderr=stderr))
    (gap,) = end.gaps
    assert (gap.fact, gap.reason, end.failure) == ("the rest of its events", reason, None)
    assert text in gap.detail
    end, _ = watch(FakeNode("node-a", says(), exit_code=exit_code, stderr=stderr))
    assert end.gaps == ()
    assert isinstance(end.failure, CommandError)
    assert "the events of node node-a could not be watched" in end.failure.message
    assert text in end.failure.message


def test_a_node_that_fails_among_others_is_a_gap() -> None:
    """The others go on."""
    nodes = (
        FakeNode("node-a", says(NEW4, HOLD)),
        FakeNode("node-b", says(), error=DebugPodError("debug pod x was refused")),
        FakeNode("node-c", says(), exit_code=127, stderr="conntrack: not found\n"),
    )
    end, seen = watch(*nodes, for_s=0.5)
    assert seen.short == [("node-a", "NEW", 1)]
    assert end.gaps == (
        Gap("node/node-b", "the rest of its events", Reason.FAILED, "debug pod x was refused"),
        Gap(
            "node/node-c",
            "the rest of its events",
            Reason.TOOL_MISSING,
            "conntrack -E ended with exit code 127: conntrack: not found",
        ),
    )
    assert end.failure is None


def test_where_all_nodes_fail_the_command_fails() -> None:
    """With the first one's own error."""
    errors: list[NetinspectError] = [DebugPodError("refused"), ClusterError("gone")]
    end, _ = watch(*(FakeNode(f"node-{i}", says(), error=error) for i, error in enumerate(errors)))
    assert end.failure is errors[0]


def test_the_time_limit_is_said_as_such() -> None:
    """Whatever was shown: exit code 124 says that it did not end by itself."""

    def said(_: FakeStream) -> Iterator[str]:
        yield NEW4
        raise DeadlineError("timed out after 14400s while waiting for the output of the remote command")

    end, seen = watch(FakeNode("node-a", said))
    assert seen.short == [("node-a", "NEW", 1)]
    assert isinstance(end.failure, DeadlineError)
    assert end.failure.message.startswith(
        "the watch of node node-a reached its time limit (timed out after 14400s"
    )
    assert "--timeout" in end.failure.hint


def test_a_limit_of_one_node_only_is_a_gap() -> None:
    """A kept debug pod may end before the others do."""

    def said(_: FakeStream) -> Iterator[str]:
        yield NEW4
        raise DeadlineError("timed out after 60s")

    end, _ = watch(FakeNode("node-a", said), FakeNode("node-b", says(HOLD)), for_s=0.5)
    assert [(gap.subject, gap.reason) for gap in end.gaps] == [("node/node-a", Reason.TIMED_OUT)]
    assert end.failure is None


def test_a_signal_ends_all_nodes_in_good_order() -> None:
    """Every node is closed before it is over; what was lost until then is told."""

    def stop(_: NamedFlowEvent) -> None:
        raise Interrupted(signal.SIGINT)

    nodes = [FakeNode(f"node-{name}", says("broken", NEW4, HOLD)) for name in "ab"]
    end, seen = watch(*nodes, seen=Seen(stop))
    assert isinstance(end.failure, Interrupted)
    assert end.failure.exit_code == 130
    assert len(seen.events) == 1
    assert {gap.reason for gap in end.gaps} == {Reason.UNPARSABLE}


def test_a_reader_that_is_gone_ends_all_nodes_too() -> None:
    """`| head`: whatever breaks here, the nodes are closed (the kit checks that)."""

    def broken(_: NamedFlowEvent) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        watch(FakeNode("node-a", says(NEW4, HOLD)), FakeNode("node-b", says(HOLD)), seen=Seen(broken))


def test_our_own_bug_is_not_swallowed() -> None:
    """What breaks in a node's thread is raised here."""

    def said(_: FakeStream) -> Iterator[str]:
        yield NEW4
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        watch(FakeNode("node-a", said))
