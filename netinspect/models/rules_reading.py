"""What was read of one node's rules in one trip: everything from which its service maps are made."""

from __future__ import annotations

import msgspec

from netinspect.models.fact import Fact, Gap, Reason, Unavailable
from netinspect.models.ipset import IpSet
from netinspect.models.iptables import Ruleset
from netinspect.models.ipvs import VirtualServer, VirtualServerTraffic
from netinspect.models.link import Link
from netinspect.models.nft import NftRuleset

UNASKED = Unavailable(Reason.NOT_APPLICABLE, "not asked for")
"""Of what a command does not need."""


class SaveKind(msgspec.Struct, frozen=True):
    """One of the tools that save rules of iptables.

    Attributes:
        tool: its name: `ip6tables-nft-save`.
        family: 4 or 6.
        backend: `nft` or `legacy`.
    """

    tool: str
    family: int
    backend: str


class RulesReading(msgspec.Struct, frozen=True, kw_only=True):
    """What was read of one node. What was not asked for is Unavailable, not applicable.

    Attributes:
        node: the node's name.
        links: of its own netns, with their addresses.
        kube_proxy_mode: what kube-proxy itself says: `iptables`, `ipvs`, `nftables`.
        saves: by tool, the rules of iptables.
        nft: all of nf_tables.
        virtual_servers: of IPVS; none where the kernel has no IPVS.
        has_ipvs: whether the kernel has IPVS: built in, or its module loaded. None where that is not known.
        traffic: of IPVS: counters since they began, or rates.
        ipsets: by name.
        gaps: what of the trip itself is missing.
    """

    node: str
    links: Fact[tuple[Link, ...]] = UNASKED
    kube_proxy_mode: Fact[str] = UNASKED
    saves: dict[SaveKind, Fact[Ruleset]] = {}
    nft: Fact[NftRuleset] = UNASKED
    virtual_servers: Fact[tuple[VirtualServer, ...]] = UNASKED
    has_ipvs: bool | None = None
    traffic: Fact[tuple[VirtualServerTraffic, ...]] = UNASKED
    ipsets: Fact[dict[str, IpSet]] = UNASKED
    gaps: tuple[Gap, ...] = ()
