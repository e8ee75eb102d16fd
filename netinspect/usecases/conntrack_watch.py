"""Watch flows come and go: a thread a node reads its events, one place names and shows them as they come."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from netinspect.cluster.signals import shielded
from netinspect.collect.conntrack_watch import setting_gaps
from netinspect.errors import CommandError, DeadlineError, Interrupted, NetinspectError
from netinspect.models.conntrack import FlowEvent
from netinspect.models.fact import Gap, Known, Reason
from netinspect.models.flow_watch import NamedFlowEvent, NodeWatch, WatchSetting
from netinspect.usecases.conntrack_events import Message, NodeEnd, NodeEvents, OpenStream, Trouble
from netinspect.usecases.live_names import LiveNames

START_S = 120.0
"""After so long `--for` begins to count though a node has not come up."""

_TURN_S = 0.2
_AHEAD = 1000
"""Events that may wait to be shown. Where there are more, the node waits, and in the end its kernel drops some."""


class WatchLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When a watch ends by itself.

    Attributes:
        for_s: seconds from when every node is listened to; infinity for no limit.
        count: events that are shown; 0 for no limit.
    """

    for_s: float = math.inf
    count: int = 0


class WatchEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a watch ended.

    Attributes:
        shown: how many events were shown.
        gaps: what was not seen.
        failure: what ended it, if that was neither a limit of its own nor the end of some of several nodes.
    """

    shown: int
    gaps: tuple[Gap, ...]
    failure: NetinspectError | Interrupted | None = None


class Audience(Protocol):
    """Is told what a watch sees. Called by one thread only."""

    def begin(self, setting: WatchSetting) -> None:
        """Take notice that a node is listened to from now on."""
        ...

    def show(self, event: NamedFlowEvent) -> None:
        """Show an event."""
        ...

    def warn(self, text: str) -> None:
        """Tell what is no event."""
        ...


class Watch:
    """One run of `conntrack watch`."""

    def __init__(
        self,
        watches: Sequence[NodeWatch],
        names: LiveNames,
        limits: WatchLimits,
        audience: Audience,
        *,
        gaps: Sequence[Gap] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare it.

        Args:
            watches: which events of which nodes.
            names: names flows.
            limits: when it ends by itself.
            audience: is told what comes.
            gaps: what is missing already.
            clock: seconds of a clock that only goes forward.
        """
        self._watches = watches
        self._names = names
        self._limits = limits
        self._audience = audience
        self._clock = clock
        self._stop = threading.Event()
        self._messages: queue.Queue[Message] = queue.Queue(_AHEAD)
        self._begun: set[str] = set()
        self._gaps = list(gaps)
        self._shown = 0

    def run(self, open_node: OpenStream, timeout_s: int, cancel: Callable[[], None]) -> WatchEnd:
        """Listen to all nodes at once until a limit, a signal, or the end of all of them.

        Args:
            open_node: opens a node.
            timeout_s: whole seconds after which a node ends the listening by itself.
            cancel: tells whatever waits for a node to come to its end.
        """
        signal: Interrupted | None = None
        readers = [NodeEvents(each, timeout_s, self._post, self._stop.is_set) for each in self._watches]
        with ThreadPoolExecutor(max(1, len(readers))) as pool:
            jobs = [pool.submit(reader.run, open_node) for reader in readers]
            try:
                self._follow(jobs)
            except Interrupted as interrupted:
                signal = interrupted
            finally:
                # The jobs delete what they made on their way out: no second Ctrl-C may cut that short.
                with shielded():
                    self._stop.set()
                    cancel()
                    pool.shutdown(wait=True)
        ends = [job.result() for job in jobs]
        # Where enough events came before a node was even listened to, that node is not missed.
        begun = {end.node for end in ends} if self._is_full else self._begun
        return conclude(ends, begun, self._shown, self._gaps, signal)

    @property
    def _is_full(self) -> bool:
        return 0 < self._limits.count <= self._shown

    def _post(self, message: Message) -> None:
        """Put a message before the one who shows, and wait where too many lie there. Called by the nodes' threads."""
        while not self._stop.is_set():
            try:
                self._messages.put(message, timeout=_TURN_S)
            except queue.Full:
                continue
            return

    def _follow(self, jobs: Sequence[Future[NodeEnd]]) -> None:
        """Show what comes until a limit is reached or nobody is left to send more."""
        begin, until = self._clock(), math.inf
        while self._clock() < until:
            is_over = all(job.done() for job in jobs)  # before the last look into the queue
            try:
                message = self._messages.get(timeout=max(0.0, min(_TURN_S, until - self._clock())))
            except queue.Empty:
                if is_over:
                    return
            else:
                self._take(message)
                if self._is_full:
                    return
            if until == math.inf and (self._is_up(jobs) or self._clock() - begin > START_S):
                until = self._clock() + self._limits.for_s

    def _is_up(self, jobs: Sequence[Future[NodeEnd]]) -> bool:
        return all(
            watch.node in self._begun or job.done() for watch, job in zip(self._watches, jobs, strict=True)
        )

    def _take(self, message: Message) -> None:
        if isinstance(message, WatchSetting):
            self._begin(message)
        elif isinstance(message, Trouble):
            self._audience.warn(f"node {message.node}: {message.text}")
        else:
            node, event = message
            self._audience.show(self._named(node, event))
            self._shown += 1

    def _begin(self, setting: WatchSetting) -> None:
        self._begun.add(setting.node)
        self._gaps += setting_gaps(setting)
        if isinstance(setting.links, Known):
            self._names.add_links(setting.node, setting.links.value)
        self._audience.begin(setting)

    def _named(self, node: str, event: FlowEvent) -> NamedFlowEvent:
        named = self._names.name(node, event.flow)
        time_ = None if event.time is None else datetime.fromtimestamp(event.time, UTC)
        fields = {name: getattr(named, name) for name in named.__struct_fields__}
        return NamedFlowEvent(**fields, event=event.type, time=time_)


