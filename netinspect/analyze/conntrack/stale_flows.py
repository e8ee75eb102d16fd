"""Flows whose translated destination is no live endpoint of their Service any more, or a pod that is gone.

Rules lag the API: a flow is judged only if it was stale by what the API said before the node was asked and by what it
said after, in both samples, and if Service and EndpointSlices have not changed for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec
from msgspec.structs import replace

from netinspect.analyze.address_book import AddressBook, build_address_book
from netinspect.analyze.conntrack.flow_names import name_flow
from netinspect.analyze.conntrack.stale_traffic import (
    SCTP,
    TCP,
    UDP,
    idle_s,
    is_closing,
    is_counted,
    judge_traffic,
)
from netinspect.analyze.service_endpoints import ServiceIndex, build_service_index
from netinspect.models.address import Address, show_endpoint
from netinspect.models.address_owner import OwnerKind
from netinspect.models.cluster_state import ClusterState
from netinspect.models.conntrack import Flow
from netinspect.models.fact import Fact, Known
from netinspect.models.flow_row import Column, FlowRow
from netinspect.models.link import Link
from netinspect.models.node_flows import FlowListing
from netinspect.models.stale_flow import (
    DeadTarget,
    FlowPair,
    FlowSamples,
    ServiceTarget,
    StaleFlow,
    StaleStatus,
    Verdict,
)

GRACE_S = 30.0
"""How old a change of the API has to be. kube-proxy waits for its minSyncPeriod (1 s) and then writes its rules, which
takes seconds to tens of seconds with thousands of Services."""

_PROTOCOLS = frozenset((TCP, UDP, SCTP))


class ClusterView(msgspec.Struct, frozen=True, kw_only=True):
    """What the API says at one moment, made ready for flows.

    Attributes:
        book: whose addresses are.
        services: Services' ports and their endpoints.
        unsettled: nodes with a pod that has no address in the API yet, but may have one already.
        read_at: when it was read, in seconds since the epoch.
    """

    book: AddressBook
    services: ServiceIndex
    unsettled: frozenset[str]
    read_at: float


class DeadSelector:
    """Keeps the flows of a listing that lead to no live endpoint, and counts those that it looked at.

    Attributes:
        seen: how many translated flows of Services, or to pods, there were.
    """

    def __init__(self, view: ClusterView, is_meant: Callable[[Flow], bool]) -> None:
        self._view = view
        self._is_meant = is_meant
        self.seen = 0

    def __call__(self, flow: Flow) -> bool:
        """Whether to keep a flow. The node's own addresses are not known yet: some are kept that are not stale."""
        if not _is_candidate(flow) or not self._is_meant(flow):
            return False
        services = _services_of(flow, self._view, at_any_address=True)
        self.seen += bool(services) or self._view.book.owner(flow.reply.src).kind is OwnerKind.POD
        return find_dead_target(flow, self._view, at_any_address=True) is not None


def is_translated_row(row: FlowRow) -> bool:
    """Whether a flow's destination may be translated, by its columns: most flows' is not, and they need not be read."""
    return (row[Column.DST], row[Column.DPORT]) != (row[Column.REPLY_SRC], row[Column.REPLY_SPORT])


def build_cluster_view(state: ClusterState, links: dict[str, tuple[Link, ...]] | None = None) -> ClusterView:
    """Make ready what was read of the API, with the links of the nodes that were asked.

    Raises:
        ValueError: a list is missing; nothing can be judged then.
    """
    if not (
        isinstance(state.services, Known)
        and isinstance(state.slices, Known)
        and isinstance(state.pods, Known)
    ):
        raise ValueError("a list of the API is missing")
    unsettled = (
        pod.spec.node_name
        for pod in state.pods.value
        if pod.spec.node_name and not pod.spec.host_network and not pod.is_completed and not pod.addresses
    )
    return ClusterView(
        book=build_address_book(state, links),
        services=build_service_index(state.services.value, state.slices.value),
        unsettled=frozenset(unsettled),
        read_at=state.read_at,
    )


def find_dead_target(flow: Flow, view: ClusterView, *, at_any_address: bool = False) -> DeadTarget | None:
    """Return what is wrong with where a flow leads, or None where that is alive or none of our business.

    Args:
        flow: the flow.
        view: what the API says.
        at_any_address: take a node port at any address for a Service's; else only at addresses of nodes.
    """
    if not _is_candidate(flow):
        return None
    backend, port = flow.reply.src, flow.reply.sport
    kind = view.book.owner(backend).kind
    services = _services_of(flow, view, at_any_address=at_any_address)
    if not services:
        return DeadTarget(services=(), is_gone=True) if kind is OwnerKind.GONE else None
    if any(service.is_live(backend, port) for service in services):
        return None
    # Where pod ranges are not the nodes' own (spec.podCIDRs), a gone pod's address looks like a stranger's; but what a
    # selector led to was a pod.
    was_pod = kind is OwnerKind.EXTERNAL and all(service.has_selector for service in services)
    is_gone = (kind is OwnerKind.GONE or was_pod) and not _is_local(backend)
    return DeadTarget(services=services, is_gone=is_gone)


