"""What kube-proxy's modes do differently by design, and what earlier versions of a mode do: the one table of it.

Two nodes of different modes answer some packets differently without anything being wrong. What is not in this table,
all modes do alike. Read of pkg/proxy/{iptables,nftables,ipvs}/proxier.go, pkg/proxy/{topology,serviceport}.go and
cmd/kube-proxy/app of 1.28.15, 1.29.0, 1.30.0, 1.31.0, 1.32.0, 1.33.5, 1.34.3, 1.35.0 and 1.36.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from netinspect.models.service_map import Mode

Version = tuple[int, ...]
"""kube-proxy's version: major, minor and, where it is known, patch."""

NEWEST: Version = (1, 36)
"""The newest version whose sources were read; later ones are taken to be like it."""

_VERSION = re.compile(r"v?([0-9]+)\.([0-9]+)(?:\.([0-9]+))?\b")


class ModeTraits(msgspec.Struct, frozen=True, kw_only=True):
    """What a mode does.

    Attributes:
        refuses: a Service without endpoints is refused, one without local endpoints under a Local policy is dropped.
            Else its virtual server is there without real servers, and IPVS itself refuses (ICMP port unreachable); or
            it leads to endpoints of other nodes.
        refuses_own: the node's own packets to external addresses are refused or dropped likewise. Those to its own
            addresses always are: they come in again.
        refuses_own_before_dnat: that happens before the short way to endpoints of all nodes, which is then never gone.
        refuses_own_to_node_ports: the node's own packets to node ports are refused or dropped before that short way.
        refuses_node_ports_anywhere: at every local address, whatever `nodePortAddresses` says.
        short_ways: under externalTrafficPolicy Local, pods and the node itself reach all endpoints.
        firewall_without_endpoints: loadBalancerSourceRanges hold also for Services without endpoints.
        firewall_on_entry: loadBalancerSourceRanges hold for packets that come in by a link.
        node_ports_at_primary: node ports are offered at the node's primary address only, unless told otherwise.
        node_ports_at_loopback: node ports are offered at 127.0.0.0/8, if `localhostNodePorts` and IPv4.
        node_ports_one_by_one: each address is named in the rules, link-local IPv6 and loopback ones are not among them.
        hairpin_of_all: a pod that reaches itself is masqueraded by a rule of each endpoint; else by a set that holds
            the node's own ones.
        masquerades_loopback: packets from loopback addresses are masqueraded as others are.
        opens_health_checks: a rule lets health checks of load balancers in.
        health_check_protocols: the protocols that this rule is for.
        is_weighted: backends have weights and forwarding methods.
        reads_ip_mode: `ipMode: Proxy` of a load balancer's address is heeded.
        reads_zone_hints_always: zone hints are heeded without `service.kubernetes.io/topology-mode`.
        reads_node_hints: node hints are heeded (PreferSameNode).
        zero_range_is_all: a source range of all addresses is the same as none. (Else it keeps nobody out either, but
            in IPVS mode: a set cannot hold it.)
        external_ips_have_policy: externalTrafficPolicy holds also for Services of type ClusterIP with externalIPs.
        knows_both_node_ips: the node's address of the second family is known, too.
        prefers_staying: of several endpoints with one address one counts that does not terminate; else one that is on
            the node.
    """

    refuses: bool = True
    refuses_own: bool = True
    refuses_own_before_dnat: bool = False
    refuses_own_to_node_ports: bool = False
    refuses_node_ports_anywhere: bool = False
    short_ways: bool = True
    firewall_without_endpoints: bool = False
    firewall_on_entry: bool = True
    node_ports_at_primary: bool = False
    node_ports_at_loopback: bool = False
    node_ports_one_by_one: bool = False
    hairpin_of_all: bool = False
    masquerades_loopback: bool = True
    opens_health_checks: bool = True
    health_check_protocols: tuple[str, ...] = ("tcp",)
    is_weighted: bool = False
    reads_ip_mode: bool = True
    reads_zone_hints_always: bool = True
    reads_node_hints: bool = True
    zero_range_is_all: bool = True
    external_ips_have_policy: bool = True
    knows_both_node_ips: bool = True
    prefers_staying: bool = True


MODE_TRAITS: Mapping[Mode, ModeTraits] = {
    Mode.IPTABLES: ModeTraits(
        # filter KUBE-EXTERNAL-SERVICES is not jumped to from OUTPUT (iptablesJumpChains).
        refuses_own=False,
        # `-m addrtype --dst-type LOCAL`, with no look at nodePortAddresses.
        refuses_node_ports_anywhere=True,
        node_ports_at_loopback=True,
        hairpin_of_all=True,
    ),
    Mode.NFTABLES: ModeTraits(
        firewall_without_endpoints=True,
        node_ports_at_primary=True,
        opens_health_checks=False,
    ),
    Mode.IPVS: ModeTraits(
        refuses=False,
        refuses_own=False,
        short_ways=False,
        firewall_without_endpoints=True,
        node_ports_one_by_one=True,
        masquerades_loopback=False,
        # A bitmap of ports: it is not asked of which protocol.
        health_check_protocols=("sctp", "tcp", "udp"),
        is_weighted=True,
    ),
}
"""Traits of each mode in the newest version."""


def traits_of(mode: Mode, version: Version = NEWEST, gates: Mapping[str, bool] | None = None) -> ModeTraits:
    """Return a mode's traits in a version of kube-proxy.

    Args:
        mode: the mode.
        version: kube-proxy's.
        gates: feature gates that were set, on or off.
    """
    told = gates or {}
    traits = replace(
        MODE_TRAITS[mode],
        reads_ip_mode=told.get("LoadBalancerIPMode", version >= (1, 30)),
        reads_zone_hints_always=told.get("ServiceTrafficDistribution", version >= (1, 31)),
        reads_node_hints=told.get("PreferSameTrafficDistribution", version >= (1, 34)),
        zero_range_is_all=version >= (1, 34),
        external_ips_have_policy=version >= (1, 29),
        knows_both_node_ips=version >= (1, 29),
        prefers_staying=version >= (1, 36),
    )
    return _early_nftables(traits, version) if mode is Mode.NFTABLES else traits


def read_version(text: str) -> Version:
    """Return the version that a node or a program tells: `v1.36.2`, `v1.31.0-eks-a1b2c3`. NEWEST where it is none."""
    found = _VERSION.match(text)
    return tuple(int(each) for each in found.groups() if each) if found else NEWEST


def _early_nftables(traits: ModeTraits, version: Version) -> ModeTraits:
    if version < (1, 36):
        traits = replace(traits, hairpin_of_all=True)
    if version < (1, 33, 6):
        # filter-output stood at priority -110, before nat-output: PR 132456, in 1.33 with PR 133969.
        traits = replace(traits, refuses_own_before_dnat=True)
    if version < (1, 31):
        traits = replace(traits, node_ports_at_primary=False)
    if version < (1, 30):
        # One chain checked Services and node ports in input, forward and output alike, and before the source ranges.
        # Those were checked in input and forward, where the destination is translated already.
        traits = replace(
            traits,
            refuses_own_to_node_ports=True,
            firewall_without_endpoints=False,
            firewall_on_entry=False,
        )
    return traits
