"""What `conntrack top` asks a node: its table once, or twice with a pause, and the table's limit."""

from __future__ import annotations

from collections.abc import Iterable

from netinspect.models.address import Address
from netinspect.probes.conntrack import FLOWS, LIMITS, build_flow_plan, build_sample_plan
from netinspect.probes.plan import Plan

AGAIN = "-again"
"""What the names of the second listing's probes end in (`probes.conntrack.build_sample_plan`)."""


def build_top_plan(addresses: Iterable[Address] = (), between_s: int = 0) -> Plan:
    """List flows once, or twice `between_s` whole seconds apart.

    Args:
        addresses: of which one must be in a flow for it to travel; none means every flow.
        between_s: 0 for one listing.
    """
    plan = build_sample_plan(between_s, addresses) if between_s else build_flow_plan(addresses)
    return Plan((LIMITS, *plan.node_probes))


def is_whole_table(plan: Plan) -> bool:
    """Whether a plan lists every flow, so that the listing's length is that of the table."""
    return all(probe in plan.node_probes for probe in FLOWS)
