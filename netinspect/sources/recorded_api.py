"""An API server that answers out of a recording."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from http import HTTPStatus
from typing import Any, TypeAlias, TypeVar

import msgspec

from netinspect.cluster.listing import ListResult
from netinspect.errors import ClusterError, NotRecordedError, ParseError
from netinspect.models.recording import RecordedRequest, Recording
from netinspect.parse.api import ApiList, parse_list, parse_object
from netinspect.parse.selector import (
    Requirement,
    matches_fields,
    matches_labels,
    parse_field_selector,
    parse_label_selector,
)
from netinspect.sources.api_path import ApiPath, parse_path
from netinspect.sources.recorded_error import restore_error

T = TypeVar("T")

Identity: TypeAlias = tuple[str, bool, str, str]

_MOST_NAMED = 6


class _Meta(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    labels: dict[str, str] | None = None


class _Item(msgspec.Struct):
    metadata: _Meta


class RecordedApi:
    """Answers as the recorded API server did: the n-th time that something is asked, as it did the n-th time.

    What was not asked in these words is looked for in lists that hold more: of all namespaces, without a selector.
    """

    def __init__(self, recording: Recording, namespace: str = "") -> None:
        """Prepare it.

        Args:
            recording: what it answers from.
            namespace: of `--namespace`; "" leaves it to the recording.
        """
        self.namespace = namespace or recording.namespace
        self._recording = recording
        self._lock = threading.Lock()
        self._asked: dict[Identity | None, int] = {}
        self._requests: dict[Identity, list[_Held]] = {}
        for each in recording.requests:
            self._requests.setdefault(_identity_of(each), []).append(_Held(each))

    def now(self) -> datetime:
        """The time at which the recorded command asked for it."""
        clock = self._recording.clock
        if not clock:
            return datetime.fromisoformat(self._recording.made_at)
        return datetime.fromtimestamp(clock[self._next(None, len(clock))], UTC)

    def get_object(self, type_: type[T], path: str) -> T:
        """Get one object."""
        identity: Identity = (path, False, "", "")
        held = self._requests.get(identity)
        if held is not None:
            return parse_object(type_, self._pick(identity, held).body)
        return parse_object(type_, self._find_object(parse_path(path, is_list=False)))

    def list_objects(
        self, type_: type[T], path: str, *, label_selector: str = "", field_selector: str = ""
    ) -> ListResult[T]:
        """List objects."""
        identity: Identity = (path, True, label_selector, field_selector)
        held = self._requests.get(identity)
        if held is not None:
            page = parse_list(type_, self._pick(identity, held).body)
            return ListResult(page.items, page.metadata.resource_version, page.kind, page.api_version)
        wanted = parse_path(path, is_list=True)
        wider = self._find_wider(wanted, label_selector, field_selector)
        if wider is None:
            raise self._not_recorded(_describe(wanted, label_selector, field_selector))
        return self._narrow(type_, self._pick(identity, wider), wanted, label_selector, field_selector)

    def _pick(self, identity: Identity, held: Sequence[_Held]) -> _Held:
        """Return the answer whose turn it is; after the last, the last again.

        Raises:
            NetinspectError: the failure that was the answer.
        """
        chosen = held[self._next(identity, len(held))]
        if chosen.request.error is not None:
            raise restore_error(chosen.request.error)
        return chosen

    def _next(self, identity: Identity | None, count: int) -> int:
        with self._lock:
            number = self._asked.get(identity, 0)
            self._asked[identity] = number + 1
        return min(number, count - 1)

    def _find_object(self, wanted: ApiPath) -> bytes:
        """Look for an object in the lists of its collection, the latest first."""
        is_held = False
        for each in self._lists_of(wanted):
            for item in each.items:
                meta = item.metadata
                if meta.name == wanted.name and meta.namespace in ("", wanted.namespace):
                    return bytes(item.raw)
            is_held = is_held or not (each.request.label_selector or each.request.field_selector)
        if not is_held:
            raise self._not_recorded(wanted.text)
        raise ClusterError(
            f'Error from server (NotFound): {wanted.resource} "{wanted.name}" not found',
            status=HTTPStatus.NOT_FOUND,
            reason="NotFound",
        )

    def _lists_of(self, wanted: ApiPath) -> Iterator[_Held]:
        """Yield the lists of a collection that may hold what is of a namespace, the latest first."""
        for request in reversed(self._recording.requests):
            if not request.is_list or request.error is not None:
                continue
            place = parse_path(request.path, is_list=True)
            if (place.base, place.plural) == (wanted.base, wanted.plural) and place.namespace in (
                "",
                wanted.namespace,
            ):
                yield next(each for each in self._requests[_identity_of(request)] if each.request is request)

    def _find_wider(self, wanted: ApiPath, labels: str, fields: str) -> list[_Held] | None:
        """Return the answers to a question whose answer holds this one's."""
        for each in self._lists_of(wanted):
            request = each.request
            if request.label_selector in ("", labels) and request.field_selector in ("", fields):
                held = self._requests[_identity_of(request)]
                return [one for one in held if one.request.error is None]
        return None

    def _narrow(
        self, type_: type[T], held: _Held, wanted: ApiPath, labels: str, fields: str
    ) -> ListResult[T]:
        label_terms, field_terms = _parse_selectors(labels, fields)
        chosen = tuple(
            parse_object(type_, bytes(item.raw))
            for item in held.items
            if wanted.namespace in ("", item.metadata.namespace)
            and matches_labels(label_terms, item.metadata.labels or {})
            and (not field_terms or matches_fields(field_terms, item.fields))
        )
        return ListResult(chosen, held.page.metadata.resource_version, held.page.kind, held.page.api_version)

    def _not_recorded(self, what: str) -> NotRecordedError:
        return NotRecordedError(f"the recording does not hold {what}", describe_holdings(self._recording))


