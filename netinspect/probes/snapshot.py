"""What a snapshot asks of a node: once what every reading command asks, in one trip."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from netinspect.models.kubernetes import Pod
from netinspect.probes import conntrack, dataplane
from netinspect.probes.catalog import build_veth_plan
from netinspect.probes.plan import Plan, Probe
from netinspect.probes.rules import build_rules_plan

BETWEEN_S = 10
"""Seconds between two samples of flows and counters, at least: what `conntrack stale` and `limit` wait by default."""


def build_snapshot_plan(pods: tuple[Pod, ...]) -> Plan:
    """Return a plan whose results answer for the plans of all reading commands but `dns`, which asks step by step.

    What is sampled twice comes first and last, with everything else and a pause in between.

    Args:
        pods: all of the node.
    """
    netns = build_veth_plan(pods, peers_of_pods=True)
    first = (conntrack.LIMITS, conntrack.STATISTICS, *conntrack.build_flow_probes())
    again = (
        conntrack.LIMITS_AGAIN,
        conntrack.STATISTICS_AGAIN,
        *conntrack.build_flow_probes(suffix="-again"),
    )
    between = (
        *netns.node_probes,
        *build_rules_plan().node_probes,
        *dataplane.build_dataplane_plan().node_probes,
        dataplane.build_nft_text_probe(),
        *dataplane.build_ipvs_probes(),
        *conntrack.build_limit_now_plan().node_probes[1:],
    )
    pause = Probe("pause", ("sleep", str(BETWEEN_S)), BETWEEN_S + 5)
    once = _without_repeats(between)
    return Plan(_with_names((*once[:1], *first, *once[1:], pause, *again, conntrack.KERNEL_LOG)), netns.pods)


def _without_repeats(probes: Iterable[Probe]) -> tuple[Probe, ...]:
    first: dict[tuple[str, ...], Probe] = {}
    for probe in probes:
        first.setdefault(probe.argv, probe)
    return tuple(first.values())


def _with_names(probes: Iterable[Probe]) -> tuple[Probe, ...]:
    """Give each probe a name of its own: two commands may ask one tool for different things under one name."""
    seen: dict[str, int] = {}
    named: list[Probe] = []
    for probe in probes:
        seen[probe.name] = seen.get(probe.name, 0) + 1
        number = seen[probe.name]
        named.append(probe if number == 1 else replace(probe, name=f"{probe.name}-{number}"))
    return tuple(named)
