"""What limits a node's connection tracking table, in one trip."""

from __future__ import annotations

from netinspect.collect.facts import read_fact
from netinspect.models.command import CommandResult
from netinspect.models.conntrack_limit import ConntrackSysctls, KernelLogLine
from netinspect.models.fact import Fact, Known, Reason, Unavailable, list_cut_gaps
from netinspect.models.node_limit import LimitReading
from netinspect.parse.conntrack_limit import parse_kernel_log, parse_statistics, parse_sysctls
from netinspect.parse.kube_proxy_config import parse_configz
from netinspect.parse.node_facts import parse_flow_bytes, parse_node_facts
from netinspect.probes import conntrack as probes
from netinspect.probes.plan import NODE, Plan
from netinspect.sources.interface import NodeSource

_NO_SYSCTL = Unavailable(
    Reason.NOT_FOUND,
    "the node's netns has no nf_conntrack_count and nf_conntrack_max: the kernel module nf_conntrack is not loaded",
)


def collect_limits(source: NodeSource, plan: Plan) -> LimitReading:
    """Make one trip to a node with a plan of `probes.conntrack` that asks for its limit.

    Raises:
        CommandError: the node side did not start.
        ParseError: its stream is broken.
        ClusterError: the connection failed before anything came.
    """
    answer = source.run(plan)
    results = {each.name: each for each in answer.results if each.key == NODE}
    limits, limits_again = results.get(probes.LIMITS.name), results.get(probes.LIMITS_AGAIN.name)
    before, after = results.get(probes.STATISTICS.name), results.get(probes.STATISTICS_AGAIN.name)
    return LimitReading(
        node=source.node,
        netns=answer.netns or 0,
        limits=read_limits(limits),
        limits_again=read_limits(limits_again),
        limits_window_s=_window_s(limits, limits_again),
        statistics=read_fact(before, parse_statistics),
        statistics_again=read_fact(after, parse_statistics),
        statistics_window_s=_window_s(before, after),
        facts=read_fact(results.get(probes.NODE_FACTS.name), parse_node_facts),
        log=_read_log(results.get(probes.KERNEL_LOG.name)),
        log_read_s=_end_s(results.get(probes.KERNEL_LOG.name)),
        flow_bytes=read_fact(results.get(probes.FLOW_SLAB.name), parse_flow_bytes),
        kube_proxy=read_fact(results.get(probes.KUBE_PROXY.name), parse_configz),
        gaps=list_cut_gaps(source.node, is_whole=answer.is_whole),
    )


def read_limits(result: CommandResult | None) -> Fact[ConntrackSysctls]:
    """Read the sysctls; where the two that make a limit are not there, nothing is known of it."""
    fact = read_fact(result, parse_sysctls)
    if isinstance(fact, Known) and (fact.value.count is None or fact.value.max is None):
        return _NO_SYSCTL
    return fact


def _read_log(result: CommandResult | None) -> Fact[tuple[KernelLogLine, ...]]:
    fact = read_fact(result, parse_kernel_log)
    if isinstance(fact, Unavailable) and fact.reason is Reason.PERMISSION_DENIED:
        return Unavailable(fact.reason, f"{fact.detail}; it takes --privilege sysadmin")
    if isinstance(fact, Unavailable) and result is not None and b"json" in result.stderr:
        return Unavailable(Reason.TOOL_MISSING, f"{fact.detail}; it takes util-linux 2.38 or later")
    return fact


def _window_s(first: CommandResult | None, second: CommandResult | None) -> float:
    return second.start_s - first.start_s if first and second else 0.0


def _end_s(result: CommandResult | None) -> float | None:
    return result.start_s + result.duration_s if result and result.start_s else None
