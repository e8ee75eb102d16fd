"""A cluster's network at one time, as far as two such states are compared."""

from __future__ import annotations

import msgspec

from netinspect.models.address import Address
from netinspect.models.cluster_state import ClusterState
from netinspect.models.conntrack_limit import ConntrackSysctls
from netinspect.models.dataplane import NodeDataplane
from netinspect.models.fact import Fact, Gap, Reason, Unavailable
from netinspect.models.link import Link
from netinspect.models.service_map import ServiceMap
from netinspect.models.veth import PodAttachment

_UNREAD = Unavailable(Reason.NOT_APPLICABLE, "not asked for")


class ToolMap(msgspec.Struct, frozen=True, kw_only=True):
    """A service map, and which tool's rules it was read from (`iptables-nft-save`, `nft`, `ipvsadm`)."""

    tool: str
    service_map: ServiceMap


class NodeState(msgspec.Struct, frozen=True, kw_only=True):
    """What one node has. What was not asked for is Unavailable, not applicable.

    Attributes:
        node: its name.
        local_addresses: of its own links.
        maps: the maps that packets meet, of both families; empty where no rules are for Services.
        is_rules_whole: whether all of its rules could be read: else a map that is not there may have been lost.
        links: of its own netns.
        attachments: by pod, how the node's pods are joined to it.
        dataplanes: of both families, where all that shows them could be read.
        limits: of its conntrack table.
    """

    node: str
    local_addresses: tuple[Address, ...] = ()
    maps: Fact[tuple[ToolMap, ...]] = _UNREAD
    is_rules_whole: bool = True
    links: Fact[tuple[Link, ...]] = _UNREAD
    attachments: tuple[PodAttachment, ...] = ()
    dataplanes: Fact[tuple[NodeDataplane, ...]] = _UNREAD
    limits: Fact[ConntrackSysctls] = _UNREAD


class NetworkState(msgspec.Struct, frozen=True, kw_only=True):
    """All of it.

    Attributes:
        cluster: what the API said, once.
        nodes: by name, the nodes that were read.
        gaps: what could not be read.
    """

    cluster: ClusterState
    nodes: dict[str, NodeState] = {}
    gaps: tuple[Gap, ...] = ()
