"""The cluster's shape: addresses of both families, and the two nodes.

All addresses are private ones (RFC 1918, RFC 4193); no namespace of the bench has a link to the outside.
"""

from __future__ import annotations

from dataclasses import dataclass

CONTROL_PLANE = "control-plane"
API_PORT = 6443
CONTROL_PLANE_V4 = "10.99.0.1"
CONTROL_PLANE_V6 = "fd00:10:99::1"
V4_PREFIX = 24
V6_PREFIX = 64

POD_CIDRS = "10.244.0.0/16,fd00:10:244::/48"
SERVICE_CIDRS = "10.96.0.0/16,fd00:10:96::/112"
# The first address of each range is the Service `kubernetes`, by Kubernetes' own rule.
API_SERVICE_V4 = "10.96.0.1"
API_SERVICE_V6 = "fd00:10:96::1"
DNS_V4 = "10.96.0.10"
DNS_V6 = "fd00:10:96::a"
CLUSTER_DOMAIN = "cluster.local"


@dataclass(frozen=True)
class Node:
    """One node: its number gives all its addresses."""

    name: str
    number: int
    proxy_mode: str

    @property
    def v4(self) -> str:
        return f"10.99.0.{10 + self.number}"

    @property
    def v6(self) -> str:
        return f"fd00:10:99::{10 + self.number}"

    @property
    def pods_v4(self) -> str:
        return f"10.244.{self.number}.0/24"

    @property
    def pods_v6(self) -> str:
        return f"fd00:10:244:{self.number}::/64"


NODE_A = Node("node-a", 1, "iptables")
NODE_B = Node("node-b", 2, "nftables")
NODES = (NODE_A, NODE_B)
