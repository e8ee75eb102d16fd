"""What is said about the two ends of a link."""

from __future__ import annotations

import pytest

from netinspect.analyze.links.veth import attach_pods
from netinspect.models.link import Link
from tests.unit.analyze.build import DOWN, UP, link, node, pod, reading, rows

NO_CARRIER = ("NO-CARRIER", "BROADCAST", "MULTICAST", "UP")


def notes(ours: Link, host: Link) -> tuple[str, ...]:
    """The notes for a pod whose one link is joined to one node link."""
    (attached,) = attach_pods(node([host], rows(n501=0)), [reading(pod(), 501, [ours])])
    return attached.links[0].notes


def ours(**more: object) -> Link:
    return link("eth0", 2, peer=43, nsid=0, ips=["10.0.0.2/24"], **more)  # type: ignore[arg-type]


def theirs(**more: object) -> Link:
    return link("veth1", 43, peer=2, nsid=0, **more)  # type: ignore[arg-type]


def test_a_healthy_pair_needs_no_word() -> None:
    """Up, with carrier, of one MTU, on no bridge like all others of its sort: nothing is noted."""
    assert notes(ours(), theirs()) == ()


def test_names_both_mtus_where_they_differ() -> None:
    """Peers of one pair with different MTUs drop what is too large without any message."""
    (note,) = notes(ours(mtu=1450), theirs(mtu=1500))
    assert "eth0 1450, veth1 1500" in note
    assert "larger than 1450 bytes" in note


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (DOWN, "the node end veth1 is administratively down (no UP in <BROADCAST,MULTICAST>)"),
        (
            NO_CARRIER,
            "the node end veth1 has no carrier (no LOWER_UP in <NO-CARRIER,BROADCAST,MULTICAST,UP>)",
        ),
    ],
)
def test_quotes_the_flags_of_a_node_end_that_is_not_up(flags: tuple[str, ...], said: str) -> None:
    """Set down by somebody, and without its other end, are two things."""
    assert notes(ours(), theirs(flags=flags)) == (said,)


def test_tells_of_a_pods_end_that_is_down() -> None:
    """The pod's own end can be set down, too."""
    (note,) = notes(ours(flags=DOWN), theirs())
    assert "the pod's eth0 is administratively down" in note


def test_a_childs_mtu_may_be_smaller_than_its_parents() -> None:
    """A macvlan of 1450 on a parent of 9000 is by design; a parent without carrier is not."""
    child = link("eth0", 12, "macvlan", peer=7, nsid=0, ips=["192.0.2.5/24"], mtu=1450)
    assert notes(child, link("ens5", 7, None, mtu=9000)) == ()
    (note,) = notes(child, link("ens5", 7, None, mtu=9000, flags=NO_CARRIER))
    assert note.startswith("the parent ens5 has no carrier")


def masters(
    *bridges: str | None, names: str = "veth", ifnames: tuple[str, ...] = ()
) -> list[tuple[str, ...]]:
    """The notes of as many pods as there are entries, whose node ends are ports of these bridges."""
    hosts = [
        link(f"{names}{i}", 40 + i, peer=2, nsid=i, master=bridge, flags=UP)
        for i, bridge in enumerate(bridges)
    ]
    pods = [
        reading(
            pod(f"p{i}"),
            500 + i,
            [link(ifnames[i] if ifnames else "eth0", 2, peer=40 + i, nsid=0, ips=[f"10.0.0.{i}/24"])],
        )
        for i in range(len(bridges))
    ]
    ids = rows(**{f"n{500 + i}": i for i in range(len(bridges))})
    return [attached.links[0].notes for attached in attach_pods(node(hosts, ids), pods)]


def test_notes_an_end_that_left_the_bridge_of_all_others() -> None:
    """Two ends on cni0 and one on none: the one is told, with what it was compared to."""
    assert masters("cni0", None, "cni0") == [
        (),
        ("the node end veth1 is no port of a bridge; those of 2 other pods are ports of cni0",),
        (),
    ]


def test_routed_plugins_have_no_bridge_to_miss() -> None:
    """Where no end has a master, none is missed; where most have none, the ports are the odd ones."""
    assert masters(None, None, None, names="cali") == [(), (), ()]
    assert masters(None, "docker0", None) == [(), (), ()]


def test_one_port_is_enough_to_miss_the_bridge() -> None:
    """With two pods only, the one without a bridge is told: which of them is right is not said."""
    assert [len(each) for each in masters("cni0", None)] == [0, 1]


def test_several_bridges_give_nothing_to_compare_with() -> None:
    """With ends on two bridges nobody knows which one is missed."""
    assert masters("br0", "br1", None) == [(), (), ()]


def test_a_second_network_is_compared_with_itself_only() -> None:
    """net1 of a routed plugin beside eth0 of a bridged one is as it should be."""
    assert masters("cni0", "cni0", None, ifnames=("eth0", "eth0", "net1")) == [(), (), ()]
