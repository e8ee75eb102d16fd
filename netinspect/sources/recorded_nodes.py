"""Nodes that answer out of a recording."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from netinspect.errors import NotRecordedError
from netinspect.models.command import CommandResult, NodeAnswer
from netinspect.models.debug_pod import Privilege
from netinspect.models.recording import RecordedTrip, Recording
from netinspect.parse.frames import Sinks
from netinspect.probes.catalog import LISTINGS
from netinspect.probes.conntrack import widen_argv
from netinspect.probes.plan import NODE, Plan, PodScope
from netinspect.sources.recorded_api import describe_holdings
from netinspect.sources.recorded_error import restore_error

Identity: TypeAlias = tuple[str, str, tuple[str, ...]]
"""Key and name of a probe, and its argv: () for a listing. By its argv a probe is found again, whatever its name."""

_Question: TypeAlias = tuple[str, tuple[str, ...]]

_LISTED = tuple((NODE, name, ()) for name in LISTINGS)


class RecordedNodes:
    """Opens the nodes of a recording; each question is answered the n-th time as it was then, and by the last after."""

    def __init__(self, recording: Recording) -> None:
        self._nodes: dict[str, _Trips] = {}
        for trip in recording.trips:
            self._nodes.setdefault(trip.node, _Trips()).add(trip)
        self._holdings = describe_holdings(recording)

    @contextmanager
    def open(self, node: str, privilege: Privilege) -> Iterator[RecordedNode]:
        """Open a node.

        Raises:
            NotRecordedError: the recording holds nothing of it.
            NetinspectError: the node could not be asked when the recording was made.
        """
        trips = self._nodes.get(node)
        if trips is None:
            raise NotRecordedError(f"the recording holds nothing of node {node}", self._holdings)
        if all(each.error is not None for each in trips.trips):
            trips.raise_error()
        yield RecordedNode(node, trips)

    def way_of(self, node: str) -> str:
        """Return the way onto a node in words, as it was then; "" where the recording holds nothing of it."""
        trips = self._nodes.get(node)
        return trips.best.how if trips is not None else ""


class RecordedNode:
    """A node of a recording."""

    def __init__(self, node: str, trips: _Trips) -> None:
        self.node = node
        self._trips = trips

    @property
    def privilege(self) -> Privilege:
        """What was seen there, at most."""
        return self._trips.best.privilege

    def run(self, plan: Plan, sinks: Sinks | None = None) -> NodeAnswer:
        """Answer a plan, in the order in which a node does."""
        keys = frozenset(pod.key for pod in plan.pods)
        wanted: list[Identity] = [(NODE, probe.name, probe.argv) for probe in plan.node_probes]
        asked = [*(_LISTED if keys else ()), *wanted]
        groups = [self._trips.take(each, keys if each in _LISTED else frozenset()) for each in asked]
        used = [group.trip for group in groups if group]
        netns = used[0].netns if used else None
        results = [
            result
            for identity, group in zip(asked, groups, strict=True)
            for result in (group.results if group else self._missing(identity, ((netns or 0, "node"),)))
        ]
        for pod in plan.pods:
            found, trips = self._answer_pod(pod)
            results += found
            used += trips
        return NodeAnswer(
            netns=netns,
            results=tuple(_pour(each, sinks or {}) for each in results),
            is_whole=all(trip.is_whole for trip in used) if used else True,
        )

    def _answer_pod(self, pod: PodScope) -> tuple[list[CommandResult], list[RecordedTrip]]:
        """Answer a pod's probes: all of them in each netns that was tried for it then."""
        groups = {
            probe.name: self._trips.take((pod.key, probe.name, probe.argv), frozenset())
            for probe in pod.probes
        }
        found = [result for group in groups.values() if group for result in group.results]
        places = tuple(dict.fromkeys((each.netns, each.how) for each in found))
        if not self._trips.has_looked_for(pod.key):
            places = ((0, ""),)
        for probe in pod.probes:
            if groups[probe.name] is None:
                found += self._missing((pod.key, probe.name, probe.argv), places)
        return found, [group.trip for group in groups.values() if group]

    def _missing(self, identity: Identity, places: Sequence[tuple[int, str]]) -> Iterator[CommandResult]:
        """Yield a result that says that there is none; nothing where the node's answer was cut: it may have been there.

        Raises:
            NetinspectError: a trip to the node failed, which may have been for this.
        """
        self._trips.raise_error()
        if self._trips.is_cut:
            return
        key, name, _ = identity
        for netns, how in places:
            yield CommandResult(key, netns, how, name, None, b"", is_recorded=False)


