"""What the API says of a cluster's DNS: its Service and endpoints, its Corefile, its domain, its caches on nodes."""

from __future__ import annotations

import msgspec

from netinspect.models.address import Address
from netinspect.models.corefile import Corefile
from netinspect.models.fact import Fact

NODE_LOCAL_LINK = "nodelocaldns"
"""The dummy link that NodeLocal DNSCache makes on a node (kubernetes/dns, cmd/node-cache)."""


class _Struct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A part of what is known of the cluster's DNS."""


class DnsEndpoint(_Struct, frozen=True, kw_only=True):
    """One address that serves the DNS Service.

    Attributes:
        address: its address.
        udp_port: where it takes questions by UDP; None where the Service has no such port.
        tcp_port: likewise by TCP.
        is_ready: whether kube-proxy sends new questions there.
        is_serving: whether it still answers, terminating or not.
        is_terminating: whether it is going away.
        pod: NAMESPACE/NAME of the pod behind it; "" where there is none.
        node: the pod's node.
    """

    address: Address
    udp_port: int | None = None
    tcp_port: int | None = None
    is_ready: bool
    is_serving: bool
    is_terminating: bool = False
    pod: str = ""
    node: str = ""


class DnsService(_Struct, frozen=True, kw_only=True):
    """The Service that pods ask.

    Attributes:
        namespace: its namespace.
        name: its name.
        resource_version: the state of the object that was read.
        cluster_ips: its addresses, the primary family's first.
        udp_port: its UDP port for DNS; None where it has none.
        tcp_port: its TCP port for DNS; None where it has none.
        endpoints: what serves it, in both families, ready or not; in the order of nodes and addresses.
        found_by: how it was found, in words.
    """

    namespace: str
    name: str
    resource_version: str = ""
    cluster_ips: tuple[Address, ...]
    udp_port: int | None = None
    tcp_port: int | None = None
    endpoints: Fact[tuple[DnsEndpoint, ...]]
    found_by: str

    @property
    def key(self) -> str:
        """NAMESPACE/NAME."""
        return f"{self.namespace}/{self.name}"


class ClusterDomain(_Struct, frozen=True, kw_only=True):
    """The domain that names of Services end with.

    Attributes:
        name: without the root's dot: `cluster.local`.
        source: where it was read.
    """

    name: str
    source: str


class NodeLocalPod(_Struct, frozen=True, kw_only=True):
    """A pod of NodeLocal DNSCache."""

    namespace: str
    name: str
    node: str
    is_ready: bool


class DnsCluster(_Struct, frozen=True, kw_only=True):
    """The DNS of a cluster.

    Attributes:
        service: the Service that pods ask.
        corefile: CoreDNS's configuration.
        corefile_source: the object that it was read from, with its resourceVersion; "" where none was.
        domain: the cluster domain; None where nothing that could be read says it.
        node_local: the pods of NodeLocal DNSCache, on all nodes; empty where the cluster has none.
    """

    service: Fact[DnsService]
    corefile: Fact[Corefile]
    corefile_source: str = ""
    domain: ClusterDomain | None = None
    node_local: Fact[tuple[NodeLocalPod, ...]]
