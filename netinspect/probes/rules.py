"""What `rules`, `iptables`, `nftables` and `ipvs` ask of a node: one trip, only what the command is about."""

from __future__ import annotations

from collections.abc import Collection

from netinspect.models.rules_reading import SaveKind
from netinspect.probes import dataplane
from netinspect.probes.catalog import LINKS
from netinspect.probes.plan import Plan, Probe

SAVES = (
    SaveKind(dataplane.IPTABLES_NFT, 4, "nft"),
    SaveKind(dataplane.IP6TABLES_NFT, 6, "nft"),
    SaveKind(dataplane.IPTABLES_LEGACY, 4, "legacy"),
    SaveKind(dataplane.IP6TABLES_LEGACY, 6, "legacy"),
)


def build_rules_plan() -> Plan:
    """Ask for the rules of every dataplane."""
    return Plan(
        (
            LINKS,
            dataplane.KUBE_PROXY_MODE,
            *dataplane.build_iptables_probes(),
            dataplane.build_nft_tables_probe(),
            *_only(dataplane.build_ipvs_probes(), (dataplane.IPVS_LIST,)),
            dataplane.build_ipset_probe(),
        )
    )


def build_iptables_plan(saves: Collection[SaveKind]) -> Plan:
    """Ask for what these tools save."""
    return Plan((LINKS, *_only(dataplane.build_iptables_probes(), [each.tool for each in saves])))


def build_iptables_text_plan(saves: Collection[SaveKind]) -> Plan:
    """Ask for what these tools save, and nothing else."""
    return Plan(_only(dataplane.build_iptables_probes(), [each.tool for each in saves]))


def build_nftables_plan() -> Plan:
    """Ask for nf_tables, as JSON, but for what iptables-nft wrote."""
    return Plan((LINKS, dataplane.build_nft_tables_probe()))


def build_nftables_text_plan() -> Plan:
    """Ask for all of nf_tables, as the tool's text."""
    return Plan((dataplane.build_nft_text_probe(),))


def build_ipvs_plan(*, stats: bool = False, rate: bool = False) -> Plan:
    """Ask for the virtual servers, and for their counters or rates."""
    wanted = (dataplane.IPVS_LIST, *_traffic(stats=stats, rate=rate))
    return Plan((LINKS, *_only(dataplane.build_ipvs_probes(), wanted)))


def build_ipvs_text_plan(*, stats: bool = False, rate: bool = False) -> Plan:
    """Ask for one listing of the tool: with counters, with rates, or with the connections of now."""
    wanted = _traffic(stats=stats, rate=rate) or (dataplane.IPVS_LIST,)
    return Plan(_only(dataplane.build_ipvs_probes(), wanted))


def _traffic(*, stats: bool, rate: bool) -> tuple[str, ...]:
    return (*((dataplane.IPVS_STATS,) if stats else ()), *((dataplane.IPVS_RATE,) if rate else ()))


def _only(probes: Collection[Probe], names: Collection[str]) -> tuple[Probe, ...]:
    return tuple(probe for probe in probes if probe.name in names)
