"""The rules of one node's Service dataplane, in one trip."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from netinspect.collect.facts import read_fact
from netinspect.collect.rule_texts import parse_mode, parse_nft_lines, parse_save
from netinspect.models.command import CommandResult
from netinspect.models.fact import Fact, Known, list_cut_gaps
from netinspect.models.rules_reading import UNASKED, RulesReading
from netinspect.parse.ip_addr import parse_ip_addr
from netinspect.parse.ipset_save import parse_ipsets
from netinspect.parse.ipvsadm import parse_listed
from netinspect.parse.ipvsadm_traffic import parse_rates, parse_statistics
from netinspect.probes import dataplane
from netinspect.probes.catalog import LINKS
from netinspect.probes.plan import NODE, Plan
from netinspect.probes.rules import SAVES
from netinspect.sources.interface import NodeSource

T = TypeVar("T")


def collect_rules(source: NodeSource, plan: Plan) -> RulesReading:
    """Make one trip to a node with a plan of `probes.rules`, and parse all that came.

    Raises:
        CommandError: the node side did not start.
        ParseError: its stream is broken.
        ClusterError: the connection failed before anything came.
    """
    answer = source.run(plan)
    results = {each.name: each for each in answer.results if each.key == NODE}
    asked = {probe.name for probe in plan.node_probes}

    def read(name: str, parser: Callable[[bytes], T]) -> Fact[T]:
        return read_fact(results.get(name), parser) if name in asked else UNASKED

    servers = read(dataplane.IPVS_LIST, _or_nothing(parse_listed))
    stats = read(dataplane.IPVS_STATS, _or_nothing(parse_statistics))
    return RulesReading(
        node=source.node,
        links=read(LINKS.name, parse_ip_addr),
        kube_proxy_mode=read(dataplane.KUBE_PROXY_MODE.name, parse_mode),
        saves={kind: read(kind.tool, parse_save) for kind in SAVES if kind.tool in asked},
        nft=read(dataplane.NFT_TABLES, parse_nft_lines),
        virtual_servers=servers,
        has_ipvs=bool(results[dataplane.IPVS_LIST].stdout) if isinstance(servers, Known) else None,
        traffic=read(dataplane.IPVS_RATE, _or_nothing(parse_rates))
        if dataplane.IPVS_RATE in asked
        else stats,
        ipsets=read(dataplane.IPSET_SAVE, parse_ipsets),
        gaps=list_cut_gaps(source.node, is_whole=answer.is_whole),
    )


def collect_raw(source: NodeSource, plan: Plan) -> tuple[CommandResult, ...]:
    """Make one trip and return what the tools printed, as it came.

    Raises:
        CommandError: the node side did not start.
        ParseError: its stream is broken.
        ClusterError: the connection failed before anything came.
    """
    return tuple(each for each in source.run(plan).results if each.key == NODE)


def _or_nothing(parser: Callable[[bytes], tuple[T, ...]]) -> Callable[[bytes], tuple[T, ...]]:
    """Take no output at all for no servers: ipvsadm always prints titles, so it was not run (probes/loaded.sh)."""
    return lambda stdout: parser(stdout) if stdout else ()
