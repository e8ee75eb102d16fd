"""Write down what a live cluster answers, on its way to the command.

What is never recorded is left out of the answer before the command gets it: a recorded run judges exactly what the
recording holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace

from netinspect.cluster.deadline import CancelledError
from netinspect.cluster.listing import ListResult
from netinspect.errors import NetinspectError
from netinspect.models.codec import encode_json
from netinspect.models.command import CommandResult, NodeAnswer
from netinspect.models.debug_pod import Privilege
from netinspect.models.recording import RecordedRequest, RecordedResult, RecordedTrip
from netinspect.parse.api import parse_list, parse_object
from netinspect.parse.frames import Sinks
from netinspect.probes.plan import NODE, Plan
from netinspect.sources.interface import ApiSource, NodeSource, OpenNode
from netinspect.sources.recorded_error import record_error

T = TypeVar("T")

ScrubObject = Callable[[dict[str, Any]], dict[str, Any]]
"""Returns an object of the API without what is never recorded."""

ScrubOutput = Callable[[str, bytes], bytes]
"""Returns a probe's output, by the probe's name, without what is never recorded."""


class RecordingSink(Protocol):
    """Takes what is recorded, piece by piece. Safe for threads."""

    def add_request(self, request: RecordedRequest) -> None:
        """Take an answer of the API server."""
        ...

    def add_trip(self, trip: RecordedTrip) -> None:
        """Take a trip to a node, at its end."""
        ...

    def add_time(self, seconds: float) -> None:
        """Take the time that the command was told, in seconds since the epoch."""
        ...

    def add_log(self, line: str) -> None:
        """Take a line that the program said of its work."""
        ...


class RecordingApi:
    """An API server whose answers are recorded."""

    def __init__(self, api: ApiSource, sink: RecordingSink, scrub: ScrubObject) -> None:
        self._api = api
        self._sink = sink
        self._scrub = scrub

    @property
    def namespace(self) -> str:
        """The context's namespace, or that of `--namespace`."""
        return self._api.namespace

    def now(self) -> datetime:
        """The time, in UTC, as exactly as it is recorded."""
        seconds = self._api.now().timestamp()
        self._sink.add_time(seconds)
        return datetime.fromtimestamp(seconds, UTC)

    def get_object(self, type_: type[T], path: str) -> T:
        """Get one object."""
        request = RecordedRequest(path=path)
        with self._recorded_failure(request):
            body = encode_json(self._scrub(self._api.get_object(dict[str, Any], path)))
        self._sink.add_request(replace(request, body=body))
        return parse_object(type_, body)

    def list_objects(
        self, type_: type[T], path: str, *, label_selector: str = "", field_selector: str = ""
    ) -> ListResult[T]:
        """List objects."""
        request = RecordedRequest(
            path=path, is_list=True, label_selector=label_selector, field_selector=field_selector
        )
        with self._recorded_failure(request):
            listed = self._api.list_objects(
                dict[str, Any], path, label_selector=label_selector, field_selector=field_selector
            )
            body = self._encode(listed)
        self._sink.add_request(replace(request, body=body))
        return ListResult(
            parse_list(type_, body).items, listed.resource_version, listed.kind, listed.api_version
        )

    @contextmanager
    def _recorded_failure(self, request: RecordedRequest) -> Iterator[None]:
        try:
            yield
        except CancelledError:
            raise  # the command is ending: that is no answer
        except NetinspectError as error:
            self._sink.add_request(replace(request, error=record_error(error)))
            raise

    def _encode(self, listed: ListResult[dict[str, Any]]) -> bytes:
        """Write a list as one page. Its items are told what they are: the API says it of the list only."""
        own = {"apiVersion": listed.api_version, "kind": listed.kind.removesuffix("List")}
        return encode_json(
            {
                "apiVersion": listed.api_version,
                "kind": listed.kind,
                "metadata": {"resourceVersion": listed.resource_version},
                "items": [self._scrub({**own, **item}) for item in listed.items],
            }
        )


