"""The table of `dataplane`."""

from __future__ import annotations

from netinspect.models.dataplane import Dataplane, NodeDataplane, OtherRules, Trace
from netinspect.render.table import Column

COLUMNS: tuple[Column[NodeDataplane], ...] = (
    Column("NODE", lambda each: each.node),
    Column("FAMILY", lambda each: f"IPv{each.family}"),
    Column("DATAPLANE", lambda each: each.dataplane.value),
    Column("READABLE", lambda each: str(each.is_readable).lower()),
    Column("CONFIDENCE", lambda each: each.confidence.value),
    Column("KUBE-PROXY", lambda each: each.kube_proxy_mode or "silent"),
    Column("RULES IN", lambda each: ", ".join(map(_trace, each.traces))),
    Column("LEFTOVERS", lambda each: ", ".join(map(_trace, each.leftovers))),
    Column("SERVICES", lambda each: "" if each.services is None else str(each.services), is_wide=True),
    Column("OTHER RULES", lambda each: "; ".join(map(_other, each.others)), is_wide=True),
    Column("EVIDENCE", lambda each: "; ".join(piece.text for piece in each.evidence), is_wide=True),
)


def name_of(each: NodeDataplane) -> str:
    """Return the node's resource name with the dataplane of the family, as `-o name` prints it."""
    return f"node/{each.node}/IPv{each.family}/{each.dataplane.value}"


def _trace(trace: Trace) -> str:
    what = "virtual servers" if trace.dataplane is Dataplane.IPVS else "service ports"
    count = "" if trace.services is None else f" ({trace.services} {what})"
    missed = " (not reached)" if trace.is_reached is False else ""
    return f"{trace.place}{count}{missed}"


def _other(each: OtherRules) -> str:
    policy = ", policy drop" if each.policy == "drop" else ""
    return f"{each.place} {each.chain} at {each.hook}, {each.rules} rules{policy}"
