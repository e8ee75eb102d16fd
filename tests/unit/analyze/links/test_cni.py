"""Which plugin a node link looks like the work of."""

from __future__ import annotations

import hashlib

import pytest

from netinspect.analyze.links.cni import pod_hash, suggest_cni
from netinspect.models.veth import HostLink

SANDBOX = "5f0e7c1d9b3a4286" * 4


def host(ifname: str, *, master: str | None = None, kind: str = "veth") -> HostLink:
    return HostLink(ifname=ifname, ifindex=43, mtu=1500, operstate="UP", kind=kind, master=master)


@pytest.mark.parametrize(
    ("namespace", "name", "expected"),
    [
        ("kube-system", "coredns-57ff979f67-qqbdh", "b5faff8a083"),
        ("kube-system", "coredns-57ff979f67-8ns9b", "9571956a6cc"),
        ("default", "sample-pod", "cc21c2d7785"),
    ],
)
def test_hashes_as_the_plugins_do(namespace: str, name: str, expected: str) -> None:
    """The values stand in the AWS VPC CNI's own tests (names_test.go), which follow Calico's rule."""
    assert pod_hash(namespace, name) == expected


@pytest.mark.parametrize(
    ("ifname", "family"),
    [
        ("cali{}", "Calico"),
        ("eni{}", "AWS VPC CNI"),
        ("gke{}", "GKE"),
        ("tap{}", "Calico, or a plugin that names links as it does"),
    ],
)
def test_verifies_a_name_that_is_computed_from_the_pods(ifname: str, family: str) -> None:
    """The prefix is a setting, the hash is not: an equal hash verifies the name whatever stands before it."""
    found = suggest_cni(host(ifname.format(pod_hash("demo", "web-1"))), "demo", "web-1", [])
    assert found is not None
    assert (found.family, found.verified) == (family, True)
    assert found.reason.startswith('verified by name hash: sha1("demo.web-1") begins with')


def test_verifies_the_later_links_of_a_pod_with_several_enis() -> None:
    """The AWS VPC CNI hashes the index of a further link with the pod's name."""
    found = suggest_cni(host(f"eni{pod_hash('demo', 'web-1.2')}"), "demo", "web-1", [])
    assert found is not None
    assert found.verified


@pytest.mark.parametrize(
    ("ifname", "family"),
    [(SANDBOX[:15], "OVN-Kubernetes"), (f"web-1-{hashlib.sha1(SANDBOX.encode()).hexdigest()[:6]}", "Antrea")],
)
def test_verifies_a_name_that_is_computed_from_a_containers_id(ifname: str, family: str) -> None:
    """OVN-Kubernetes takes the sandbox's id itself, Antrea its hash."""
    found = suggest_cni(host(ifname, master="ovs-system"), "demo", "web-1", ["other", SANDBOX])
    assert found is not None
    assert (found.family, found.verified) == (family, True)


@pytest.mark.parametrize(
    ("link", "family"),
    [
        (host("cali0123456789a"), "Calico"),
        (host("eni0123456789a"), "AWS VPC CNI"),
        (host("vlan.eth.1", kind="vlan"), "AWS VPC CNI"),
        (host("azv0123456"), "Azure CNI"),
        (host("azv0123456789a", master="azure0"), "Azure CNI"),
        (host("lxc0a1b2c3d4e5f"), "Cilium"),
        (host("lxc_health"), "Cilium"),
        (host("lxc0a1b2c3d4e5f", kind="netkit"), "Cilium in netkit mode"),
        (host("nk0", kind="netkit"), "Cilium in netkit mode"),
        (host("gke0123456789a"), "GKE"),
        (host("vethweplpod1"), "Weave Net"),
        (host("veth0a1b2c3d", master="cni0"), "bridge plugin (flannel and k3s use it too)"),
        (host("veth0a1b2c3d", master="kube-bridge"), "kube-router"),
        (host("veth0a1b2c3d", master="mybr0"), "bridge plugin, or one built on its library"),
        (host("veth0a1b2c3d"), "ptp plugin, or kindnet"),
        (host("web-1-a1b2c3", master="ovs-system"), "Open vSwitch (Antrea or OVN-Kubernetes)"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.ifname} {value.master} {value.kind}",
)
def test_suggests_by_name_and_master(link: HostLink, family: str) -> None:
    """What is not computed is a suggestion, and is never called verified."""
    found = suggest_cni(link, "demo", "web-1", [])
    assert found is not None
    assert (found.family, found.verified) == (family, False)


@pytest.mark.parametrize("link", [host("myveth"), host("veth0", master="br7"), host("vethxyz"), host("5f0")])
def test_suggests_nothing_for_a_name_of_no_plugin(link: HostLink) -> None:
    """A name that anybody could have given says nothing, nor does one that is shorter than a plugin's."""
    assert suggest_cni(link, "demo", "web-1", [SANDBOX]) is None
