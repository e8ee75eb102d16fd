"""How pods are joined to their node: the matching, and each case that is no pair."""

from __future__ import annotations

import pytest

from netinspect.analyze.links.veth import attach_pods, select_links
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.models.link import Link
from netinspect.models.netns import NamespaceRow, NetnsSource, PodNetns, PodProcess
from netinspect.models.veth import (
    Attachment,
    Confidence,
    LinkMatch,
    NetnsHolder,
    NodeReading,
    PodAttachment,
    PodReading,
    SandboxRuntime,
)
from tests.unit.analyze.build import DOWN, LO, NODE_NETNS, address, link, node, pod, reading, rows

NO_LSNS: Unavailable = Unavailable(Reason.TOOL_MISSING, "lsns: not found")
# Three pods as a bridge plugin leaves them: every eth0 is link 2, so every node end names link 2.
NODE_ENDS = [
    link("veth1", 43, peer=2, nsid=0, master="cni0"),
    link("veth2", 44, peer=2, nsid=1, master="cni0"),
    link("veth3", 45, peer=2, nsid=2, master="cni0"),
]
ALL_ROWS = rows(n4026531840=None, n501=0, n502=1, n503=2)


def eth0(peer: int, ip: str = "10.244.1.5/24", **more: int) -> Link:
    return link("eth0", more.pop("ifindex", 2), peer=peer, nsid=more.pop("nsid", 0), ips=[ip], **more)  # type: ignore[arg-type]


def only(node_reading: NodeReading, *pods: PodReading) -> PodAttachment:
    return attach_pods(node_reading, pods)[0]


def only_link(node_reading: NodeReading, *pods: PodReading) -> LinkMatch:
    (match,) = only(node_reading, *pods).links
    return match


def ends(match: LinkMatch) -> tuple[Attachment, Confidence, str | None]:
    return match.attachment, match.confidence, match.host_link.ifname if match.host_link else None


def test_finds_each_pods_own_end_where_all_eth0_have_one_number() -> None:
    """The node end is the one that the pod's link names, and lsns confirms whose netns it looks into."""
    pods = [reading(pod(f"p{i}"), 501 + i, [eth0(43 + i, f"10.244.1.{i}/24")]) for i in range(3)]
    found = [ends(each.links[0]) for each in attach_pods(node(NODE_ENDS, ALL_ROWS), pods)]
    assert found == [(Attachment.VETH, Confidence.CONFIRMED, f"veth{i + 1}") for i in range(3)]


def test_tells_both_numbers_and_the_id_as_evidence() -> None:
    """The evidence quotes what was compared, so that it can be checked by hand."""
    match = only_link(node(NODE_ENDS, ALL_ROWS), reading(pod(), 502, [eth0(44)]))
    numbers, netnsid = match.evidence
    assert (
        numbers
        == "eth0 is link 2 of the pod and names link 44; veth2 is link 44 of the node and names link 2"
    )
    assert netnsid == "lsns on the node: veth2's peer is in netnsid 1, the pod's netns 502 has netnsid 1"


@pytest.mark.parametrize(
    ("peer", "said"),
    [
        (46, "the node has no link 46"),
        (7, "on the node that number is cni0, of kind bridge instead of veth"),
        (8, "on the node that number is ens5, of kind hardware instead of veth"),
        (9, "on the node that number is vethX, which names link 5"),
        (10, "on the node that number is vethY, whose peer is in the node's netns itself"),
    ],
)
def test_a_number_that_does_not_point_back_is_another_links(peer: int, said: str) -> None:
    """Kind, number and "in another netns" must agree on the node's side, or the peer is not there."""
    links = [
        link("cni0", 7, "bridge"),
        link("ens5", 8, None),
        link("vethX", 9, peer=5, nsid=0),
        link("vethY", 10, link_name="vethZ"),
    ]
    match = only_link(node(links, ALL_ROWS), reading(pod(), 501, [eth0(peer)]))
    assert ends(match) == (Attachment.PEER_ELSEWHERE, Confidence.CONFIRMED, None)
    assert said in match.evidence[0]


