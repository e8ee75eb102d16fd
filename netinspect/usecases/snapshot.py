"""Ask a cluster's API and its nodes, once, for all that reading commands ask. What it says is kept by the sources."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from netinspect.errors import ClusterError, DeadlineError, NetinspectError
from netinspect.models.command import NodeAnswer
from netinspect.models.debug_pod import Privilege
from netinspect.models.fact import Fact, Gap, Known, Reason, Unavailable, list_cut_gaps
from netinspect.models.kubernetes import Pod
from netinspect.models.report import Report
from netinspect.models.snapshot_entry import SnapshotEntry
from netinspect.probes.plan import NODE
from netinspect.probes.snapshot import build_snapshot_plan
from netinspect.usecases.attempts import attempt
from netinspect.usecases.dns import look_up
from netinspect.usecases.dns_targets import read_dns_cluster
from netinspect.usecases.dns_wish import build_wish
from netinspect.usecases.nodes import ask_nodes
from netinspect.usecases.readings import group_by_node

if TYPE_CHECKING:
    from netinspect.sources.interface import ApiSource, NodeSource, OpenNode

_KIND = "SnapshotNodeList"

_NAMESPACED = (
    ("/api/v1", "pods"),
    ("/api/v1", "services"),
    ("/apis/discovery.k8s.io/v1", "endpointslices"),
    ("/apis/networking.k8s.io/v1", "networkpolicies"),
    ("/apis/apps/v1", "deployments"),
    ("/apis/apps/v1", "replicasets"),
    ("/apis/apps/v1", "statefulsets"),
    ("/apis/apps/v1", "daemonsets"),
    ("/apis/batch/v1", "jobs"),
    ("/api/v1", "events"),
)
_CHANGING = ("pods", "services", "endpointslices", "nodes")
"""What is listed again after the nodes were read: only what did not change meanwhile is judged."""

_CONFIG_MAPS = ("coredns", "kube-proxy", "node-local-dns", "cilium-config")
_SYSTEM = "kube-system"


class SnapshotWish(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot is to hold.

    Attributes:
        nodes: names of the nodes to ask.
        namespace: of the objects; "" is all. Those of kube-system that DNS and kube-proxy have are always asked for.
    """

    nodes: tuple[str, ...]
    namespace: str = ""


def take_snapshot(
    api: ApiSource,
    open_node: OpenNode,
    wish: SnapshotWish,
    cancel: Callable[[], None],
    tell: Callable[[str], None],
) -> Report[SnapshotEntry]:
    """Read the API, then the nodes side by side, then once more what of the API changes.

    What fails is a gap: a list that is refused, a node that cannot be reached, a name that cannot be asked for.

    Args:
        api: where objects are read.
        open_node: opens a node.
        wish: what is meant.
        cancel: tells running trips to come to their end.
        tell: takes a sentence on how far it is.

    Raises:
        ClusterError: not even the pods could be listed, or no node could be read.
    """
    paths = list_paths(wish.namespace)
    tell(f"reading the API: {len(paths)} lists")
    lists = _read_all(api, paths)
    pods = _pods_of(lists)
    gaps = [*_list_gaps(lists), *_read_config_maps(api)]
    jobs = _jobs(api, open_node, wish, pods, tell)
    entries, node_gaps = ask_nodes(jobs, cancel)
    again = {path: paths[path] for path in paths if path.rpartition("/")[2] in _CHANGING}
    gaps += [gap for gap in _list_gaps(_read_all(api, again)) if gap not in gaps]
    return Report(
        kind=_KIND,
        items=tuple(entry for entry, _ in entries.values()),
        gaps=(*gaps, *node_gaps, *(gap for _, found in entries.values() for gap in found)),
    )


def list_paths(namespace: str) -> dict[str, type[Any]]:
    """Return the collections to list, each with the type that is read: pods are needed, the rest only kept."""
    spaces = dict.fromkeys((namespace, _SYSTEM)) if namespace else {"": None}
    paths: dict[str, type[Any]] = {"/api/v1/nodes": dict}
    for space in spaces:
        scope = f"/namespaces/{quote(space, safe='')}" if space else ""
        for group, plural in _NAMESPACED:
            paths[f"{group}{scope}/{plural}"] = Pod if plural == "pods" else dict
    return paths


