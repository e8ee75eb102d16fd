"""The table of `conntrack stale`: flows that are alike in one row; findings follow it as blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from netinspect.models.address import show_endpoint
from netinspect.models.address_owner import OwnerKind, show_owner
from netinspect.models.stale_flow import StaleFlow, StaleStatus
from netinspect.render.conntrack import name_of as flow_name_of
from netinspect.render.conntrack import show_state, show_timeout, show_tuple, show_zone
from netinspect.render.table import Column

_MOST_ENDPOINTS = 3
_UNNAMED = (OwnerKind.EXTERNAL, OwnerKind.UNKNOWN, OwnerKind.GONE)

_MEANINGS = {
    StaleStatus.QUIET: "no packet was seen between the samples; such flows end by themselves",
    StaleStatus.ANSWERED: "packets go both ways: connections outlive their endpoint by design",
    StaleStatus.CLOSING: "the connection was closed; the entry ends within minutes",
    StaleStatus.YOUNG: (
        "the API changed so short a time ago that rules may not have followed; ask again, or with a longer --for"
    ),
    StaleStatus.NO_ENDPOINTS: "the Service has no endpoint of this family at all; kube-proxy leaves such flows alone",
    StaleStatus.NOT_JUDGED: "the reason is in -o wide",
}


@dataclass(frozen=True)
class Row:
    """A line of the table: one flow, or several of one client that are alike but for their ports.

    Attributes:
        flows: at least one; what they have in common is told by the first.
    """

    flows: tuple[StaleFlow, ...]

    @property
    def item(self) -> StaleFlow:
        """The first."""
        return self.flows[0]


def fold(items: Iterable[StaleFlow]) -> tuple[Row, ...]:
    """Return a row for each client, Service, dead end and status, in the order of their first flows."""
    groups: dict[tuple[str, ...], list[StaleFlow]] = {}
    for item in items:
        groups.setdefault(_likeness(item), []).append(item)
    return tuple(Row(tuple(flows)) for flows in groups.values())


def choose_shown(items: Iterable[StaleFlow]) -> tuple[StaleFlow, ...]:
    """Return the flows that a table for people shows: not the closed connections that every rollout leaves."""
    return tuple(item for item in items if item.status is not StaleStatus.CLOSING)


def rows_of(item: StaleFlow) -> Iterable[Row]:
    """Return a row for the flow alone."""
    return [Row((item,))]


def remarks(items: Iterable[StaleFlow]) -> Iterator[str]:
    """Return what the statuses in the table mean, a sentence each; of those that explain themselves, none."""
    counts = Counter(item.status for item in items)
    for status, text in _MEANINGS.items():
        if status is StaleStatus.CLOSING and counts[status]:
            yield f"{counts[status]} more are {status.value}: {text} (-o wide lists them)"
        elif counts[status]:
            yield f"{status.value}: {text}"


def _likeness(item: StaleFlow) -> tuple[str, ...]:
    named = item.named
    source = str(named.flow.original.src) if named.source.kind in _UNNAMED else show_owner(named.source)
    return named.node, named.flow.protocol, source, _service(item), _target(item), item.status.value


def _client(row: Row) -> str:
    source, first = row.item.named.source, row.item.named.flow.original
    if source.kind not in _UNNAMED:
        return show_owner(source)
    return show_endpoint(first.src, first.sport if len(row.flows) == 1 else None)


def _target(item: StaleFlow) -> str:
    back, owner = item.named.flow.reply, item.named.backend
    endpoint = show_endpoint(back.src, back.sport)
    if item.is_gone:
        return f"{endpoint} (no pod)"
    return endpoint if owner.kind in _UNNAMED else f"{endpoint} ({show_owner(owner)})"


def _service(item: StaleFlow) -> str:
    return f"{item.service}:{item.service_port}" if item.service else ""


def _idle(row: Row) -> str:
    known = [item.idle_s for item in row.flows if item.idle_s is not None]
    if not known:
        return ""
    return f"{min(known)}s" if min(known) == max(known) else f"{min(known)}s-{max(known)}s"


def _endpoints(item: StaleFlow) -> str:
    shown = item.endpoints[:_MOST_ENDPOINTS]
    more = f",+{len(item.endpoints) - len(shown)}" if len(item.endpoints) > len(shown) else ""
    return ",".join(shown) + more


COLUMNS: tuple[Column[Row], ...] = (
    Column("NODE", lambda row: row.item.named.node),
    Column("PROTO", lambda row: row.item.named.flow.protocol),
    Column("CLIENT", _client),
    Column("SERVICE", lambda row: _service(row.item)),
    Column("LEADS TO", lambda row: _target(row.item)),
    Column("STATUS", lambda row: row.item.status.value),
    Column("FLOWS", lambda row: str(len(row.flows))),
    Column("IDLE", _idle),
    Column("ENDPOINTS NOW", lambda row: _endpoints(row.item)),
    Column("STATE", lambda row: show_state(row.item.named.flow), is_wide=True),
    Column("TIMEOUT", lambda row: show_timeout(row.item.named.flow), is_wide=True),
    Column("ORIGINAL", lambda row: show_tuple(row.item.named.flow.original), is_wide=True),
    Column("REPLY", lambda row: show_tuple(row.item.named.flow.reply), is_wide=True),
    Column("ZONE", lambda row: show_zone(row.item.named.flow), is_wide=True),
    Column("WHY", lambda row: row.item.reason, is_wide=True),
    Column("DELETE (NOT RUN)", lambda row: row.item.command, is_wide=True),
)


def name_of(item: StaleFlow) -> str:
    """Return what `-o name` prints: the node and the kernel's id of the entry, as `conntrack list` does."""
    return flow_name_of(item.named)