@pytest.mark.parametrize(
    ("namespaces", "said"),
    [
        (rows(n501=0, n502=1), "the pod's netns 502 has netnsid 1"),
        (rows(n501=0), "which is netns 501, not the pod's 502"),
        (rows(n501=7, n502=None), "the pod's netns 502 has no netnsid on the node"),
    ],
    ids=["other id", "id of another netns", "no id at all"],
)
def test_numbers_that_agree_by_accident_are_found_out(
    namespaces: Known[tuple[NamespaceRow, ...]], said: str
) -> None:
    """A veth between two pods can have the very numbers of another pod's node end; the id tells them apart."""
    match = only_link(node(NODE_ENDS, namespaces), reading(pod(), 502, [eth0(43, nsid=1)]))
    assert ends(match) == (Attachment.PEER_ELSEWHERE, Confidence.CONFIRMED, None)
    assert said in match.evidence[1]


def test_without_lsns_numbers_alone_are_likely() -> None:
    """Both ends agree, nothing confirms it, and the answer says what was missing."""
    match = only_link(node(NODE_ENDS, NO_LSNS), reading(pod(), 501, [eth0(43)]))
    assert ends(match) == (Attachment.VETH, Confidence.LIKELY, "veth1")
    assert match.evidence[-1] == "not confirmed: lsns on the node is missing: lsns: not found"


def test_a_netns_that_lsns_does_not_list_is_likely() -> None:
    """lsns sees namespaces by their processes; a pinned one without any can be no more than likely."""
    match = only_link(node(NODE_ENDS, rows(n4026531840=None, n502=1)), reading(pod(), 501, [eth0(43)]))
    assert ends(match) == (Attachment.VETH, Confidence.LIKELY, "veth1")
    assert "lists no process in the pod's netns 501" in match.evidence[-1]


def test_a_listing_without_any_id_refutes_nothing() -> None:
    """Where lsns could not ask for ids at all, "unassigned" of the pod's netns is no evidence."""
    match = only_link(node(NODE_ENDS, rows(n501=None, n502=None)), reading(pod(), 501, [eth0(43)]))
    assert match.confidence is Confidence.LIKELY


def test_two_pods_that_claim_one_end_are_not_decided() -> None:
    """One of the two has its peer elsewhere; without lsns nobody knows which, so neither gets the end."""
    pods = [reading(pod("one"), 501, [eth0(43)]), reading(pod("two"), 502, [eth0(43, nsid=1)])]
    one, two = attach_pods(node(NODE_ENDS, NO_LSNS), pods)
    for own, other in ((one, "two"), (two, "one")):
        assert ends(own.links[0]) == (Attachment.VETH, Confidence.UNKNOWN, None)
        assert own.links[0].cni is None
        assert f"claimed with the same numbers by demo/{other}: not decided" in own.links[0].evidence[-1]


def test_a_confirmed_pod_decides_for_its_rival() -> None:
    """A link has one peer: whoever else claims a confirmed end has its own elsewhere."""
    pods = [reading(pod("one"), 501, [eth0(43)]), reading(pod("two"), 599, [eth0(43, nsid=1)])]
    one, two = attach_pods(node(NODE_ENDS, rows(n501=0)), pods)
    assert ends(one.links[0]) == (Attachment.VETH, Confidence.CONFIRMED, "veth1")
    assert ends(two.links[0]) == (Attachment.PEER_ELSEWHERE, Confidence.CONFIRMED, None)
    assert two.attachment is Attachment.PEER_ELSEWHERE


