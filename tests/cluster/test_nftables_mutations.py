"""One rule or map element of nftables changed is one entry changed."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from netinspect.analyze.nft.service_map import read_nft_map
from netinspect.analyze.nft.words import say_statement
from netinspect.analyze.service_map.compare import compare_maps
from netinspect.models.nft import NftChain
from netinspect.models.service_map import Hook, ServiceMap
from netinspect.parse.nft_json import parse_nft_json
from netinspect.render.nft_json import render_nft_json
from tests.cluster.held_nodes import (
    FAMILIES,
    NAMESPACE,
    NODES,
    Edit,
    Node,
    check,
    check_refusals,
    held_nodes,
)
from tests.cluster.kit import Cluster
from tests.netns.world import World, new_world, run

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def nodes(cluster: Cluster) -> Iterator[dict[str, Node]]:
    with held_nodes(cluster) as found:
        yield found


# A rule is replaced by another, in nft's own words. This one does nothing:
NOTHING = "continue"


@dataclass(frozen=True)
class Place:
    """A rule by its chain (what its name begins and ends with) and what its words hold."""

    prefix: str
    suffix: str
    holds: str


def find_rule(node: Node, family: int, place: Place) -> tuple[str, int, str]:
    """Return chain, handle and words of the first rule there."""
    table = node.nft().table("ip6" if family == 6 else "ip", "kube-proxy")
    assert table is not None
    for chain in table.chains.values():
        if chain.name.startswith(place.prefix) and chain.name.endswith(place.suffix):
            for words, handle in rules_of(chain):
                if place.holds in words:
                    return chain.name, handle, words
    raise AssertionError(place)


def rules_of(chain: NftChain) -> Iterator[tuple[str, int]]:
    for rule in chain.rules:
        assert rule.handle is not None
        yield " ".join(say_statement(each) for each in rule.statements), rule.handle


@contextmanager
def replaced(node: Node, family: int, place: Place, edit: Edit) -> Iterator[None]:
    chain, handle, words = find_rule(node, family, place)
    changed = edit(words)
    assert changed != words
    rule = f"{'ip6' if family == 6 else 'ip'} kube-proxy {chain} handle {handle}"
    node.box.enter("nft", "-f", "-", stdin=f"replace rule {rule} {changed}\n")
    try:
        yield
    finally:
        chain, handle, _ = find_rule(node, family, Place(chain, chain, changed))
        rule = f"{'ip6' if family == 6 else 'ip'} kube-proxy {chain} handle {handle}"
        node.box.enter("nft", "-f", "-", stdin=f"replace rule {rule} {words}\n")


def swap(pattern: str, replacement: str | Callable[[re.Match[str]], str]) -> Edit:
    return lambda words: re.sub(pattern, replacement, words, count=1)


def drop_rule(_: str) -> str:
    return NOTHING


def of(service: str) -> str:
    return f"-{NAMESPACE}/{service}/tcp/http"


def longer(found: re.Match[str]) -> str:
    return f"{found[1]}{int(found[2]) + 1}"


def one_more(found: re.Match[str]) -> str:
    """Of three that are chosen by a number, let the last be chosen by two of four."""
    return f"mod 4 map {{ {found[1]}, 3 : {found[2]} }}"


CHOICE = r"mod 3 map \{ (.*2 : (\S+ \. 8080)) \}"
NFTABLES: dict[str, tuple[str, Place, Edit, tuple[str, ...]]] = {
    "target address": (
        "three",
        Place("service-", of("three"), "numgen"),
        swap(r"(:c9|\.201) \. 8080", lambda found: f"{':63' if found[1] == ':c9' else '.99'} . 8080"),
        ("backends",),
    ),
    "target port": (
        "three",
        Place("service-", of("three"), "numgen"),
        swap(r"\. 8080", ". 8081"),
        ("backends",),
    ),
    "probability": ("three", Place("service-", of("three"), "numgen"), swap(CHOICE, one_more), ("shares",)),
    "masquerade mark": ("nodeport", Place("external-", of("nodeport"), "mark"), drop_rule, ("masquerade",)),
    "source range": (
        "ranges",
        Place("firewall-", of("ranges"), "saddr"),
        swap(r"(saddr \S+ ?\S+/)(25|64)", longer),
        ("outcome",),
    ),
    "affinity": ("affinity", Place("service-", of("affinity"), "saddr @"), drop_rule, ("affinity",)),
}


@FAMILIES
@pytest.mark.parametrize("kind", NFTABLES)
def test_a_changed_rule_of_nftables_is_a_changed_entry(
    kind: str, family: int, nodes: dict[str, Node]
) -> None:
    node = nodes[NODES["nftables"]]
    service, place, edit, traits = NFTABLES[kind]
    before = node.map(family)
    with replaced(node, family, place, edit):
        check(before, node.map(family), node, service, *traits)
    assert compare_maps(before, node.map(family), node.local()) == ()


class Copy:
    """kube-proxy's tables in a namespace of their own: what is changed here need not be mended by kube-proxy."""

    def __init__(self, world: World, node: Node) -> None:
        self._enter = ("nsenter", f"--net=/proc/{world.node.pid}/ns/net", "--", "nft", "-j")
        self._node = node
        # Without those of iptables-nft: nft cannot take back what xtables alone understands.
        ruleset = node.nft()
        tables = tuple(each for each in ruleset.tables if each.name == "kube-proxy")
        self._load(render_nft_json(replace(ruleset, tables=tables)), *self._enter)

    def nft(self, command: str) -> None:
        self._load(command, *self._enter[:-1])

    def map(self, family: int) -> ServiceMap:
        rules = parse_nft_json(run(*self._enter, "list", "ruleset"))
        return read_nft_map(self._node.name, family, rules, self._node.local())

    def _load(self, text: str, *argv: str) -> None:
        done = subprocess.run([*argv, "-f", "-"], input=text.encode(), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()


@pytest.fixture
def copy(nodes: dict[str, Node]) -> Iterator[Copy]:
    with new_world() as world:
        yield Copy(world, nodes[NODES["nftables"]])


def ip_of(family: int) -> str:
    return "ip6" if family == 6 else "ip"


def cluster_ip(cluster: Cluster, service: str, family: int) -> str:
    addresses = cluster.get("service", service, "-n", NAMESPACE)["spec"]["clusterIPs"]
    found: str = next(each for each in addresses if (":" in each) == (family == 6))
    return found


@FAMILIES
def test_a_copy_of_the_rules_means_the_same(family: int, copy: Copy, nodes: dict[str, Node]) -> None:
    node = nodes[NODES["nftables"]]
    assert compare_maps(node.map(family), copy.map(family), node.local()) == ()
    assert copy.map(family).entries


@FAMILIES
def test_a_map_element_that_leads_elsewhere_changes_its_entry(
    family: int, copy: Copy, nodes: dict[str, Node], cluster: Cluster
) -> None:
    node = nodes[NODES["nftables"]]
    before = copy.map(family)
    target, _, _ = find_rule(node, family, Place("service-", of("three"), "numgen"))
    key = f"{cluster_ip(cluster, 'alone', family)} . tcp . 80"
    table = f"{ip_of(family)} kube-proxy service-ips"
    copy.nft(f"delete element {table} {{ {key} }}\nadd element {table} {{ {key} : goto {target} }}\n")
    found = compare_maps(before, copy.map(family), node.local())
    assert {str(each.destination.address) for each in found} == {cluster_ip(cluster, "alone", family)}
    assert {trait for each in found for trait in each.differs} >= {"backends"}


@FAMILIES
def test_a_map_element_that_is_gone_takes_its_entry_along(
    family: int, copy: Copy, nodes: dict[str, Node], cluster: Cluster
) -> None:
    node = nodes[NODES["nftables"]]
    before = copy.map(family)
    address = cluster_ip(cluster, "alone", family)
    copy.nft(f"delete element {ip_of(family)} kube-proxy service-ips {{ {address} . tcp . 80 }}\n")
    check(before, copy.map(family), node, "alone", "outcome")


@FAMILIES
def test_a_hairpin_element_is_of_its_endpoint_only(family: int, copy: Copy, nodes: dict[str, Node]) -> None:
    node = nodes[NODES["nftables"]]
    before = copy.map(family)
    [entry] = [
        each
        for each in before.entries
        if each.service == f"{NAMESPACE}/alone:http" and each.hook is Hook.PREROUTING
    ]
    [backend] = entry.branches[0].backends
    pod = f"{backend.address} . {backend.address} . tcp . 8080"
    copy.nft(f"delete element {ip_of(family)} kube-proxy hairpin-connections {{ {pod} }}\n")
    check(before, copy.map(family), node, "alone", "hairpin")


@FAMILIES
def test_without_the_jump_from_prerouting_only_output_translates(
    family: int, copy: Copy, nodes: dict[str, Node]
) -> None:
    node = nodes[NODES["nftables"]]
    before = copy.map(family)
    copy.nft(f"flush chain {ip_of(family)} kube-proxy nat-prerouting\n")
    after = copy.map(family)
    assert {each.hook for each in compare_maps(before, after, node.local())} == {Hook.PREROUTING}
    translated = {entry.hook for entry in after.entries if any(branch.backends for branch in entry.branches)}
    assert translated == {Hook.OUTPUT}


@FAMILIES
def test_without_the_check_at_input_nobody_is_refused_at_node_ports(
    family: int, copy: Copy, nodes: dict[str, Node]
) -> None:
    before = copy.map(family)
    copy.nft(f"flush chain {ip_of(family)} kube-proxy nodeport-endpoints-check\n")
    check_refusals(before, copy.map(family), nodes[NODES["nftables"]])


@FAMILIES
def test_without_the_table_the_map_is_empty(family: int, copy: Copy) -> None:
    copy.nft(f"delete table {ip_of(family)} kube-proxy\n")
    assert copy.map(family).entries == ()
    assert copy.map(4 if family == 6 else 6).entries
