"""From what the user names to pods: `web-1`, `pod/web-1`, `deploy/web`, `svc/web`, `-l`, `-A`, `--node`, `--ip`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from netinspect.errors import TargetError, UsageError
from netinspect.models.address import Address
from netinspect.models.kubernetes import LabelSelector, Node, Pod, Service, Workload

if TYPE_CHECKING:
    from netinspect.sources.interface import ApiSource

_WORKLOADS = {
    "deployment": ("/apis/apps/v1", "deployments", ("deploy", "deployments")),
    "replicaset": ("/apis/apps/v1", "replicasets", ("rs", "replicasets")),
    "statefulset": ("/apis/apps/v1", "statefulsets", ("sts", "statefulsets")),
    "daemonset": ("/apis/apps/v1", "daemonsets", ("ds", "daemonsets")),
    "job": ("/apis/batch/v1", "jobs", ("jobs",)),
}
_TYPES = {
    **{short: kind for kind, (_, _, shorts) in _WORKLOADS.items() for short in (kind, *shorts)},
    **dict.fromkeys(("pod", "pods", "po"), "pod"),
    **dict.fromkeys(("service", "services", "svc"), "service"),
}
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_LABEL_OPERATORS = {"In": "{key} in ({values})", "NotIn": "{key} notin ({values})", "Exists": "{key}"}


class Targets(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line names.

    Attributes:
        names: `NAME`, `TYPE/NAME`, or `TYPE NAME...`, as kubectl takes them.
        namespace: the namespace of the names; "" leaves it to the context.
        selector: a label selector.
        all_namespaces: look in every namespace.
        nodes: every pod of these nodes.
        all_nodes: every pod of every node.
    """

    names: tuple[str, ...] = ()
    namespace: str = ""
    selector: str = ""
    all_namespaces: bool = False
    nodes: tuple[str, ...] = ()
    all_nodes: bool = False


def resolve_pods(api: ApiSource, targets: Targets) -> tuple[Pod, ...]:
    """Return the pods that are meant, each once, in the order named.

    Raises:
        UsageError: nothing is named, or things that exclude each other.
        TargetError: a name leads to no pod.
        ClusterError: the API server refused or failed.
    """
    _check(targets)
    references = parse_references(targets.names)
    if targets.nodes or targets.all_nodes:
        return _pods_of_nodes(api, targets)
    if not references:
        return _list_pods(api, _scope(api, targets), label_selector=targets.selector)
    found: dict[str, Pod] = {}
    for kind, name in references:
        for pod in _resolve(api, _scope(api, targets), kind, name):
            found[pod.metadata.uid] = pod
    return tuple(found.values())


