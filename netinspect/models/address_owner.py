"""Whose an address is."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class OwnerKind(StrEnum):
    """What stands behind an address.

    POD: a running pod with a network of its own. GONE: an address of a node's pod range that no pod has (any more).
    SERVICE: a ClusterIP, external IP or load balancer address, or a node port. NODE: an address of a node, also that
    of a hostNetwork pod. LOOPBACK: the node itself. EXTERNAL: an address that the API does not know. UNKNOWN: the part
    of the API that would tell could not be read, so nothing can be said.
    """

    POD = "pod"
    GONE = "gone"
    SERVICE = "service"
    NODE = "node"
    LOOPBACK = "loopback"
    EXTERNAL = "external"
    UNKNOWN = "unknown"


class AddressOwner(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Whose an address is, as the API says.

    Attributes:
        kind: what it is.
        namespace: of a pod or Service.
        name: of the pod, Service or node; "" for what has none.
        node: the node of a pod, or the node whose pod range holds the address.
        port_name: the port's name, for a Service.
        detail: what else is known, in words (`nodePort 30080`, `cni0`, `terminating`, `multicast`).
    """

    kind: OwnerKind
    namespace: str = ""
    name: str = ""
    node: str = ""
    port_name: str = ""
    detail: str = ""

    @property
    def identity(self) -> tuple[str, ...]:
        """What has to differ for two owners to be two: everything but the detail."""
        return self.kind.value, self.namespace, self.name, self.node, self.port_name


def show_owner(owner: AddressOwner, *, details: bool = True) -> str:
    """Write an owner in words: `pod demo/web-1`, `service demo/web:http (nodePort 30080)`, `node node-a`, `external`.

    Args:
        owner: whose an address is.
        details: also what stands in parentheses.
    """
    detail = f" ({owner.detail})" if owner.detail and details else ""
    if owner.kind is OwnerKind.GONE:
        return f"no pod known (in the pod range of {owner.node})"
    if not owner.name:
        return f"{owner.kind.value}{detail}"
    name = f"{owner.namespace}/{owner.name}" if owner.namespace else owner.name
    port = f":{owner.port_name}" if owner.port_name else ""
    return f"{owner.kind.value} {name}{port}{detail}"
