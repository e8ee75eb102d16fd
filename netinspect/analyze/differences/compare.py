"""Two states of one cluster's network -> what is different, in the order in which it is listed."""

from __future__ import annotations

from collections.abc import Iterator

from netinspect.analyze.differences.links import compare_node_links, compare_pod_links
from netinspect.analyze.differences.nodes import compare_conntrack, compare_dataplanes
from netinspect.analyze.differences.pods import compare_nodes, compare_pods
from netinspect.analyze.differences.rules import compare_rules
from netinspect.analyze.differences.services import compare_endpoints, compare_services
from netinspect.analyze.rules.service_rules import ServiceNames, build_service_names
from netinspect.models.difference import Difference, Subject
from netinspect.models.fact import Known
from netinspect.models.network_state import NetworkState, NodeState

_ORDER = tuple(Subject)


def compare_states(before: NetworkState, after: NetworkState, namespace: str = "") -> tuple[Difference, ...]:
    """Return what differs. What is not known of one of the two is not compared; it is among that state's gaps.

    Args:
        before: the first state.
        after: the second.
        namespace: only what is of this namespace; "" is everything.
    """
    found = [*_compare_objects(before, after)]
    names = _names(before), _names(after)
    for node in sorted(before.nodes.keys() & after.nodes.keys()):
        found += _compare_node(before.nodes[node], after.nodes[node], names)
    chosen = [each for each in found if not namespace or each.namespace == namespace]
    return tuple(sorted(chosen, key=_order))


def _order(each: Difference) -> tuple[int, str, str, str, int]:
    return _ORDER.index(each.what), each.pod, each.name, each.node, each.family or 0


def _compare_objects(before: NetworkState, after: NetworkState) -> Iterator[Difference]:
    old, new = before.cluster, after.cluster
    yield from compare_nodes(old, new)
    yield from compare_pods(old, new)
    yield from compare_services(old, new)
    yield from compare_endpoints(old, new)


def _compare_node(
    before: NodeState, after: NodeState, names: tuple[ServiceNames, ServiceNames]
) -> Iterator[Difference]:
    yield from compare_rules(before, after, names)
    yield from compare_dataplanes(before, after)
    yield from compare_node_links(before, after)
    yield from compare_pod_links(before, after)
    yield from compare_conntrack(before, after)


def _names(state: NetworkState) -> ServiceNames:
    links = {node: each.links.value for node, each in state.nodes.items() if isinstance(each.links, Known)}
    return build_service_names(state.cluster, links)
