"""This host, as far as it can say by itself what the API would say of it."""

from __future__ import annotations

import msgspec

from netinspect.models.address import Address
from netinspect.models.fact import Gap
from netinspect.models.kubernetes import Pod


class LocalHost(msgspec.Struct, frozen=True, kw_only=True):
    """A host that is a node.

    Attributes:
        node: the node's name.
        addresses: what its kubelet was told to be the node's; empty where it was not.
        kernel: the kernel's release.
        architecture: as the kernel says it.
    """

    node: str
    addresses: tuple[Address, ...] = ()
    kernel: str = ""
    architecture: str = ""


class LocalPod(msgspec.Struct, frozen=True, kw_only=True):
    """A pod that has processes on this host.

    Attributes:
        pod: as the API would say it, as far as it is known.
        gaps: what is not known of it and would be needed.
    """

    pod: Pod
    gaps: tuple[Gap, ...] = ()


class PodLogFolder(msgspec.Struct, frozen=True):
    """The name of a pod's folder of logs.

    Attributes:
        namespace: the pod's.
        name: the pod's.
        uid: as the node knows the pod.
    """

    namespace: str
    name: str
    uid: str


class ContainerLog(msgspec.Struct, frozen=True):
    """The name of the link to a container's log.

    Attributes:
        namespace: the pod's.
        pod: the pod's name.
        container: the container's name.
        id: the runtime's id.
    """

    namespace: str
    pod: str
    container: str
    id: str


class KubeletFlags(msgspec.Struct, frozen=True):
    """What a kubelet was told.

    Attributes:
        node: the node's name; "" leaves it to the host's name.
        addresses: the node's, the primary family's first; empty leaves them to the kubelet.
    """

    node: str = ""
    addresses: tuple[Address, ...] = ()
