"""Whose are the entries of nodes' connection tracking tables: what `conntrack top` answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from netinspect.analyze.address_book import build_address_book
from netinspect.analyze.conntrack.flow_counts import FlowNames
from netinspect.analyze.conntrack.flow_filter import narrowing_addresses
from netinspect.analyze.conntrack.flow_groups import list_groups
from netinspect.analyze.conntrack.unreplied_syn import find_unreplied_syn, list_undecided
from netinspect.collect.flow_counts import collect_flow_counts
from netinspect.models.address_owner import OwnerKind
from netinspect.models.cluster_state import ClusterState
from netinspect.models.fact import Gap, Known, Reason, list_cut_gaps
from netinspect.models.finding import sort_findings
from netinspect.models.flow_counts import (
    FlowSample,
    GroupBy,
    NodeCounts,
    NodeFlowCounts,
    TopOptions,
)
from netinspect.models.flow_filter import FlowFilter
from netinspect.models.link import Link
from netinspect.models.report import JudgedReport
from netinspect.probes.conntrack_top import AGAIN, build_top_plan
from netinspect.probes.plan import Plan
from netinspect.sources.interface import NodeSource
from netinspect.usecases.cluster_state import gaps_of
from netinspect.usecases.node_targets import NodeTargets

KIND = "NodeFlowCountsList"

_POD_TABLE = "an entry of a pod is counted in the table of the pod's node only"
_NOT_JUDGED = "connections without an answer were not judged: --state, --sport, --zone and --mark part them"


def build_count_plan(wanted: FlowFilter, between_s: int = 0) -> Plan:
    """Ask for flows, once or twice; the node keeps back what cannot be meant."""
    return build_top_plan(narrowing_addresses(wanted), between_s)


def count_flows(
    source: NodeSource, wanted: FlowFilter, state: ClusterState, between_s: int = 0
) -> NodeCounts:
    """Count the flows of one node that are meant.

    Args:
        source: the node.
        wanted: which flows.
        state: what the API says: names addresses while the flows stream in.
        between_s: seconds between two listings, 0 for one.

    Raises:
        CommandError: the node side did not start.
        ParseError: its stream is broken.
        ClusterError: the connection failed before anything came.
    """

    def name_flows(links: tuple[Link, ...]) -> FlowNames:
        return FlowNames(build_address_book(state, {source.node: links}))

    return collect_flow_counts(
        source,
        build_count_plan(wanted, between_s),
        name_flows,
        None if wanted == FlowFilter() else wanted,
        ("", AGAIN) if between_s else ("",),
    )


def report_top(
    counts: Mapping[str, NodeCounts],
    state: ClusterState,
    targets: NodeTargets,
    wanted: FlowFilter,
    options: TopOptions,
    gaps: tuple[Gap, ...] = (),
    notes: tuple[str, ...] = (),
    *,
    later: ClusterState | None = None,
) -> JudgedReport[NodeFlowCounts]:
    """Say whose the entries are, node by node, and which connections get no answer.

    Args:
        counts: by node, what was counted.
        state: what the API said before the nodes were asked, as `count_flows` had it.
        targets: what was asked for.
        wanted: what the flags choose.
        options: which groups are listed.
        gaps: of nodes that could not be asked.
        notes: on how the nodes were read.
        later: what the API said after the nodes had answered: names peers that came meanwhile.
    """
    links = {node: each.links.value for node, each in counts.items() if isinstance(each.links, Known)}
    book = build_address_book(state, links)
    read = {node: each for node, each in counts.items() if each.samples[-1].tallies}
    book_later = None if later is None else build_address_book(later, links)
    items = tuple(list_groups(each, book, options, book_later) for each in read.values())
    judged = read if _is_judgeable(wanted) else {}
    clients = {(pod.metadata.namespace, pod.metadata.name) for pod in targets.pods} or None
    findings = (
        finding
        for node, each in judged.items()
        for finding in find_unreplied_syn(node, each.samples[-1].tallies, book, clients)
    )
    undecided = (
        gap
        for node, each in judged.items()
        for gap in list_undecided(node, each.samples[-1].tallies, clients)
    )
    return JudgedReport(
        kind=KIND,
        items=items,
        findings=sort_findings(findings),
        notes=(
            *(note for item in items for note in _notes(item)),
            *_new_pod_notes(items),
            *(() if _is_judgeable(wanted) else (_NOT_JUDGED,)),
            *((_POD_TABLE,) if targets.pods else ()),
            *targets.notes,
            *notes,
        ),
        gaps=(
            *gaps,
            *dict.fromkeys((*gaps_of(state), *(gaps_of(later) if later else ()))),
            *(gap for each in counts.values() for gap in _gaps(each)),
            *undecided,
        ),
    )


def _is_judgeable(wanted: FlowFilter) -> bool:
    return not wanted.states and wanted.sport is None and wanted.zone is None and wanted.mark is None


def _notes(item: NodeFlowCounts) -> Iterator[str]:
    table = "an unknown number of" if item.table is None else str(item.table)
    limit = "" if item.max is None else f"; nf_conntrack_max is {item.max}"
    yield f"node {item.node}: {item.entries} of {table} entries were counted{limit}"
    for listed in item.listed:
        if listed.folded is not None:
            yield (
                f"node {item.node}: there are more groups by {listed.by.value} than are counted one by one: a count "
                f"that is not exact is shown as LEAST-MOST, and one that is not listed is {listed.folded} at most"
            )
        elif listed.shown < listed.kept:
            yield f"node {item.node}: {listed.shown} of {listed.kept} groups by {listed.by.value} are listed"


def _new_pod_notes(items: Iterable[NodeFlowCounts]) -> Iterator[str]:
    """Say which of the peers that are listed turned out to be pods."""
    groups = (group for item in items for group in item.groups if group.by is GroupBy.PEER)
    pods = {
        group.address: f"{group.owner.namespace}/{group.owner.name}"
        for group in groups
        if group.owner is not None and group.owner.kind is OwnerKind.POD
    }
    if pods:
        words = "1 peer is a pod that was" if len(pods) == 1 else f"{len(pods)} peers are pods that were"
        names = ", ".join(sorted(set(pods.values())))
        yield f"{words} created or got an address while the table was read, and not counted by pod: {names}"


def _gaps(counts: NodeCounts) -> Iterator[Gap]:
    subject = f"node/{counts.node}"
    if not isinstance(counts.links, Known):
        yield Gap(subject, "its links", counts.links.reason, counts.links.detail)
    if not isinstance(counts.size, Known):
        yield Gap(subject, "nf_conntrack_max", counts.size.reason, counts.size.detail)
    for number, sample in enumerate(counts.samples):
        yield from _sample_gaps(subject, "" if number == 0 else " the second time", sample)
    yield from list_cut_gaps(counts.node, is_whole=counts.is_whole)


def _sample_gaps(subject: str, when: str, sample: FlowSample) -> Iterator[Gap]:
    for name, fact in sample.facts:
        if not isinstance(fact, Known):
            yield Gap(subject, f"the {name} flows{when}", fact.reason, fact.detail)
        elif fact.value.unread:
            lines = f"{fact.value.unread} line{'' if fact.value.unread == 1 else 's'}"
            yield Gap(
                subject, f"{lines} of the {name} flows{when}", Reason.UNPARSABLE, fact.value.unread_lines[0]
            )
