"""Flows that lead to endpoints that are gone: what `conntrack stale` answers.

The API is read, then each node's table twice in one trip, then the API again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from netinspect.analyze.conntrack.flow_filter import matches
from netinspect.analyze.conntrack.stale_findings import build_finding
from netinspect.analyze.conntrack.stale_flows import DeadSelector, build_cluster_view, judge_samples
from netinspect.collect.stale_flows import collect_samples
from netinspect.models.cluster_state import ClusterState
from netinspect.models.conntrack import Flow
from netinspect.models.fact import Fact, Gap, Known, Reason, list_cut_gaps
from netinspect.models.finding import sort_findings
from netinspect.models.flow_filter import FlowFilter
from netinspect.models.link import Link
from netinspect.models.report import JudgedReport
from netinspect.models.stale_flow import FlowSamples, StaleFlow, StaleStatus
from netinspect.probes.conntrack_delete import format_delete_command
from netinspect.probes.conntrack_stale import build_stale_plan
from netinspect.probes.plan import Plan
from netinspect.sources.interface import NodeSource
from netinspect.usecases.cluster_state import gaps_of
from netinspect.usecases.node_targets import NodeTargets

KIND = "StaleFlowList"

LEAST_BETWEEN_S = 5
"""Timers are printed in whole seconds: over less time a packet cannot be told from rounding."""

_ORDER = tuple(StaleStatus)

_IPVS = (
    "node {node}: IPVS (kube-ipvs0): what is listed is the conntrack table; IPVS keeps connections of its own "
    "(ipvsadm -Lnc), which are not judged"
)
_NODE_LOCAL = (
    "node {node}: NodeLocal DNSCache (link nodelocaldns): its pods' DNS is not tracked (NOTRACK), "
    "and so not seen here"
)
_REMARKS = {"kube-ipvs0": _IPVS, "nodelocaldns": _NODE_LOCAL}


def can_judge(state: ClusterState) -> bool:
    """Whether the API said all that a judgement needs: pods, Services, EndpointSlices and nodes."""
    return not state.missing


def report_unjudged(state: ClusterState) -> JudgedReport[StaleFlow]:
    """Return the report where the API does not say enough: gaps, and nothing else."""
    return JudgedReport(kind=KIND, items=(), gaps=gaps_of(state))


def build_stale_plans(targets: NodeTargets, between_s: int) -> dict[str, Plan]:
    """Return by node what to ask it."""
    return {node: build_stale_plan(between_s, targets.addresses_on(node)) for node in targets.nodes}


def build_stale_job(
    before: ClusterState, targets: NodeTargets, plans: Mapping[str, Plan]
) -> Callable[[NodeSource], FlowSamples]:
    """Return what is done on each node that is open: read its table twice and keep what may be stale."""
    view = build_cluster_view(before)

    def read(source: NodeSource) -> FlowSamples:
        meant = FlowFilter(addresses=frozenset(targets.addresses_on(source.node)))

        def is_meant(flow: Flow) -> bool:
            return matches(flow, meant)

        return collect_samples(source, plans[source.node], DeadSelector(view, is_meant))

    return read


def report_stale(
    samples: Mapping[str, FlowSamples],
    before: ClusterState,
    after: ClusterState,
    gaps: tuple[Gap, ...] = (),
    notes: tuple[str, ...] = (),
) -> JudgedReport[StaleFlow]:
    """Judge what was read.

    Args:
        samples: by node, its table.
        before: the API before the nodes were asked; it said all that is needed.
        after: the API after the last one had answered.
        gaps: of nodes that could not be asked.
        notes: on how they were read.
    """
    gaps = (*gaps, *(gap for each in samples.values() for gap in _gaps(each)))
    if not can_judge(after):
        return JudgedReport(kind=KIND, items=(), notes=notes, gaps=(*gaps, *gaps_of(after)))
    links = {node: _known(each.flows.links) for node, each in samples.items()}
    then, now = build_cluster_view(before, links), build_cluster_view(after, links)
    judged = [
        pair for each in samples.values() for pair in judge_samples(each, then, now, format_delete_command)
    ]
    findings = (build_finding(item, target) for item, target in judged)
    return JudgedReport(
        kind=KIND,
        items=tuple(sorted((item for item, _ in judged), key=lambda item: _ORDER.index(item.status))),
        findings=sort_findings(each for each in findings if each is not None),
        notes=(*(_seen(each) for each in samples.values()), *_remarks(links), *notes),
        gaps=gaps,
    )


def _seen(samples: FlowSamples) -> str:
    return (
        f"node {samples.flows.node}: {samples.seen} entries of flows that are translated to endpoints, "
        f"in 2 samples {samples.elapsed_s:.0f} s apart"
    )


def _remarks(links: Mapping[str, tuple[Link, ...]]) -> Iterator[str]:
    for node, own in links.items():
        for link in own:
            if link.ifname in _REMARKS:
                yield _REMARKS[link.ifname].format(node=node)


def _gaps(samples: FlowSamples) -> Iterator[Gap]:
    flows = samples.flows
    subject = f"node/{flows.node}"
    unlisted = tuple(dict.fromkeys(gap for listing in flows.listings for gap in listing.gaps(flows.node)))
    yield from unlisted
    for fact, what in ((flows.links, "its links"), (samples.timers, "its conntrack timeouts")):
        if not isinstance(fact, Known):
            yield Gap(subject, what, fact.reason, fact.detail)
    if not samples.elapsed_s and all(gap.reason is not Reason.NOT_RECORDED for gap in unlisted):
        yield Gap(
            subject, "the time between the samples", Reason.TRUNCATED, "a listing did not tell when it began"
        )
    yield from list_cut_gaps(flows.node, is_whole=flows.is_whole)


def _known(fact: Fact[tuple[Link, ...]]) -> tuple[Link, ...]:
    return fact.value if isinstance(fact, Known) else ()
