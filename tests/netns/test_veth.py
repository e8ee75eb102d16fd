"""The matching, against a real kernel: real links, read by the real tools, through the real parsers."""

from __future__ import annotations

import pytest

from netinspect.analyze.links.owner import find_by_address, find_link_owner
from netinspect.analyze.links.veth import attach_pods
from netinspect.models.address import parse_address
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.models.kubernetes import ObjectMeta, Pod, PodSpec
from netinspect.models.netns import NetnsSource, PodNetns
from netinspect.models.veth import Attachment, Confidence, LinkMatch, NodeReading, PodAttachment, PodReading
from netinspect.parse.ip_addr import parse_ip_addr
from netinspect.parse.lsns import parse_lsns
from tests.netns.world import Netns, World, wait_for_carrier

pytestmark = pytest.mark.netns

NO_LSNS = Unavailable(Reason.TOOL_MISSING, "lsns: not found")


def read_node(world: World, *, lsns: bool = True) -> NodeReading:
    return NodeReading(
        links=Known(parse_ip_addr(world.node.links())),
        namespaces=Known(parse_lsns(world.node.lsns())) if lsns else NO_LSNS,
        netns=world.node.inode,
    )


def read_pod(name: str, netns: Netns, *, lsns: bool = False) -> PodReading:
    return PodReading(
        pod=Pod(metadata=ObjectMeta(name=name, namespace="demo", uid=name), spec=PodSpec(node_name="node-a")),
        netns=Known(PodNetns(inode=netns.inode, source=NetnsSource.PROCESS)),
        links=Known(parse_ip_addr(netns.links())),
        namespaces=Known(parse_lsns(netns.lsns())) if lsns else None,
    )


def attach_one(world: World, netns: Netns, *, lsns: bool = False) -> PodAttachment:
    reading = read_pod("one", netns, lsns=lsns)
    return attach_pods(read_node(world), [reading])[0]


def ends(match: LinkMatch) -> tuple[Attachment, Confidence, str | None]:
    return match.attachment, match.confidence, match.host_link.ifname if match.host_link else None


@pytest.fixture
def pods(world: World) -> list[Netns]:
    """Three pods of both families on a bridge, made in such order that ids and indexes do not run alike."""
    made = [world.new_netns() for _ in range(3)]
    for index in (2, 0, 1):
        world.pair(made[index], f"veth{index}", address=f"10.244.1.{index + 2}/24")
        made[index].ip(f"addr add fd00::{index + 2}/64 dev eth0 nodad")
    world.bridge("cni0", "veth0", "veth1", "veth2")
    for pod in made:
        wait_for_carrier(pod, "eth0")
    return made


def test_each_pod_finds_its_own_end(world: World, pods: list[Netns]) -> None:
    """Every eth0 is link 2, so every node end names link 2: each pod still gets its own, confirmed."""
    readings = [read_pod(f"p{index}", pod) for index, pod in enumerate(pods)]
    attached = attach_pods(read_node(world), readings)
    assert {pod.links[0].pod_link.ifindex for pod in attached} == {2}
    assert [ends(pod.links[0]) for pod in attached] == [
        (Attachment.VETH, Confidence.CONFIRMED, f"veth{index}") for index in range(3)
    ]
    assert [pod.links[0].notes for pod in attached] == [(), (), ()]
    assert {pod.links[0].host_link.master for pod in attached if pod.links[0].host_link} == {"cni0"}


def test_lsns_inside_the_pod_confirms_alone(world: World, pods: list[Netns]) -> None:
    """Without lsns on the node, the pod's own id for the node's netns is as good."""
    readings = [read_pod(f"p{index}", pod, lsns=True) for index, pod in enumerate(pods)]
    attached = attach_pods(read_node(world, lsns=False), readings)
    assert [ends(pod.links[0]) for pod in attached] == [
        (Attachment.VETH, Confidence.CONFIRMED, f"veth{index}") for index in range(3)
    ]


def test_without_lsns_it_is_likely_only(world: World, pods: list[Netns]) -> None:
    """The numbers agree, and nothing more is claimed."""
    attached = attach_pods(read_node(world, lsns=False), [read_pod("p1", pods[1])])
    assert ends(attached[0].links[0]) == (Attachment.VETH, Confidence.LIKELY, "veth1")


def test_the_nodes_numbering_of_namespaces_is_not_the_pods_order(world: World, pods: list[Netns]) -> None:
    """netnsids are given in the order in which links were joined, and mean something on the node only."""
    rows = {row.inode: row.netnsid for row in parse_lsns(world.node.lsns())}
    assert [rows[pod.inode] for pod in pods] == [1, 2, 0]
    assert rows[world.node.inode] is None
    inside = {row.inode: row.netnsid for row in parse_lsns(pods[0].lsns())}
    assert (inside[world.node.inode], inside[pods[1].inode]) == (0, None)


