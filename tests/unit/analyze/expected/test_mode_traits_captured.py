"""Each line of the table of modes and versions is proven by a capture: were it otherwise, some capture would differ.

Beside real rules the expectation is held against itself with one trait turned over, in the newest version of each mode;
and with one trait as it is in the newest version, in each earlier version that has another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from msgspec.structs import replace

from netinspect.analyze.expected.mode_traits import MODE_TRAITS, ModeTraits, Version, traits_of
from netinspect.analyze.service_map.compare import compare_maps
from netinspect.models.proxy_config import ProxyConfig
from netinspect.models.service_map import Mode, ServiceMap
from tests.unit.analyze.captured_nodes import CapturedNode, captured_nodes

NODES = captured_nodes()
FAMILIES = (6, 4)
NEWEST = max(each.version for each in NODES)
OPEN_RANGE = "a range of all addresses keeps nobody out, so that it makes no difference to heed it"
NO_VOICE: dict[Mode, dict[str, str]] = {
    Mode.IPTABLES: {
        "refuses_own_before_dnat": "nothing is refused at OUTPUT: refuses_own",
        "zero_range_is_all": OPEN_RANGE,
    },
    Mode.NFTABLES: {
        "health_check_protocols": "there are no rules for health checks: opens_health_checks",
        "zero_range_is_all": OPEN_RANGE,
    },
    Mode.IPVS: {
        "refuses_own": "nothing is refused: refuses",
        "refuses_own_to_node_ports": "nothing is refused: refuses",
        "refuses_node_ports_anywhere": "nothing is refused: refuses",
    },
}
"""Traits that are of no consequence in a mode, because of another one."""
NO_VOICE_THEN: dict[tuple[Mode, Version, str], str] = {
    (
        Mode.NFTABLES,
        (1, 29, 0),
        "firewall_without_endpoints",
    ): "no firewall on entry, and at OUTPUT all is refused first",
}


@cache
def seen(name: str, family: int) -> ServiceMap:
    return next(each for each in NODES if each.folder.name == name).seen(family)


def told(node: CapturedNode) -> ProxyConfig:
    """What its configuration says of node ports: kube-proxy itself tells what it has made of it."""
    written = node.meta.get("configuration", {}).get("nodePortAddresses", ())
    return (
        replace(node.config, node_port_addresses=tuple(written))
        if node.mode is not Mode.IPVS
        else node.config
    )


def is_noticed(node: CapturedNode, traits: ModeTraits) -> bool:
    """Whether a captured node is not what it should be, did its mode do that."""
    for family in FAMILIES:
        expected = node.expected(family, config=told(node), traits=traits)
        differences = compare_maps(expected, seen(node.folder.name, family), node.addresses)
        if differences or expected.gaps != node.expected(family).gaps:
            return True
    return False


def turned(traits: ModeTraits, name: str) -> ModeTraits:
    value: Any = getattr(traits, name)
    other = ("tcp",) if value == ("sctp", "tcp", "udp") else ("sctp", "tcp", "udp")
    return replace(traits, **{name: not value if isinstance(value, bool) else other})


def nodes_of(mode: Mode, version: Version) -> list[CapturedNode]:
    return [each for each in NODES if each.mode is mode and each.version == version]


@pytest.mark.parametrize("name", ModeTraits.__struct_fields__)
@pytest.mark.parametrize("mode", list(Mode))
def test_a_trait_that_is_turned_over_is_noticed(mode: Mode, name: str) -> None:
    traits = turned(MODE_TRAITS[mode], name)
    is_proven = any(is_noticed(node, traits) for node in nodes_of(mode, NEWEST))
    assert is_proven is (name not in NO_VOICE[mode]), NO_VOICE[mode].get(name, "no capture tells")


def earlier() -> Iterator[tuple[Mode, Version, str]]:
    for mode, version in sorted({(each.mode, each.version) for each in NODES if each.version < NEWEST}):
        traits = traits_of(mode, version)
        for name in ModeTraits.__struct_fields__:
            if getattr(traits, name) != getattr(MODE_TRAITS[mode], name):
                yield mode, version, name


@pytest.mark.parametrize(("mode", "version", "name"), list(earlier()))
def test_what_an_earlier_version_does_otherwise_is_noticed(mode: Mode, version: Version, name: str) -> None:
    def is_noticed_at(node: CapturedNode) -> bool:
        own = traits_of(mode, version, node.config.feature_gates)
        return is_noticed(node, replace(own, **{name: getattr(MODE_TRAITS[mode], name)}))

    silent = NO_VOICE[mode].get(name) or NO_VOICE_THEN.get((mode, version, name))
    assert any(map(is_noticed_at, nodes_of(mode, version))) is (silent is None), silent


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("node", NODES, ids=lambda node: node.folder.name)
def test_what_a_configuration_leaves_to_kube_proxy_is_known(node: CapturedNode, family: int) -> None:
    expected = node.expected(family, config=told(node))
    assert compare_maps(expected, seen(node.folder.name, family), node.addresses) == ()
