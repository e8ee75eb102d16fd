"""One rule changed is one entry changed: each kind of rule, on nodes whose kube-proxy is held meanwhile.

Rules are changed by the tools themselves and read back from the kernel; each change is undone by its test.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from netinspect.analyze.iptables.service_map import read_iptables_map
from netinspect.analyze.nft.service_map import read_nft_map
from netinspect.analyze.nft.words import say_statement
from netinspect.analyze.service_map.compare import compare_maps
from netinspect.models.address import Address, parse_address
from netinspect.models.nft import NftChain, NftRuleset
from netinspect.models.service_map import Hook, ServiceMap
from netinspect.models.service_map_difference import MapDifference
from netinspect.parse.iptables_save import parse_iptables_save
from netinspect.parse.nft_json import parse_nft_json
from netinspect.render.nft_json import render_nft_json
from tests.cluster.bench import sandbox
from tests.cluster.bench.sandbox import Sandbox
from tests.cluster.kit import Cluster
from tests.cluster.kube_proxies import find_kube_proxies, held
from tests.cluster.service_shape import LOCAL_TWO, Builder, Endpoint, Shape, create, own_namespace
from tests.netns.world import World, new_world, run

pytestmark = pytest.mark.cluster

NAMESPACE = "netinspect-mutations"
RANGES = ("203.0.113.0/25", "2001:db8:77::/64")
NODES = {"iptables": "node-a", "nftables": "node-b"}
FAMILIES = pytest.mark.parametrize("family", [6, 4])


def shapes(builder: Builder) -> tuple[Shape, ...]:
    """One Service for each kind of rule; `alone` has an endpoint that no other has, on node-b."""
    addresses = [{"ip": each, "ipMode": "VIP"} for each in builder.outside()]
    return (
        builder.shape("three"),
        builder.shape("alone", endpoints=(Endpoint(77, is_local=False),)),
        builder.shape("affinity", endpoints=LOCAL_TWO, sessionAffinity="ClientIP"),
        builder.shape("nodeport", type="NodePort"),
        builder.shape("nobody", type="NodePort", endpoints=()),
        builder.shape("ranges", type="LoadBalancer", ingress=addresses, loadBalancerSourceRanges=RANGES),
    )


@dataclass
class Node:
    """One node's rules, read and changed in its network namespace."""

    name: str
    box: Sandbox

    def local(self) -> tuple[Address, ...]:
        links = json.loads(self.box.enter("ip", "-j", "addr"))
        return tuple(parse_address(each["local"]) for link in links for each in link["addr_info"])

    def map(self, family: int) -> ServiceMap:
        if self.name == NODES["iptables"]:
            rules = parse_iptables_save(self.box.enter(tool("save", family)))
            return read_iptables_map(self.name, family, rules, self.local())
        return read_nft_map(self.name, family, self.nft(), self.local())

    def nft(self) -> NftRuleset:
        return parse_nft_json(self.box.enter("nft", "-j", "list", "ruleset"))


def tool(what: str, family: int) -> str:
    return f"{'ip6tables' if family == 6 else 'iptables'}-{what}"


@pytest.fixture(scope="module")
def nodes(cluster: Cluster) -> Iterator[dict[str, Node]]:
    """Both nodes, their kube-proxies held as soon as their rules have the Services."""
    pids = find_kube_proxies(cluster)
    found = {}
    for name in NODES.values():
        box = sandbox.find(name)
        assert box is not None
        found[name] = Node(name, box)
    with own_namespace(cluster, NAMESPACE):
        made = shapes(Builder(NAMESPACE, number=201))
        create(cluster, made)
        for node in found.values():
            for family in (4, 6):
                cluster.until(lambda n=node, f=family: has_all(n.map(f), made))
        with held({name: pids[name] for name in found}):
            yield found


def has_all(service_map: ServiceMap, made: tuple[Shape, ...]) -> bool:
    named = {entry.service for entry in service_map.entries}
    return {f"{NAMESPACE}/{shape.name}:http" for shape in made} <= named


def changed_services(differences: tuple[MapDifference, ...]) -> set[str]:
    return {each.service.removeprefix(f"{NAMESPACE}/").partition(":")[0] for each in differences}


def check(before: ServiceMap, after: ServiceMap, node: Node, service: str, *traits: str) -> None:
    """Make sure that entries of this Service are different in these traits, and nothing else is."""
    found = compare_maps(before, after, node.local())
    assert found
    assert changed_services(found) == {service}
    assert {trait for each in found for trait in each.differs} == set(traits)


# iptables: the table is saved, one line of it changed, and restored whole.

Edit = Callable[[str], str]


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


def check_refusals(before: ServiceMap, after: ServiceMap, node: Node) -> None:
    """What comes in and what the node sends to itself both pass INPUT, and nothing else does."""
    check(before, after, node, "nobody", "outcome")
    own = [each for each in compare_maps(before, after, node.local()) if NAMESPACE in each.service]
    assert {(each.hook, each.destination.port > 30000) for each in own} == {
        (Hook.PREROUTING, True),
        (Hook.OUTPUT, True),
    }


@FAMILIES
def test_without_the_jumps_from_all_hooks_the_map_is_empty(family: int, nodes: dict[str, Node]) -> None:
    node = nodes[NODES["iptables"]]
    hooks = without(r"-A (PREROUTING|OUTPUT|INPUT|FORWARD) .*-j KUBE-")
    with edited(node, family, hooks), edited(node, family, hooks, "filter"):
        after = node.map(family)
    assert after.entries == ()


# nftables: one rule is replaced by another, in nft's own words. This rule does nothing:
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
