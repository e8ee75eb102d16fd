"""Flows of nodes' tables with names: what `conntrack list` answers.

The API is read before and after the nodes are: a pod that came or went between is named by whichever knew it, and told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from netinspect.analyze.address_book import AddressBook, build_address_book, join_address_books
from netinspect.analyze.conntrack.flow_filter import build_row_test, matches, narrowing_addresses
from netinspect.analyze.conntrack.flow_names import find_changed_names, name_flow
from netinspect.collect.flows import collect_flows
from netinspect.models.address import address_key
from netinspect.models.cluster_state import ClusterState
from netinspect.models.fact import Fact, Gap, Known, list_cut_gaps
from netinspect.models.flow_filter import FlowFilter
from netinspect.models.link import Link
from netinspect.models.named_flow import NamedFlow
from netinspect.models.node_flows import NodeFlows
from netinspect.models.report import Report
from netinspect.probes.conntrack import build_flow_plan
from netinspect.probes.plan import Plan
from netinspect.sources.interface import NodeSource
from netinspect.usecases.cluster_state import gaps_of
from netinspect.usecases.node_targets import NodeTargets

KIND = "FlowList"

_POD_TABLE = (
    "read from the pods' nodes; what a pod's own netns tracks (a sidecar's redirects) is not looked at"
)
_NO_PROOF = "no entry proves no silence: an eBPF dataplane and NOTRACK rules leave none"
_MOST_NAMES = 10


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """What the API said of addresses, before and after the nodes were asked."""

    before: ClusterState
    after: ClusterState


def choose_flows(targets: NodeTargets, wanted: FlowFilter) -> dict[str, FlowFilter]:
    """Return by node which of its flows are meant: those of the pods that run there, or all that the flags choose."""
    return {
        node: msgspec.structs.replace(wanted, addresses=frozenset(targets.addresses_on(node)))
        for node in targets.nodes
    }


def build_list_plan(wanted: FlowFilter) -> Plan:
    """Ask for flows; the node keeps back what cannot be meant."""
    return build_flow_plan(narrowing_addresses(wanted))


def read_flows(source: NodeSource, wanted: FlowFilter) -> NodeFlows:
    """Read the flows of one node that are meant.

    Raises:
        CommandError: the node side did not start.
        ParseError: its stream is broken.
        ClusterError: the connection failed before anything came.
    """
    return collect_flows(
        source,
        build_list_plan(wanted),
        lambda flow: matches(flow, wanted),
        may_want=build_row_test(wanted),
    )


def report_flows(
    tables: Mapping[str, NodeFlows],
    named: Named,
    targets: NodeTargets,
    gaps: tuple[Gap, ...] = (),
    notes: tuple[str, ...] = (),
) -> Report[NamedFlow]:
    """Name the flows and say of how many entries they are.

    Flows are in the order of the nodes named; on a node IPv4 comes first, then they go by protocol number, source
    address, destination address, destination port, source port.

    Args:
        tables: by node, the flows that are meant.
        named: what the API said.
        targets: what was asked for.
        gaps: of nodes that could not be asked.
        notes: on how the nodes were read.
    """
    links = {node: _known(table.links) for node, table in tables.items()}
    books = build_address_book(named.before, links), build_address_book(named.after, links)
    book = join_address_books(*books)
    items = tuple(flow for node, table in tables.items() for flow in _name(node, table, book))
    return Report(
        kind=KIND,
        items=items,
        notes=(
            *_count_notes(tables, items),
            *_change_notes(items, *books),
            *((_POD_TABLE,) if targets.pods else ()),
            *((_NO_PROOF,) if targets.pods and not items else ()),
            *targets.notes,
            *notes,
        ),
        gaps=(*gaps, *_gaps(tables, named)),
    )


def _name(node: str, table: NodeFlows, book: AddressBook) -> list[NamedFlow]:
    flows = [name_flow(node, flow, book) for listing in table.listings for flow in listing.flows]
    return sorted(flows, key=_place)


def _place(named: NamedFlow) -> tuple[object, ...]:
    flow, first = named.flow, named.flow.original
    return (
        *(first.src.version, flow.protocol_number),
        *(address_key(first.src), address_key(first.dst)),
        *(first.dport or 0, first.sport or 0, first.icmp_id or 0, flow.id or 0),
    )


def _count_notes(tables: Mapping[str, NodeFlows], items: Iterable[NamedFlow]) -> Iterable[str]:
    shown = dict.fromkeys(tables, 0)
    for item in items:
        shown[item.node] += 1
    for node, table in tables.items():
        entries = [listing.entries for listing in table.listings]
        total = "an unknown number of" if None in entries else str(sum(each or 0 for each in entries))
        yield f"node {node}: {shown[node]} flow{'' if shown[node] == 1 else 's'} of {total} entries in its table"


def _change_notes(items: Iterable[NamedFlow], before: AddressBook, after: AddressBook) -> Iterable[str]:
    changes = find_changed_names((item.flow for item in items), before, after)
    for change in changes[:_MOST_NAMES]:
        yield f"{change} while the nodes were read"
    if len(changes) > _MOST_NAMES:
        yield f"{len(changes) - _MOST_NAMES} more names changed while the nodes were read"


def _gaps(tables: Mapping[str, NodeFlows], named: Named) -> Iterable[Gap]:
    yield from dict.fromkeys((*gaps_of(named.before), *gaps_of(named.after)))
    for node, table in tables.items():
        for listing in table.listings:
            yield from listing.gaps(node)
        if not isinstance(table.links, Known):
            yield Gap(f"node/{node}", "its links", table.links.reason, table.links.detail)
        yield from list_cut_gaps(node, is_whole=table.is_whole)


def _known(fact: Fact[tuple[Link, ...]]) -> tuple[Link, ...]:
    return fact.value if isinstance(fact, Known) else ()
