"""What a node says of DNS: answers to questions put there, and the resolv.conf of a pod's processes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from netinspect.collect.facts import read_fact
from netinspect.collect.node import read_answer
from netinspect.models.command import CommandResult
from netinspect.models.dns import DnsRun
from netinspect.models.fact import Fact
from netinspect.models.kubernetes import Pod
from netinspect.models.link import Link
from netinspect.models.resolver_file import ResolverFile
from netinspect.models.snapshot import NodeSnapshot
from netinspect.parse.dig_runs import parse_dig_runs
from netinspect.parse.ip_addr import parse_ip_addr
from netinspect.parse.resolv_confs import parse_resolv_confs
from netinspect.probes.catalog import LINKS
from netinspect.probes.dns import RESOLV_CONFS
from netinspect.probes.plan import NODE, Plan, Probe
from netinspect.sources.interface import NodeSource


class DnsReading(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a trip that put questions.

    Attributes:
        node: the node.
        runs: by the probe's name, the questions in the order put, each with its answer.
        links: the links of the node's own netns.
    """

    node: str
    runs: dict[str, Fact[tuple[DnsRun, ...]]]
    links: Fact[tuple[Link, ...]]


class ResolverReading(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a trip that looked for a pod's resolver.

    Attributes:
        snapshot: the processes of the pod and their netns; the links of the node.
        files: the resolv.conf of the pod's processes, one of each cgroup.
    """

    snapshot: NodeSnapshot
    files: Fact[tuple[ResolverFile, ...]]


def collect_dns(source: NodeSource, probes: Iterable[Probe]) -> DnsReading:
    """Put questions on a node, in one trip, and read the node's links.

    Args:
        source: the node.
        probes: of `probes.dns.build_dns_probe`.

    Raises:
        CommandError: the node side did not start.
        ParseError: its stream is broken.
        ClusterError: the connection failed before anything came.
    """
    wanted = tuple(probes)
    answer = source.run(Plan((LINKS, *wanted)))
    results = {result.name: result for result in answer.results if result.key == NODE}
    return DnsReading(
        node=source.node,
        runs={probe.name: read_dns_runs(results.get(probe.name)) for probe in wanted},
        links=read_fact(results.get(LINKS.name), parse_ip_addr),
    )


def read_dns_runs(result: CommandResult | None) -> Fact[tuple[DnsRun, ...]]:
    """Read the outcome of a probe of `probes.dns.build_dns_probe`."""
    return read_fact(result, parse_dig_runs)


def collect_resolver(source: NodeSource, plan: Plan, pod: Pod) -> ResolverReading:
    """Look for a pod's netns and resolv.conf, in one trip.

    Args:
        source: the node.
        plan: of `probes.dns.build_resolver_plan`.
        pod: the pod.

    Raises:
        As `collect_dns`.
    """
    answer = source.run(plan)
    result = next((each for each in answer.results if each.name == RESOLV_CONFS), None)
    return ResolverReading(
        snapshot=read_answer(source.node, answer, (pod,)), files=read_fact(result, parse_resolv_confs)
    )