def test_lsns_in_the_pod_confirms_without_lsns_on_the_node() -> None:
    """The pod's id for its peer's netns leads to the node's inode: the number names that very link."""
    inside = rows(n4026531840=0, n501=None)
    match = only_link(node(NODE_ENDS, NO_LSNS), reading(pod(), 501, [eth0(43)], namespaces=inside))
    assert ends(match) == (Attachment.VETH, Confidence.CONFIRMED, "veth1")
    assert match.evidence[1] == f"lsns in the pod's netns: netnsid 0 is netns {NODE_NETNS}, the node's own"


def test_lsns_in_the_pod_names_who_holds_the_peer() -> None:
    """The netns behind the id is told, and the pod that it is the netns of."""
    pods = [
        reading(pod("two"), 502, [eth0(99, nsid=1)], namespaces=rows(n501=1)),
        reading(pod("one"), 501, [eth0(43)]),
    ]
    match = only_link(node(NODE_ENDS, ALL_ROWS), *pods)
    assert ends(match) == (Attachment.PEER_ELSEWHERE, Confidence.CONFIRMED, None)
    assert match.peer_holder == NetnsHolder(inode=501, pod="demo/one", pid=7, command="/pause")


def test_witnesses_that_contradict_each_other_decide_nothing() -> None:
    """The two listings were not taken at one moment; if they disagree, no end is named."""
    match = only_link(node(NODE_ENDS, ALL_ROWS), reading(pod(), 501, [eth0(43)], namespaces=rows(n777=0)))
    assert ends(match) == (Attachment.VETH, Confidence.UNKNOWN, None)
    assert match.evidence[-1] == "the two contradict each other"


def test_old_kernels_leave_out_a_number_that_is_equal() -> None:
    """Before Linux 5.2 a peer with the link's own number was not named; it is that number."""
    ours = link("eth0", 43, nsid=0, ips=["10.244.1.5/24"])
    match = only_link(node([link("veth1", 43, nsid=0)], rows(n501=0)), reading(pod(), 501, [ours]))
    assert ends(match) == (Attachment.VETH, Confidence.CONFIRMED, "veth1")


def test_netkit_is_matched_as_veth_is() -> None:
    """netkit comes in pairs, too, and only a netkit can be a netkit's peer."""
    ours = link("eth0", 2, "netkit", peer=43, nsid=0, ips=["10.0.0.1/32"], mode="l3")
    host = link("lxc0a1b2c3d4e5f", 43, "netkit", peer=2, nsid=0)
    assert ends(only_link(node([host], rows(n501=0)), reading(pod(), 501, [ours]))) == (
        Attachment.NETKIT,
        Confidence.CONFIRMED,
        "lxc0a1b2c3d4e5f",
    )
    wrong = only_link(node(NODE_ENDS, ALL_ROWS), reading(pod(), 501, [ours]))
    assert wrong.attachment is Attachment.PEER_ELSEWHERE


@pytest.mark.parametrize(
    ("kind", "attachment"),
    [
        ("macvlan", Attachment.MACVLAN),
        ("macvtap", Attachment.MACVLAN),
        ("ipvlan", Attachment.IPVLAN),
        ("vlan", Attachment.VLAN),
    ],
)
def test_names_the_parent_of_a_child(kind: str, attachment: Attachment) -> None:
    """A parent does not point back: without a witness it is likely, with lsns in the pod confirmed."""
    child = link("eth0", 12, kind, peer=7, nsid=0, ips=["192.0.2.5/24"], mode="bridge")
    host = node([link("ens5", 7, None)], ALL_ROWS)
    match = only_link(host, reading(pod(), 501, [child]))
    assert ends(match) == (attachment, Confidence.LIKELY, "ens5")
    assert "mode bridge" in match.evidence[0]
    sure = only_link(host, reading(pod(), 501, [child], namespaces=rows(n4026531840=0)))
    assert ends(sure) == (attachment, Confidence.CONFIRMED, "ens5")


