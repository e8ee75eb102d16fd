"""Which endpoints kube-proxy uses: the cases of its own pkg/proxy/topology_test.go, and what slices may hold."""

from __future__ import annotations

from typing import Any

import pytest

from netinspect.analyze.expected.endpoints_used import (
    NodeTopology,
    UsedEndpoint,
    choose_endpoints,
    find_endpoints,
)
from netinspect.models.address import parse_address
from netinspect.models.kubernetes import (
    Endpoint,
    EndpointConditions,
    EndpointHint,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    ObjectMeta,
)

HERE = NodeTopology(node="node-a", zone="zone-a")
LEAVING: dict[str, Any] = {"is_ready": False, "is_terminating": True}
GONE: dict[str, Any] = {"is_ready": False, "is_serving": False, "is_terminating": True}
DOWN: dict[str, Any] = {"is_ready": False, "is_serving": False}


def used(number: int, zones: str = "", nodes: str = "", **fields: bool) -> UsedEndpoint:
    return UsedEndpoint(
        address=parse_address(f"fd00::{number}"),
        port=80,
        zones=frozenset(zones.split()),
        nodes=frozenset(nodes.split()),
        **fields,
    )


def choose(
    endpoints: list[UsedEndpoint], topology: NodeTopology = HERE, policy: str = "both"
) -> tuple[str, str, bool]:
    choice = choose_endpoints(
        endpoints,
        topology,
        uses_cluster=policy in ("cluster", "both"),
        uses_local=policy in ("local", "both"),
    )
    cluster, local = (
        " ".join(str(each.address)[6:] for each in each_set) for each_set in (choice.cluster, choice.local)
    )
    return cluster, local, choice.has_any


def test_ready_endpoints_are_used_and_local_ones_apart() -> None:
    assert choose([used(1), used(2, is_local=True), used(3, **DOWN)]) == ("1 2", "2", True)


@pytest.mark.parametrize(("policy", "expected"), [("cluster", ("1 2", "", True)), ("local", ("", "2", True))])
def test_a_policy_that_nothing_asks_for_gives_nothing(policy: str, expected: tuple[str, str, bool]) -> None:
    assert choose([used(1), used(2, is_local=True)], policy=policy) == expected


def test_none_at_all() -> None:
    assert choose([]) == ("", "", False)
    assert choose([used(1, **DOWN), used(2, is_local=True, **GONE)]) == ("", "", False)


def test_what_serves_while_it_terminates_is_used_where_nothing_is_ready() -> None:
    assert choose([used(1, **LEAVING), used(2, **GONE), used(3, **DOWN)]) == ("1", "", True)
    assert choose([used(1), used(2, **LEAVING)]) == ("1", "", True)
    assert choose([used(1, is_ready=False)]) == ("", "", False)


def test_each_policy_falls_back_for_itself() -> None:
    assert choose([used(1), used(2, is_local=True, **LEAVING)]) == ("1", "2", True)
    assert choose([used(1, **LEAVING), used(2, is_local=True)]) == ("2", "2", True)


def test_an_endpoint_elsewhere_counts_for_the_local_policy_only_as_being_there() -> None:
    assert choose([used(1)], policy="local") == ("", "", True)
    assert choose([used(1, **LEAVING)], policy="local") == ("", "", True)
    assert choose([used(1, **DOWN)], policy="local") == ("", "", False)


def test_zone_hints_leave_those_of_the_zone() -> None:
    zoned = [used(1, "zone-a"), used(2, "zone-b"), used(3, "zone-a zone-b")]
    assert choose(zoned)[0] == "1 3"


@pytest.mark.parametrize(
    ("extra", "topology"),
    [
        (used(4), HERE),
        (None, NodeTopology(node="node-a", zone="zone-c")),
        (None, NodeTopology(node="node-a")),
        (None, NodeTopology(node="node-a", zone="zone-a", reads_zones=False)),
    ],
    ids=["one has no hint", "none for this zone", "node without zone", "not asked for"],
)
def test_zone_hints_are_void(extra: UsedEndpoint | None, topology: NodeTopology) -> None:
    zoned = [used(1, "zone-a"), used(2, "zone-b")]
    assert choose([*zoned, *([extra] if extra else [])], topology)[0].startswith("1 2")


def test_hints_of_endpoints_that_are_not_ready_do_not_count() -> None:
    assert choose([used(1, "zone-a"), used(2, "zone-b"), used(3, **LEAVING)])[0] == "1"
    assert choose([used(1, "zone-a", **LEAVING), used(2, "zone-b", **LEAVING)])[0] == "1 2"


def test_node_hints_stand_before_zone_hints() -> None:
    hinted = [used(1, "zone-a", "node-a"), used(2, "zone-a", "node-b"), used(3, "zone-b", "node-b")]
    assert choose(hinted)[0] == "1"
    assert choose(hinted, NodeTopology(node="node-c", zone="zone-a"))[0] == "1 2"
    assert choose(hinted, NodeTopology(node="node-a", zone="zone-a", reads_nodes=False))[0] == "1 2"


def test_hints_do_not_touch_the_local_policy() -> None:
    hinted = [used(1, "zone-b", is_local=True), used(2, "zone-a")]
    assert choose(hinted) == ("2", "1", True)