def test_the_way_back_leads_to_the_same_pods(world: World, pods: list[Netns]) -> None:
    """From each node end, and from each address, to the one pod behind it."""
    node = read_node(world)
    attached = attach_pods(node, [read_pod(f"p{index}", pod) for index, pod in enumerate(pods)])
    for index in range(3):
        owner = find_link_owner(f"veth{index}", node, attached)
        assert isinstance(owner, Known)
        assert [pod.name for pod in owner.value.pods] == [f"p{index}"]
        for address in (f"10.244.1.{index + 2}", f"fd00::{index + 2}"):
            assert [pod.name for pod in find_by_address(parse_address(address), attached)] == [f"p{index}"]


def test_the_way_back_names_a_netns_that_is_no_pods(world: World, pods: list[Netns]) -> None:
    """A container that Kubernetes does not know: its inode and its process are told."""
    node = read_node(world)
    owner = find_link_owner("veth2", node, attach_pods(node, [read_pod("p0", pods[0])]))
    assert isinstance(owner, Known)
    assert owner.value.pods == ()
    assert owner.value.peer_holder is not None
    assert (owner.value.peer_holder.inode, owner.value.peer_holder.pid) == (pods[2].inode, pods[2].pid)


@pytest.fixture
def colliding(world: World) -> dict[str, Netns]:
    """`moved`'s peer was moved into `holder`; on the node, its number is now the end of `victim`.

    All four links are link 2 and name link 2, so that every number agrees by accident.
    """
    made = {name: world.new_netns() for name in ("moved", "holder", "victim")}
    world.pair(made["moved"], "vethm", address="10.244.1.2/24")
    world.node.ip(f"link set vethm netns {made['holder'].pid}")
    made["holder"].ip("addr add 10.244.1.1/24 dev vethm")
    made["holder"].ip("link set vethm up")
    world.node.ip(f"link add vethv index 2 type veth peer name eth0 index 2 netns {made['victim'].pid}")
    world.node.ip("link set vethv up")
    made["victim"].ip("addr add 10.244.1.3/24 dev eth0")
    made["victim"].ip("link set eth0 up")
    return made


def test_a_peer_in_another_pod_is_not_taken_for_the_nodes_link(
    world: World, colliding: dict[str, Netns]
) -> None:
    """Numbers agree on both sides; the node's id for the netns does not."""
    node = read_node(world)
    moved, holder, victim = attach_pods(node, [read_pod(name, netns) for name, netns in colliding.items()])
    numbers = [
        (match.pod_link.ifindex, match.pod_link.link_index) for match in (moved.links[0], victim.links[0])
    ]
    assert numbers == [(2, 2), (2, 2)]
    assert ends(moved.links[0]) == (Attachment.PEER_ELSEWHERE, Confidence.CONFIRMED, None)
    assert ends(holder.links[0]) == (Attachment.PEER_ELSEWHERE, Confidence.CONFIRMED, None)
    assert ends(victim.links[0]) == (Attachment.VETH, Confidence.CONFIRMED, "vethv")
    owner = find_link_owner("vethv", node, (moved, holder, victim))
    assert isinstance(owner, Known)
    assert [pod.name for pod in owner.value.pods] == ["victim"]


def test_lsns_inside_names_the_pod_that_holds_the_peer(world: World, colliding: dict[str, Netns]) -> None:
    """The pod's own id for its peer's netns leads to the inode, and that to the other pod."""
    readings = [read_pod(name, netns, lsns=True) for name, netns in colliding.items()]
    moved = attach_pods(read_node(world), readings)[0]
    holder = moved.links[0].peer_holder
    assert holder is not None
    assert (holder.inode, holder.pod) == (colliding["holder"].inode, "demo/holder")


def test_without_lsns_a_collision_is_not_decided(world: World, colliding: dict[str, Netns]) -> None:
    """All three claim the one node end with the same numbers: none of them gets it."""
    attached = attach_pods(
        read_node(world, lsns=False), [read_pod(name, netns) for name, netns in colliding.items()]
    )
    assert [ends(pod.links[0]) for pod in attached] == [(Attachment.VETH, Confidence.UNKNOWN, None)] * 3


def test_a_macvlan_names_its_parent(world: World) -> None:
    """The parent is likely by its number, and confirmed by the pod's id for the node's netns."""
    pod = world.new_netns()
    world.bridge("uplink0")
    world.node.ip("link add mv0 link uplink0 type macvlan mode bridge")
    world.node.ip(f"link set mv0 netns {pod.pid} name eth0")
    pod.ip("addr add 192.0.2.5/24 dev eth0")
    assert ends(attach_one(world, pod).links[0]) == (Attachment.MACVLAN, Confidence.LIKELY, "uplink0")
    sure = attach_one(world, pod, lsns=True).links[0]
    assert ends(sure) == (Attachment.MACVLAN, Confidence.CONFIRMED, "uplink0")
    assert "mode bridge" in sure.evidence[0]


