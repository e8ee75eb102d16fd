"""What the modes do differently: the whole table, word for word, so that no line of it changes unseen."""

from __future__ import annotations

import msgspec
import pytest

from netinspect.analyze.expected.mode_traits import (
    MODE_TRAITS,
    NEWEST,
    ModeTraits,
    Version,
    read_version,
    traits_of,
)
from netinspect.models.service_map import Mode

NAMES = [field.name for field in msgspec.structs.fields(ModeTraits)]


def differences(traits: ModeTraits, other: ModeTraits) -> dict[str, object]:
    return {name: getattr(traits, name) for name in NAMES if getattr(traits, name) != getattr(other, name)}


def test_each_mode_is_in_the_table() -> None:
    assert set(MODE_TRAITS) == set(Mode)


@pytest.mark.parametrize(
    ("mode", "other", "expected"),
    [
        (
            Mode.NFTABLES,
            Mode.IPTABLES,
            {
                "refuses_own": True,
                "refuses_node_ports_anywhere": False,
                "firewall_without_endpoints": True,
                "node_ports_at_primary": True,
                "node_ports_at_loopback": False,
                "hairpin_of_all": False,
                "opens_health_checks": False,
            },
        ),
        (
            Mode.IPVS,
            Mode.IPTABLES,
            {
                "refuses": False,
                "refuses_node_ports_anywhere": False,
                "short_ways": False,
                "firewall_without_endpoints": True,
                "node_ports_at_loopback": False,
                "node_ports_one_by_one": True,
                "hairpin_of_all": False,
                "masquerades_loopback": False,
                "health_check_protocols": ("sctp", "tcp", "udp"),
                "is_weighted": True,
            },
        ),
    ],
)
def test_a_mode_differs_from_iptables_in_this_and_no_more(
    mode: Mode, other: Mode, expected: dict[str, object]
) -> None:
    assert differences(MODE_TRAITS[mode], MODE_TRAITS[other]) == expected


@pytest.mark.parametrize("mode", list(Mode))
def test_the_newest_version_and_later_ones_are_the_table(mode: Mode) -> None:
    assert traits_of(mode) == traits_of(mode, NEWEST) == traits_of(mode, (2, 1)) == MODE_TRAITS[mode]


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ((1, 36), set()),
        ((1, 34), {"prefers_staying"}),
        ((1, 33), {"prefers_staying", "reads_node_hints", "zero_range_is_all"}),
        ((1, 31), {"prefers_staying", "reads_node_hints", "zero_range_is_all"}),
        ((1, 30), {"prefers_staying", "reads_node_hints", "zero_range_is_all", "reads_zone_hints_always"}),
        (
            (1, 28),
            {
                "prefers_staying",
                "reads_node_hints",
                "zero_range_is_all",
                "reads_zone_hints_always",
                "reads_ip_mode",
                "external_ips_have_policy",
                "knows_both_node_ips",
            },
        ),
    ],
)
def test_earlier_versions_read_less_of_the_api(version: Version, expected: set[str]) -> None:
    for mode in (Mode.IPTABLES, Mode.IPVS):
        assert differences(traits_of(mode, version), MODE_TRAITS[mode]) == dict.fromkeys(expected, False)


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ((1, 35), {"hairpin_of_all": True}),
        ((1, 34, 0), {"hairpin_of_all": True}),
        ((1, 33, 6), {"hairpin_of_all": True}),
        ((1, 33, 5), {"hairpin_of_all": True, "refuses_own_before_dnat": True}),
        (
            (1, 30),
            {"hairpin_of_all": True, "refuses_own_before_dnat": True, "node_ports_at_primary": False},
        ),
        (
            (1, 29),
            {
                "hairpin_of_all": True,
                "refuses_own_before_dnat": True,
                "node_ports_at_primary": False,
                "refuses_own_to_node_ports": True,
                "firewall_without_endpoints": False,
                "firewall_on_entry": False,
            },
        ),
    ],
)
def test_earlier_versions_of_nftables_mode_differ_further(
    version: Version, expected: dict[str, object]
) -> None:
    shared = differences(traits_of(Mode.IPTABLES, version), MODE_TRAITS[Mode.IPTABLES])
    assert differences(traits_of(Mode.NFTABLES, version), MODE_TRAITS[Mode.NFTABLES]) == expected | shared


@pytest.mark.parametrize(
    ("gate", "name"),
    [
        ("LoadBalancerIPMode", "reads_ip_mode"),
        ("ServiceTrafficDistribution", "reads_zone_hints_always"),
        ("PreferSameTrafficDistribution", "reads_node_hints"),
    ],
)
def test_a_feature_gate_that_is_set_counts_more_than_the_version(gate: str, name: str) -> None:
    assert getattr(traits_of(Mode.NFTABLES, (1, 36), {gate: False}), name) is False
    assert getattr(traits_of(Mode.NFTABLES, (1, 29), {gate: True}), name) is True


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v1.36.2", (1, 36, 2)),
        ("v1.31.0-eks-a1b2c3", (1, 31, 0)),
        ("1.28+k3s1", (1, 28)),
        ("", NEWEST),
        ("unknown", NEWEST),
    ],
)
def test_a_version_is_read_from_what_a_node_tells(text: str, version: Version) -> None:
    assert read_version(text) == version
