"""The way back: from a node link, or an address, to pods."""

from __future__ import annotations

from netinspect.analyze.links.owner import find_by_address, find_link_owner, list_claimants
from netinspect.analyze.links.veth import attach_pods
from netinspect.models.address import parse_address
from netinspect.models.fact import Fact, Known, Reason, Unavailable
from netinspect.models.netns import NetnsSource, PodNetns
from netinspect.models.veth import NetnsHolder, NodeLinkOwner, NodeReading, PodReading
from tests.unit.analyze.build import NODE_NETNS, link, node, pod, reading, rows

HOST_LINKS = [
    link("veth1", 43, peer=2, nsid=0),
    link("veth2", 44, peer=2, nsid=1),
    link("veth3", 45, peer=9, nsid=2),
    link("vethA", 46, link_name="vethB"),
    link("ens5", 7, None),
    link("cni0", 8, "bridge"),
]
ROWS = rows(n4026531840=None, n501=0, n502=1, n777=2)
ONE = reading(pod("one", ips=["10.0.0.1"]), 501, [link("eth0", 2, peer=43, nsid=0, ips=["10.0.0.1/24"])])
TWO = reading(
    pod("two", ips=["10.0.0.2"]),
    502,
    [
        link("eth0", 2, peer=44, nsid=0, ips=["10.0.0.2/24", "fe80::1/64"]),
        link("net1", 3, "macvlan", peer=7, nsid=0, ips=["192.0.2.2/24"]),
    ],
)
HOST_POD = PodReading(
    pod=pod("proxy", ips=["192.0.2.9"], host_network=True),
    netns=Known(PodNetns(inode=NODE_NETNS, source=NetnsSource.HOST, is_node=True)),
    links=Known((link("ens5", 7, None, ips=["192.0.2.9/24"]),)),
)


def owner(ifname: str, on: NodeReading, *pods: PodReading) -> NodeLinkOwner:
    found = find_link_owner(ifname, on, attach_pods(on, pods))
    assert isinstance(found, Known), found
    return found.value


def named(found: NodeLinkOwner) -> list[tuple[str, list[str]]]:
    return [(pod.key, [match.pod_link.ifname for match in pod.links]) for pod in found.pods]


def test_names_the_pod_and_the_link_behind_a_node_end() -> None:
    """Only the link that is joined to it is told, not the pod's others."""
    found = owner("veth2", node(HOST_LINKS, ROWS), ONE, TWO)
    assert (found.host_link.ifindex, named(found), found.reason) == (44, [("demo/two", ["eth0"])], "")


def test_names_all_pods_whose_links_sit_on_a_parent() -> None:
    """A parent of macvlans leads to as many pods as have one."""
    assert named(owner("ens5", node(HOST_LINKS, ROWS), ONE, TWO)) == [("demo/two", ["net1"])]


def test_names_the_netns_of_a_peer_that_is_no_pods() -> None:
    """A container outside Kubernetes, or a pod that was not read: the inode and a process are told."""
    found = owner("veth3", node(HOST_LINKS, ROWS), ONE, TWO)
    assert found.pods == ()
    assert found.peer_holder == NetnsHolder(inode=777, pid=7, command="/pause")
    assert "the peer of veth3 is link 9 in netnsid 2, which is netns 777" in found.reason


def test_names_the_pod_whose_link_bears_no_address() -> None:
    """The peer is in the pod's netns, as a link that the pod's own answer does not list."""
    found = owner("veth3", node(HOST_LINKS, rows(n501=0, n502=2)), ONE, TWO)
    assert [each.key for each in found.pods] == ["demo/two"]
    assert "that link bears no address" in found.reason


def test_says_what_a_link_is_that_is_no_end_of_a_pair() -> None:
    """A bridge leads to no pod, nor does a pair that has both ends on the node."""
    on = node(HOST_LINKS, ROWS)
    assert owner("cni0", on, ONE).reason == "cni0 is a bridge: it is no end of a pair"
    assert owner("vethA", on, ONE).reason == "the peer of vethA is vethB, in the node's netns itself"
    assert "hardware or loopback" in owner("ens5", on, ONE).reason


def test_says_that_lsns_was_missing() -> None:
    """Without it the id of the peer's netns means nothing."""
    found = owner("veth3", node(HOST_LINKS, Unavailable(Reason.TOOL_MISSING, "lsns: not found")), ONE)
    assert found.reason.endswith("lsns on the node is missing: lsns: not found")


def test_says_that_no_process_is_in_the_netns() -> None:
    """A pinned netns without processes is not in lsns's list."""
    assert "lists no process in that netns" in owner("veth3", node(HOST_LINKS, rows(n501=0)), ONE).reason


def test_names_the_pods_between_which_it_is_not_decided() -> None:
    """Two pods claim the link with the same numbers: both are named, neither as the owner."""
    rival = reading(pod("rival"), 503, [link("eth0", 2, peer=43, nsid=4, ips=["10.0.0.3/24"])])
    on = node(HOST_LINKS, Unavailable(Reason.TOOL_MISSING, "lsns: not found"))
    unnamed = reading(pod("unnamed"), 504, [link("eth0", 2, ips=["10.0.0.4/24"])])
    found = owner("veth1", on, ONE, rival, unnamed)
    assert found.pods == ()
    assert "demo/one, demo/rival: not decided" in found.reason


def test_a_name_that_the_node_does_not_have_is_not_found() -> None:
    """A wrong name, and links that could not be read, are answers of their own."""
    missing: Fact[NodeLinkOwner] = find_link_owner("nosuch", node(HOST_LINKS, ROWS), ())
    assert missing == Unavailable(Reason.NOT_FOUND, 'link "nosuch" not found in the node\'s netns')
    unread = Unavailable(Reason.TIMED_OUT, "ip took too long")
    assert find_link_owner("veth1", NodeReading(links=unread, namespaces=ROWS), ()) == unread


def addresses(text: str) -> list[tuple[str, list[str]]]:
    attached = attach_pods(node(HOST_LINKS, ROWS), [ONE, TWO, HOST_POD])
    found = find_by_address(parse_address(text), attached)
    return [(pod.key, [match.pod_link.ifname for match in pod.links]) for pod in found]


def test_finds_the_one_link_that_bears_an_address() -> None:
    """Any link of the pod counts, of any family; a longer or shorter text is no match."""
    assert addresses("192.0.2.2") == [("demo/two", ["net1"])]
    assert addresses("fe80::1") == [("demo/two", ["eth0"])]
    assert addresses("10.0.0.20") == []


def test_a_pod_with_host_network_is_not_named_for_the_nodes_address() -> None:
    """Its address is the node's, which all such pods share."""
    assert addresses("192.0.2.9") == []


def test_an_ended_pods_address_is_not_its_any_more() -> None:
    """Of all pods that the API gives an address to, the live ones of their own netns are asked."""
    address = parse_address("10.0.0.1")
    pods = [
        pod("now", ips=["10.0.0.1", "fd00::1"]),
        pod("before", ips=["10.0.0.1"], phase="Succeeded"),
        pod("evicted", ips=["10.0.0.1"], phase="Failed"),
        pod("proxy", ips=["10.0.0.1"], host_network=True),
        pod("other", ips=["10.0.0.10"]),
    ]
    assert [each.metadata.name for each in list_claimants(address, pods)] == ["now"]
    assert [each.metadata.name for each in list_claimants(parse_address("fd00::1"), pods)] == ["now"]
