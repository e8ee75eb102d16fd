"""Join the sandboxes: a bridge in the control plane's network namespace, a veth pair to each node.

Every link is made inside a sandbox and its peer directly inside another, so none is ever seen by the machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.cluster.bench.sandbox import Sandbox
from tests.cluster.bench.topology import (
    CONTROL_PLANE_V4,
    CONTROL_PLANE_V6,
    NODES,
    V4_PREFIX,
    V6_PREFIX,
    Node,
)

BRIDGE = "br0"
NODE_LINK = "eth0"
NODE_SYSCTLS = (
    "net.ipv4.ip_forward=1",
    "net.ipv6.conf.all.forwarding=1",
    # Packets between two pods of one node are bridged; kube-proxy has to see them all the same. (Kernels that have the
    # bridge filter as a module not yet loaded lack these two.)
    "net.bridge.bridge-nf-call-iptables=1",
    "net.bridge.bridge-nf-call-ip6tables=1",
)


def wire(control_plane: Sandbox, nodes: Mapping[Node, Sandbox]) -> None:
    """Give every sandbox its links, addresses and routes."""
    _ip(control_plane, _control_plane_lines(nodes))
    for node, sandbox in nodes.items():
        _ip(sandbox, _node_lines(node))
        sandbox.enter("sysctl", "--quiet", "--ignore", "--write", *NODE_SYSCTLS)


def _control_plane_lines(nodes: Mapping[Node, Sandbox]) -> Iterable[str]:
    yield "link set lo up"
    yield f"link add {BRIDGE} type bridge"
    # No duplicate address detection: the addresses are ours alone, and it would hold the API back for a second.
    yield f"address add {CONTROL_PLANE_V4}/{V4_PREFIX} dev {BRIDGE}"
    yield f"address add {CONTROL_PLANE_V6}/{V6_PREFIX} dev {BRIDGE} nodad"
    yield f"link set {BRIDGE} up"
    for node, sandbox in nodes.items():
        yield f"link add {node.name} type veth peer name {NODE_LINK} netns {sandbox.pid}"
        yield f"link set {node.name} master {BRIDGE} up"
        yield from _routes_to_pods(node)


def _node_lines(node: Node) -> Iterable[str]:
    yield "link set lo up"
    yield f"address add {node.v4}/{V4_PREFIX} dev {NODE_LINK}"
    yield f"address add {node.v6}/{V6_PREFIX} dev {NODE_LINK} nodad"
    yield f"link set {NODE_LINK} up"
    # A node's own packets to a Service address need some route before kube-proxy's rules see them. This one leads to
    # the control plane, which forwards nothing and has no link to the outside.
    yield f"route add default via {CONTROL_PLANE_V4}"
    yield f"route add default via {CONTROL_PLANE_V6}"
    for other in NODES:
        if other != node:
            yield from _routes_to_pods(other)


def _routes_to_pods(node: Node) -> Iterable[str]:
    yield f"route add {node.pods_v4} via {node.v4}"
    yield f"route add {node.pods_v6} via {node.v6}"


def _ip(sandbox: Sandbox, lines: Iterable[str]) -> None:
    sandbox.enter("ip", "-batch", "-", stdin="\n".join(lines) + "\n")