class _Group(msgspec.Struct, frozen=True):
    """What came of one question in one trip: of a pod's, one result for each netns that was tried."""

    trip: RecordedTrip
    results: tuple[CommandResult, ...]


class _Trips:
    """The trips to one node, and which of their answers were given out."""

    def __init__(self) -> None:
        self.trips: list[RecordedTrip] = []
        self._groups: dict[_Question, list[_Group]] = {}
        self._taken: dict[tuple[_Question, frozenset[str]], int] = {}
        self._lock = threading.Lock()

    def add(self, trip: RecordedTrip) -> None:
        """Take a trip, in the order in which they ended."""
        self.trips.append(trip)
        by_identity: dict[Identity, list[CommandResult]] = {}
        for each in trip.results:
            by_identity.setdefault((each.outcome.key, each.outcome.name, each.argv), []).append(each.outcome)
        for identity, results in by_identity.items():
            self._groups.setdefault(_question_of(identity), []).append(_Group(trip, tuple(results)))

    def take(self, identity: Identity, pods: frozenset[str]) -> _Group | None:
        """Return the answer whose turn it is; after the last, the last again.

        Args:
            identity: of the question.
            pods: what a listing has to be about: all of them, or else some.
        """
        groups = self._groups.get(_question_of(identity), [])
        if not groups and (whole := widen_argv(identity[2])):
            # The whole listing answers for a part of it, too: who asks for a part leaves out what it does not need.
            identity = (identity[0], identity[1], whole)
            groups = self._groups.get(_question_of(identity), [])
        usable = [each for each in groups if pods <= set(each.trip.pods)]
        usable = usable or [each for each in groups if pods & set(each.trip.pods)]
        if not usable:
            return None
        with self._lock:
            number = self._taken.get((_question_of(identity), pods), 0)
            self._taken[_question_of(identity), pods] = number + 1
        group = usable[min(number, len(usable) - 1)]
        return replace(group, results=tuple(replace(each, name=identity[1]) for each in group.results))

    def has_looked_for(self, pod: str) -> bool:
        """Whether a trip was, among others, about this pod."""
        return any(pod in trip.pods for trip in self.trips)

    @property
    def best(self) -> RecordedTrip:
        """The trip on which most was to be seen."""
        return max(self.trips, key=lambda trip: (trip.error is None, trip.privilege is Privilege.SYSADMIN))

    @property
    def is_cut(self) -> bool:
        """Whether the answer of a trip was cut."""
        return any(not trip.is_whole and trip.error is None for trip in self.trips)

    def raise_error(self) -> None:
        """Fail as a trip to the node did, if one did."""
        for trip in self.trips:
            if trip.error is not None:
                raise restore_error(trip.error)


def _question_of(identity: Identity) -> _Question:
    """Return what is asked, and where: of a snapshot, two commands' probes of one name may be different questions."""
    key, name, argv = identity
    return key, argv or (name,)


def _pour(result: CommandResult, sinks: Sinks) -> CommandResult:
    """Give to a sink what is its, as a live node does while the output comes."""
    sink = sinks.get((result.key, result.name))
    if sink is None or not result.is_recorded:
        return result
    if result.stdout:
        sink(result.stdout)
    return replace(result, stdout=b"")