def parse_references(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Read `NAME`, `TYPE/NAME` and `TYPE NAME...` into pairs of kind and name; `TYPE` alone asks for all of it.

    Raises:
        UsageError: as kubectl says it.
    """
    has_slash = ["/" in name for name in names]
    if any(has_slash):
        if names[0] in _TYPES and not has_slash[0]:
            raise UsageError(
                "there is no need to specify a resource type as a separate argument "
                "when passing arguments in resource/name form"
            )
        return tuple(_parse_reference(name) for name in names)
    if len(names) > 1 and names[0] in _TYPES:
        return tuple((_TYPES[names[0]], name) for name in names[1:])
    return tuple(("pod", name) for name in names if name not in ("pods", "pod", "po"))


def find_pod_by_address(api: ApiSource, address: Address) -> Pod:
    """Return the running pod whose own address this is: hostNetwork pods bear their node's, completed ones none.

    Raises:
        TargetError: no pod has the address, or only such as share it with their node.
    """
    pods = _list_pods(api, "/api/v1/pods", field_selector=f"status.podIP={address}")
    missing = ""
    if not pods:  # podIP is the primary family's only
        listed = api.list_objects(Pod, "/api/v1/pods")
        pods, missing = listed.items, listed.missing
    bearers = [pod for pod in pods if address in pod.addresses]
    own = [pod for pod in bearers if not pod.spec.host_network and not pod.is_completed]
    if own:
        return own[0]
    if any(pod.spec.host_network for pod in bearers):
        raise TargetError(f"{address} is the address of node {bearers[0].spec.node_name}, not of a pod")
    raise TargetError(f"no running pod has the address {address}", missing)


def _check(targets: Targets) -> None:
    is_named = bool(targets.names)
    if not all((*targets.names, *targets.nodes)):
        raise UsageError("a name is empty", "is the variable set that it comes from?")
    for name in (*targets.names, *targets.nodes):
        last = name.rpartition("/")[2]
        if last and not _NAME.fullmatch(last):
            raise UsageError(f'invalid name "{name}": letters, digits, "-" and "." are allowed')
    if is_named and (targets.nodes or targets.all_nodes):
        raise UsageError("name pods, or nodes with --node or --all-nodes, not both")
    if targets.nodes and targets.all_nodes:
        raise UsageError("--node and --all-nodes exclude each other")
    if is_named and targets.all_namespaces and tuple(targets.names) not in (("pods",), ("pod",), ("po",)):
        raise UsageError("a resource cannot be retrieved by name across all namespaces")
    if is_named and targets.selector and parse_references(targets.names):
        raise UsageError("name cannot be provided when a selector is specified")
    if not (is_named or targets.selector or targets.all_namespaces or targets.nodes or targets.all_nodes):
        raise UsageError(
            "no target is named",
            "name a pod, TYPE/NAME, -l SELECTOR, -A, --node NODE or --all-nodes",
        )


def _parse_reference(name: str) -> tuple[str, str]:
    kind, slash, rest = name.partition("/")
    if not slash or not kind or not rest or "/" in rest:
        raise UsageError("arguments in resource/name form must have a single resource and name")
    kind = kind.partition(".")[0].lower()  # deployments.apps, Deployment
    if kind not in _TYPES:
        raise UsageError(
            f'the server doesn\'t have a resource type "{kind}" that leads to pods',
            f"one of: {', '.join(sorted(set(_TYPES.values())))}",
        )
    return _TYPES[kind], rest


def _scope(api: ApiSource, targets: Targets) -> str:
    if targets.all_namespaces:
        return "/api/v1/pods"
    return f"/api/v1/namespaces/{quote(targets.namespace or api.namespace, safe='')}/pods"


def _pods_of_nodes(api: ApiSource, targets: Targets) -> tuple[Pod, ...]:
    # Nodes know no namespaces: all of their pods are meant, unless -n says otherwise.
    scope = (
        f"/api/v1/namespaces/{quote(targets.namespace, safe='')}/pods"
        if targets.namespace
        else "/api/v1/pods"
    )
    if targets.all_nodes:
        pods = _list_pods(api, scope, label_selector=targets.selector)
        return tuple(pod for pod in pods if pod.spec.node_name)
    found: list[Pod] = []
    for node in dict.fromkeys(targets.nodes):
        api.get_object(Node, f"/api/v1/nodes/{quote(node, safe='')}")
        found += _list_pods(
            api, scope, label_selector=targets.selector, field_selector=f"spec.nodeName={node}"
        )
    return tuple(found)


def _resolve(api: ApiSource, scope: str, kind: str, name: str) -> tuple[Pod, ...]:
    if kind == "pod":
        return (api.get_object(Pod, f"{scope}/{quote(name, safe='')}"),)
    base = scope.removesuffix("/pods")
    is_service = kind == "service"
    selector = _service_selector(api, base, name) if is_service else _workload_selector(api, base, kind, name)
    pods = _list_pods(api, scope, label_selector=selector)
    if not pods:
        raise TargetError(f'{kind} "{name}" has no pods (selector {selector})')
    return pods


def _service_selector(api: ApiSource, base: str, name: str) -> str:
    service = api.get_object(Service, f"{base}/services/{quote(name, safe='')}")
    if not service.spec.selector:
        raise TargetError(f'service "{name}" has no selector: its endpoints are not made from pods')
    return ",".join(f"{key}={value}" for key, value in service.spec.selector.items())


def _workload_selector(api: ApiSource, base: str, kind: str, name: str) -> str:
    group, plural, _ = _WORKLOADS[kind]
    namespace = base.removeprefix("/api/v1")
    workload = api.get_object(Workload, f"{group}{namespace}/{plural}/{quote(name, safe='')}")
    selector = workload.spec.selector
    if selector is None:
        raise TargetError(f'{kind} "{name}" has no selector')
    return format_selector(selector)


def format_selector(selector: LabelSelector) -> str:
    """Write a workload's selector as the API's query string takes it."""
    parts = [f"{key}={value}" for key, value in selector.match_labels.items()]
    for each in selector.match_expressions:
        form = _LABEL_OPERATORS.get(each.operator, "!{key}")  # DoesNotExist is the fourth and last
        parts.append(form.format(key=each.key, values=",".join(each.values)))
    return ",".join(parts)


def _list_pods(
    api: ApiSource, path: str, *, label_selector: str = "", field_selector: str = ""
) -> tuple[Pod, ...]:
    return tuple(
        api.list_objects(Pod, path, label_selector=label_selector, field_selector=field_selector).items
    )
