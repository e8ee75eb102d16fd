"""Rules that real kube-proxies of several versions wrote do exactly what is expected of them, in both families."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from netinspect.analyze.service_map.compare import compare_maps
from netinspect.models.service_map import Mode
from tests.unit.analyze.captured_nodes import CapturedNode, captured_nodes

NODES = captured_nodes()


def test_there_are_captures_of_all_modes_and_of_several_versions() -> None:
    assert {each.mode for each in NODES} == set(Mode)
    assert {each.version[:2] for each in NODES} >= {(1, 28), (1, 29), (1, 34), (1, 36)}


@pytest.mark.parametrize("family", [6, 4])
@pytest.mark.parametrize("node", NODES, ids=lambda node: node.folder.name)
def test_a_captured_node_does_what_is_expected(node: CapturedNode, family: int) -> None:
    expected, seen = node.expected(family), node.seen(family)
    assert compare_maps(expected, seen, node.addresses) == ()
    assert len(seen.entries) > 30
    assert not seen.gaps
    # Only what slices do not agree on is left to chance, before 1.36.
    open_ = {each.service for each in expected.entries if any(branch.undecided for branch in each.branches)}
    whole = len(expected.entries) > 100
    assert open_ == ({"shapes/listed-twice:http"} if whole and node.version < (1, 36) else set())


@pytest.mark.parametrize("family", [6, 4])
@pytest.mark.parametrize("mode", list(Mode))
def test_what_another_node_or_other_settings_would_do_is_something_else(mode: Mode, family: int) -> None:
    node = next(each for each in NODES if each.mode is mode and each.version[:2] == (1, 36))
    seen = node.seen(family)
    networks = ("192.168.77.0/24", "fd00:77::/64")
    for expected in (
        node.expected(family, "node-b"),
        node.expected(family, config=replace(node.config, masquerade_all=True)),
        node.expected(family, config=replace(node.config, cluster_cidrs=())),
        node.expected(family, config=replace(node.config, node_port_addresses=networks)),
    ):
        assert compare_maps(expected, seen, node.addresses)
