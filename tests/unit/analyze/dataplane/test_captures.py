"""What real kube-proxies of several versions and settings wrote: all of it is read, and settings make a difference.

That it is what they should have written is in `service_map/test_captures.py`.
"""

from __future__ import annotations

import re
from functools import cache

import pytest

from netinspect.analyze.iptables.service_map import read_iptables_map
from netinspect.analyze.service_map.compare import compare_maps
from netinspect.models.fact import Known
from netinspect.models.service_map import Hook, Mode, Outcome, ServiceMap
from netinspect.parse.iptables_save import parse_iptables_save
from tests.captures.capture_dataplanes import Case, cases
from tests.captures.kube_proxy_lab import NAMESPACE
from tests.cluster.bench import golang, old_kube_proxy, paths
from tests.cluster.service_shapes import Builder
from tests.unit.analyze.captured_nodes import NODE, CapturedNode, captured_nodes

CAPTURES = {each.folder.name: each for each in captured_nodes() if each.mode is not Mode.IPVS}
FAMILIES = (6, 4)
EVERY_CAPTURE = pytest.mark.parametrize("name", CAPTURES)
BOTH_FAMILIES = pytest.mark.parametrize("family", FAMILIES)

# kube-proxy passes these over, or has no rules for them in any mode.
WITHOUT_RULES = {"headless", "foreign-proxy", "external-name"}


@EVERY_CAPTURE
@BOTH_FAMILIES
def test_no_rule_and_no_service_is_left_out(name: str, family: int) -> None:
    seen = _seen(name, family)
    assert seen.gaps == ()
    assert [text for entry in seen.entries for branch in entry.branches for text in branch.undecided] == []
    assert _services(seen) == _services_of_api(CAPTURES[name], family)


def test_every_case_is_captured_and_nothing_else() -> None:
    assert {case.folder for case in cases()} == set(CAPTURES)


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.folder)
def test_a_capture_has_every_shape_of_today(case: Case) -> None:
    """A shape that is added or taken away means that captures are made anew."""
    services = CAPTURES[case.folder].state.services
    assert isinstance(services, Known)
    captured = {each.metadata.name for each in services.value if each.metadata.namespace == NAMESPACE}
    assert captured == {shape.name for shape in case.shapes(Builder(NAMESPACE))}


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("primary", "masquerade"),
        ("any", "cidr"),
        ("cidr", "primary"),
        ("bridge", "prefix"),
        ("prefix", "node-cidr"),
        ("node-cidr", "any"),
        ("no-cidr", "any"),
        ("masquerade", "any"),
    ],
)
@BOTH_FAMILIES
def test_settings_are_told_apart(mode: str, one: str, other: str, family: int) -> None:
    seen, expected = _seen(f"1.36.2-{mode}-{one}", family), _expected(f"1.36.2-{mode}-{other}", family)
    assert compare_maps(expected, seen, CAPTURES[f"1.36.2-{mode}-{one}"].addresses)


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("1.28.15-iptables", "iptables, kube-proxy 1.26 or newer"),
        ("1.29.0-nftables", "nftables, kube-proxy 1.29"),
        ("1.31.0-nftables", "nftables, kube-proxy 1.30 to 1.33"),
        ("1.33.5-nftables", "nftables, kube-proxy 1.30 to 1.33"),
        ("1.34.3-nftables", "nftables, kube-proxy 1.34 to 1.35"),
        ("1.36.2-nftables", "nftables, kube-proxy 1.36"),
    ],
)
@BOTH_FAMILIES
def test_the_layout_is_named(name: str, layout: str, family: int) -> None:
    assert _seen(name, family).layout == layout


@pytest.mark.parametrize("name", [name for name in CAPTURES if name.endswith("-large")])
@BOTH_FAMILIES
def test_1200_endpoints_are_all_read(name: str, family: int) -> None:
    branches = [
        branch
        for entry in _seen(name, family).entries
        if entry.service == "shapes/large:http" and entry.hook is Hook.PREROUTING
        for branch in entry.branches
    ]
    assert {branch.outcome for branch in branches} == {Outcome.BACKENDS}
    for branch in branches:
        assert len({each.address for each in branch.backends}) == 1200
        assert branch.lost == pytest.approx(0, abs=1e-6)
        assert [each.share for each in branch.backends] == pytest.approx([1 / 1200] * 1200, rel=1e-3)


@pytest.mark.parametrize("name", ["1.28.15-iptables-large", "1.36.2-iptables-large"])
@pytest.mark.parametrize("saved", ["ip6tables-save.txt", "iptables-save.txt"])
def test_the_large_form_bears_no_comments(name: str, saved: str) -> None:
    rules = re.findall(r"-A KUBE-(?:SEP|SVC)-\S+ .*-j (?:KUBE-SEP-|DNAT).*", CAPTURES[name].text(saved))
    assert len(rules) > 2 * 1200
    assert [rule for rule in rules if "--comment" in rule] == []


def test_a_backend_that_the_api_does_not_have_is_a_difference() -> None:
    capture = CAPTURES["1.36.2-iptables"]
    text = capture.text("ip6tables-save.txt")
    endpoint = "--to-destination [fd00:10:244:2::cb]:8080"
    assert text.count(endpoint) > 20
    rules = parse_iptables_save(text.replace(endpoint, "--to-destination [fd00:10:244:2::cc]:8080", 1))
    changed = read_iptables_map(NODE, 6, rules, capture.addresses)
    differences = compare_maps(_expected(capture.folder.name, 6), changed, capture.addresses)
    assert {each.differs for each in differences} == {("backends",)}
    assert len({each.service for each in differences}) == 1


def test_every_captured_version_can_be_built_again() -> None:
    captured = {capture.meta["kubeProxy"] for capture in captured_nodes()}
    own = golang.kubernetes_bin().name.removeprefix("kubernetes-v")
    assert captured - {own} == set(old_kube_proxy.versions())
    for version in old_kube_proxy.versions():
        required = (paths.GO_MODULES / f"kube-proxy-{version}" / "go.mod").read_text()
        assert f"require k8s.io/kubernetes v{version}\n" in required


@cache
def _seen(name: str, family: int) -> ServiceMap:
    return CAPTURES[name].seen(family)


@cache
def _expected(name: str, family: int) -> ServiceMap:
    return CAPTURES[name].expected(family)


def _services(seen: ServiceMap) -> set[str]:
    """Names of Services in a map, without the ports' names."""
    return {entry.service.partition(":")[0].rpartition("/")[2] for entry in seen.entries} - {""}


def _services_of_api(capture: CapturedNode, family: int) -> set[str]:
    """Names of Services that must have rules in a family."""
    assert isinstance(capture.state.services, Known)
    return {
        service.metadata.name
        for service in capture.state.services.value
        if f"IPv{family}" in service.spec.ip_families
    } - WITHOUT_RULES
