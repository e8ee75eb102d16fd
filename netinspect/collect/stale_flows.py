"""A node's table in two samples and the sysctls that say how long entries live, in one trip."""

from __future__ import annotations

from netinspect.analyze.conntrack.stale_flows import DeadSelector, is_translated_row
from netinspect.collect.facts import read_fact
from netinspect.collect.flows import collect_flows
from netinspect.models.command import NodeAnswer
from netinspect.models.debug_pod import Privilege
from netinspect.models.stale_flow import FlowSamples
from netinspect.parse.conntrack_limit import parse_sysctls
from netinspect.parse.frames import Sinks
from netinspect.probes.conntrack import LIMITS
from netinspect.probes.conntrack_stale import SUFFIXES
from netinspect.probes.plan import NODE, Plan
from netinspect.sources.interface import NodeSource


def collect_samples(source: NodeSource, plan: Plan, selector: DeadSelector) -> FlowSamples:
    """Make one trip to a node with a plan of `probes.conntrack_stale`.

    Args:
        source: the node.
        plan: what to ask.
        selector: keeps the flows that may be stale; it is of this trip only, as it counts.

    Raises:
        CommandError: the node side did not start.
        ParseError: its stream is broken.
        ClusterError: the connection failed before anything came.
    """
    kept = _KeptAnswer(source)
    flows = collect_flows(kept, plan, selector, SUFFIXES, may_want=is_translated_row)
    results = kept.answer.results if kept.answer is not None else ()
    limits = next((each for each in results if each.key == NODE and each.name == LIMITS.name), None)
    return FlowSamples(flows=flows, timers=read_fact(limits, parse_sysctls), seen=selector.seen)


class _KeptAnswer:
    """A source whose answer is kept, for what the flows' collector does not read of it."""

    def __init__(self, source: NodeSource) -> None:
        self._source = source
        self.answer: NodeAnswer | None = None

    @property
    def node(self) -> str:
        return self._source.node

    @property
    def privilege(self) -> Privilege:
        return self._source.privilege

    def run(self, plan: Plan, sinks: Sinks | None = None) -> NodeAnswer:
        self.answer = self._source.run(plan, sinks)
        return self.answer
