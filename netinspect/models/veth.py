"""How the links of a pod's netns are joined to the node: what was read, and what follows from it."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from netinspect.models.fact import Fact, Unavailable
from netinspect.models.kubernetes import Pod
from netinspect.models.link import Link, LinkAddress
from netinspect.models.netns import NamespaceRow, PodNetns


class Attachment(StrEnum):
    """What joins a link (or, where there is none, a pod) to the rest of the network."""

    VETH = "veth"
    NETKIT = "netkit"
    MACVLAN = "macvlan"
    IPVLAN = "ipvlan"
    VLAN = "vlan"
    PHYSICAL = "physical"
    """Hardware moved into the netns: an SR-IOV virtual function, or a whole NIC (host-device)."""
    INTERNAL = "internal"
    """A software link that ends in the pod's own netns: a bridge, a tunnel, a tun of the workload."""
    PEER_ELSEWHERE = "peer-elsewhere"
    """A pair whose other end is not in the node's netns."""
    HOST_NETWORK = "host-network"
    NO_LINK = "no-link"
    """The netns has `lo` and nothing else: the CNI failed, or has torn the pod down."""
    COMPLETED = "completed"
    NOT_STARTED = "not-started"
    UNKNOWN = "unknown"


class Confidence(StrEnum):
    """How sure a match is.

    `confirmed`: both ends name each other and a third source says that the netns is the right one.
    `likely`: both ends name each other by number; the numbers could still be another pair's.
    `unknown`: not decided; nothing is named.
    """

    CONFIRMED = "confirmed"
    LIKELY = "likely"
    UNKNOWN = "unknown"


class SandboxRuntime(StrEnum):
    """A runtime under which the workload does not use the kernel that netinspect reads."""

    KATA = "kata"
    GVISOR = "gvisor"


class PodLink(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The pod's end: a link of the pod's netns. Fields as in `Link`."""

    ifname: str
    ifindex: int
    mtu: int
    operstate: str
    mac: str | None = None
    kind: str | None = None
    mode: str | None = None
    flags: tuple[str, ...] = ()
    addresses: tuple[LinkAddress, ...] = ()
    link_index: int | None = None
    link_netnsid: int | None = None
    parentdev: str | None = None


class HostLink(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The node's end: the peer of a pair, or the parent of a macvlan, ipvlan or vlan. Fields as in `Link`."""

    ifname: str
    ifindex: int
    mtu: int
    operstate: str
    mac: str | None = None
    kind: str | None = None
    master: str | None = None
    flags: tuple[str, ...] = ()


class CniHint(msgspec.Struct, frozen=True, rename="camel"):
    """Which CNI plugin a node link looks like the work of: a suggestion, not a finding.

    Attributes:
        family: the plugin, or the plugins that cannot be told apart by their links.
        verified: whether the link's name was computed from the pod's own name or id and is equal.
        reason: what suggests it, in a sentence.
    """

    family: str
    verified: bool
    reason: str


class NetnsHolder(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A netns that is not the one looked for, and what is known of it.

    Attributes:
        inode: its inode number.
        pod: `NAMESPACE/NAME` of the pod that it belongs to, None where it is no known pod's.
        pid: a process in it.
        command: that process's command.
    """

    inode: int
    pod: str | None = None
    pid: int | None = None
    command: str = ""


class LinkMatch(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One link of a pod and what it is joined to.

    Attributes:
        attachment: the kind of joint.
        confidence: how sure the node's end (or its absence) is.
        pod_link: the pod's end.
        host_link: the node's end; None where there is none or where it is not decided.
        evidence: why, in sentences that quote the numbers compared.
        notes: facts about the two ends that deserve a look, in sentences; empty is not a clean bill.
        cni: what the node's end looks like.
        peer_holder: the netns that holds the peer instead of the node's, where that could be read.
    """

    attachment: Attachment
    confidence: Confidence
    pod_link: PodLink
    host_link: HostLink | None = None
    evidence: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    cni: CniHint | None = None
    peer_holder: NetnsHolder | None = None


class PodAttachment(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A pod and how it is joined to its node.

    Attributes:
        namespace: the pod's namespace.
        name: the pod's name.
        node: the node that it was bound to, "" where it was not.
        attachment: that of the link which bears the pod's primary address, or of the pod where it has none.
        netns: its netns, None where it has none or it was not found.
        links: its links that bear addresses, by ifindex.
        sandbox: the sandboxed runtime under which it runs, None for an ordinary one.
        missing: why there is nothing to say, where a fact could not be read.
        notes: sentences about the pod as a whole.
    """

    namespace: str
    name: str
    node: str
    attachment: Attachment
    netns: PodNetns | None = None
    links: tuple[LinkMatch, ...] = ()
    sandbox: SandboxRuntime | None = None
    missing: Unavailable | None = None
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """`NAMESPACE/NAME`."""
        return f"{self.namespace}/{self.name}"


class NodeLinkOwner(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The answer to "whose is this node link?".

    Attributes:
        host_link: the node link that was asked about.
        pods: the pods joined to it, each with only the links that are: at most one for a pair, any number for a
            parent of macvlans. A pod without links has the peer in its netns, as a link that bears no address.
        peer_holder: the netns of its peer, where it is no known pod's.
        reason: why no pod link is named, in a sentence; "" where one is.
    """

    host_link: HostLink
    pods: tuple[PodAttachment, ...] = ()
    peer_holder: NetnsHolder | None = None
    reason: str = ""


class NodeReading(msgspec.Struct, frozen=True, kw_only=True):
    """What was read in the node's netns.

    Attributes:
        links: `ip -j -d addr show`.
        namespaces: `lsns -t net`, run in the node's netns: its netnsids are the node's numbers.
        netns: the inode of the node's own netns, None where unread.
    """

    links: Fact[tuple[Link, ...]]
    namespaces: Fact[tuple[NamespaceRow, ...]]
    netns: int | None = None


class PodReading(msgspec.Struct, frozen=True, kw_only=True):
    """What the API says of a pod and what was read in its netns.

    Attributes:
        pod: the API object.
        netns: where its netns is.
        links: `ip -j -d addr show` in that netns.
        namespaces: `lsns -t net` run in that netns: its netnsids are the pod's numbers; None where not asked.
    """

    pod: Pod
    netns: Fact[PodNetns]
    links: Fact[tuple[Link, ...]]
    namespaces: Fact[tuple[NamespaceRow, ...]] | None = None
