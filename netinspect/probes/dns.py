"""What to ask a node about DNS: questions by dig, from the node's netns or a pod's, and pods' resolv.conf.

Questions are packets: they add a conntrack entry each, and a server counts them. Nothing is changed otherwise. What is
asked comes as arguments of constant scripts and is never evaluated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from netinspect.models.dns_query import DnsQuery
from netinspect.models.kubernetes import Pod
from netinspect.models.netns import PodNetns
from netinspect.probes.catalog import LINKS
from netinspect.probes.plan import Plan, Probe, build_pod_scope, read_script

DNS = "dns"
RESOLV_CONFS = "resolv-confs"

MAX_QUERIES = 400
"""Questions in one series: more would be a load, and end at the time limit where no server answers."""

_QUESTION_S = 2
"""What dns.sh gives one question."""


def build_dns_probe(
    queries: Sequence[DnsQuery],
    *,
    name: str = DNS,
    rounds: int = 1,
    pause_s: float = 0.0,
    limit_s: int = 60,
    netns: PodNetns | None = None,
) -> Probe:
    """Return the probe that puts questions one after the other; `collect.dns.read_dns_runs` reads its result.

    Args:
        queries: the questions of one round, in order.
        name: of the probe, where one plan has several.
        rounds: how often all of them are put.
        pause_s: the pause between two questions.
        limit_s: seconds after which no more are begun.
        netns: a pod's netns, where they are put from there; None is the netns of the node (also a hostNetwork pod's).

    Raises:
        ValueError: there are none, or too many.
    """
    if not 0 < len(queries) <= MAX_QUERIES:
        raise ValueError(f"{len(queries)} questions in one series; from 1 to {MAX_QUERIES} can be put")
    words = [word for query in queries for word in _words(query)]
    series = (str(rounds), f"{pause_s:g}", str(limit_s), *words)
    argv = ("sh", "-c", read_script("dns.sh"), "netinspect", *series)
    # The last question begins before the limit, and its own pause may lie before it.
    timeout_s = limit_s + math.ceil(pause_s) + 3 * _QUESTION_S
    return Probe(name, argv if netns is None or netns.is_node else _within(netns, argv), timeout_s)


def build_resolver_plan(pod: Pod) -> Plan:
    """Ask for a pod's netns, and for the resolv.conf that its processes see."""
    scope = build_pod_scope(pod)
    argv = ("sh", "-c", read_script("resolv_conf.sh"), "netinspect", *scope.needles)
    return Plan((LINKS, Probe(RESOLV_CONFS, argv)), (scope,))


def _words(query: DnsQuery) -> tuple[str, ...]:
    return str(query.server), str(query.port), query.protocol.value, query.type, query.name


def _within(netns: PodNetns, argv: tuple[str, ...]) -> tuple[str, ...]:
    pids = " ".join(str(process.pid) for process in netns.processes)
    return ("sh", "-c", read_script("within.sh"), "netinspect", str(netns.inode), pids, *argv)