def test_what_is_reachable_is_each_once() -> None:
    here, there = used(1, "zone-b", is_local=True), used(2, "zone-a")
    choice = choose_endpoints([here, there], HERE, uses_cluster=True, uses_local=True)
    assert choice.reachable == (there, here)
    choice = choose_endpoints([here], HERE, uses_cluster=True, uses_local=True)
    assert choice.reachable == (here,)


def slice_of(*endpoints: Endpoint, name: str = "web-1", **fields: object) -> EndpointSlice:
    values: dict[str, object] = {
        "address_type": "IPv6",
        "ports": (EndpointPort(name="http", port=8080),),
        **fields,
    }
    labels = values.pop("labels", {})
    meta = ObjectMeta(name=name, namespace="demo", labels=labels)  # type: ignore[arg-type]
    return EndpointSlice(metadata=meta, endpoints=endpoints, **values)  # type: ignore[arg-type]


def find(*slices: EndpointSlice, protocol: str = "TCP", family: int = 6) -> list[str]:
    found = find_endpoints(slices, ("http", protocol), family, "node-a")
    return [f"{each.address} {each.port}" for each in found]


def test_endpoints_come_from_all_slices_each_with_its_own_port() -> None:
    other = slice_of(
        Endpoint(addresses=("fd00::1",)), name="web-2", ports=(EndpointPort(name="http", port=9090),)
    )
    assert find(slice_of(Endpoint(addresses=("fd00::2",))), other) == ["fd00::1 9090", "fd00::2 8080"]


@pytest.mark.parametrize(
    "fields",
    [
        {"address_type": "IPv4"},
        {"address_type": "FQDN"},
        {"ports": (EndpointPort(name="other", port=8080),)},
        {"ports": (EndpointPort(name="http", port=8080, protocol="UDP"),)},
        {"ports": (EndpointPort(name="http", port=None),)},
        {"ports": (EndpointPort(name="http", port=0),)},
        {"labels": {"service.kubernetes.io/headless": ""}},
    ],
)
def test_slices_that_kube_proxy_passes_over(fields: dict[str, Any]) -> None:
    assert find(slice_of(Endpoint(addresses=("fd00::1",)), **fields)) == []


def test_only_the_first_address_counts_however_it_is_written() -> None:
    odd = slice_of(
        Endpoint(addresses=("010.244.02.9", "10.244.2.10")),
        Endpoint(addresses=()),
        Endpoint(addresses=("web.example.com",)),
        Endpoint(addresses=("fd00::1",)),
        address_type="IPv4",
    )
    assert find(odd, family=4) == ["10.244.2.9 8080"]
    assert find(slice_of(Endpoint(addresses=("FD00:0::01",)))) == ["fd00::1 8080"]


STAYS = EndpointConditions()
LEAVES = EndpointConditions(ready=False, serving=True, terminating=True)
FAILS = EndpointConditions(ready=False, serving=False)


@pytest.mark.parametrize(
    ("conditions", "nodes", "prefers_staying", "is_ready", "is_doubted"),
    [
        ((STAYS, LEAVES), "bb", True, True, False),
        ((LEAVES, STAYS), "bb", True, True, False),
        ((STAYS, STAYS), "bb", True, True, False),
        ((STAYS, FAILS), "bb", True, True, True),
        ((LEAVES, LEAVES), "ab", True, False, True),
        ((LEAVES, STAYS), "ab", True, True, False),
        ((LEAVES, STAYS), "ab", False, False, False),
        ((STAYS, LEAVES), "ba", False, False, False),
        ((STAYS, LEAVES), "bb", False, True, True),
        ((STAYS, LEAVES), "aa", False, True, True),
    ],
)
def test_of_two_with_one_address_the_one_that_stays_or_is_here_counts(
    conditions: tuple[EndpointConditions, ...],
    nodes: str,
    prefers_staying: bool,
    is_ready: bool,
    is_doubted: bool,
) -> None:
    slices = [
        slice_of(Endpoint(addresses=("fd00::1",), conditions=each, node_name=f"node-{node}"), name=node)
        for each, node in zip(conditions, nodes, strict=True)
    ]
    (found,) = find_endpoints(slices, ("http", "TCP"), 6, "node-a", prefers_staying=prefers_staying)
    assert (found.is_ready, found.is_doubted) == (is_ready, is_doubted)


def test_conditions_hints_and_node_are_read() -> None:
    hints = EndpointHints(for_zones=(EndpointHint(name="zone-a"),), for_nodes=(EndpointHint(name="node-b"),))
    endpoint = Endpoint(addresses=("fd00::1",), node_name="node-a", hints=hints)
    (found,) = find_endpoints((slice_of(endpoint),), ("http", "TCP"), 6, "node-a")
    assert found == UsedEndpoint(
        address=parse_address("fd00::1"),
        port=8080,
        is_local=True,
        zones=frozenset({"zone-a"}),
        nodes=frozenset({"node-b"}),
    )
    unnamed = Endpoint(addresses=("fd00::2",))
    of_nobody = find_endpoints((slice_of(endpoint, unnamed),), ("http", "TCP"), 6, "")
    assert [each.is_local for each in of_nobody] == [False, False]