def test_a_confirmed_pair_confirms_the_parent_of_the_pods_other_link() -> None:
    """Both links of the pod name the same netns by its id, and one of them is known to end on the node."""
    child = link("net1", 3, "macvlan", peer=7, nsid=0, ips=["192.0.2.5/24"])
    stray = link("net2", 4, "macvlan", peer=7, nsid=5, ips=["192.0.2.6/24"])
    attached = only(
        node([*NODE_ENDS, link("ens5", 7, None)], ALL_ROWS), reading(pod(), 501, [eth0(43), child, stray])
    )
    assert [ends(match) for match in attached.links] == [
        (Attachment.VETH, Confidence.CONFIRMED, "veth1"),
        (Attachment.MACVLAN, Confidence.CONFIRMED, "ens5"),
        (Attachment.MACVLAN, Confidence.CONFIRMED, None),
    ]
    assert "netnsid is 0, that of net2 is 5" in attached.links[2].evidence[-1]


def test_a_parent_in_a_third_netns_is_not_looked_for_on_the_node() -> None:
    """Its number is another netns's; the link on the node that bears it is a stranger."""
    child = link("eth0", 12, "macvlan", peer=7, nsid=3, ips=["192.0.2.5/24"])
    inside = rows(n4026531840=0, n777=3)
    match = only_link(
        node([link("ens5", 7, None)], ALL_ROWS), reading(pod(), 501, [child], namespaces=inside)
    )
    assert ends(match) == (Attachment.MACVLAN, Confidence.CONFIRMED, None)
    assert match.peer_holder == NetnsHolder(inode=777, pid=7, command="/pause")


def test_hardware_in_a_pod_has_no_end_on_the_node() -> None:
    """An SR-IOV function is known by its bus address; without one it is hardware most likely."""
    ips = ["192.0.2.17/24"]
    known = link("eth0", 14, None, ips=ips, parentdev="0000:3b:02.1")
    match = only_link(node(NODE_ENDS, ALL_ROWS), reading(pod(), 501, [known]))
    assert ends(match) == (Attachment.PHYSICAL, Confidence.CONFIRMED, None)
    assert "0000:3b:02.1" in match.evidence[0]
    unnamed = only_link(node(NODE_ENDS, ALL_ROWS), reading(pod(), 501, [link("eth0", 14, None, ips=ips)]))
    assert ends(unnamed) == (Attachment.PHYSICAL, Confidence.LIKELY, None)


@pytest.mark.parametrize(
    "inner",
    [
        link("docker0", 5, "bridge", ips=["172.17.0.1/16"]),
        link("wg0", 5, "wireguard", nsid=0, ips=["10.8.0.2/24"]),
        link("eth0.7", 5, "vlan", link_name="eth0", ips=["10.7.0.2/24"]),
        link("one", 5, "veth", link_name="two", ips=["10.9.0.1/24"]),
    ],
    ids=lambda inner: inner.ifname,
)
def test_software_inside_the_pod_is_not_joined_to_the_node(inner: Link) -> None:
    """A bridge of docker in docker, a VPN, a vlan on eth0: they end in the pod's own netns."""
    attached = only(node(NODE_ENDS, ALL_ROWS), reading(pod(), 501, [eth0(43), inner]))
    assert attached.attachment is Attachment.VETH
    assert ends(attached.links[1]) == (Attachment.INTERNAL, Confidence.CONFIRMED, None)


@pytest.mark.parametrize("kind", ["veth", "macvlan"])
def test_a_link_that_names_nothing_is_unknown(kind: str) -> None:
    """The kernel can leave a peer unnamed while it goes away; then there is nothing to look for."""
    match = only_link(
        node(NODE_ENDS, ALL_ROWS), reading(pod(), 501, [link("eth0", 2, kind, ips=["10.0.0.2/8"])])
    )
    assert (match.confidence, match.host_link) == (Confidence.UNKNOWN, None)


