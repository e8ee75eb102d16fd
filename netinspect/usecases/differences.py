"""What changed between two recordings of one cluster."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from netinspect.analyze.differences.compare import compare_states
from netinspect.errors import NetinspectError
from netinspect.models.cluster_state import ClusterState
from netinspect.models.debug_pod import Privilege
from netinspect.models.difference import Difference
from netinspect.models.fact import Gap, Known
from netinspect.models.network_state import NetworkState
from netinspect.models.recording import Recording
from netinspect.models.report import Report
from netinspect.sources.recorded_api import RecordedApi
from netinspect.sources.recorded_nodes import RecordedNodes
from netinspect.usecases.cluster_state import gaps_of
from netinspect.usecases.network_state import read_lists, read_node_state, reason_of_gap

KIND = "DifferenceList"


def report_differences(before: Recording, after: Recording, namespace: str = "") -> Report[Difference]:
    """Compare what two recordings hold: what the API said, and the nodes that either of them read.

    Args:
        before: the first.
        after: the second.
        namespace: only what is of this namespace; "" is everything.
    """
    nodes = dict.fromkeys((*list_nodes(before), *list_nodes(after)))
    old, new = (read_state(each, nodes, namespace) for each in (before, after))
    return Report(
        kind=KIND,
        items=compare_states(old, new, namespace),
        notes=(f"compared what was read at {before.made_at} with what was read at {after.made_at}",),
        gaps=merge_gaps(old.gaps, new.gaps),
    )


def list_nodes(recording: Recording) -> tuple[str, ...]:
    """Return the nodes that a recording looked at, those that failed then included."""
    return tuple(dict.fromkeys(trip.node for trip in recording.trips))


def read_state(recording: Recording, nodes: Collection[str], namespace: str) -> NetworkState:
    """Read all that is compared out of a recording; what it does not hold is a gap.

    Args:
        recording: what answers.
        nodes: the nodes to look at; those that are no node of the cluster by then are left aside.
        namespace: only what is of this namespace, and so nothing of a node as a whole; "" is everything.
    """
    cluster = read_lists(RecordedApi(recording, namespace), namespace)
    source = RecordedNodes(recording)
    states, gaps = {}, [*gaps_of(cluster)]
    for node in nodes:
        if _is_gone(node, cluster):
            continue
        try:
            with source.open(node, Privilege.SYSADMIN) as opened:
                states[node], found = read_node_state(opened, cluster, namespace)
        except NetinspectError as error:
            gaps.append(Gap(f"node/{node}", "the node", reason_of_gap(error), error.message))
        else:
            gaps += found
    return NetworkState(cluster=cluster, nodes=states, gaps=tuple(gaps))


def _is_gone(node: str, cluster: ClusterState) -> bool:
    return isinstance(cluster.nodes, Known) and all(
        each.metadata.name != node for each in cluster.nodes.value
    )


def merge_gaps(before: Iterable[Gap], after: Iterable[Gap]) -> tuple[Gap, ...]:
    """Return what is missing of either state, saying of which; of both it is said once."""
    old, new = dict.fromkeys(before), dict.fromkeys(after)
    found = []
    for gap in {**old, **new}:
        when = "before and after" if gap in old and gap in new else "before" if gap in old else "after"
        found.append(Gap(gap.subject, f"{gap.fact} ({when})", gap.reason, gap.detail))
    return tuple(found)
