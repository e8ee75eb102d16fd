"""What tells which dataplane a node has, in one trip."""

from __future__ import annotations

from netinspect.collect.facts import read_fact
from netinspect.collect.rule_texts import parse_mode, parse_nft_lines, parse_save
from netinspect.models.dataplane import DataplaneReading
from netinspect.models.fact import list_cut_gaps
from netinspect.models.iptables import XtablesBackend
from netinspect.parse.ip_addr import parse_ip_addr
from netinspect.parse.proc_ip_vs import parse_proc_ip_vs
from netinspect.parse.tool_output import output_lines
from netinspect.probes import dataplane as probes
from netinspect.probes.catalog import LINKS
from netinspect.probes.plan import NODE, Plan
from netinspect.sources.interface import NodeSource

_SAVES = {
    (XtablesBackend.NFT, 4): probes.IPTABLES_NFT,
    (XtablesBackend.NFT, 6): probes.IP6TABLES_NFT,
    (XtablesBackend.LEGACY, 4): probes.IPTABLES_LEGACY,
    (XtablesBackend.LEGACY, 6): probes.IP6TABLES_LEGACY,
}


def collect_dataplane(source: NodeSource, plan: Plan) -> DataplaneReading:
    """Make one trip to a node with `probes.dataplane.build_dataplane_plan`.

    Raises:
        CommandError: the node side did not start.
        ParseError: its stream is broken.
        ClusterError: the connection failed before anything came.
    """
    answer = source.run(plan)
    results = {each.name: each for each in answer.results if each.key == NODE}
    return DataplaneReading(
        node=source.node,
        kube_proxy_mode=read_fact(results.get(probes.KUBE_PROXY_MODE.name), parse_mode),
        links=read_fact(results.get(LINKS.name), parse_ip_addr),
        saves={place: read_fact(results.get(name), parse_save) for place, name in _SAVES.items()},
        nft=read_fact(results.get(probes.NFT_TABLES), parse_nft_lines),
        virtual_servers=read_fact(results.get(probes.IPVS_TABLE.name), parse_proc_ip_vs),
        ipsets=read_fact(results.get(probes.IPSET_NAMES), lambda stdout: tuple(output_lines(stdout))),
        gaps=list_cut_gaps(source.node, is_whole=answer.is_whole),
    )
