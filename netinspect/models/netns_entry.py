"""A pod and its netns, as the `netns` command lists it."""

from __future__ import annotations

import msgspec

from netinspect.models.address import Address
from netinspect.models.netns import PodNetns


class NetnsEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One pod.

    Attributes:
        namespace: of the pod.
        name: of the pod.
        node: the node that it is bound to, "" where it is not.
        addresses: status.podIPs.
        netns: its netns, None where it has none or none was found.
        explanation: why there is none, or what is special about it, in a sentence.
    """

    namespace: str
    name: str
    node: str
    addresses: tuple[Address, ...] = ()
    netns: PodNetns | None = None
    explanation: str = ""
