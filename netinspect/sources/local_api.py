"""What this host knows without an API server: itself as a node, and the pods that run on it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from netinspect.analyze.local_pods import (
    build_local_node,
    build_local_pods,
    describe_left,
    find_entrance,
    list_unknown,
    with_addresses,
)
from netinspect.cluster.listing import ListResult
from netinspect.errors import NoApiError, ParseError
from netinspect.models.codec import encode_json, to_builtins
from netinspect.models.fact import Fact, Gap, Reason, Unavailable
from netinspect.models.kubernetes import Node, Pod
from netinspect.models.local_host import LocalHost, LocalPod
from netinspect.parse.api import parse_object
from netinspect.parse.selector import matches_fields, parse_field_selector
from netinspect.sources.api_path import ApiPath, parse_path
from netinspect.sources.local_proc import (
    find_kubelet_flags,
    read_addresses,
    read_container_logs,
    read_pod_folders,
    read_process_table,
)

T = TypeVar("T")

_PODS, _NODES = ("api/v1", "pods"), ("api/v1", "nodes")
_OTHERS = "only those on this host are known without an API server (--local)"
_HINT = "--local asks no API server: without it, the cluster is asked"
_NOT_FOUND: Fact[Any] = Unavailable(Reason.NOT_FOUND, "no process of it is in a netns of its own")


class LocalApi:
    """Answers for the API what a host can tell of itself; the rest is `NoApiError`, never an empty list.

    Every answer is read anew: pods come and go.
    """

    def __init__(
        self, namespace: str = "", *, proc: Path = Path("/proc"), logs: Path = Path("/var/log")
    ) -> None:
        """Prepare it.

        Args:
            namespace: of `--namespace`.
            proc: where the kernel tells of processes.
            logs: where the kubelet keeps the logs of pods.
        """
        self.namespace = namespace or "default"
        self._proc = proc
        self._logs = logs
        self._lock = threading.Lock()
        self._gaps: dict[Gap, None] = {}
        self._left: tuple[str, ...] = ()

    @cached_property
    def host(self) -> LocalHost:
        """This host. Its name is the kubelet's `--hostname-override`, else the host's own, as the kubelet takes it."""
        system = os.uname()
        flags = find_kubelet_flags(self._proc)
        return LocalHost(
            node=flags.node or system.nodename.strip().lower(),
            addresses=flags.addresses,
            kernel=system.release,
            architecture=system.machine,
        )

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What was not known of the pods that were given out so far."""
        with self._lock:
            return tuple(self._gaps)

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say of the pods that were not given out, as of the last look."""
        return self._left

    def now(self) -> datetime:
        """The time by this host's clock, in UTC."""
        return datetime.now(UTC)

    def get_object(self, type_: type[T], path: str) -> T:
        """Get this node, or a pod that runs on it."""
        wanted = parse_path(path, is_list=False)
        collection = (wanted.base, wanted.plural)
        if collection == _NODES and wanted.name == self.host.node:
            return parse_object(type_, encode_json(build_local_node(self.host)))
        if collection == _NODES:
            raise NoApiError(f'node "{wanted.name}" is not this host, which is {self.host.node}', _HINT)
        if collection == _PODS:
            return parse_object(type_, encode_json(self._get_pod(wanted)))
        raise _unknown(wanted)

    def list_objects(
        self, type_: type[T], path: str, *, label_selector: str = "", field_selector: str = ""
    ) -> ListResult[T]:
        """List this node, or the pods that run on it. What other nodes have is said to be missing."""
        wanted = parse_path(path, is_list=True)
        if (wanted.base, wanted.plural) not in (_PODS, _NODES):
            raise _unknown(wanted)
        if label_selector:
            raise NoApiError(f"the labels of {wanted.plural} are known to the API server only", _HINT)
        is_ours = f"spec.nodeName={self.host.node}" in field_selector.split(",")
        found: Iterable[Pod | Node] = (
            (build_local_node(self.host),) if wanted.plural == "nodes" else self._list_pods(wanted.namespace)
        )
        items = tuple(
            parse_object(type_, encode_json(each)) for each in found if _is_selected(each, field_selector)
        )
        kind = "NodeList" if wanted.plural == "nodes" else "PodList"
        return ListResult(items, "", kind, "v1", missing="" if is_ours else _OTHERS)

    def _get_pod(self, wanted: ApiPath) -> Pod:
        local = next(
            (
                each
                for each in self._read_pods()
                if (each.pod.metadata.namespace, each.pod.metadata.name) == (wanted.namespace, wanted.name)
            ),
            None,
        )
        if local is not None:
            return self._give(local)
        shown = f"pod {wanted.namespace}/{wanted.name}"
        if any(
            (each.namespace, each.name) == (wanted.namespace, wanted.name)
            for each in read_pod_folders(self._logs)
        ):
            raise NoApiError(
                f"{shown} has left its logs on this host, but no process: it has ended, or is gone"
            )
        raise NoApiError(f"{shown} has no process on this host ({self.host.node})", _HINT)

    def _list_pods(self, namespace: str) -> tuple[Pod, ...]:
        return tuple(
            self._give(each) for each in self._read_pods() if namespace in ("", each.pod.metadata.namespace)
        )

    def _read_pods(self) -> tuple[LocalPod, ...]:
        host, proc = self.host, self._proc
        table = read_process_table(proc)
        self._add_gaps(list_unknown(host, table))
        folders, logs = read_pod_folders(self._logs), read_container_logs(self._logs)
        found = []
        pods = build_local_pods(host, table, folders, logs)
        self._left = describe_left(pods, folders)
        for local in pods:
            pid = find_entrance(local, table)
            addresses = _NOT_FOUND if pid is None else read_addresses(proc, pid)
            found.append(with_addresses(local, host, addresses))
        return tuple(found)

    def _give(self, local: LocalPod) -> Pod:
        self._add_gaps(local.gaps)
        return local.pod

    def _add_gaps(self, gaps: Iterable[Gap]) -> None:
        with self._lock:
            self._gaps.update(dict.fromkeys(gaps))


def _is_selected(item: Pod | Node, field_selector: str) -> bool:
    try:
        terms = parse_field_selector(field_selector)
    except ParseError as error:
        raise NoApiError(error.message) from error
    fields = to_builtins(item)
    if isinstance(item, Pod) and item.addresses:
        fields["status"]["podIP"] = str(item.addresses[0])
    return matches_fields(terms, fields)


def _unknown(wanted: ApiPath) -> NoApiError:
    hint = (
        "rules --local shows Services as the rules of this host have them"
        if wanted.plural == "services"
        else ""
    )
    return NoApiError(f"{wanted.text}: known to the API server only, and --local asks none", hint)
