"""Which type each command prints as JSON: the source of the published schemas."""

from __future__ import annotations

from typing import Any

from netinspect.models.chain_listing import ListedChain
from netinspect.models.dataplane import NodeDataplane
from netinspect.models.debug_pod_entry import DebugPodEntry
from netinspect.models.difference import Difference
from netinspect.models.dns_report import DnsReport
from netinspect.models.dns_servers import DnsServersReport
from netinspect.models.flow_counts import NodeFlowCounts
from netinspect.models.flow_watch import NamedFlowEvent
from netinspect.models.ipvs_listing import ListedVirtualServer
from netinspect.models.listing import PodEntry, ServiceEntry
from netinspect.models.named_flow import NamedFlow
from netinspect.models.netns_entry import NetnsEntry
from netinspect.models.node_limit import LimitChange, NodeLimit
from netinspect.models.report import JudgedReport, Report
from netinspect.models.service_rules import ServiceRules
from netinspect.models.stale_flow import StaleFlow
from netinspect.models.veth import NodeLinkOwner, PodAttachment


def report_types() -> dict[str, Any]:
    """Return by command the type of its report."""
    return {
        "pods": Report[PodEntry],
        "services": Report[ServiceEntry],
        "netns": Report[NetnsEntry],
        "veth": Report[PodAttachment],
        "veth --link": Report[NodeLinkOwner],
        "conntrack list": Report[NamedFlow],
        "conntrack top": JudgedReport[NodeFlowCounts],
        "conntrack stale": JudgedReport[StaleFlow],
        "conntrack limit": JudgedReport[NodeLimit],
        "conntrack limit --set": Report[LimitChange],
        "dns": DnsReport,
        "dns --servers": DnsServersReport,
        "dataplane": JudgedReport[NodeDataplane],
        "rules": Report[ServiceRules],
        "iptables": Report[ServiceRules],
        "iptables --chain": Report[ListedChain],
        "nftables": Report[ServiceRules],
        "nftables --chain": Report[ListedChain],
        "ipvs": Report[ListedVirtualServer],
        "diff": Report[Difference],
        "cleanup": Report[DebugPodEntry],
    }


def schema_types() -> dict[str, Any]:
    """Return by command the type that has a schema: its report, or one line of `-o jsonl`."""
    return {**report_types(), "conntrack watch": NamedFlowEvent}