def conclude(
    ends: Sequence[NodeEnd],
    begun: Collection[str],
    shown: int,
    gaps: Sequence[Gap],
    signal: Interrupted | None,
) -> WatchEnd:
    """Judge how a watch ended.

    As everywhere, one node that fails among others is a gap, and the command fails only where all fail.

    Args:
        ends: how listening ended, by node.
        begun: the nodes that were listened to at all.
        shown: how many events were shown.
        gaps: what else was not seen.
        signal: what interrupted it.
    """
    found = [*gaps, *(gap for end in ends for gap in end.gaps)]
    lost = [end for end in ends if end.lost is not None]
    is_all_lost = signal is None and bool(lost) and len(lost) == len(ends)
    if is_all_lost and (not shown or all(isinstance(end.error, DeadlineError) for end in lost)):
        return WatchEnd(shown=shown, gaps=tuple(found), failure=_failure_of(lost[0]))
    found += [
        Gap(f"node/{end.node}", "the rest of its events", end.lost.reason, end.lost.detail)
        for end in lost
        if end.lost
    ]
    if signal is None:
        detail = "it was not listened to before the watch was over"
        late = [end.node for end in ends if end.lost is None and end.node not in begun]
        found += [Gap(f"node/{node}", "its events", Reason.TIMED_OUT, detail) for node in late]
    return WatchEnd(shown=shown, gaps=tuple(found), failure=signal)


def _failure_of(end: NodeEnd) -> NetinspectError:
    if end.error is not None:
        return end.error
    detail = end.lost.detail if end.lost else ""
    return CommandError(f"the events of node {end.node} could not be watched: {detail}")


def describe_setting(setting: WatchSetting) -> str:
    """Say what a node's nf_conntrack_events means for what will be seen."""
    lead = f"watching {setting.node} with privilege {setting.privilege.value}"
    if not isinstance(setting.events_mode, Known):
        return lead
    mode = setting.events_mode.value
    meaning = {
        0: "no flow sends any event",
        1: "every flow sends events",
        2: "flows that began while nobody listened send no UPDATE and no DESTROY",
    }
    text = meaning.get(mode, "which is not known here")
    warning = "warning: " if mode == 0 else ""
    return f"{warning}{lead}: nf_conntrack_events is {mode}: {text}"