def judge_samples(
    samples: FlowSamples, before: ClusterView, after: ClusterView, command_of: Callable[[Flow], str]
) -> tuple[tuple[StaleFlow, DeadTarget], ...]:
    """Judge the flows that a node's table had in both samples, with what is wrong with each by the later reading.

    Args:
        samples: the node's table.
        before: the API before the node was asked.
        after: the API after it had answered.
        command_of: gives the command that deletes a flow's entry.
    """
    timers = samples.timers.value if isinstance(samples.timers, Known) else None
    judged = []
    for pair in pair_flows(samples):
        then, now = find_dead_target(pair.first, before), find_dead_target(pair.second, after)
        if then is None or now is None:
            continue  # it is alive by one of the readings
        target = replace(now, is_gone=then.is_gone and now.is_gone)
        obstacle = _find_obstacle(pair, then, target, (before, after))
        verdict = obstacle or judge_traffic(pair, timers, is_gone=target.is_gone)
        if after.book.owner(pair.second.reply.src).kind is OwnerKind.EXTERNAL:
            verdict = _doubt(pair, verdict)
        item = _describe(samples.flows.node, pair, target, after.book, verdict)
        judged.append(
            (replace(item, idle_s=idle_s(pair.second, timers), command=command_of(pair.second)), target)
        )
    return tuple(judged)


def pair_flows(samples: FlowSamples) -> Iterator[FlowPair]:
    """Yield the flows that are in the first listing and in the last; of a family that both have whole."""
    if not samples.elapsed_s:
        return
    first, last = samples.flows.listings[0], samples.flows.listings[-1]
    for family in _families:
        earlier, later = family(first), family(last)
        if isinstance(earlier, Known) and isinstance(later, Known):
            known = {flow.key: flow for flow in earlier.value}
            for flow in later.value:
                if flow.key in known:
                    yield FlowPair(first=known[flow.key], second=flow, elapsed_s=samples.elapsed_s)


def _ipv4(listing: FlowListing) -> Fact[tuple[Flow, ...]]:
    return listing.ipv4


def _ipv6(listing: FlowListing) -> Fact[tuple[Flow, ...]]:
    return listing.ipv6


_families = (_ipv4, _ipv6)


def _is_candidate(flow: Flow) -> bool:
    return flow.protocol_number in _PROTOCOLS and flow.is_dnat


def _is_local(address: Address) -> bool:
    """Whether an address is one that no EndpointSlice may have: a node-local resolver's, a redirect's."""
    return address.is_link_local or address.is_loopback or address.is_multicast


def _doubt(pair: FlowPair, verdict: Verdict) -> Verdict:
    """Take back that a stranger does not answer where no counter says so: that its address is gone is a guess."""
    if is_counted(pair) or pair.second.unreplied:
        return verdict
    return replace(verdict, answered=None)


def _services_of(flow: Flow, view: ClusterView, *, at_any_address: bool) -> tuple[ServiceTarget, ...]:
    first = flow.original
    services = view.services.at(first.dst, flow.protocol, first.dport)
    if not services and (at_any_address or first.dst in view.book.nodes):
        services = view.services.at_node_port(flow.protocol, first.dport)
    return services


def _uids(target: DeadTarget) -> frozenset[str]:
    return frozenset(service.uid for service in target.services)


def _find_obstacle(
    pair: FlowPair, then: DeadTarget, target: DeadTarget, views: tuple[ClusterView, ClusterView]
) -> Verdict | None:
    """Return why a flow's packets do not matter, or None where they do."""
    if _uids(then) != _uids(target):
        return Verdict(
            status=StaleStatus.NOT_JUDGED,
            reason="the Service that it was sent to was made or deleted meanwhile",
        )
    if _is_local(pair.second.reply.src):
        return Verdict(status=StaleStatus.NOT_JUDGED, reason="another rule than kube-proxy's translates it")
    if is_closing(pair.second):
        return None  # old or young, it ends by itself
    if any(service.is_foreign for service in target.services):
        return Verdict(
            status=StaleStatus.NOT_JUDGED, reason="another proxy than kube-proxy serves this Service"
        )
    node = views[1].book.owner(pair.second.reply.src).node
    if not target.services and any(node in view.unsettled for view in views):
        return Verdict(
            status=StaleStatus.NOT_JUDGED,
            reason=f"a pod of node {node} has no address in the API yet: it may have this one",
        )
    family = pair.second.reply.src.version
    if target.services and not any(service.endpoints_of(family) for service in target.services):
        return Verdict(
            status=StaleStatus.NO_ENDPOINTS,
            reason=f"the Service has no IPv{family} endpoint at all: kube-proxy leaves such flows alone, "
            "and deleting it would not help",
        )
    return _find_youth(pair, target.services, views[0].read_at)


def _find_youth(pair: FlowPair, services: Iterable[ServiceTarget], read_at: float) -> Verdict | None:
    changed_at = max((service.changed_at or 0.0 for service in services), default=0.0)
    # How old the change was at the node's second sample, at the least: the first reading came before both samples, the
    # last one only after the slowest node. And it has been so for as long as both readings said the same, whatever
    # clocks and other changes say.
    age_s = max(read_at - changed_at, 0.0) + pair.elapsed_s
    if age_s >= GRACE_S:
        return None
    return Verdict(
        status=StaleStatus.YOUNG,
        reason=f"Service or EndpointSlices changed {age_s:.0f} s ago: rules may not have followed "
        f"(judged from {GRACE_S:.0f} s on)",
    )


def _describe(
    node: str, pair: FlowPair, target: DeadTarget, book: AddressBook, verdict: Verdict
) -> StaleFlow:
    family = pair.second.reply.src.version
    services = target.services
    endpoints = dict.fromkeys(each for service in services for each in service.endpoints_of(family))
    return StaleFlow(
        named=name_flow(node, pair.second, book),
        status=verdict.status,
        reason=verdict.reason,
        service=services[0].key if services else "",
        service_port=f"{services[0].port}/{services[0].protocol}" if services else "",
        is_gone=target.is_gone,
        endpoints=tuple(show_endpoint(address, port) for address, port in endpoints),
        answered=verdict.answered,
        first_sample=pair.first.raw,
    )
