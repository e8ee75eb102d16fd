"""Read what the API says of pods, Services, EndpointSlices and nodes: one list each, side by side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from netinspect.models.cluster_state import ClusterState
from netinspect.models.fact import Fact, Gap, Reason, Unavailable
from netinspect.models.kubernetes import EndpointSlice, Node, Pod, Service
from netinspect.usecases.attempts import attempt

if TYPE_CHECKING:
    from netinspect.sources.interface import ApiSource

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
        pods = pool.submit(attempt, lambda: tuple(api.list_objects(Pod, "/api/v1/pods").items))
        services = pool.submit(attempt, lambda: tuple(api.list_objects(Service, "/api/v1/services").items))
        endpoint_slices = pool.submit(_read_slices, api) if slices else None
        nodes = pool.submit(attempt, lambda: tuple(api.list_objects(Node, "/api/v1/nodes").items))
    return ClusterState(
        pods=pods.result(),
        services=services.result(),
        slices=_NOT_ASKED if endpoint_slices is None else endpoint_slices.result(),
        nodes=nodes.result(),
        read_at=read_at,
    )


def gaps_of(state: ClusterState) -> tuple[Gap, ...]:
    """Return a gap for each list that could not be read."""
    return tuple(
        Gap("cluster", f"the list of {name}", fact.reason, fact.detail) for name, fact in state.missing
    )


def _read_slices(api: ApiSource) -> Fact[tuple[EndpointSlice, ...]]:
    path = "/apis/discovery.k8s.io/v1/endpointslices"
    return attempt(lambda: tuple(api.list_objects(EndpointSlice, path).items))
