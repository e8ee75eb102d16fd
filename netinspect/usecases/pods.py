"""List pods with what the network commands need to know of them. Asks the API only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from netinspect.analyze.pods import build_pod_entry
from netinspect.models.listing import PodEntry
from netinspect.models.report import Report
from netinspect.usecases.targets import Targets, resolve_pods

if TYPE_CHECKING:
    from netinspect.sources.interface import ApiSource

KIND = "PodList"


def list_pods(api: ApiSource, targets: Targets) -> Report[PodEntry]:
    """Return the pods that are meant; where nothing is named, those of the namespace (as `kubectl get pods`).

    Raises:
        UsageError: things are named that exclude each other.
        TargetError: a name leads to no pod.
        ClusterError: the API server refused or failed.
    """
    pods = resolve_pods(api, targets if _names_something(targets) else replace(targets, names=("pods",)))
    return Report(kind=KIND, items=tuple(build_pod_entry(pod) for pod in pods))


def _names_something(targets: Targets) -> bool:
    return bool(
        targets.names or targets.selector or targets.all_namespaces or targets.nodes or targets.all_nodes
    )
