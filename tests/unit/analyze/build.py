"""A made-up node, in as few words as a test needs."""

from __future__ import annotations

from collections.abc import Sequence

from netinspect.models.address import parse_address
from netinspect.models.fact import Fact, Known
from netinspect.models.kubernetes import (
    CONFIG_HASH_ANNOTATION,
    MIRROR_ANNOTATION,
    ContainerStatus,
    ObjectMeta,
    Pod,
    PodIP,
    PodSpec,
    PodStatus,
)
from netinspect.models.link import Link, LinkAddress
from netinspect.models.netns import NamespaceRow, NetnsSource, PodNetns, PodProcess
from netinspect.models.veth import NodeReading, PodReading

NODE_NETNS = 4026531840
UP = ("BROADCAST", "MULTICAST", "UP", "LOWER_UP")
DOWN = ("BROADCAST", "MULTICAST")
LO = Link(ifindex=1, ifname="lo", mtu=65536, operstate="UNKNOWN", flags=("LOOPBACK", "UP", "LOWER_UP"))


def pod(
    name: str = "web-1",
    *,
    ips: Sequence[str] = (),
    containers: Sequence[str] = (),
    phase: str = "Running",
    host_network: bool = False,
    runtime_class: str = "",
    node: str = "node-a",
    static_hash: str = "",
) -> Pod:
    """A pod of namespace `demo`; `containers` are its containers' ids, its UID is `uid-of-NAME`."""
    annotations = {MIRROR_ANNOTATION: "x", CONFIG_HASH_ANNOTATION: static_hash} if static_hash else {}
    return Pod(
        metadata=ObjectMeta(name=name, namespace="demo", uid=f"uid-of-{name}", annotations=annotations),
        spec=PodSpec(node_name=node, host_network=host_network, runtime_class_name=runtime_class),
        status=PodStatus(
            phase=phase,
            pod_ips=tuple(PodIP(parse_address(ip)) for ip in ips),
            container_statuses=tuple(
                ContainerStatus(name=f"c{index}", container_id=f"containerd://{id_}")
                for index, id_ in enumerate(containers)
            ),
        ),
    )


def link(
    ifname: str,
    ifindex: int,
    kind: str | None = "veth",
    *,
    peer: int | None = None,
    nsid: int | None = None,
    ips: Sequence[str] = (),
    mtu: int = 1500,
    flags: tuple[str, ...] = UP,
    master: str | None = None,
    link_name: str | None = None,
    mode: str | None = None,
    parentdev: str | None = None,
) -> Link:
    """A link; `peer` and `nsid` are its link_index and link_netnsid, `ips` are `ADDRESS/LENGTH`."""
    return Link(
        ifindex=ifindex,
        ifname=ifname,
        link_index=peer,
        link_netnsid=nsid,
        link_name=link_name,
        kind=kind,
        mode=mode,
        master=master,
        mac="0a:00:00:00:00:01",
        mtu=mtu,
        operstate="UP" if "UP" in flags else "DOWN",
        flags=flags,
        addresses=tuple(address(ip) for ip in ips),
        parentdev=parentdev,
    )


def address(text: str) -> LinkAddress:
    """`ADDRESS/LENGTH`, of link scope where it is link-local."""
    local, _, length = text.partition("/")
    parsed = parse_address(local)
    return LinkAddress(parsed, int(length), "link" if parsed.is_link_local else "global")


def rows(**netnsids: int | None) -> Known[tuple[NamespaceRow, ...]]:
    """An lsns listing: `n<inode>=netnsid`."""
    return Known(tuple(NamespaceRow(int(name[1:]), nsid, 7, "/pause") for name, nsid in netnsids.items()))


def node(links: Sequence[Link], namespaces: Fact[tuple[NamespaceRow, ...]]) -> NodeReading:
    """What was read in the node's netns."""
    return NodeReading(links=Known((LO, *links)), namespaces=namespaces, netns=NODE_NETNS)


def reading(
    of: Pod,
    inode: int,
    links: Sequence[Link],
    *,
    namespaces: Fact[tuple[NamespaceRow, ...]] | None = None,
    processes: Sequence[PodProcess] = (),
) -> PodReading:
    """What was read of a pod in its netns."""
    netns = PodNetns(inode=inode, source=NetnsSource.PROCESS, processes=tuple(processes))
    return PodReading(pod=of, netns=Known(netns), links=Known((LO, *links)), namespaces=namespaces)
