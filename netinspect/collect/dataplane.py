"""What tells which dataplane a node has, in one trip."""

from __future__ import annotations

from netinspect.collect.facts import read_fact
from netinspect.errors import ParseError
from netinspect.models.command import NodeAnswer
from netinspect.models.dataplane import DataplaneReading
from netinspect.models.fact import Gap, Reason
from netinspect.models.iptables import Ruleset, XtablesBackend
from netinspect.models.nft import NftRuleset, NftTable
from netinspect.models.service_map import Mode
from netinspect.parse.ip_addr import parse_ip_addr
from netinspect.parse.iptables_save import parse_iptables_save
from netinspect.parse.nft_json import parse_nft_json
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
        saves={place: read_fact(results.get(name), _parse_save) for place, name in _SAVES.items()},
        nft=read_fact(results.get(probes.NFT_TABLES), parse_nft_lines),
        virtual_servers=read_fact(results.get(probes.IPVS_TABLE.name), parse_proc_ip_vs),
        ipsets=read_fact(results.get(probes.IPSET_NAMES), lambda stdout: tuple(output_lines(stdout))),
        gaps=_gaps(source.node, answer),
    )


def parse_mode(stdout: bytes) -> str:
    """Read what kube-proxy answers at /proxyMode.

    Raises:
        ParseError: it is none of its modes: another program answers there.
    """
    mode = stdout.decode("utf-8", "backslashreplace").strip()
    if mode not in [each.value for each in Mode]:
        raise ParseError("no mode of kube-proxy", source="/proxyMode", line=mode)
    return mode


def parse_nft_lines(stdout: bytes) -> NftRuleset:
    """Read nft's JSON of several tables, a line a table, as one ruleset.

    Raises:
        ParseError: a line is no such JSON.
    """
    tables: list[NftTable] = []
    version = ""
    for line in stdout.splitlines():
        ruleset = parse_nft_json(line)
        tables += ruleset.tables
        version = ruleset.version or version
    return NftRuleset(tables=tuple(tables), version=version)


def _parse_save(stdout: bytes) -> Ruleset:
    # Comments and names of links may hold any byte.
    return parse_iptables_save(stdout.decode("utf-8", "replace"))


def _gaps(node: str, answer: NodeAnswer) -> tuple[Gap, ...]:
    if answer.is_whole:
        return ()
    detail = "the stream was cut before its end mark"
    return (Gap(f"node/{node}", "the end of the node's answer", Reason.TRUNCATED, detail),)
