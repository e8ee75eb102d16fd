"""Which dataplane nodes really use: what was read on them, with what the API says of network agents and Services."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from netinspect.analyze.dataplane.agents import CILIUM_AGENTS, POD_SELECTORS, find_agent_pods
from netinspect.analyze.dataplane.findings import check_dataplane
from netinspect.analyze.dataplane.in_use import describe_dataplane, list_gaps
from netinspect.errors import ClusterError
from netinspect.models.address import parse_address
from netinspect.models.dataplane import AgentPod, DataplaneHints, DataplaneReading, NodeDataplane
from netinspect.models.fact import Fact, Gap, Known
from netinspect.models.finding import sort_findings
from netinspect.models.kubernetes import Pod, Service
from netinspect.models.report import JudgedReport
from netinspect.usecases.attempts import attempt

if TYPE_CHECKING:
    from netinspect.sources.interface import ApiSource

KIND = "NodeDataplaneList"

_FAMILIES = (4, 6)
_NOT_FOUND = 404
_CONFIG, _KEY = "cilium-config", "kube-proxy-replacement"


class _ConfigMap(msgspec.Struct):
    data: dict[str, str] = {}


class ClusterHints(msgspec.Struct, frozen=True, kw_only=True):
    """What the API says, for all nodes.

    Attributes:
        pods: by node, network agents.
        kube_proxy_replacement: Cilium's setting.
        services: by family, how many Services have a virtual address.
    """

    pods: Fact[dict[str, tuple[AgentPod, ...]]]
    kube_proxy_replacement: Fact[str | None]
    services: Fact[dict[int, int]]

    def of_node(self, node: str) -> DataplaneHints:
        """Return what bears on one node."""
        pods = self.pods
        return DataplaneHints(
            pods=Known(pods.value.get(node, ())) if isinstance(pods, Known) else pods,
            kube_proxy_replacement=self.kube_proxy_replacement,
            services=self.services,
        )


def read_cluster_hints(api: ApiSource) -> ClusterHints:
    """Ask the API for network agents, Cilium's setting and Services. What it refuses is Unavailable, not an error.

    Raises:
        DeadlineError: an answer did not come in time.
    """
    pods = attempt(lambda: _list_agent_pods(api))
    return ClusterHints(
        pods=pods,
        kube_proxy_replacement=attempt(lambda: _read_cilium_setting(api, pods)),
        services=attempt(lambda: _count_services(api)),
    )


def report_dataplanes(
    hints: ClusterHints,
    readings: Mapping[str, DataplaneReading],
    gaps: tuple[Gap, ...] = (),
    notes: tuple[str, ...] = (),
) -> JudgedReport[NodeDataplane]:
    """Judge what was read on nodes, each in both families."""
    items: list[NodeDataplane] = []
    missing: list[Gap] = []
    for reading in readings.values():
        own = hints.of_node(reading.node)
        nodes = [describe_dataplane(reading, own, family) for family in _FAMILIES]
        items += nodes
        missing += list_gaps(reading, own, nodes)
    return JudgedReport(
        kind=KIND,
        items=tuple(items),
        notes=notes,
        gaps=(*gaps, *missing),
        findings=sort_findings(finding for item in items for finding in check_dataplane(item)),
    )


def _list_agent_pods(api: ApiSource) -> dict[str, tuple[AgentPod, ...]]:
    by_node: dict[str, list[Pod]] = {}
    for selector in POD_SELECTORS:
        for pod in api.list_objects(Pod, "/api/v1/pods", label_selector=selector).items:
            by_node.setdefault(pod.spec.node_name, []).append(pod)
    return {node: find_agent_pods(tuple(pods)) for node, pods in by_node.items()}


def _read_cilium_setting(api: ApiSource, pods: Fact[dict[str, tuple[AgentPod, ...]]]) -> str | None:
    known = pods.value.values() if isinstance(pods, Known) else ()
    namespaces = [pod.namespace for agents in known for pod in agents if pod.agent in CILIUM_AGENTS]
    if isinstance(pods, Known) and not namespaces:
        return None
    namespace = namespaces[0] if namespaces else "kube-system"
    try:
        path = f"/api/v1/namespaces/{quote(namespace, safe='')}/configmaps/{_CONFIG}"
        return api.get_object(_ConfigMap, path).data.get(_KEY)
    except ClusterError as error:
        if error.status == _NOT_FOUND:
            return None
        raise


def _count_services(api: ApiSource) -> dict[int, int]:
    counts: Counter[int] = Counter()
    for service in api.list_objects(Service, "/api/v1/services").items:
        if not service.is_headless:
            counts.update({parse_address(each).version for each in service.spec.cluster_ips if each})
    return dict(counts)
