"""Two nodes whose kube-proxy is held, and what a change of one rule there may change in their service maps.

Rules are changed by the tools themselves and read back from the kernel; each change is undone by its test.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from netinspect.analyze.iptables.service_map import read_iptables_map
from netinspect.analyze.nft.service_map import read_nft_map
from netinspect.analyze.service_map.compare import compare_maps
from netinspect.models.address import Address, parse_address
from netinspect.models.nft import NftRuleset
from netinspect.models.service_map import Hook, ServiceMap
from netinspect.models.service_map_difference import MapDifference
from netinspect.parse.iptables_save import parse_iptables_save
from netinspect.parse.nft_json import parse_nft_json
from tests.cluster.bench import sandbox
from tests.cluster.bench.sandbox import Sandbox
from tests.cluster.kit import Cluster
from tests.cluster.kube_proxies import find_kube_proxies, held
from tests.cluster.service_shape import LOCAL_TWO, Builder, Endpoint, Shape, create, own_namespace

NAMESPACE = "netinspect-mutations"
RANGES = ("203.0.113.0/25", "2001:db8:77::/64")
NODES = {"iptables": "node-a", "nftables": "node-b"}
FAMILIES = pytest.mark.parametrize("family", [6, 4])

Edit = Callable[[str], str]
"""Changes a text of rules."""


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


def check_refusals(before: ServiceMap, after: ServiceMap, node: Node) -> None:
    """What comes in and what the node sends to itself both pass INPUT, and nothing else does."""
    check(before, after, node, "nobody", "outcome")
    own = [each for each in compare_maps(before, after, node.local()) if NAMESPACE in each.service]
    assert {(each.hook, each.destination.port > 30000) for each in own} == {
        (Hook.PREROUTING, True),
        (Hook.OUTPUT, True),
    }


@contextmanager
def held_nodes(cluster: Cluster) -> Iterator[dict[str, Node]]:
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
