"""Which dataplane a node really uses for Services, what shows it, and what else is there."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from netinspect.models.fact import Fact, Gap
from netinspect.models.finding import Evidence
from netinspect.models.iptables import Ruleset, XtablesBackend
from netinspect.models.link import Link
from netinspect.models.nft import NftRuleset


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A part of a report; what is not known is left out of JSON."""


class Dataplane(StrEnum):
    """Who decides what becomes of packets to Services."""

    IPTABLES = "iptables"
    """kube-proxy's iptables mode."""
    NFTABLES = "nftables"
    """kube-proxy's nftables mode."""
    IPVS = "ipvs"
    """The kernel's IPVS, told by kube-proxy or by kube-router."""
    CILIUM = "cilium"
    GKE_DATAPLANE_V2 = "gke-dataplane-v2"
    CALICO_EBPF = "calico-ebpf"
    OVN_KUBERNETES = "ovn-kubernetes"
    ANTREA = "antrea"
    NONE = "none"
    """Nobody: nothing on the node does anything to them."""
    UNKNOWN = "unknown"
    """What was read does not tell."""


READABLE = frozenset((Dataplane.IPTABLES, Dataplane.NFTABLES, Dataplane.IPVS))
"""The dataplanes whose rules the tools of a node can print; eBPF maps and Open vSwitch flows are read by their own."""


class Confidence(StrEnum):
    """How sure a verdict is.

    CERTAIN: whoever writes the rules says so and the rules are there. LIKELY: one of the two. UNKNOWN: neither, or
    they contradict each other.
    """

    CERTAIN = "certain"
    LIKELY = "likely"
    UNKNOWN = "unknown"


class Trace(_Part, frozen=True):
    """What one dataplane has on a node, in one place.

    Attributes:
        dataplane: whose.
        place: where: `iptables-nft`, `iptables-legacy`, `nft table ip kube-proxy`, `IPVS`, `link kube-ipvs0`, `ipset`.
        services: how many ports of Services have chains there, which takes endpoints (of nft, whether a map leads to
            them is not looked at); of IPVS, how many virtual servers there are. None where that is not known.
        is_reached: whether packets of both ways into the node's rules (from links, and from the node itself) come
            there; None where there is no such way.
        missing: the ways that are missing: `nat PREROUTING -> KUBE-SERVICES`.
        evidence: what was read.
    """

    dataplane: Dataplane
    place: str
    services: int | None = None
    is_reached: bool | None = None
    missing: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()


class OtherRules(_Part, frozen=True):
    """Rules that are not of the Service dataplane and meet the same packets.

    Attributes:
        place: the table, and whose it is: `nft table inet filter`, `iptables-legacy filter`.
        hook: where packets meet them.
        chain: the base chain.
        priority: of the chain, the lower comes first; None in iptables' legacy backend.
        policy: what becomes of packets that no rule takes: `accept` or `drop`.
        rules: how many rules the chain itself has.
    """

    place: str
    hook: str
    chain: str
    priority: int | None = None
    policy: str = "accept"
    rules: int = 0


class NodeDataplane(_Part, frozen=True):
    """The dataplane of one node in one family.

    Attributes:
        node: the node's name.
        family: 4 or 6.
        dataplane: the one in use.
        is_readable: whether this program can read what it does.
        confidence: how sure that is.
        kube_proxy_mode: what kube-proxy on the node says of itself; None where it does not answer.
        backend: in iptables mode, which of the two sets of rules holds them.
        services: how many Services have a virtual address of this family; None where the API would not tell.
        evidence: what shows it.
        traces: of the dataplane in use.
        leftovers: traces of others.
        others: rules of others that meet the same packets.
    """

    node: str
    family: int
    dataplane: Dataplane
    is_readable: bool
    confidence: Confidence
    kube_proxy_mode: str | None = None
    backend: XtablesBackend | None = None
    services: int | None = None
    evidence: tuple[Evidence, ...] = ()
    traces: tuple[Trace, ...] = ()
    leftovers: tuple[Trace, ...] = ()
    others: tuple[OtherRules, ...] = ()


class VirtualServerCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many virtual servers IPVS has.

    Attributes:
        ipv4: with an IPv4 address.
        ipv6: with an IPv6 address.
        marks: for a packet mark, whose family is not told.
    """

    ipv4: int = 0
    ipv6: int = 0
    marks: int = 0


class DataplaneReading(msgspec.Struct, frozen=True, kw_only=True):
    """What one trip to a node told.

    Attributes:
        node: the node's name.
        kube_proxy_mode: kube-proxy's own word.
        links: of the node's netns.
        saves: by backend and family, the rules of iptables without those of single Services.
        nft: all tables that are not iptables' own, without elements of sets.
        virtual_servers: how many IPVS has; all 0 where the kernel has no IPVS.
        ipsets: names of sets.
        gaps: what of the trip itself is missing.
    """

    node: str
    kube_proxy_mode: Fact[str]
    links: Fact[tuple[Link, ...]]
    saves: dict[tuple[XtablesBackend, int], Fact[Ruleset]]
    nft: Fact[NftRuleset]
    virtual_servers: Fact[VirtualServerCounts]
    ipsets: Fact[tuple[str, ...]]
    gaps: tuple[Gap, ...] = ()


class AgentPod(msgspec.Struct, frozen=True, kw_only=True):
    """A pod of a network agent that the API says is on a node.

    Attributes:
        agent: `kube-proxy`, `cilium`, `anetd`, `calico-node`, `ovnkube-node`, `antrea-agent`, `kube-router`.
        namespace: the pod's.
        name: the pod's.
    """

    agent: str
    namespace: str
    name: str


class DataplaneHints(msgspec.Struct, frozen=True, kw_only=True):
    """What the API says that bears on a node's dataplane.

    Attributes:
        pods: network agents on the node.
        kube_proxy_replacement: Cilium's setting `kube-proxy-replacement`; None where there is none.
        services: by family, how many Services have a virtual address.
    """

    pods: Fact[tuple[AgentPod, ...]]
    kube_proxy_replacement: Fact[str | None]
    services: Fact[dict[int, int]]