def _read_all(api: ApiSource, paths: Mapping[str, type[Any]]) -> dict[str, Fact[tuple[Any, ...]]]:
    with ThreadPoolExecutor(4) as pool:
        waiting = {path: pool.submit(_read, api, type_, path) for path, type_ in paths.items()}
    return {path: each.result() for path, each in waiting.items()}


def _read(api: ApiSource, type_: type[Any], path: str) -> Fact[tuple[Any, ...]]:
    return attempt(lambda: tuple(api.list_objects(type_, path).items))


def _pods_of(lists: Mapping[str, Fact[tuple[Any, ...]]]) -> tuple[Pod, ...]:
    found = [fact for path, fact in lists.items() if path.endswith("/pods")]
    known = [fact for fact in found if isinstance(fact, Known)]
    if not known:
        refusal = next(fact for fact in found if isinstance(fact, Unavailable))
        raise ClusterError(refusal.detail, "a snapshot begins with the pods: the role needs to list them")
    return tuple(pod for fact in known for pod in fact.value)


def _list_gaps(lists: Mapping[str, Fact[tuple[Any, ...]]]) -> Iterator[Gap]:
    for path, fact in lists.items():
        if isinstance(fact, Unavailable):
            yield Gap("cluster", f"the list {path}", fact.reason, fact.detail)


def _read_config_maps(api: ApiSource) -> Iterator[Gap]:
    for name in _CONFIG_MAPS:
        path = f"/api/v1/namespaces/{_SYSTEM}/configmaps/{name}"
        found = attempt(partial(api.get_object, dict, path))
        if isinstance(found, Unavailable) and found.reason is not Reason.NOT_FOUND:
            yield Gap("cluster", f"the ConfigMap {_SYSTEM}/{name}", found.reason, found.detail)


def _jobs(
    api: ApiSource,
    open_node: OpenNode,
    wish: SnapshotWish,
    pods: Iterable[Pod],
    tell: Callable[[str], None],
) -> dict[str, Callable[[], tuple[SnapshotEntry, tuple[Gap, ...]]]]:
    by_node = group_by_node(tuple(pods))
    done: list[str] = []

    def job(node: str) -> tuple[SnapshotEntry, tuple[Gap, ...]]:
        with open_node(node, Privilege.SYSADMIN) as source:
            found = _read_node(api, source, by_node.get(node, ()), wish.namespace)
        done.append(node)
        tell(f"read node {node}: {len(done)} of {len(wish.nodes)}")
        return found

    def bound(node: str) -> Callable[[], tuple[SnapshotEntry, tuple[Gap, ...]]]:
        return lambda: job(node)

    return {node: bound(node) for node in wish.nodes}


def _read_node(
    api: ApiSource, source: NodeSource, pods: tuple[Pod, ...], namespace: str
) -> tuple[SnapshotEntry, tuple[Gap, ...]]:
    answer = source.run(build_snapshot_plan(pods))
    gaps = (*list_cut_gaps(source.node, is_whole=answer.is_whole), *_ask_dns(api, source, namespace))
    return summarize(source.node, answer, len(pods)), gaps


def _ask_dns(api: ApiSource, source: NodeSource, namespace: str) -> Iterator[Gap]:
    """Put the questions that `dns` puts when no name is given. The answers are kept; nothing is judged here."""
    try:
        wish = build_wish(
            names=(), types=(), namespace=namespace or api.namespace, node=source.node, pod=None
        )
        look_up(api, source, wish, read_dns_cluster(api))
    except DeadlineError:
        raise
    except NetinspectError as error:
        yield Gap(f"node/{source.node}", "answers of the cluster's DNS", Reason.FAILED, error.message)


def summarize(node: str, answer: NodeAnswer, pods: int) -> SnapshotEntry:
    """Count what came of one node."""
    results = answer.results
    return SnapshotEntry(
        node=node,
        pods=pods,
        netns=len({(each.key, each.netns) for each in results if each.key != NODE}),
        probes=len(results),
        unanswered=sum(each.exit_code != 0 for each in results),
        size_bytes=sum(len(each.stdout) + len(each.stderr) for each in results),
    )
