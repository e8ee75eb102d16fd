"""What a node should do with packets to Services: one Service of each kind, in each mode."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from netinspect.analyze.expected.mode_traits import Version
from netinspect.models.fact import Reason, Unavailable
from netinspect.models.kubernetes import NodeAddress
from netinspect.models.proxy_config import LocalMode, ProxyConfig
from netinspect.models.service_map import Branch, Mode, Outcome
from tests.unit.analyze.service_world import (
    BALANCER,
    CONFIG,
    EXTERNAL,
    HERE,
    VIP,
    address,
    endpoint,
    expect,
    node,
    service,
    slices,
    state,
    told,
)

NETFILTER = (Mode.IPTABLES, Mode.NFTABLES)
PODS = "fd00:10:244::/48"
NODE_PORT = [{"name": "http", "port": 80, "nodePort": 30080, "protocol": "TCP"}]
CLUSTER_IP = {
    f"{hook} [{VIP[6]}]:80": f"not {PODS}: masquerade 1 2 3 | 1 2 3" for hook in ("output", "prerouting")
}
ONLY_ELSEWHERE = slices(endpoints=(endpoint(3), endpoint(4)))
NONE = slices(endpoints=())


def external(**fields: Any) -> dict[str, Any]:
    return {"externalIPs": [EXTERNAL[6]], **fields}


def balancer(**fields: Any) -> dict[str, Any]:
    return {"type": "LoadBalancer", "ingress": [BALANCER[6]], **fields}


def at_both(where: str, what: str) -> dict[str, str]:
    return {f"{hook} {where}": what for hook in ("prerouting", "output")}


def only(map_: dict[str, str], *words: str) -> dict[str, str]:
    """The entries whose name holds all of the words."""
    return {name: text for name, text in map_.items() if all(word in name for word in words)}


@pytest.mark.parametrize("mode", NETFILTER)
def test_a_cluster_ip_is_masqueraded_for_all_but_pods(mode: Mode) -> None:
    assert told(expect(mode, service())) == CLUSTER_IP
    four = told(expect(mode, service(), family=4))
    assert four["output [10.96.0.10]:80"] == "not 10.244.0.0/16: masquerade 1 2 3 | 1 2 3"


def test_backends_have_port_even_shares_affinity_and_hairpin() -> None:
    sticky: dict[str, Any] = {
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
    }
    map_ = expect(Mode.IPTABLES, service(**sticky))
    for backend in map_.entries[0].branches[0].backends:
        assert backend.port == 8080
        assert backend.share == pytest.approx(1 / 3)
        assert backend.affinity_s == 60
        assert backend.masqueraded_from == (backend.address,)
        assert (backend.weight, backend.forwarding) == (None, None)
    unset = expect(Mode.IPTABLES, service(sessionAffinity="ClientIP"))
    assert unset.entries[0].branches[0].backends[0].affinity_s == 10800


@pytest.mark.parametrize(("mode", "count"), [(Mode.IPTABLES, 3), (Mode.NFTABLES, 2), (Mode.IPVS, 2)])
def test_hairpin_is_masqueraded_for_all_or_for_the_nodes_own(mode: Mode, count: int) -> None:
    (branch, *_) = expect(mode, service()).entries[0].branches
    assert sum(each.is_hairpin_masqueraded for each in branch.backends) == count
    early = expect(mode, service(), version=(1, 35)).entries[0].branches[0]
    assert sum(each.is_hairpin_masqueraded for each in early.backends) == (2 if mode is Mode.IPVS else 3)


@pytest.mark.parametrize(
    ("conditions", "modes"),
    [({}, {Mode.NFTABLES, Mode.IPVS}), ({"ready": False, "serving": False}, {Mode.IPVS})],
)
def test_a_hairpin_set_holds_what_another_service_has_here(
    conditions: dict[str, bool], modes: set[Mode]
) -> None:
    """Slices made by hand need not say on which node an endpoint is."""
    other = service("other", clusterIPs=["10.96.0.11", "fd00:10:96::b"])
    by_hand = slices(endpoints=(endpoint(1, nodeName=None),))
    cluster = state([service(), other], by_hand, slices("other", (endpoint(1, **conditions),)))
    for mode in (Mode.NFTABLES, Mode.IPVS):
        entries = [each for each in expect(mode, cluster).entries if each.service == "demo/web:http"]
        (backend,) = entries[0].branches[0].backends
        assert backend.is_hairpin_masqueraded is (mode in modes)


def test_ipvs_backends_have_weight_and_forwarding() -> None:
    (backend, *_) = expect(Mode.IPVS, service()).entries[0].branches[0].backends
    assert (backend.weight, backend.forwarding) == (1, "masq")


@pytest.mark.parametrize("mode", NETFILTER)
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"masquerade_all": True}, "masquerade 1 2 3"),
        ({"cluster_cidrs": ()}, "1 2 3"),
        ({"cluster_cidrs": ("10.244.0.0/16",)}, "1 2 3"),
        ({"cluster_cidrs": ("fd00:a::1/64", "fd00:b::/64")}, "not fd00:a::/64: masquerade 1 2 3 | 1 2 3"),
        (
            {"detect_local_mode": LocalMode.NODE_CIDR},
            "not fd00:10:244:1::/64: masquerade 1 2 3 | 1 2 3",
        ),
        (
            {"detect_local_mode": LocalMode.BRIDGE_INTERFACE, "bridge_interface": "cni0"},
            "not cni0: masquerade 1 2 3 | 1 2 3",
        ),
        (
            {"detect_local_mode": LocalMode.INTERFACE_NAME_PREFIX, "interface_name_prefix": "cali"},
            "not cali+: masquerade 1 2 3 | 1 2 3",
        ),
    ],
)
def test_settings_say_whose_packets_are_masqueraded(
    mode: Mode, settings: dict[str, Any], expected: str
) -> None:
    map_ = told(expect(mode, service(), config=replace(CONFIG, **settings)))
    assert set(map_.values()) == {expected}


def test_ipvs_leaves_loopback_sources_alone() -> None:
    assert set(told(expect(Mode.IPVS, service())).values()) == {
        f"::1/128: 1 2 3 | not {PODS}: masquerade 1 2 3 | 1 2 3"
    }
    all_ = expect(Mode.IPVS, service(), config=replace(CONFIG, masquerade_all=True))
    assert set(told(all_).values()) == {"::1/128: 1 2 3 | masquerade 1 2 3"}


def test_ipvs_without_local_detection_masquerades_from_virtual_addresses() -> None:
    other = service("other", clusterIPs=["10.96.0.11", "fd00:10:96::b"])
    third = service(
        "third", [{"name": "http", "port": 81, "protocol": "TCP"}], clusterIPs=["10.96.0.12", "fd00:10:96::c"]
    )
    cluster = state([service(), other, third], slices())
    map_ = told(expect(Mode.IPVS, cluster, config=ProxyConfig()))
    sources = "fd00:10:96::a/128,fd00:10:96::b/128"
    assert map_[f"output [{VIP[6]}]:80"] == f"::1/128: 1 2 3 | {sources}: masquerade 1 2 3 | 1 2 3"


def test_ipvs_without_local_detection_does_so_whatever_address_the_port_is_of() -> None:
    """The rule asks for the source's address and the destination's port: a Local policy is no matter to it."""
    by_port = [{"name": "http", "port": 80, "nodePort": 30080, "protocol": "TCP"}]
    local = service("web", by_port, type="LoadBalancer", ingress=[BALANCER[6]], externalTrafficPolicy="Local")
    high = service(
        "high",
        [{"name": "http", "port": 30080, "protocol": "TCP"}],
        clusterIPs=["10.96.0.11", "fd00:10:96::b"],
    )
    map_ = told(expect(Mode.IPVS, state([local, high], slices()), config=ProxyConfig()))
    assert map_[f"output [{BALANCER[6]}]:80"] == "::1/128: 1 2 | fd00:10:96::a/128: masquerade 1 2 | 1 2"
    assert map_["output [fd00:99::11]:30080"] == "::1/128: 1 2 | fd00:10:96::b/128: masquerade 1 2 | 1 2"
    told_all = replace(ProxyConfig(), masquerade_all=True)
    assert told(expect(Mode.IPVS, local, config=told_all))[f"output [{BALANCER[6]}]:80"] == "1 2"


@pytest.mark.parametrize(
    ("what", "labels"),
    [
        ({"clusterIPs": ["None"]}, {}),
        ({"type": "ExternalName", "externalName": "www.example.com"}, {}),
        ({"clusterIPs": ["10.96.0.10"], "ipFamilies": ["IPv4"], "externalIPs": [EXTERNAL[6]]}, {}),
        ({}, {"service.kubernetes.io/service-proxy-name": ""}),
    ],
    ids=["headless", "external name", "not of this family", "another proxy's"],
)
@pytest.mark.parametrize("mode", list(Mode))
def test_services_that_kube_proxy_passes_over(
    mode: Mode, what: dict[str, Any], labels: dict[str, str]
) -> None:
    assert expect(mode, service(labels=labels, **what)).entries == ()


def test_a_second_family_is_served_at_its_own_address() -> None:
    turned = service(clusterIPs=[VIP[6], VIP[4]], ipFamilies=["IPv6", "IPv4"])
    assert told(expect(Mode.IPTABLES, turned)) == CLUSTER_IP


@pytest.mark.parametrize(
    ("mode", "four", "six"),
    [
        (Mode.IPTABLES, ["any"], ["any-::1/128"]),
        (Mode.NFTABLES, ["[10.99.0.11]"], ["[fd00:99::11]"]),
        (Mode.IPVS, ["[10.99.0.11]", "[192.168.7.1]"], ["[fd00:7::1]", "[fd00:99::11]"]),
    ],
)
def test_node_ports_are_where_the_mode_offers_them(mode: Mode, four: list[str], six: list[str]) -> None:
    for family, expected in ((4, four), (6, six)):
        map_ = told(expect(mode, service(type="NodePort", ports=NODE_PORT), family=family))
        for hook in ("prerouting", "output"):
            assert sorted(only(map_, hook, ":30080")) == [f"{hook} {each}:30080" for each in expected]


@pytest.mark.parametrize(
    ("mode", "networks", "four", "six"),
    [
        (Mode.IPTABLES, ("192.168.0.0/16",), ["[192.168.7.1]"], ["any-::1/128"]),
        (Mode.IPTABLES, ("127.0.0.0/8", "::1/128"), ["[127.0.0.1]"], []),
        (Mode.IPTABLES, ("primary",), ["[10.99.0.11]"], ["[fd00:99::11]"]),
        (Mode.NFTABLES, ("127.0.0.0/8", "fd00:7::/64"), [], ["[fd00:7::1]"]),
        (Mode.NFTABLES, ("0.0.0.0/0", "10.0.0.0/8"), ["any-127.0.0.0/8"], ["any-::1/128"]),
        (Mode.IPVS, ("10.0.0.0/8", "fe80::/10"), ["[10.99.0.11]"], ["[fe80::1]"]),
    ],
)
def test_node_port_addresses_narrow_them(
    mode: Mode, networks: tuple[str, ...], four: list[str], six: list[str]
) -> None:
    config = replace(CONFIG, node_port_addresses=networks)
    for family, expected in ((4, four), (6, six)):
        map_ = told(expect(mode, service(type="NodePort", ports=NODE_PORT), family, config))
        assert sorted(only(map_, "output", ":30080")) == [f"output {each}:30080" for each in expected]


def test_node_ports_of_loopback_can_be_forbidden() -> None:
    config = replace(CONFIG, localhost_node_ports=False)
    map_ = told(expect(Mode.IPTABLES, service(type="NodePort", ports=NODE_PORT), 4, config))
    assert sorted(only(map_, "output", ":30080")) == ["output any-127.0.0.0/8:30080"]


def test_an_early_nftables_mode_offers_node_ports_at_all_addresses() -> None:
    map_ = told(expect(Mode.NFTABLES, service(type="NodePort", ports=NODE_PORT), version=(1, 29)))
    assert only(map_, "output", ":30080") == {"output any-::1/128:30080": "masquerade 1 2 3"}


def test_a_bind_address_is_the_primary_one() -> None:
    config = replace(CONFIG, bind_address="fd00:7::1")
    map_ = told(expect(Mode.NFTABLES, service(type="NodePort", ports=NODE_PORT), config=config))
    assert sorted(only(map_, "output", ":30080")) == ["output [fd00:7::1]:30080"]


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (("ExternalIP fd00:7::1", "InternalIP fd00:99::11"), "fd00:99::11"),
        (("InternalIP fd00:7::1", "InternalIP fd00:99::11"), "fd00:7::1"),
        (("InternalIP 10.99.0.11", "Hostname fd00:99::11", "ExternalIP fd00:7::1"), "fd00:7::1"),
    ],
)
def test_the_primary_address_is_an_internal_one_if_there_is_one(
    addresses: tuple[str, ...], expected: str
) -> None:
    pairs = (each.split() for each in addresses)
    listed = tuple(NodeAddress(type=kind, address=text) for kind, text in pairs)
    known = replace(node(HERE, 11), status=replace(node(HERE, 11).status, addresses=listed))
    cluster = state([service(type="NodePort", ports=NODE_PORT)], slices(), nodes=[known])
    map_ = told(expect(Mode.NFTABLES, cluster))
    assert sorted(only(map_, "output", ":30080")) == [f"output [{expected}]:30080"]


def test_a_node_without_address_has_no_primary_one() -> None:
    bare = replace(node(HERE, 11), status=replace(node(HERE, 11).status, addresses=()))
    cluster = state([service(type="NodePort", ports=NODE_PORT)], slices(), nodes=[bare])
    assert sorted(only(told(expect(Mode.NFTABLES, cluster)), "output", ":30080")) == [
        "output any-::1/128:30080"
    ]


@pytest.mark.parametrize("mode", NETFILTER)
def test_external_addresses_are_masqueraded_for_all(mode: Mode) -> None:
    map_ = told(expect(mode, service(**external(externalTrafficPolicy="Cluster"))))
    assert set(only(map_, EXTERNAL[6]).values()) == {"masquerade 1 2 3"}
    assert len(only(map_, EXTERNAL[6])) == 2


@pytest.mark.parametrize("mode", NETFILTER)
def test_the_external_local_policy_has_short_ways(mode: Mode) -> None:
    map_ = told(expect(mode, service(**external(externalTrafficPolicy="Local"))))
    assert only(map_, EXTERNAL[6]) == {
        f"prerouting [{EXTERNAL[6]}]:80": f"{PODS}: 1 2 3 | 1 2",
        f"output [{EXTERNAL[6]}]:80": f"{PODS}: 1 2 3 | masquerade 1 2 3",
    }
    assert only(map_, VIP[6]) == CLUSTER_IP
    blind = told(expect(mode, service(**external(externalTrafficPolicy="Local")), config=ProxyConfig()))
    assert only(blind, EXTERNAL[6]) == {
        f"prerouting [{EXTERNAL[6]}]:80": "1 2",
        f"output [{EXTERNAL[6]}]:80": "masquerade 1 2 3",
    }


@pytest.mark.parametrize("mode", NETFILTER)
def test_the_internal_local_policy_keeps_packets_here(mode: Mode) -> None:
    map_ = told(expect(mode, service(internalTrafficPolicy="Local")))
    assert set(map_.values()) == {f"not {PODS}: masquerade 1 2 | 1 2"}
    gone = told(expect(mode, state([service(internalTrafficPolicy="Local")], ONLY_ELSEWHERE)))
    assert set(gone.values()) == {"drop"}
    assert len(gone) == 2


@pytest.mark.parametrize(
    ("mode", "version", "output"),
    [
        (Mode.IPTABLES, (1, 36), f"{PODS}: 3 4 | masquerade 3 4"),
        (Mode.NFTABLES, (1, 36), f"{PODS}: 3 4 | masquerade 3 4"),
        (Mode.NFTABLES, (1, 33), "drop"),
    ],
)
def test_without_local_endpoints_outsiders_are_dropped(mode: Mode, version: Version, output: str) -> None:
    ports = external(externalTrafficPolicy="Local", type="NodePort", ports=NODE_PORT)
    map_ = told(expect(mode, state([service(**ports)], ONLY_ELSEWHERE), version=version))
    assert map_[f"prerouting [{EXTERNAL[6]}]:80"] == f"{PODS}: 3 4 | drop"
    assert map_[f"output [{EXTERNAL[6]}]:80"] == output
    offered = "any-::1/128" if mode is Mode.IPTABLES else "[fd00:99::11]"
    assert map_[f"prerouting {offered}:30080"] == f"{PODS}: 3 4 | drop"
    assert map_[f"output {offered}:30080"] == f"{PODS}: 3 4 | masquerade 3 4"


def test_ipvs_uses_all_endpoints_where_there_are_no_local_ones() -> None:
    ports = external(externalTrafficPolicy="Local", internalTrafficPolicy="Local")
    map_ = told(expect(Mode.IPVS, state([service(**ports)], ONLY_ELSEWHERE)))
    assert set(only(map_, EXTERNAL[6]).values()) == {"3 4"}
    assert map_[f"output [{VIP[6]}]:80"].endswith("| 3 4")
    alone = state([service(internalTrafficPolicy="Local")], ONLY_ELSEWHERE)
    assert set(told(expect(Mode.IPVS, alone)).values()) == {"no-destination"}


@pytest.mark.parametrize(
    ("mode", "version", "expected"),
    [
        (
            Mode.IPTABLES,
            (1, 36),
            {
                f"output [{VIP[6]}]:80": "reject",
                f"prerouting [{VIP[6]}]:80": "reject",
                f"prerouting [{EXTERNAL[6]}]:80": "reject",
                **at_both("any-::1/128:30080", "reject"),
                **at_both("any:30080", "reject"),
            },
        ),
        (
            Mode.NFTABLES,
            (1, 36),
            {
                f"output [{VIP[6]}]:80": "reject",
                f"prerouting [{VIP[6]}]:80": "reject",
                f"output [{EXTERNAL[6]}]:80": "reject",
                f"prerouting [{EXTERNAL[6]}]:80": "reject",
                **at_both("[fd00:99::11]:30080", "reject"),
            },
        ),
        (
            Mode.NFTABLES,
            (1, 29),
            {
                f"output [{VIP[6]}]:80": "reject",
                f"prerouting [{VIP[6]}]:80": "reject",
                f"output [{EXTERNAL[6]}]:80": "reject",
                f"prerouting [{EXTERNAL[6]}]:80": "reject",
                **at_both("any-::1/128:30080", "reject"),
            },
        ),
        (
            Mode.IPVS,
            (1, 36),
            {
                f"{hook} [{at}]:{port}": "no-destination"
                for hook in ("output", "prerouting")
                for at, port in (
                    (VIP[6], 80),
                    (EXTERNAL[6], 80),
                    ("fd00:7::1", 30080),
                    ("fd00:99::11", 30080),
                )
            },
        ),
    ],
)
def test_without_any_endpoint(mode: Mode, version: Version, expected: dict[str, str]) -> None:
    ports = external(type="NodePort", ports=NODE_PORT)
    assert told(expect(mode, state([service(**ports)], NONE), version=version)) == expected


def test_iptables_refuses_node_ports_also_where_it_does_not_offer_them() -> None:
    config = replace(CONFIG, node_port_addresses=("fd00:7::/64",))
    nothing = state([service(type="NodePort", ports=NODE_PORT)], NONE)
    assert only(told(expect(Mode.IPTABLES, nothing, config=config)), ":30080") == {
        **at_both("[fd00:7::1]:30080", "reject"),
        **at_both("any:30080", "reject"),
    }
    local = state([service(type="NodePort", ports=NODE_PORT, externalTrafficPolicy="Local")], ONLY_ELSEWHERE)
    assert only(told(expect(Mode.IPTABLES, local, config=config)), "prerouting", ":30080") == {
        "prerouting [fd00:7::1]:30080": f"{PODS}: 3 4 | drop",
        "prerouting any:30080": "drop",
    }
    assert only(told(expect(Mode.IPTABLES, local, config=config)), "output", ":30080") == {
        "output [fd00:7::1]:30080": f"{PODS}: 3 4 | masquerade 3 4",
        "output any:30080": "drop",
    }


def test_what_the_node_sends_to_an_address_of_its_own_is_refused_as_it_comes_in_again() -> None:
    """Other external addresses lead out of the node: iptables mode refuses nothing at OUTPUT then."""
    own = "fd00:7::1"
    ports = external(
        externalIPs=[own, EXTERNAL[6]], type="LoadBalancer", ingress=["fd00:99::11", BALANCER[6]]
    )
    map_ = told(expect(Mode.IPTABLES, state([service(**ports)], NONE)))
    assert set(only(map_, "output")) == {
        f"output [{VIP[6]}]:80",
        f"output [{own}]:80",
        "output [fd00:99::11]:80",
    }


RANGES = ["2001:db8:1::9/64", " 198.51.100.0/24"]


@pytest.mark.parametrize("mode", NETFILTER)
def test_source_ranges_guard_load_balancers_addresses_only(mode: Mode) -> None:
    ports = balancer(loadBalancerSourceRanges=RANGES, externalIPs=[EXTERNAL[6]])
    map_ = told(expect(mode, service(**ports)))
    assert set(only(map_, BALANCER[6]).values()) == {"not 2001:db8:1::/64: drop | masquerade 1 2 3"}
    assert set(only(map_, EXTERNAL[6]).values()) == {"masquerade 1 2 3"}
    other_family = told(expect(mode, service(**balancer(loadBalancerSourceRanges=RANGES[1:]))))
    assert set(only(other_family, BALANCER[6]).values()) == {"masquerade 1 2 3"}


@pytest.mark.parametrize("mode", NETFILTER)
def test_a_range_with_the_node_in_it_lets_packets_from_the_address_come_back(mode: Mode) -> None:
    ports = balancer(loadBalancerSourceRanges=["fd00:99::/64"], ingress=[BALANCER[6], "2001:db8::a"])
    map_ = told(expect(mode, service(**ports)))
    let_in = "2001:db8::9/128,2001:db8::a/128,fd00:99::/64"
    assert set(only(map_, BALANCER[6]).values()) == {f"not {let_in}: drop | masquerade 1 2 3"}


def test_source_ranges_in_ipvs_mode() -> None:
    ports = balancer(loadBalancerSourceRanges=RANGES)
    assert only(told(expect(Mode.IPVS, service(**ports))), BALANCER[6]) == {
        f"prerouting [{BALANCER[6]}]:80": "not 2001:db8:1::/64: drop | ::1/128: 1 2 3 | masquerade 1 2 3",
        f"output [{BALANCER[6]}]:80": f"{BALANCER[6]}/128: drop | ::1/128: 1 2 3 | masquerade 1 2 3",
    }
    inside = balancer(loadBalancerSourceRanges=["fd00:99::/64"], externalTrafficPolicy="Local")
    assert only(told(expect(Mode.IPVS, service(**inside))), BALANCER[6]) == {
        f"prerouting [{BALANCER[6]}]:80": f"not {BALANCER[6]}/128,fd00:99::/64: drop | 1 2",
        f"output [{BALANCER[6]}]:80": "1 2",
    }


@pytest.mark.parametrize("mode", list(Mode))
def test_a_range_of_everything_is_none(mode: Mode) -> None:
    ports = balancer(loadBalancerSourceRanges=["::/0", "2001:db8:1::/64"])
    map_ = told(expect(mode, service(**ports)))
    assert not any("drop" in text for text in map_.values())
    early = told(expect(mode, service(**ports), version=(1, 33)))
    assert any("drop" in text for text in early.values())


@pytest.mark.parametrize(
    ("mode", "version", "prerouting", "output"),
    [
        (Mode.IPTABLES, (1, 36), "reject", None),
        (Mode.NFTABLES, (1, 36), "not 2001:db8:1::/64: drop | reject", "not 2001:db8:1::/64: drop | reject"),
        (Mode.NFTABLES, (1, 33), "not 2001:db8:1::/64: drop | reject", "reject"),
        (Mode.NFTABLES, (1, 29), "reject", "reject"),
        (
            Mode.IPVS,
            (1, 36),
            "not 2001:db8:1::/64: drop | no-destination",
            f"{BALANCER[6]}/128: drop | no-destination",
        ),
    ],
)
def test_source_ranges_without_endpoints(
    mode: Mode, version: Version, prerouting: str, output: str | None
) -> None:
    cluster = state([service(**balancer(loadBalancerSourceRanges=RANGES[:1]))], NONE)
    map_ = told(expect(mode, cluster, version=version))
    assert map_[f"prerouting [{BALANCER[6]}]:80"] == prerouting
    assert map_.get(f"output [{BALANCER[6]}]:80") == output


def test_the_first_nftables_mode_checked_ranges_too_late_for_packets_that_come_in() -> None:
    map_ = told(expect(Mode.NFTABLES, service(**balancer(loadBalancerSourceRanges=RANGES)), version=(1, 29)))
    assert only(map_, BALANCER[6]) == {
        f"prerouting [{BALANCER[6]}]:80": "masquerade 1 2 3",
        f"output [{BALANCER[6]}]:80": "not 2001:db8:1::/64: drop | masquerade 1 2 3",
    }


@pytest.mark.parametrize(
    ("ingress", "version", "is_served"),
    [
        ({"ip": BALANCER[6], "ipMode": "VIP"}, (1, 36), True),
        ({"ip": BALANCER[6], "ipMode": "Proxy"}, (1, 36), False),
        ({"ip": BALANCER[6], "ipMode": "Proxy"}, (1, 29), True),
        ({"hostname": "lb.example.com"}, (1, 36), False),
        ({"ip": BALANCER[4]}, (1, 36), False),
    ],
)
def test_which_addresses_of_load_balancers_are_served(
    ingress: dict[str, str], version: Version, is_served: bool
) -> None:
    map_ = told(expect(Mode.NFTABLES, service(**balancer(ingress=[ingress])), version=version))
    assert bool(only(map_, BALANCER[6])) is is_served
    assert not only(map_, BALANCER[4])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (Mode.IPTABLES, ["input any:32000"]),
        (Mode.NFTABLES, []),
        (Mode.IPVS, ["input any:32000", "input any:32000/sctp", "input any:32000/udp"]),
    ],
)
def test_health_checks_are_let_in(mode: Mode, expected: list[str]) -> None:
    ports = [*NODE_PORT, {"name": "https", "port": 443, "nodePort": 30443, "protocol": "TCP"}]
    checked = balancer(ports=ports, externalTrafficPolicy="Local", healthCheckNodePort=32000)
    map_ = told(expect(mode, service(**checked)))
    assert only(map_, "input") == dict.fromkeys(expected, Outcome.ACCEPT.value)
    for unchecked in (
        balancer(externalTrafficPolicy="Cluster", healthCheckNodePort=32000),
        {"type": "NodePort", "externalTrafficPolicy": "Local", "healthCheckNodePort": 32000},
    ):
        assert not only(told(expect(mode, service(**unchecked))), "input")


def test_hints_follow_the_nodes_zone_and_the_annotation_of_old() -> None:
    zoned = slices(
        endpoints=[
            endpoint(1, hints={"forZones": [{"name": "east"}]}),
            endpoint(3, hints={"forZones": [{"name": "west"}], "forNodes": [{"name": HERE}]}),
        ]
    )
    cluster = state([service()], zoned, nodes=[node(HERE, 11, zone="east")])
    for version, expected in (((1, 36), "1"), ((1, 30), "1 3")):
        map_ = told(expect(Mode.IPTABLES, cluster, version=version))
        assert map_[f"output [{VIP[6]}]:80"].endswith(f"| {expected}")


def test_hints_for_nodes_and_feature_gates_count() -> None:
    hinted = slices(
        endpoints=[
            endpoint(1, hints={"forNodes": [{"name": "node-b"}]}),
            endpoint(3, hints={"forNodes": [{"name": HERE}]}),
        ]
    )
    off = replace(CONFIG, feature_gates={"PreferSameTrafficDistribution": False})
    for version, config, expected in (
        ((1, 36), CONFIG, "3"),
        ((1, 33), CONFIG, "1 3"),
        ((1, 36), off, "1 3"),
    ):
        map_ = told(expect(Mode.IPTABLES, state([service()], hinted), config=config, version=version))
        assert map_[f"output [{VIP[6]}]:80"].endswith(f"| {expected}")


def test_each_port_of_a_service_has_its_own_endpoints() -> None:
    ports = [
        {"name": "http", "port": 80, "protocol": "TCP"},
        {"name": "dns", "port": 80, "protocol": "UDP"},
    ]
    udp = slices(endpoints=(endpoint(3),), port={"name": "dns", "port": 53, "protocol": "UDP"})
    map_ = told(expect(Mode.NFTABLES, state([service(ports=ports)], slices(), udp)))
    assert map_[f"output [{VIP[6]}]:80"].endswith("| 1 2 3")
    assert map_[f"output [{VIP[6]}]:80/udp"].endswith("| 3")


def test_what_two_services_claim_is_left_open() -> None:
    other = service("other", clusterIPs=["10.96.0.11", "fd00:10:96::b"], **external())
    cluster = state([service(**external()), other], slices(), slices("other", (endpoint(3),)))
    map_ = expect(Mode.IPTABLES, cluster)
    open_ = [each for each in map_.entries if str(each.destination.address) == EXTERNAL[6]]
    why = ("claimed by demo/other:http and demo/web:http: either may get it",)
    assert [each.branches for each in open_] == [(Branch(outcome=Outcome.NONE, undecided=why),)] * 2
    assert [each.detail for each in map_.gaps] == list(why) * 2
    assert EXTERNAL[6] in map_.gaps[0].fact


def test_what_slices_do_not_agree_on_is_left_open() -> None:
    other = slices(endpoints=(endpoint(3, ready=False, serving=False),))
    map_ = expect(Mode.IPTABLES, state([service()], slices(), other))
    assert {branch.undecided for each in map_.entries for branch in each.branches} == {
        ("slices list fd00:10:244:2::3 in several states: any may count",)
    }
    assert len(map_.gaps) == len(map_.entries) == 2


def test_the_first_version_knows_one_address_of_the_node_and_no_policy_of_external_ips() -> None:
    ports = balancer(loadBalancerSourceRanges=["fd00:99::/64"])
    map_ = told(expect(Mode.IPTABLES, service(**ports), version=(1, 28)))
    assert set(only(map_, BALANCER[6]).values()) == {"not fd00:99::/64: drop | masquerade 1 2 3"}
    bound = replace(CONFIG, bind_address="fd00:99::11")
    map_ = told(expect(Mode.IPTABLES, service(**ports), config=bound, version=(1, 28)))
    let_in = f"{BALANCER[6]}/128,fd00:99::/64"
    assert set(only(map_, BALANCER[6]).values()) == {f"not {let_in}: drop | masquerade 1 2 3"}
    local = service(**external(externalTrafficPolicy="Local"))
    assert set(only(told(expect(Mode.IPTABLES, local, version=(1, 28))), EXTERNAL[6]).values()) == {
        "masquerade 1 2 3"
    }


def test_entries_are_sorted_and_say_whose_they_are() -> None:
    ports = external(type="NodePort", ports=NODE_PORT)
    map_ = expect(Mode.IPTABLES, service(**ports))
    assert list(told(map_)) == [
        f"prerouting [{EXTERNAL[6]}]:80",
        f"output [{EXTERNAL[6]}]:80",
        f"prerouting [{VIP[6]}]:80",
        f"output [{VIP[6]}]:80",
        "prerouting any-::1/128:30080",
        "output any-::1/128:30080",
    ]
    assert {each.service for each in map_.entries} == {"demo/web:http"}
    assert (map_.node, map_.family, map_.layout) == (HERE, 6, "expected of kube-proxy 1.36")


@pytest.mark.parametrize("missing", ["services", "slices", "nodes"])
def test_nothing_is_said_where_a_list_is_missing(missing: str) -> None:
    refused = Unavailable(Reason.PERMISSION_DENIED, "no")
    with pytest.raises(ValueError, match="missing"):
        expect(Mode.IPTABLES, replace(state([service()], slices()), **{missing: refused}))


def test_nothing_is_said_of_a_node_that_the_api_does_not_have() -> None:
    with pytest.raises(ValueError, match="no node node-z"):
        expect(Mode.IPTABLES, service(), node="node-z")


def test_the_world_has_the_addresses_that_tests_name() -> None:
    (backend, *_) = expect(Mode.IPTABLES, service()).entries[0].branches[0].backends
    assert str(backend.address) == address(1)
