"""Names for flows while the cluster goes on: what the API says is read again as it grows old.

Pods come while somebody watches, and addresses are given to others. The API is listed again where an address has no
name that should have one, and from time to time, never more often than `AGAIN_S`. (Lists, as no command needs the
right to watch pods of all namespaces.) A pod that is gone keeps its name, marked so, until another has its address:
its flows outlive it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from msgspec.structs import replace

from netinspect.analyze.address_book import build_address_book
from netinspect.analyze.conntrack.flow_names import name_flow
from netinspect.errors import NetinspectError
from netinspect.models.address_owner import OwnerKind
from netinspect.models.cluster_state import ClusterState
from netinspect.models.conntrack import Flow
from netinspect.models.fact import Fact, Known
from netinspect.models.link import Link
from netinspect.models.named_flow import NamedFlow

T = TypeVar("T")

AGAIN_S = 10.0
"""The API is listed no more often than this."""

OLD_S = 60.0
"""While flows are named, what the API said is no older than this, and the time that a list takes."""

MOMENT_S = 1.0
"""How long a flow waits for a list that may give it another name."""

_GONE = "gone"
_MOST_GONE = 10_000


class LiveNames:
    """Names flows, by a book of addresses that is kept up to date. Used by one thread."""

    def __init__(
        self,
        state: ClusterState,
        read_state: Callable[[], ClusterState],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state = state
        self._read_state = read_state
        self._clock = clock
        self._links: dict[str, tuple[Link, ...]] = {}
        self._book = build_address_book(state)
        self._read_at = clock()
        self._reading: threading.Thread | None = None
        self._fresh: ClusterState | None = None

    def add_links(self, node: str, links: tuple[Link, ...]) -> None:
        """Take a node's links: their addresses are the node's."""
        self._links[node] = links
        self._build_book()

    def name(self, node: str, flow: Flow) -> NamedFlow:
        """Name a flow, where need be after a moment in which the API is asked again."""
        self._take_fresh()
        named = name_flow(node, flow, self._book)
        age_s = self._clock() - self._read_at
        if self._reading is None and age_s >= (AGAIN_S if self._has_stranger(named) else OLD_S):
            self._reading = threading.Thread(target=self._read, daemon=True)
            self._reading.start()
            self._reading.join(MOMENT_S)
            self._take_fresh()
            named = name_flow(node, flow, self._book)
        return named

    def _has_stranger(self, named: NamedFlow) -> bool:
        """Whether an address is of a pod range and no pod's; without ranges (spec.podCIDRs), any that is unknown."""
        owners = (named.source, named.destination, named.backend, named.reply_to)
        kinds = {owner.kind for owner in owners}
        if OwnerKind.GONE in kinds or any(owner.detail == _GONE for owner in owners):
            return True
        return not self._book.pod_ranges and OwnerKind.EXTERNAL in kinds

    def _read(self) -> None:
        try:
            self._fresh = self._read_state()
        except NetinspectError:
            self._fresh = self._state  # the names stay as they are; the next list is tried in its time

    def _take_fresh(self) -> None:
        if self._fresh is None:
            return
        fresh, self._fresh, self._reading = self._fresh, None, None
        self._read_at = self._clock()
        self._state = _merge(self._state, fresh)
        self._build_book()

    def _build_book(self) -> None:
        before, book = self._book.pods, build_address_book(self._state, self._links)
        gone = {each: replace(owner, detail=_GONE) for each, owner in before.items() if each not in book.pods}
        # The latest last, so that the oldest are forgotten.
        latest = list(gone.items())[-_MOST_GONE:]
        self._book = replace(book, pods={**dict(latest), **book.pods})


def _merge(old: ClusterState, new: ClusterState) -> ClusterState:
    """Take what is new; a list that failed this time stays as it was."""
    return replace(
        new,
        pods=_newer(old.pods, new.pods),
        services=_newer(old.services, new.services),
        slices=_newer(old.slices, new.slices),
        nodes=_newer(old.nodes, new.nodes),
    )


def _newer(old: Fact[T], new: Fact[T]) -> Fact[T]:
    return new if isinstance(new, Known) else old
