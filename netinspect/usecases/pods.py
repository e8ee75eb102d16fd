"""List pods with what the network commands need to know of them. Asks the API only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from msgspec.structs import replace

from netinspect.analyze.pods import build_pod_entry
from netinspect.models.kubernetes import Pod
from netinspect.models.listing import ListedPod, PodEntry
from netinspect.models.report import Report
from netinspect.usecases.targets import Targets, resolve_pods

if TYPE_CHECKING:
    from netinspect.cluster.client import ClusterClient

T = TypeVar("T")

KIND = "PodList"


def list_pods(client: ClusterClient, targets: Targets) -> Report[PodEntry]:
    """Return the pods that are meant; where nothing is named, those of the namespace (as `kubectl get pods`).

    Raises:
        UsageError: things are named that exclude each other.
        TargetError: a name leads to no pod.
        ClusterError: the API server refused or failed.
    """
    reader = cast("ClusterClient", _ListingReader(client))
    pods = resolve_pods(reader, targets if _names_something(targets) else replace(targets, names=("pods",)))
    return Report(kind=KIND, items=tuple(build_pod_entry(cast("ListedPod", pod)) for pod in pods))


def _names_something(targets: Targets) -> bool:
    return bool(
        targets.names or targets.selector or targets.all_namespaces or targets.nodes or targets.all_nodes
    )


class _ListingReader:
    """The API, where each pod is read with the fields that only a listing judges."""

    def __init__(self, client: ClusterClient) -> None:
        self._client = client

    @property
    def namespace(self) -> str:
        return self._client.namespace

    def get_object(self, type_: type[T], path: str) -> T:
        return self._client.get_object(_listed(type_), path)

    def list_objects(self, type_: type[T], path: str, **wishes: Any) -> Any:
        return self._client.list_objects(_listed(type_), path, **wishes)


def _listed(type_: type[T]) -> type[T]:
    return cast("type[T]", ListedPod) if type_ is Pod else type_
