"""Read, out of a recording, all of a cluster's network that is compared with another time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from msgspec.structs import replace

from netinspect.analyze.dataplane.in_use import describe_dataplane, list_gaps
from netinspect.analyze.differences.pods import is_debug_pod
from netinspect.analyze.links.veth import attach_pods
from netinspect.analyze.rules.service_maps import (
    choose_maps,
    list_local_addresses,
    list_reading_gaps,
    read_maps,
)
from netinspect.collect.conntrack_limit import collect_limits
from netinspect.collect.dataplane import collect_dataplane
from netinspect.collect.rules import collect_rules
from netinspect.errors import ClusterError, DeadlineError, NetinspectError
from netinspect.models.cluster_state import ClusterState
from netinspect.models.dataplane import DataplaneHints, DataplaneReading, NodeDataplane
from netinspect.models.fact import Fact, Gap, Known, Reason, Unavailable
from netinspect.models.kubernetes import EndpointSlice, Node, Pod, Service
from netinspect.models.network_state import NodeState, ToolMap
from netinspect.models.rules_reading import UNASKED, RulesReading
from netinspect.models.veth import PodAttachment
from netinspect.probes.catalog import build_veth_plan
from netinspect.probes.conntrack import LIMITS
from netinspect.probes.dataplane import build_dataplane_plan
from netinspect.probes.plan import Plan
from netinspect.probes.rules import build_rules_plan
from netinspect.usecases.attempts import reason_of
from netinspect.usecases.readings import group_by_node, read_node

if TYPE_CHECKING:
    from netinspect.sources.interface import ApiSource, NodeSource

T = TypeVar("T")

_HINTS = DataplaneHints(pods=Known(()), kube_proxy_replacement=Known(None), services=Known({}))
"""What the API says of agents is compared as pods: here the nodes' own words count."""


def read_lists(api: ApiSource, namespace: str) -> ClusterState:
    """List what is compared, once; a list that is not there, or was refused, is Unavailable.

    Args:
        api: the API server, as it was recorded.
        namespace: of what is in one; "" is all.
    """
    scope = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return ClusterState(
        pods=_list(api, Pod, f"/api/v1{scope}/pods"),
        services=_list(api, Service, f"/api/v1{scope}/services"),
        slices=_list(api, EndpointSlice, f"/apis/discovery.k8s.io/v1{scope}/endpointslices"),
        nodes=_list(api, Node, "/api/v1/nodes"),
    )


def _list(api: ApiSource, type_: type[T], path: str) -> Fact[tuple[T, ...]]:
    return _try(lambda: api.list_objects(type_, path).items)


def reason_of_gap(error: NetinspectError) -> Reason:
    """Return the class of an obstacle."""
    if isinstance(error, DeadlineError):
        return Reason.TIMED_OUT
    return reason_of(error) if isinstance(error, ClusterError) else Reason.FAILED


def read_node_state(
    source: NodeSource, cluster: ClusterState, namespace: str
) -> tuple[NodeState, tuple[Gap, ...]]:
    """Read what is compared of one node, and what of it is missing.

    Args:
        source: the node.
        cluster: what the API said, for the node's pods.
        namespace: see `read_lists`: with one, nothing of the node as a whole.
    """
    state, gaps = _with_rules(NodeState(node=source.node), source)
    state, more = _with_links(state, source, cluster)
    gaps += more
    if namespace:
        return replace(state, links=UNASKED), tuple(gaps)
    dataplanes = _try(lambda: collect_dataplane(source, build_dataplane_plan()))
    if isinstance(dataplanes, Known):
        state, more = _with_dataplanes(state, dataplanes.value)
        gaps += more
    limits = _try(lambda: collect_limits(source, Plan((LIMITS,))).limits)
    state = replace(state, limits=limits.value if isinstance(limits, Known) else limits)
    unread = (("the dataplane", dataplanes), ("the limit of conntrack", state.limits))
    return state, (*gaps, *_gaps(source.node, unread))


def _with_rules(state: NodeState, source: NodeSource) -> tuple[NodeState, list[Gap]]:
    reading = _try(lambda: collect_rules(source, build_rules_plan()))
    if isinstance(reading, Unavailable):
        return replace(state, maps=reading), [*_gaps(state.node, (("the rules", reading),))]
    rules = replace(reading.value, traffic=UNASKED)  # counters are not compared
    gaps = list_reading_gaps(rules)
    maps = _choose(rules)
    state = replace(
        state,
        local_addresses=list_local_addresses(rules),
        # Without addresses of the node, node ports cannot be compared.
        maps=Known(maps) if isinstance(rules.links, Known) else rules.links,
        is_rules_whole=not gaps,
    )
    return state, [*gaps, *(gap for each in maps for gap in each.service_map.gaps)]


def _choose(reading: RulesReading) -> tuple[ToolMap, ...]:
    mode = reading.kube_proxy_mode.value if isinstance(reading.kube_proxy_mode, Known) else None
    chosen = choose_maps(read_maps(reading), mode)
    return tuple(ToolMap(tool=each.tool, service_map=each.service_map) for each in chosen)


def _with_links(state: NodeState, source: NodeSource, cluster: ClusterState) -> tuple[NodeState, list[Gap]]:
    pods = cluster.pods.value if isinstance(cluster.pods, Known) else ()
    own = group_by_node([pod for pod in pods if not is_debug_pod(pod)]).get(state.node, ())
    reading = _try(lambda: read_node(source, build_veth_plan(own, peers_of_pods=True), own))
    if isinstance(reading, Unavailable):
        return replace(state, links=reading), [*_gaps(state.node, (("the links", reading),))]
    node = reading.value.node
    attached = attach_pods(node, reading.value.pods)
    gaps = [*_gaps(state.node, (("its ids of netns (lsns)", node.namespaces),)), *_pod_gaps(attached)]
    if isinstance(state.maps, Unavailable):  # else the rules' gaps name it already
        gaps += _gaps(state.node, (("the links", node.links),))
    return replace(state, links=node.links, attachments=attached), gaps


def _with_dataplanes(state: NodeState, reading: DataplaneReading) -> tuple[NodeState, list[Gap]]:
    nodes = tuple(describe_dataplane(reading, _HINTS, family) for family in (4, 6))
    facts: list[Fact[Any]] = [
        reading.links,
        reading.nft,
        reading.virtual_servers,
        reading.ipsets,
        *reading.saves.values(),
    ]
    lost = next((each for each in facts if isinstance(each, Unavailable)), None)
    dataplanes: Fact[tuple[NodeDataplane, ...]] = Known(nodes) if lost is None else lost
    return replace(state, dataplanes=dataplanes), [*list_gaps(reading, _HINTS, nodes)]


def _pod_gaps(attached: Iterable[PodAttachment]) -> Iterator[Gap]:
    for pod in attached:
        if pod.missing is not None and pod.missing.reason is not Reason.NOT_APPLICABLE:
            yield Gap(f"pod/{pod.key}", "its links", pod.missing.reason, pod.missing.detail)


def _gaps(node: str, facts: Iterable[tuple[str, Fact[Any]]]) -> Iterator[Gap]:
    for what, fact in facts:
        if isinstance(fact, Unavailable) and fact.reason is not Reason.NOT_APPLICABLE:
            yield Gap(f"node/{node}", what, fact.reason, fact.detail)


def _try(read: Callable[[], T]) -> Fact[T]:
    try:
        return Known(read())
    except NetinspectError as error:
        return Unavailable(reason_of_gap(error), error.message)
