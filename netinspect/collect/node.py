"""Who is where on a node: links, netns and the processes of pods, as a NodeSnapshot."""

from __future__ import annotations

from collections.abc import Iterable

from netinspect.collect.facts import read_fact
from netinspect.models.command import CommandResult, NodeAnswer
from netinspect.models.fact import Fact, Known, Unavailable, list_cut_gaps
from netinspect.models.kubernetes import Pod
from netinspect.models.netns import ProcessTable
from netinspect.models.snapshot import NetnsSnapshot, NodeSnapshot
from netinspect.parse.cgroup import parse_cgroup_grep
from netinspect.parse.ip_addr import parse_ip_addr
from netinspect.parse.lsns import parse_lsns
from netinspect.parse.proc import parse_comm_grep, parse_netns_listing
from netinspect.probes import catalog
from netinspect.probes.plan import NODE, Plan
from netinspect.sources.interface import NodeSource


def collect(source: NodeSource, plan: Plan, pods: Iterable[Pod]) -> NodeSnapshot:
    """Make one trip to a node.

    Args:
        source: the node.
        plan: what to ask.
        pods: the pods that the plan is about (their container ids tell the runtimes' cgroups apart).

    Raises:
        CommandError: the node side did not start.
        ParseError: its stream is broken.
        ClusterError: the connection failed before anything came.
    """
    return read_answer(source.node, source.run(plan), pods)


def read_answer(node: str, answer: NodeAnswer, pods: Iterable[Pod]) -> NodeSnapshot:
    """Parse all that came of one trip."""
    container_ids = frozenset(id_ for pod in pods for id_ in pod.container_ids)
    by_place: dict[tuple[str, int, str], dict[str, CommandResult]] = {}
    for result in answer.results:
        by_place.setdefault((result.key, result.netns, result.how), {})[result.name] = result
    own = by_place.pop((NODE, answer.netns or 0, "node"), {})
    tried: dict[str, tuple[NetnsSnapshot, ...]] = {}
    for (key, inode, how), results in by_place.items():
        tried[key] = (*tried.get(key, ()), _read_netns(inode, how, results))
    return NodeSnapshot(
        node=node,
        own=_read_netns(answer.netns or 0, "node", own),
        processes=_read_processes(answer.netns, own, container_ids),
        pods=tried,
        gaps=list_cut_gaps(node, is_whole=answer.is_whole),
    )


def _read_netns(inode: int, how: str, results: dict[str, CommandResult]) -> NetnsSnapshot:
    return NetnsSnapshot(
        inode=inode,
        how=how,
        links=read_fact(results.get(catalog.LINKS.name), parse_ip_addr),
        namespaces=read_fact(results.get(catalog.NAMESPACES.name), parse_lsns),
    )


def _read_processes(
    node_netns: int | None, own: dict[str, CommandResult], container_ids: frozenset[str]
) -> Fact[ProcessTable]:
    cgroups = read_fact(
        own.get(catalog.CGROUPS), lambda stdout: parse_cgroup_grep(stdout.strip(b"\n"), container_ids)
    )
    netns = read_fact(own.get(catalog.NETNS), lambda stdout: parse_netns_listing(stdout.strip(b"\n")))
    comms = read_fact(own.get(catalog.COMMS), lambda stdout: parse_comm_grep(stdout.strip(b"\n")))
    if isinstance(cgroups, Unavailable):
        return cgroups
    if isinstance(netns, Unavailable):
        return netns
    known_comms = comms.value if isinstance(comms, Known) else {}
    return Known(ProcessTable(cgroups.value, netns.value, known_comms, node_netns))