@pytest.mark.parametrize("kind", ["veth", "macvlan"])
def test_without_the_nodes_links_nothing_is_matched(kind: str) -> None:
    """The pod's own end is a fact all the same, and the reason stands beside it."""
    blind = NodeReading(links=Unavailable(Reason.TIMED_OUT, "ip took too long"), namespaces=ALL_ROWS)
    ours = link("eth0", 2, kind, peer=43, nsid=0, ips=["10.0.0.2/8"])
    match = only_link(blind, reading(pod(), 501, [ours]))
    assert (match.attachment.value, match.confidence, match.host_link) == (kind, Confidence.UNKNOWN, None)
    assert "ip took too long" in match.evidence[0]


# Pods without links to tell of


def without_netns(of: PodReading, attachment: Attachment) -> PodAttachment:
    attached = only(node(NODE_ENDS, ALL_ROWS), of)
    assert (attached.attachment, attached.links) == (attachment, ())
    return attached


def absent(reason: Reason = Reason.NOT_FOUND) -> Unavailable:
    return Unavailable(reason, "no process on the node belongs to the pod")


def test_a_pod_with_host_network_has_no_link_of_its_own() -> None:
    """The node's links are not told as the pod's, even where they were read in its netns."""
    host = PodNetns(inode=NODE_NETNS, source=NetnsSource.HOST, is_node=True)
    of = PodReading(pod=pod(host_network=True), netns=Known(host), links=Known(tuple(NODE_ENDS)))
    assert without_netns(of, Attachment.HOST_NETWORK).netns == host


@pytest.mark.parametrize(
    ("of", "attachment"),
    [
        (pod(phase="Succeeded"), Attachment.COMPLETED),
        (pod(phase="Failed", host_network=True), Attachment.COMPLETED),
        (pod(phase="Pending"), Attachment.NOT_STARTED),
        (pod(phase="Pending", node=""), Attachment.NOT_STARTED),
        (pod(containers=["app"]), Attachment.UNKNOWN),
        (pod(), Attachment.UNKNOWN),
        (pod(phase="Pending", containers=["init"]), Attachment.UNKNOWN),
    ],
    ids=["succeeded", "failed", "not started", "unscheduled", "lost", "no container", "lost while starting"],
)
def test_a_pod_without_netns_is_called_by_its_reason(of: object, attachment: Attachment) -> None:
    """Ended, not started and not found are three different answers, each with the reason that was given."""
    attached = without_netns(PodReading(pod=of, netns=absent(), links=absent()), attachment)  # type: ignore[arg-type]
    assert attached.missing == absent()


def test_links_that_could_not_be_read_are_a_gap() -> None:
    """The netns is known, its links are not: nothing is said about them."""
    netns = PodNetns(inode=501, source=NetnsSource.PROCESS)
    gone = Unavailable(Reason.NOT_FOUND, "gone before it could be entered")
    attached = without_netns(PodReading(pod=pod(), netns=Known(netns), links=gone), Attachment.UNKNOWN)
    assert (attached.missing, attached.netns) == (gone, netns)


def test_a_netns_with_lo_alone_is_told_as_such() -> None:
    """Tunnels that the kernel makes in every netns do not count as links of the pod."""
    tunnels = [link("tunl0", 2, "ipip", flags=DOWN), link("sit0", 3, "sit", flags=DOWN)]
    attached = without_netns(reading(pod(), 501, tunnels), Attachment.NO_LINK)
    assert "the CNI plugin failed, or has torn the pod down" in attached.notes[0]


def test_a_link_without_address_is_shown_where_there_is_no_other() -> None:
    """eth0 without its address is a fault to be seen, not a pod without links."""
    bare = link("eth0", 2, peer=43, nsid=0)
    attached = only(node(NODE_ENDS, ALL_ROWS), reading(pod(ips=["10.244.1.5"]), 501, [bare]))
    assert attached.attachment is Attachment.VETH
    assert attached.notes == ("no link of the netns bears 10.244.1.5, which the API gives the pod",)


