"""The settings of kube-proxy that change its rules."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from netinspect.models.service_map import Mode

PRIMARY = "primary"
"""In `node_port_addresses`, alone: the node's primary address of each family."""


class LocalMode(StrEnum):
    """How kube-proxy tells traffic of its own pods from that of others (`detectLocalMode`)."""

    CLUSTER_CIDR = "ClusterCIDR"
    NODE_CIDR = "NodeCIDR"
    BRIDGE_INTERFACE = "BridgeInterface"
    INTERFACE_NAME_PREFIX = "InterfaceNamePrefix"


class ProxyConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """KubeProxyConfiguration as far as rules depend on it, with kube-proxy's own defaults.

    Source: kubernetes 1.36, staging/src/k8s.io/kube-proxy/config/v1alpha1/types.go; defaults in
    pkg/proxy/apis/config/v1alpha1/defaults.go and cmd/kube-proxy/app/server_linux.go platformApplyDefaults.

    Attributes:
        mode: how it writes rules.
        detect_local_mode: how pods' traffic is known.
        cluster_cidrs: pods' networks (`clusterCIDR`); of each family the first counts.
        bridge_interface: the pods' bridge, for BridgeInterface.
        interface_name_prefix: how pods' links begin, for InterfaceNamePrefix.
        node_port_addresses: CIDRs of the addresses that node ports are offered at, or `primary` alone; empty is all.
        bind_address: overrides the node's primary address unless it is unspecified.
        hostname_override: the node's name; empty is the host's.
        masquerade_all: whether all traffic to ClusterIPs is masqueraded.
        masquerade_bit: the bit of the packet mark that asks for masquerading.
        localhost_node_ports: whether node ports are offered at 127.0.0.0/8 (iptables mode and IPv4 only).
        scheduler: of IPVS; empty is `rr`.
        exclude_cidrs: addresses of IPVS virtual servers that kube-proxy leaves alone.
        strict_arp: whether the kernel is kept from answering ARP for `kube-ipvs0`.
        feature_gates: gates that were set, on or off.
    """

    mode: Mode = Mode.IPTABLES
    detect_local_mode: LocalMode = LocalMode.CLUSTER_CIDR
    cluster_cidrs: tuple[str, ...] = ()
    bridge_interface: str = ""
    interface_name_prefix: str = ""
    node_port_addresses: tuple[str, ...] = ()
    bind_address: str = "0.0.0.0"  # noqa: S104 - kube-proxy's word for "not set"; nothing is bound
    hostname_override: str = ""
    masquerade_all: bool = False
    masquerade_bit: int = 14
    localhost_node_ports: bool = True
    scheduler: str = ""
    exclude_cidrs: tuple[str, ...] = ()
    strict_arp: bool = False
    feature_gates: dict[str, bool] = {}
