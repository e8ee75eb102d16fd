"""What the captures are made by works: the lab, with the kube-proxy of the cluster's own version.

Other versions' rules are in `tests/captures/dataplanes`, whose tests need no cluster. When the version in go.mod
changes, this says first whether its rules are still read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from netinspect.analyze.service_map.compare import compare_maps
from tests.captures.capture_dataplanes import SETTINGS, Case, capture
from tests.captures.kube_proxy_lab import NAMESPACE, Lab, new_lab
from tests.cluster.bench import golang, paths
from tests.cluster.kit import Cluster
from tests.cluster.service_shapes import Builder, build_few_shapes
from tests.unit.analyze.captured_nodes import CapturedNode

pytestmark = pytest.mark.cluster

VERSION = golang.kubernetes_bin().name.removeprefix("kubernetes-v")


@pytest.fixture(scope="module")
def lab(cluster: Cluster) -> Iterator[Lab]:
    """Give an API server with a Service of each kind that settings of kube-proxy's change."""
    if Path(cluster.kubeconfig) != paths.kubeconfig():
        pytest.skip("the cluster is not the test bench: no kube-proxy of its own can be run")
    with new_lab() as made, made.services(build_few_shapes(Builder(NAMESPACE))):
        yield made


@pytest.mark.parametrize(("mode", "setting"), [("iptables", "primary"), ("nftables", "bridge")])
def test_a_new_capture_holds_the_rules_that_are_expected(
    lab: Lab, tmp_path: Path, mode: str, setting: str
) -> None:
    program = golang.kubernetes_bin() / "kube-proxy"
    capture(lab, Case(VERSION, mode, name=setting, extra=SETTINGS[setting]), program, tmp_path / "made")
    node = CapturedNode(tmp_path / "made")
    for family in (6, 4):
        seen = node.seen(family)
        assert compare_maps(node.expected(family), seen, node.addresses) == ()
        assert len({entry.service for entry in seen.entries}) >= len(build_few_shapes(Builder(NAMESPACE)))
