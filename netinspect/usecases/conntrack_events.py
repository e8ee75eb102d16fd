"""Listen to the events of one node: what its thread does in a watch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeAlias

import msgspec

from netinspect.analyze.conntrack.flow_filter import matches
from netinspect.collect.conntrack_watch import collect_watch_setting, read_watch_end
from netinspect.errors import DeadlineError, NetinspectError, ParseError
from netinspect.models.conntrack import FlowEvent
from netinspect.models.fact import Gap, Reason, Unavailable
from netinspect.models.flow_watch import NodeWatch, WatchSetting
from netinspect.parse.conntrack import parse_event
from netinspect.probes.conntrack_watch import build_watch_probe
from netinspect.sources.interface import LiveStream, StreamSource

OpenStream = Callable[[str], AbstractContextManager[StreamSource]]
"""Opens a node by name, for listening there."""

# src/conntrack.c: "WARNING: We have hit ENOBUFS! We are losing events." Older versions end then, newer ones go on.
_LOST = "ENOBUFS"


class Trouble(msgspec.Struct, frozen=True):
    """Something about a node's events that the one who looks should know at once."""

    node: str
    text: str


Message: TypeAlias = WatchSetting | Trouble | tuple[str, FlowEvent]
"""What a node's thread has to tell: that it listens now, trouble, or an event with the node's name."""


class NodeEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How listening to a node ended.

    Attributes:
        node: its name.
        gaps: what was not seen while it was listened to.
        lost: why it ended, where nobody ended it.
        error: the error that ended it, where it was one.
    """

    node: str
    gaps: tuple[Gap, ...] = ()
    lost: Unavailable | None = None
    error: NetinspectError | None = None


class NodeEvents:
    """Reads one node's events and passes on those that are meant."""

    def __init__(
        self,
        watch: NodeWatch,
        timeout_s: int,
        post: Callable[[Message], None],
        is_over: Callable[[], bool],
    ) -> None:
        """Prepare it.

        Args:
            watch: which events of which node.
            timeout_s: whole seconds after which the node ends the listening by itself.
            post: takes what there is to tell; may wait.
            is_over: whether the watch was ended here, so that whatever ends is no failure.
        """
        self._watch = watch
        self._probe = build_watch_probe(timeout_s, watch.types, watch.wanted)
        self._post = post
        self._is_over = is_over
        self._broken: list[ParseError] = []
        self._broken_count = 0
        self._has_lost = False

    def run(self, open_node: OpenStream) -> NodeEnd:
        """Listen until the end. What goes wrong is part of how it ended, not raised."""
        node, lost, error = self._watch.node, None, None
        try:
            lost = self._listen(open_node)
        except NetinspectError as caught:
            error = _explained(node, caught)
            reason = Reason.TIMED_OUT if isinstance(error, DeadlineError) else Reason.FAILED
            lost = Unavailable(reason, error.message)
        if self._is_over():
            lost = error = None
        return NodeEnd(node=node, gaps=tuple(self._gaps()), lost=lost, error=error)

    def _listen(self, open_node: OpenStream) -> Unavailable:
        with open_node(self._watch.node) as source:
            setting = collect_watch_setting(source)
            with source.stream(self._probe) as stream:
                self._post(setting)
                try:
                    for line in stream.lines():
                        self._take(line)
                        self._look_for_losses(stream)
                finally:
                    self._look_for_losses(stream)
                return read_watch_end(stream)

    def _take(self, line: str) -> None:
        try:
            event = parse_event(line)
        except ParseError as error:
            self._broken_count += 1
            if not self._broken:
                self._broken.append(error)
                self._post(Trouble(self._watch.node, f"a line that is no event: {error}"))
            return
        is_meant = not self._watch.types or event.type in self._watch.types
        if is_meant and matches(event.flow, self._watch.wanted):
            self._post((self._watch.node, event))

    def _look_for_losses(self, stream: LiveStream) -> None:
        if not self._has_lost and _LOST in stream.stderr:
            self._has_lost = True
            self._post(Trouble(self._watch.node, "events came faster than they were taken: some are lost"))

    def _gaps(self) -> list[Gap]:
        subject, gaps = f"node/{self._watch.node}", []
        if self._has_lost:
            detail = "they came faster than they were taken, and the kernel dropped some (ENOBUFS)"
            gaps.append(Gap(subject, "some of its events", Reason.TRUNCATED, detail))
        if self._broken:
            plural = "s" if self._broken_count > 1 else ""
            fact = f"{self._broken_count} line{plural} of its events"
            gaps.append(Gap(subject, fact, Reason.UNPARSABLE, str(self._broken[0])))
        return gaps


def _explained(node: str, error: NetinspectError) -> NetinspectError:
    """Say of a deadline what it means here."""
    if not isinstance(error, DeadlineError):
        return error
    explained = DeadlineError(
        f"the watch of node {node} reached its time limit ({error.message})",
        "--timeout sets another limit; --for ends a watch without an error",
    )
    explained.__cause__ = error
    return explained
