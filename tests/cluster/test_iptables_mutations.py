"""One rule of iptables changed is one entry changed: the table is saved, a line of it changed, and restored whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from netinspect.analyze.service_map.compare import compare_maps
from netinspect.models.service_map import Hook
from tests.cluster.held_nodes import (
    FAMILIES,
    NAMESPACE,
    NODES,
    Edit,
    Node,
    check,
    check_refusals,
    held_nodes,
    shapes,
    tool,
)
from tests.cluster.kit import Cluster
from tests.cluster.service_shape import Builder

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def nodes(cluster: Cluster) -> Iterator[dict[str, Node]]:
    with held_nodes(cluster) as found:
        yield found


def of_service(
    name: str,
    pattern: str,
    replacement: str | Callable[[re.Match[str]], str] | None,
    *,
    all_lines: bool = False,
) -> Edit:
    """Change what matches in the (first) line of a Service; None drops the line."""

    def edit(text: str) -> str:
        lines, is_done = [], False
        for line in text.splitlines(keepends=True):
            is_meant = f"{NAMESPACE}/{name}:http" in line and re.search(pattern, line) is not None
            if is_meant and (all_lines or not is_done):
                is_done = True
                if replacement is not None:
                    lines.append(re.sub(pattern, replacement, line))
                continue
            lines.append(line)
        assert is_done, (name, pattern)
        return "".join(lines)

    return edit


def other_address(found: re.Match[str]) -> str:
    """Put the 99th address of the node's pods in place of the 201st."""
    return f"{found[1]}{':63]' if found[2] == ':c9]' else '.99'}:8080"


IPTABLES: dict[str, tuple[str, Edit, tuple[str, ...]]] = {
    "target address": (
        "three",
        of_service("three", r"(--to-destination \S+)(:c9\]|\.201):8080", other_address),
        ("backends",),
    ),
    "target port": ("three", of_service("three", r"(--to-destination \S+):8080", r"\1:8081"), ("backends",)),
    "probability": (
        "three",
        of_service("three", r"--probability 0\.33\d+", "--probability 0.25"),
        ("shares",),
    ),
    "endpoint": ("three", of_service("three", r"--probability 0\.33\d+", None), ("backends",)),
    "masquerade mark": (
        "three",
        of_service("three", r"cluster IP.* -j KUBE-MARK-MASQ", None),
        ("masquerade",),
    ),
    "hairpin mark": ("alone", of_service("alone", r"-A KUBE-SEP-.* -j KUBE-MARK-MASQ", None), ("hairpin",)),
    "node port's masquerade mark": (
        "nodeport",
        of_service("nodeport", r"-A KUBE-EXT-.*masquerade traffic.* -j KUBE-MARK-MASQ", None),
        ("masquerade",),
    ),
    "source range": (
        "ranges",
        of_service("ranges", r"(-s \S+/)(25|64)\b", lambda found: f"{found[1]}{int(found[2]) + 1}"),
        ("outcome",),
    ),
    "affinity": (
        "affinity",
        of_service("affinity", "--seconds 10800", "--seconds 60", all_lines=True),
        ("affinity",),
    ),
    "affinity of one endpoint": (
        "affinity",
        of_service("affinity", "-A KUBE-SVC-.*--seconds 10800", None),
        ("affinity",),
    ),
    "jump to the Service": ("alone", of_service("alone", "-A KUBE-SERVICES", None), ("outcome",)),
}


@contextmanager
def edited(node: Node, family: int, edit: Edit, table: str = "nat") -> Iterator[None]:
    saved = node.box.enter(tool("save", family), "-c", "-t", table)
    node.box.enter(tool("restore", family), "-c", "-T", table, stdin=edit(saved))
    try:
        yield
    finally:
        node.box.enter(tool("restore", family), "-c", "-T", table, stdin=saved)


@FAMILIES
@pytest.mark.parametrize("kind", IPTABLES)
def test_a_changed_rule_of_iptables_is_a_changed_entry(
    kind: str, family: int, nodes: dict[str, Node]
) -> None:
    node = nodes[NODES["iptables"]]
    service, edit, traits = IPTABLES[kind]
    before = node.map(family)
    with edited(node, family, edit):
        check(before, node.map(family), node, service, *traits)
    assert compare_maps(before, node.map(family), node.local()) == ()


def without(pattern: str) -> Edit:
    def edit(text: str) -> str:
        lines = text.splitlines(keepends=True)
        kept = [line for line in lines if not re.search(pattern, line)]
        assert len(kept) < len(lines)
        return "".join(kept)

    return edit


@FAMILIES
def test_without_the_jump_from_a_hook_nothing_is_translated_there(
    family: int, nodes: dict[str, Node]
) -> None:
    node = nodes[NODES["iptables"]]
    before = node.map(family)
    with edited(node, family, without("-A PREROUTING .*-j KUBE-SERVICES")):
        after = node.map(family)
    found = compare_maps(before, after, node.local())
    translated = {
        (entry.hook, entry.destination)
        for entry in before.entries
        if entry.hook is Hook.PREROUTING and any(branch.backends for branch in entry.branches)
    }
    assert len(translated) > len(shapes(Builder(NAMESPACE, number=201)))
    assert {each.hook for each in found} == {Hook.PREROUTING}
    left = {
        (entry.hook, entry.destination)
        for entry in after.entries
        if any(branch.backends for branch in entry.branches)
    }
    assert translated & left == set()
    assert {key for key in left if key[0] is Hook.OUTPUT}


@FAMILIES
def test_without_the_jump_from_input_nobody_is_refused_at_node_ports(
    family: int, nodes: dict[str, Node]
) -> None:
    node = nodes[NODES["iptables"]]
    before = node.map(family)
    with edited(node, family, without("-A INPUT .*-j KUBE-EXTERNAL-SERVICES"), "filter"):
        check_refusals(before, node.map(family), node)


@FAMILIES
def test_without_the_jumps_from_all_hooks_the_map_is_empty(family: int, nodes: dict[str, Node]) -> None:
    node = nodes[NODES["iptables"]]
    hooks = without(r"-A (PREROUTING|OUTPUT|INPUT|FORWARD) .*-j KUBE-")
    with edited(node, family, hooks), edited(node, family, hooks, "filter"):
        after = node.map(family)
    assert after.entries == ()