def test_a_netns_with_lo_alone_has_no_link(world: World) -> None:
    """A CNI that failed leaves a netns with lo."""
    assert attach_one(world, world.new_netns()).attachment is Attachment.NO_LINK


def test_a_pair_that_was_torn_down_leaves_no_link(world: World, pods: list[Netns]) -> None:
    """Deleting the node's end takes the pod's away with it."""
    world.node.ip("link del veth1")
    assert attach_one(world, pods[1]).attachment is Attachment.NO_LINK


def test_an_ipv6_pod_is_joined_as_any_other(world: World) -> None:
    """Global and link-local addresses are told with their scopes."""
    pod = world.new_netns()
    world.pair(pod, "cali0123456789a", address="2001:db8:1::7/128")
    wait_for_carrier(pod, "eth0")
    (match,) = attach_one(world, pod).links
    assert ends(match) == (Attachment.VETH, Confidence.CONFIRMED, "cali0123456789a")
    assert sorted(address.scope for address in match.pod_link.addresses) == ["global", "link"]


def test_a_link_local_address_is_an_address(world: World) -> None:
    """A link that has nothing but its link-local address is answered for."""
    pod = world.new_netns()
    world.pair(pod, "veth0")
    wait_for_carrier(pod, "eth0")
    (match,) = attach_one(world, pod).links
    assert [address.scope for address in match.pod_link.addresses] == ["link"]


def test_a_node_end_that_is_down_is_told(world: World, pods: list[Netns]) -> None:
    """Matched all the same, and the flags are quoted."""
    world.node.ip("link set veth1 down")
    (match,) = attach_one(world, pods[1]).links
    assert ends(match) == (Attachment.VETH, Confidence.CONFIRMED, "veth1")
    assert "the node end veth1 is administratively down" in match.notes[0]


def test_a_pods_end_that_is_down_is_told_from_both_sides(world: World, pods: list[Netns]) -> None:
    """The node's end then has no carrier; both are facts."""
    pods[1].ip("link set eth0 down")
    (match,) = attach_one(world, pods[1]).links
    assert [note.partition(" (")[0] for note in match.notes] == [
        "the node end veth1 has no carrier",
        "the pod's eth0 is administratively down",
    ]


def test_different_mtus_are_told(world: World, pods: list[Netns]) -> None:
    """The two ends of a pair are compared."""
    pods[1].ip("link set eth0 mtu 1400")
    (match,) = attach_one(world, pods[1]).links
    assert "eth0 1400, veth1 1500" in match.notes[0]


def test_an_end_that_left_the_bridge_is_told(world: World, pods: list[Netns]) -> None:
    """Its two likes are ports of cni0."""
    world.node.ip("link set veth1 nomaster")
    attached = attach_pods(read_node(world), [read_pod(f"p{i}", pod) for i, pod in enumerate(pods)])
    assert [len(pod.links[0].notes) for pod in attached] == [0, 1, 0]
    assert "those of 2 other pods are ports of cni0" in attached[1].links[0].notes[0]


def test_a_pair_inside_the_pod_stays_inside(world: World, pods: list[Netns]) -> None:
    """Both ends in the pod's netns, as docker in docker makes them."""
    pods[0].ip("link add one type veth peer name two")
    pods[0].ip("addr add 10.9.0.1/24 dev one")
    matches = attach_one(world, pods[0]).links
    assert [(match.pod_link.ifname, match.attachment) for match in matches] == [
        ("eth0", Attachment.VETH),
        ("one", Attachment.INTERNAL),
    ]


@pytest.mark.parametrize(
    ("kind", "attachment"), [("netkit", Attachment.NETKIT), ("ipvlan", Attachment.IPVLAN)]
)
def test_kinds_that_not_every_kernel_has(world: World, kind: str, attachment: Attachment) -> None:
    """netkit is matched as a pair, ipvlan by its parent, where the kernel has them."""
    pod = world.new_netns()
    world.bridge("uplink0")
    form = "nk0 type netkit peer name tmp0" if kind == "netkit" else "tmp0 link uplink0 type ipvlan"
    try:
        world.node.ip(f"link add {form}")
    except RuntimeError as error:
        pytest.skip(f"no {kind} here: {str(error).strip().rpartition(': ')[2]}")
    world.node.ip(f"link set tmp0 netns {pod.pid} name eth0")
    pod.ip("addr add 192.0.2.5/24 dev eth0")
    (match,) = attach_one(world, pod, lsns=True).links
    expected = "nk0" if kind == "netkit" else "uplink0"
    assert ends(match) == (attachment, Confidence.CONFIRMED, expected)