def test_takes_links_that_bear_addresses_only() -> None:
    """An IPv6 link-local address is one; lo, and links without any, are not answered for."""
    local = link("net1", 9, peer=1, nsid=0, ips=["fe80::1/64"])
    v4 = link("eth0", 2, peer=43, nsid=0, ips=["10.0.0.1/24"])
    tunnel = link("tunl0", 4, "ipip", ips=["10.255.0.1/32"])
    assert select_links([LO, local, link("bare", 5), tunnel, v4]) == (v4, tunnel, local)


def test_the_primary_address_decides_how_a_pod_is_joined() -> None:
    """A second network may stand first; the pod is joined by the link that bears its first address."""
    second = link("net0", 2, "macvlan", peer=7, nsid=0, ips=["192.0.2.5/24", "fd00::5/64"])
    first = link("eth0", 3, peer=43, nsid=0, ips=["10.244.1.5/24"])
    host = [link("veth1", 43, peer=3, nsid=0), link("ens5", 7, None)]
    attached = only(node(host, ALL_ROWS), reading(pod(ips=["10.244.1.5", "fd00::5"]), 501, [second, first]))
    assert [match.attachment for match in attached.links] == [Attachment.MACVLAN, Attachment.VETH]
    assert attached.attachment is Attachment.VETH


def test_suggests_the_plugin_of_a_pair_only() -> None:
    """The node end of a pair is a plugin's work; a parent is the node's own link. The sandbox's id is looked at."""
    pair = link("eth0", 2, peer=43, nsid=0, ips=["10.244.1.5/24"])
    child = link("net1", 3, "macvlan", peer=7, nsid=0, ips=["192.0.2.5/24"])
    links = [link("0123456789abcde", 43, peer=2, nsid=0), link("veth0a1b2c3d", 7, master="cni0")]
    sandbox = PodProcess(10, "0123456789abcdef" * 4, 501, "pause")
    attached = only(node(links, ALL_ROWS), reading(pod(), 501, [pair, child], processes=[sandbox]))
    first, second = attached.links
    assert (first.cni.family if first.cni else None, second.cni) == ("OVN-Kubernetes", None)


def test_an_ipv6_pod_is_matched_as_any_other() -> None:
    """No step looks at addresses of one family."""
    attached = only(node(NODE_ENDS, ALL_ROWS), reading(pod(ips=["fd00::5"]), 501, [eth0(43, "fd00::5/64")]))
    assert ends(attached.links[0]) == (Attachment.VETH, Confidence.CONFIRMED, "veth1")
    assert attached.links[0].pod_link.addresses == (address("fd00::5/64"),)
    assert attached.notes == ()


@pytest.mark.parametrize(
    ("runtime_class", "comm", "expected", "words"),
    [
        ("kata-qemu", "", SandboxRuntime.KATA, "inside the guest cannot be seen"),
        ("", "qemu-system-x86", SandboxRuntime.KATA, "inside the guest cannot be seen"),
        ("gvisor", "", SandboxRuntime.GVISOR, "gVisor's own network stack holds the addresses"),
        ("", "runsc-sandbox", SandboxRuntime.GVISOR, "gVisor's own network stack holds the addresses"),
    ],
)
def test_says_what_stays_true_of_a_sandboxed_pod(
    runtime_class: str, comm: str, expected: SandboxRuntime, words: str
) -> None:
    """Its links and node ends are as shown, also without addresses; what lies beyond is said not to be seen."""
    bare = link("eth0", 2, peer=43, nsid=0)
    processes = [PodProcess(10, None, 501, comm)] if comm else []
    of = reading(pod(ips=["10.244.1.5"], runtime_class=runtime_class), 501, [bare], processes=processes)
    attached = only(node(NODE_ENDS, ALL_ROWS), of)
    assert ends(attached.links[0]) == (Attachment.VETH, Confidence.CONFIRMED, "veth1")
    assert attached.sandbox is expected
    assert len(attached.notes) == 1
    assert words in attached.notes[0]
