"""Read what the API says of pods, Services, EndpointSlices and nodes: one list each, side by side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from netinspect.cluster.listing import ListResult
from netinspect.models.cluster_state import ClusterState
from netinspect.models.fact import Fact, Gap, Known, Reason, Unavailable
from netinspect.models.kubernetes import EndpointSlice, Node, Pod, Service
from netinspect.usecases.attempts import attempt

if TYPE_CHECKING:
    from netinspect.sources.interface import ApiSource

T = TypeVar("T")

_SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
_NOT_ASKED = Unavailable(Reason.NOT_APPLICABLE, "not asked for")


def read_cluster_state(api: ApiSource, *, slices: bool = True) -> ClusterState:
    """List what names addresses, in all namespaces. A list that is refused is Unavailable, not an error.

    Args:
        api: the API server, or a recording of it.
        slices: whether EndpointSlices are read, too: names do not need them.

    Raises:
        DeadlineError: an answer did not come in time.
    """
    read_at = api.now().timestamp()
    with ThreadPoolExecutor(4) as pool:
        pods = pool.submit(_list, api, Pod, "/api/v1/pods")
        services = pool.submit(_list, api, Service, "/api/v1/services")
        endpoint_slices = pool.submit(_list, api, EndpointSlice, _SLICES) if slices else None
        nodes = pool.submit(_list, api, Node, "/api/v1/nodes")
    known = (("pods", pods.result()), ("services", services.result()), ("nodes", nodes.result()))
    return ClusterState(
        pods=_items_of(pods.result()),
        services=_items_of(services.result()),
        slices=_NOT_ASKED if endpoint_slices is None else _items_of(endpoint_slices.result()),
        nodes=_items_of(nodes.result()),
        read_at=read_at,
        partial=tuple(
            (name, fact.value.missing)
            for name, fact in known
            if isinstance(fact, Known) and fact.value.missing
        ),
    )


def gaps_of(state: ClusterState) -> tuple[Gap, ...]:
    """Return a gap for each list that could not be read, or not whole."""
    unread = (Gap("cluster", f"the list of {name}", fact.reason, fact.detail) for name, fact in state.missing)
    partial = (Gap("cluster", f"all {name}", Reason.NO_API, missing) for name, missing in state.partial)
    return (*unread, *partial)


def _list(api: ApiSource, type_: type[T], path: str) -> Fact[ListResult[T]]:
    return attempt(lambda: api.list_objects(type_, path))


def _items_of(listed: Fact[ListResult[T]]) -> Fact[tuple[T, ...]]:
    return Known(listed.value.items) if isinstance(listed, Known) else listed