def describe_holdings(recording: Recording) -> str:
    """Say what a recording holds, for one who looked for something else."""
    held = dict.fromkeys(
        _describe(parse_path(each.path, is_list=each.is_list), each.label_selector, each.field_selector)
        for each in recording.requests
        if each.error is None
    )
    held |= dict.fromkeys(f"node {trip.node}" for trip in recording.trips if trip.results)
    shown = list(held)[:_MOST_NAMED]
    rest = [f"{len(held) - len(shown)} more"] if len(held) > len(shown) else []
    made = "it is a snapshot" if recording.is_snapshot else f'it was made by "{recording.command}"'
    return f"{made} and holds {', '.join([*shown, *rest]) or 'nothing'}"


class _Held:
    """A recorded answer, taken apart where that is needed."""

    def __init__(self, request: RecordedRequest) -> None:
        self.request = request
        self.body = request.body

    @cached_property
    def page(self) -> ApiList[msgspec.Raw]:
        """The answer as a list."""
        return parse_list(msgspec.Raw, self.body)

    @cached_property
    def items(self) -> tuple[_RawItem, ...]:
        """The items of a list."""
        return tuple(_RawItem(raw) for raw in self.page.items)


class _RawItem:
    """An object of a list."""

    def __init__(self, raw: msgspec.Raw) -> None:
        self.raw = raw
        self.metadata = parse_object(_Item, bytes(raw)).metadata

    @property
    def fields(self) -> dict[str, Any]:
        """The whole of it."""
        found: dict[str, Any] = msgspec.json.decode(self.raw)
        return found


def _identity_of(request: RecordedRequest) -> Identity:
    return request.path, request.is_list, request.label_selector, request.field_selector


def _parse_selectors(labels: str, fields: str) -> tuple[tuple[Requirement, ...], tuple[Requirement, ...]]:
    try:
        return parse_label_selector(labels), parse_field_selector(fields)
    except ParseError as error:
        raise ClusterError(
            f"Error from server (BadRequest): {error.message}",
            status=HTTPStatus.BAD_REQUEST,
            reason="BadRequest",
        ) from error


def _describe(place: ApiPath, labels: str, fields: str) -> str:
    terms = ", ".join(each for each in (labels, fields) if each)
    return f"{place.text} with {terms}" if terms else place.text
