"""Read what the API says of pods, Services, EndpointSlices and nodes: one list each, side by side."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from netinspect.errors import ClusterError, DeadlineError
from netinspect.models.cluster_state import ClusterState
from netinspect.models.fact import Fact, Gap, Known, Reason, Unavailable
from netinspect.models.kubernetes import EndpointSlice, Node, Pod, Service

if TYPE_CHECKING:
    from netinspect.cluster.client import ClusterClient

T = TypeVar("T")

_FORBIDDEN = 403
_NOT_ASKED = Unavailable(Reason.NOT_APPLICABLE, "not asked for")


def read_cluster_state(client: ClusterClient, *, slices: bool = True) -> ClusterState:
    """List what names addresses, in all namespaces. A list that is refused is Unavailable, not an error.

    Args:
        client: the API server.
        slices: whether EndpointSlices are read, too: names do not need them.

    Raises:
        DeadlineError: an answer did not come in time.
    """
    read_at = time.time()
    with ThreadPoolExecutor(4) as pool:
        pods = pool.submit(_read, lambda: tuple(client.list_objects(Pod, "/api/v1/pods").items))
        services = pool.submit(_read, lambda: tuple(client.list_objects(Service, "/api/v1/services").items))
        endpoint_slices = pool.submit(_read_slices, client) if slices else None
        nodes = pool.submit(_read, lambda: tuple(client.list_objects(Node, "/api/v1/nodes").items))
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


def _read_slices(client: ClusterClient) -> Fact[tuple[EndpointSlice, ...]]:
    path = "/apis/discovery.k8s.io/v1/endpointslices"
    return _read(lambda: tuple(client.list_objects(EndpointSlice, path).items))


def _read(lister: Callable[[], T]) -> Fact[T]:
    try:
        return Known(lister())
    except DeadlineError:
        raise
    except ClusterError as error:
        reason = Reason.PERMISSION_DENIED if error.status == _FORBIDDEN else Reason.FAILED
        return Unavailable(reason, error.message)