class RecordingNodes:
    """Nodes whose answers are recorded."""

    def __init__(self, open_node: OpenNode, way: str, sink: RecordingSink, scrub: ScrubOutput) -> None:
        """Prepare it.

        Args:
            open_node: opens a node.
            way: the way onto nodes in words: "with privilege sysadmin".
            sink: takes the trips.
            scrub: leaves out of a probe's output what is never recorded.
        """
        self._open = open_node
        self._way = way
        self._sink = sink
        self._scrub = scrub

    @contextmanager
    def open(self, node: str, privilege: Privilege) -> Iterator[NodeSource]:
        """Open a node. That it could not be opened, or was not asked, is a trip as well."""
        trip = RecordedTrip(node=node, privilege=privilege, how=self._way)
        opened: RecordingNode | None = None
        try:
            with self._open(node, privilege) as source:
                trip = replace(trip, privilege=source.privilege)
                opened = RecordingNode(source, trip, self._sink, self._scrub)
                yield opened
        except CancelledError:
            raise
        except NetinspectError as error:
            if opened is None:
                self._sink.add_trip(replace(trip, error=record_error(error)))
            raise
        finally:
            if opened is not None and not opened.is_asked:
                self._sink.add_trip(replace(trip, is_whole=True))


class RecordingNode:
    """A node whose answers are recorded."""

    def __init__(
        self, source: NodeSource, trip: RecordedTrip, sink: RecordingSink, scrub: ScrubOutput
    ) -> None:
        self._source = source
        self._trip = trip
        self._sink = sink
        self._scrub = scrub
        self.is_asked = False

    @property
    def node(self) -> str:
        """The node's name."""
        return self._source.node

    @property
    def privilege(self) -> Privilege:
        """What is seen there."""
        return self._source.privilege

    def run(self, plan: Plan, sinks: Sinks | None = None) -> NodeAnswer:
        """Run a plan in one trip, and record it."""
        self.is_asked = True
        kept: dict[tuple[str, str], list[bytes]] = {place: [] for place in sinks or {}}
        tees = {place: _tee(sink, kept[place]) for place, sink in (sinks or {}).items()}
        try:
            answer = self._source.run(plan, tees)
        except CancelledError:
            raise
        except NetinspectError as error:
            self._sink.add_trip(replace(self._trip, pods=_keys_of(plan), error=record_error(error)))
            raise
        whole = tuple(self._complete(each, kept) for each in answer.results)
        self._record(plan, replace(answer, results=whole))
        # What a sink took is not held twice.
        returned = tuple(
            replace(each, stdout=b"") if (each.key, each.name) in kept else each for each in whole
        )
        return replace(answer, results=returned)

    def _complete(self, result: CommandResult, kept: dict[tuple[str, str], list[bytes]]) -> CommandResult:
        stdout = b"".join(kept.get((result.key, result.name), [result.stdout]))
        scrub = self._scrub
        return replace(result, stdout=scrub(result.name, stdout), stderr=scrub(result.name, result.stderr))

    def _record(self, plan: Plan, answer: NodeAnswer) -> None:
        commands = {(NODE, probe.name): probe.argv for probe in plan.node_probes}
        commands |= {(pod.key, probe.name): probe.argv for pod in plan.pods for probe in pod.probes}
        results = tuple(
            RecordedResult(argv=commands.get((each.key, each.name), ()), outcome=each)
            for each in answer.results
        )
        self._sink.add_trip(
            replace(
                self._trip, pods=_keys_of(plan), netns=answer.netns, results=results, is_whole=answer.is_whole
            )
        )


def _keys_of(plan: Plan) -> tuple[str, ...]:
    return tuple(pod.key for pod in plan.pods)


def _tee(sink: Callable[[bytes], None], kept: list[bytes]) -> Callable[[bytes], None]:
    def take(piece: bytes) -> None:
        kept.append(piece)
        sink(piece)

    return take
