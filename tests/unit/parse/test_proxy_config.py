"""kube-proxy's /configz: what its rules depend on, in the form of 1.36 and in that of earlier versions."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.errors import ParseError
from netinspect.models.proxy_config import LocalMode, ProxyConfig
from netinspect.models.service_map import Mode
from netinspect.parse.proxy_config import parse_proxy_configz
from tests.captures.parsers import TOOLS

BENCH = (TOOLS / "kube-proxy-configz" / "bench.out").read_bytes()
POD_CIDRS = ("10.244.0.0/16", "fd00:10:244::/48")


def configz(**fields: object) -> bytes:
    return json.dumps({"kubeproxy.config.k8s.io": {"mode": "iptables", **fields}}).encode()


def test_a_real_answer_is_read_with_both_families() -> None:
    expected = ProxyConfig(cluster_cidrs=POD_CIDRS, hostname_override="node-a")
    assert parse_proxy_configz(BENCH) == expected


def test_every_setting_is_read() -> None:
    told = configz(
        mode="nftables",
        nftables={"masqueradeBit": 10, "masqueradeAll": True},
        iptables={"masqueradeBit": 9, "localhostNodePorts": False},
        ipvs={"scheduler": "mh", "excludeCIDRs": ["10.0.0.0/8"], "strictARP": True},
        detectLocalMode="BridgeInterface",
        detectLocal={"bridgeInterface": "cni0", "interfaceNamePrefix": "veth"},
        clusterCIDR="fd00:10:244::/48, 10.244.0.0/16",
        nodePortAddresses=["primary"],
        bindAddress="fd00::1",
        hostnameOverride="node-a",
        featureGates={"LoadBalancerIPMode": False},
    )
    assert parse_proxy_configz(told) == ProxyConfig(
        mode=Mode.NFTABLES,
        detect_local_mode=LocalMode.BRIDGE_INTERFACE,
        cluster_cidrs=("fd00:10:244::/48", "10.244.0.0/16"),
        bridge_interface="cni0",
        interface_name_prefix="veth",
        node_port_addresses=("primary",),
        bind_address="fd00::1",
        hostname_override="node-a",
        masquerade_all=True,
        masquerade_bit=10,
        localhost_node_ports=False,
        scheduler="mh",
        exclude_cidrs=("10.0.0.0/8",),
        strict_arp=True,
        feature_gates={"LoadBalancerIPMode": False},
    )


def test_ipvs_mode_takes_the_settings_of_iptables() -> None:
    told = configz(
        mode="ipvs",
        iptables={"masqueradeAll": True, "masqueradeBit": 3},
        nftables={"masqueradeAll": False, "masqueradeBit": 7},
    )
    found = parse_proxy_configz(told)
    assert (found.masquerade_all, found.masquerade_bit) == (True, 3)


def test_iptables_mode_does_not_take_those_of_nftables() -> None:
    found = parse_proxy_configz(configz(nftables={"masqueradeAll": True, "masqueradeBit": 7}))
    assert (found.masquerade_all, found.masquerade_bit) == (False, 14)


def test_what_is_not_set_has_kube_proxys_defaults() -> None:
    unset = configz(mode="", nodePortAddresses=None, bindAddress="0.0.0.0", clusterCIDR=None, ipvs=None)
    assert parse_proxy_configz(unset) == ProxyConfig()


def test_the_form_of_1_28_is_the_programs_own() -> None:
    told = configz(
        Mode="nftables",
        ClusterCIDR=",".join(POD_CIDRS),
        NFTables={"MasqueradeBit": 11, "MasqueradeAll": True},
        DetectLocalMode="InterfaceNamePrefix",
        DetectLocal={"BridgeInterface": "", "InterfaceNamePrefix": "cali"},
        NodePortAddresses=["fd00::/64"],
        FeatureGates={"NFTablesProxyMode": True},
    ).replace(b'"mode": "iptables", ', b"")
    found = parse_proxy_configz(told)
    assert found.mode is Mode.NFTABLES
    assert (found.masquerade_bit, found.masquerade_all) == (11, True)
    assert (found.detect_local_mode, found.interface_name_prefix) == (LocalMode.INTERFACE_NAME_PREFIX, "cali")
    assert (found.cluster_cidrs, found.node_port_addresses) == (POD_CIDRS, ("fd00::/64",))
    assert found.feature_gates == {"NFTablesProxyMode": True}


def test_the_form_of_1_34_has_parts_elsewhere() -> None:
    told = configz(Linux={"MasqueradeAll": True}, DetectLocal={"ClusterCIDRs": list(POD_CIDRS)})
    found = parse_proxy_configz(told)
    assert (found.masquerade_all, found.cluster_cidrs) == (True, POD_CIDRS)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "no output"),
        (BENCH[:-7], "truncated"),
        (b'{"kubelet.config.k8s.io":{"mode":"iptables"}}', "no member kubeproxy"),
        (b'{"kubeproxy.config.k8s.io":{}}', "mode"),
        (configz(mode="userspace"), "userspace"),
        (configz(detectLocalMode="Guess"), "Guess"),
        (configz(nodePortAddresses="primary"), "array"),
        (configz(featureGates={"A": "yes"}), "bool"),
    ],
)
def test_what_is_no_answer_of_kube_proxy_is_an_error(answer: bytes, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        parse_proxy_configz(answer)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_but_parse_errors(data: bytes) -> None:
    for answer in (data, b'{"kubeproxy.config.k8s.io":' + data + b"}"):
        with pytest.raises(ParseError):
            parse_proxy_configz(answer)


def test_json_nested_too_deep_is_an_error() -> None:
    deep = b'{"kubeproxy.config.k8s.io":{"mode":"iptables","x":' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}}"
    with pytest.raises(ParseError):
        parse_proxy_configz(deep)
