"""Names of kube-proxy's chains: vectors of its own tests and of a live node."""

from __future__ import annotations

import pytest

from netinspect.analyze.service_map.chain_names import (
    ServicePortName,
    hash_in_chain,
    iptables_endpoint_chain,
    iptables_hash,
    names_by_hash,
    nft_endpoint_name,
    nft_service_name,
)
from netinspect.models.address import parse_address

P80 = ServicePortName(namespace="ns1", service="svc1", port_name="p80")
HTTPS = ServicePortName(namespace="default", service="kubernetes", port_name="https")
WEB = ServicePortName(namespace="default", service="web")


@pytest.mark.parametrize(
    ("port", "address", "number", "expected"),
    [
        (P80, "fd00:10:244::5", 80, "KUBE-SEP-JR6YXXN6Y3V4FLYE"),
        (P80, "10.180.0.1", 80, "KUBE-SEP-SXIVWICOYRO3J4NJ"),
        (HTTPS, "10.99.0.1", 6443, "KUBE-SEP-5IQAEH3A2OZOEQGH"),
    ],
)
def test_an_endpoint_chain_is_named_by_port_and_endpoint(
    port: ServicePortName, address: str, number: int, expected: str
) -> None:
    assert iptables_endpoint_chain(port, parse_address(address), number) == expected


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        (P80, "XPGD46QRK7WJZT7O"),
        (HTTPS, "NPX46M4PTMTKRN6Y"),
        (WEB, "LOLE4ISW44XBNF3G"),
        (
            ServicePortName(namespace="kube-system", service="kube-dns", port_name="dns", protocol="udp"),
            "TCOU7JCQXEZGVUNU",
        ),
    ],
)
def test_a_service_port_has_the_hash_of_kube_proxy(port: ServicePortName, expected: str) -> None:
    assert iptables_hash(port) == expected


def test_nft_names_hold_the_path_and_no_colon() -> None:
    four = ServicePortName(namespace="ns4", service="svc4", port_name="p80")
    assert nft_service_name(P80) == "ULMVA6XW-ns1/svc1/tcp/p80"
    assert nft_service_name(WEB) == "PFISGYVC-default/web/tcp/"
    assert (
        nft_endpoint_name(four, parse_address("10.180.0.4"), 80) == "UNZV3OEC-ns4/svc4/tcp/p80__10.180.0.4/80"
    )
    assert nft_endpoint_name(four, parse_address("fd00::5"), 80).endswith("-ns4/svc4/tcp/p80__fd00..5/80")


def test_a_long_nft_name_is_cut() -> None:
    name = nft_service_name(ServicePortName(namespace="n" * 200, service="s" * 63, port_name="p"))
    assert len(name) == 240
    assert name.endswith("...")


@pytest.mark.parametrize("kind", ["SVC", "SVL", "EXT", "FW", "XLB"])
def test_a_chain_is_resolved_by_its_hash(kind: str) -> None:
    assert names_by_hash([WEB, HTTPS]).get(hash_in_chain(f"KUBE-{kind}-NPX46M4PTMTKRN6Y") or "") == HTTPS


@pytest.mark.parametrize("chain", ["KUBE-SEP-5IQAEH3A2OZOEQGH", "KUBE-SERVICES", "KUBE-SVC-SHORT"])
def test_other_chains_have_no_service_hash(chain: str) -> None:
    assert hash_in_chain(chain) is None
