"""The service map that is read from nft: what real kube-proxies wrote, one change at a time, and others' tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import msgspec
import pytest

from netinspect.analyze.expected.service_map import expected_service_map
from netinspect.analyze.nft.service_map import read_nft_map
from netinspect.analyze.service_map.compare import compare_maps
from netinspect.models.address import Address, parse_address
from netinspect.models.cluster_state import ClusterState
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.models.kubernetes import EndpointSlice, Node, Service
from netinspect.models.nft_expression import Goto, Jump
from netinspect.models.service_map import Hook, Mode, Outcome, RuleRef, ServiceMap
from netinspect.parse.api import parse_object
from netinspect.parse.nft_json import parse_nft_json
from netinspect.parse.proxy_config import parse_proxy_configz
from tests.captures.capture_dataplanes import DATAPLANES, load
from tests.unit.analyze.nft_build import (
    ACCEPT,
    DADDR,
    DESTINATION,
    DPORT,
    DROP,
    IIFNAME,
    L4PROTO,
    LOCAL_DADDR,
    MARK,
    MASQUERADE,
    NEW,
    POD1,
    POD2,
    PODS,
    REJECT,
    SADDR,
    SET_MARK,
    VIP,
    Object,
    Table,
    anonymous,
    dnat,
    goto,
    jump,
    match,
    payload,
    prefix,
    read,
    to,
    told,
    vmap,
)

CAPTURES = sorted(each.name for each in DATAPLANES.iterdir() if "-nftables" in each.name)
FAMILIES = pytest.mark.parametrize("family", [6, 4])
NEWEST, BEFORE, OLDEST = "1.36.2-nftables", "1.34.3-nftables", "1.29.0-nftables"
NODE = "node-a"


def rules_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(load(DATAPLANES / name, "nft.json"))
    return found


@cache
def local_of(name: str) -> tuple[Address, ...]:
    links = json.loads(load(DATAPLANES / name, "addresses.json"))
    return tuple(parse_address(each["local"]) for link in links for each in link["addr_info"])


def map_of(rules: dict[str, Any], name: str, family: int) -> ServiceMap:
    return read_nft_map(NODE, family, parse_nft_json(json.dumps(rules)), local_of(name))


@cache
def untouched(name: str, family: int) -> ServiceMap:
    return map_of(rules_of(name), name, family)


@cache
def state_of(name: str) -> ClusterState:
    def listed(type_: Any, resource: str) -> Known[Any]:
        items = json.loads(load(DATAPLANES / name, f"{resource}.json"))["items"]
        return Known(tuple(parse_object(type_, json.dumps(each).encode()) for each in items))

    return ClusterState(
        pods=Unavailable(Reason.NOT_APPLICABLE, "not needed"),
        services=listed(Service, "services"),
        slices=listed(EndpointSlice, "endpointslices"),
        nodes=listed(Node, "nodes"),
    )


@FAMILIES
@pytest.mark.parametrize("name", CAPTURES)
def test_what_real_kube_proxies_wrote_is_what_they_should_have_written(name: str, family: int) -> None:
    config = parse_proxy_configz(load(DATAPLANES / name, "configz.json").encode())
    major, minor, _ = name.split("-")[0].split(".")
    expected = expected_service_map(
        state_of(name), NODE, family, Mode.NFTABLES, config, local_of(name), version=(int(major), int(minor))
    )
    seen = untouched(name, family)
    assert len(seen.entries) > 30
    assert compare_maps(expected, seen, local_of(name)) == ()
    assert seen.gaps == ()
    assert not any(branch.undecided for entry in seen.entries for branch in entry.branches)


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        (NEWEST, "nftables, kube-proxy 1.36"),
        ("1.36.2-nftables-any", "nftables, kube-proxy 1.36"),
        (BEFORE, "nftables, kube-proxy 1.34 to 1.35"),
        (OLDEST, "nftables, kube-proxy 1.29"),
    ],
)
def test_layouts_are_known_by_how_they_are_built(name: str, layout: str) -> None:
    assert untouched(name, 6).layout == layout


def test_a_layout_of_tomorrow_is_read_as_far_as_it_goes_and_says_so() -> None:
    rules = rules_of(NEWEST)
    chain = {"family": "ip6", "table": "kube-proxy", "name": "quantum-check", "handle": 1}
    rules["nftables"].append({"chain": chain})
    seen = map_of(rules, NEWEST, 6)
    assert "newer than any known kube-proxy" in seen.layout
    assert "quantum-check" in seen.layout
    assert seen.entries == untouched(NEWEST, 6).entries


def test_every_service_is_named_by_its_rules() -> None:
    for name in (NEWEST, BEFORE, OLDEST):
        named = [each.service for each in untouched(name, 6).entries]
        assert all("/" in each for each in named), name


# One change is one difference. Each changes the JSON in place.

Change = Callable[[list[dict[str, Any]]], None]
Differences = set[tuple[str, tuple[str, ...]]]


def differences(name: str, change: Change, family: int = 6) -> Differences:
    """Change a capture's rules; return which Services differ in what (of both hooks, all destinations)."""
    rules = rules_of(name)
    own = [
        object_
        for each in rules["nftables"]
        for object_ in each.values()
        if object_.get("family") == ("ip6" if family == 6 else "ip")
    ]
    change(own)
    seen = map_of(rules, name, family)
    found = compare_maps(untouched(name, family), seen, local_of(name))
    return {(each.service.partition(":")[0].partition("/")[2], each.differs) for each in found}


def chains(own: list[dict[str, Any]], start: str) -> Iterator[dict[str, Any]]:
    """Rules of chains whose name, without the hash, starts so: `service-alone`."""
    kind, _, service = start.partition(" ")
    for each in own:
        name = str(each.get("chain", ""))
        if "expr" in each and name.startswith(f"{kind}-") and f"/{service}/" in name:
            yield each


def rule_in(own: list[dict[str, Any]], start: str, word: str) -> dict[str, Any]:
    return next(each for each in chains(own, start) if word in json.dumps(each["expr"]))


def replaced(value: Any, old: Any, new: Any) -> Any:
    if value == old and type(value) is type(old):
        return new
    if isinstance(value, dict):
        return {key: replaced(each, old, new) for key, each in value.items()}
    return [replaced(each, old, new) for each in value] if isinstance(value, list) else value


def edit(start: str, word: str, old: Any, new: Any) -> Change:
    def change(own: list[dict[str, Any]]) -> None:
        rule = rule_in(own, start, word)
        changed = replaced(rule["expr"], old, new)
        assert changed != rule["expr"]
        rule["expr"] = changed

    return change


def remove(start: str, word: str) -> Change:
    def change(own: list[dict[str, Any]]) -> None:
        rule_in(own, start, word)["expr"] = [{"counter": {"packets": 0, "bytes": 0}}]

    return change


def in_chain(chain: str, word: str, expression: list[Any]) -> Change:
    """Put other statements in the place of a rule of one of kube-proxy's own chains."""

    def change(own: list[dict[str, Any]]) -> None:
        rule = next(
            each
            for each in own
            if each.get("chain") == chain and "expr" in each and word in json.dumps(each["expr"])
        )
        rule["expr"] = expression

    return change


def without_element(name: str, *words: str) -> Change:
    def change(own: list[dict[str, Any]]) -> None:
        named = next(each for each in own if each.get("name") == name and "elem" in each)
        kept = [each for each in named["elem"] if not all(word in json.dumps(each) for word in words)]
        assert len(kept) == len(named["elem"]) - 1
        named["elem"] = kept

    return change


def with_timeout(word: str, seconds: int) -> Change:
    def change(own: list[dict[str, Any]]) -> None:
        next(each for each in own if word in str(each.get("name")) and "timeout" in each)["timeout"] = seconds

    return change


EP = "fd00:10:244:1::c9"
ELSEWHERE = "fd00:10:244:9::9"
WEB = "policy-cluster-cluster"
SCTP = {("sctp", ("hairpin",)), ("sctp-nodeport", ("hairpin",))}  # their endpoints are the same
COUNT_ONLY: list[Any] = [{"counter": {"packets": 0, "bytes": 0}}]


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        pytest.param(*each, id=f"{each[0].partition('-')[0]} {number}")
        for number, each in enumerate(
            [
                (NEWEST, edit(f"service {WEB}", "numgen", EP, ELSEWHERE), {(WEB, ("backends",))}),
                (NEWEST, edit(f"service {WEB}", "numgen", 8080, 8081), {(WEB, ("backends",))}),
                (NEWEST, edit(f"service {WEB}", "numgen", 3, 4), {(WEB, ("lost", "shares"))}),
                (NEWEST, edit(f"external {WEB}", "mangle", 16384, 8192), {(WEB, ("masquerade",))}),
                (NEWEST, remove("firewall ranges", "drop"), {("ranges", ("outcome",))}),
                (NEWEST, edit("firewall ranges", "drop", 64, 60), {("ranges", ("outcome",))}),
                (NEWEST, with_timeout("/affinity-one/", 60), {("affinity-one", ("affinity",))}),
                (NEWEST, remove("service affinity-one", "@affinity"), {("affinity-one", ("affinity",))}),
                (NEWEST, remove("endpoint affinity-one", "update"), {("affinity-one", ("affinity",))}),
                (NEWEST, without_element("service-ips", f"/{WEB}/", "external"), {(WEB, ("outcome",))}),
                (NEWEST, without_element("no-endpoint-nodeports", "none-all"), {("none-all", ("outcome",))}),
                (NEWEST, without_element("hairpin-connections", f'"{EP}", "sctp"'), SCTP),
                (BEFORE, edit(f"endpoint {WEB}", '"dnat"', EP, ELSEWHERE), {(WEB, ("backends",))}),
                (BEFORE, edit(f"service {WEB}", "numgen", 3, 4), {(WEB, ("lost", "shares"))}),
                (BEFORE, remove(f"service {WEB}", "mark-for-masquerade"), {(WEB, ("masquerade",))}),
                (BEFORE, remove(f"endpoint {WEB}", f'"right": "{EP}"'), {(WEB, ("hairpin",))}),
                (OLDEST, remove(f"service {WEB}", "numgen"), {(WEB, ("outcome",))}),
                (OLDEST, without_element("service-nodeports", f"/{WEB}/"), {(WEB, ("outcome",))}),
            ]
        )
    ],
)
def test_a_rule_changed_is_its_service_changed(name: str, change: Change, expected: Differences) -> None:
    assert differences(name, change) == expected


@pytest.mark.parametrize(
    ("name", "chain", "word", "differs", "least"),
    [
        (NEWEST, "services", "service-nodeports", "outcome", 15),
        (NEWEST, "services", "mangle", "masquerade", 25),
        (NEWEST, "masquerading", "hairpin-connections", "hairpin", 25),
        (NEWEST, "masquerading", "16384", "masquerade", 25),
        (NEWEST, "firewall-check", "firewall-ips", "outcome", 5),
        (NEWEST, "filter-forward", "service-endpoints-check", "outcome", 5),
        (NEWEST, "filter-input", "nodeport-endpoints-check", "outcome", 2),
        (NEWEST, "nat-postrouting", "masquerading", "masquerade hairpin", 25),
        (BEFORE, "mark-for-masquerade", "mangle", "masquerade hairpin", 25),
        (OLDEST, "masquerading", "masquerade", "masquerade hairpin", 25),
    ],
)
def test_a_rule_of_all_services_changes_that_trait_of_many(
    name: str, chain: str, word: str, differs: str, least: int
) -> None:
    found = differences(name, in_chain(chain, word, COUNT_ONLY))
    assert len({service for service, _ in found}) >= least
    assert {trait for _, each in found for trait in each} == set(differs.split())


@pytest.mark.parametrize("hook", [Hook.PREROUTING, Hook.OUTPUT])
def test_without_the_jump_of_a_hook_nothing_is_translated_there(hook: Hook) -> None:
    rules = rules_of(NEWEST)
    own = [each["rule"] for each in rules["nftables"] if each.get("rule", {}).get("family") == "ip6"]
    in_chain(f"nat-{hook}", "services", COUNT_ONLY)(own)
    seen = map_of(rules, NEWEST, 6)
    translated = [
        each.hook for each in seen.entries if any(one.outcome is Outcome.BACKENDS for one in each.branches)
    ]
    assert translated == [
        each.hook
        for each in untouched(NEWEST, 6).entries
        if each.hook is not hook and (any(one.outcome is Outcome.BACKENDS for one in each.branches))
    ]


def test_without_kube_proxys_table_the_map_is_empty() -> None:
    rules = rules_of(NEWEST)
    rules["nftables"] = [
        each
        for each in rules["nftables"]
        if not any(
            one.get("table", one.get("name")) == "kube-proxy" and "family" in one for one in each.values()
        )
    ]
    seen = map_of(rules, NEWEST, 6)
    assert seen.entries == ()
    assert seen.layout == "nftables, no rules of kube-proxy"


# Node ports.


def node_ports(*conditions: Object) -> Table:
    key = {"concat": [L4PROTO, DPORT]}
    table = Table().nat("prerouting", (*conditions, vmap(key, "@service-nodeports")))
    table.map(
        "service-nodeports", [{"concat": ["tcp", 30080]}, goto("web")], type=["inet_proto", "inet_service"]
    )
    return table.chain("web", (dnat(POD1, 8080),))


ONE = f"any: backends, {POD1}/8080 1"


def test_a_node_port_at_any_address_is_one_entry() -> None:
    table = node_ports(LOCAL_DADDR, match(DADDR, "::1", "!="))
    assert told(read(table)) == {"any:30080/tcp except ::1/128": [ONE]}
    assert told(read(table, local=())) == {"any:30080/tcp except ::1/128": [ONE]}
    assert told(read(node_ports(LOCAL_DADDR))) == {"any:30080/tcp": [ONE]}


def test_a_node_port_at_single_addresses_is_an_entry_each() -> None:
    table = node_ports(match(DADDR, "@nodeport-ips")).set("nodeport-ips", "fd00:10:99::11", "fd00:10:99::12")
    assert told(read(table)) == {"[fd00:10:99::11]:30080/tcp": [ONE], "[fd00:10:99::12]:30080/tcp": [ONE]}


def test_an_address_that_is_treated_apart_has_an_entry_of_its_own() -> None:
    first = Table("other").base("early", "prerouting", -300, (match(DADDR, "fe80::1"), DROP))
    assert told(read(first, node_ports(LOCAL_DADDR))) == {
        "[fe80::1]:30080/tcp": ["any: drop"],
        "any:30080/tcp": [ONE],
    }


def test_an_address_that_is_left_alone_is_excepted() -> None:
    accepted = (match(DADDR, "fe80::1"), ACCEPT)
    table = Table().nat(
        "prerouting", accepted, (LOCAL_DADDR, match(payload("tcp", "dport"), 30080), dnat(POD1, 8080))
    )
    assert told(read(table)) == {"any:30080/tcp except fe80::1/128": [ONE]}


def test_a_node_port_without_endpoints_is_refused_where_packets_come_in() -> None:
    key = {"concat": [L4PROTO, DPORT]}
    table = Table().base("filter-input", "input", 0, (NEW, jump("check")))
    table.chain("check", (match(DADDR, "::1", "!="), vmap(key, "@no-endpoint-nodeports"))).chain(
        "reject-chain", (REJECT,)
    )
    element = {"elem": {"val": {"concat": ["tcp", 30081]}, "comment": "ns/svc:http"}}
    table.map("no-endpoint-nodeports", [element, goto("reject-chain")], type=["inet_proto", "inet_service"])
    map_ = read(table)
    assert told(map_) == {"any:30081/tcp except ::1/128": ["any: reject"]}
    assert told(map_, Hook.OUTPUT) == told(map_)  # by `lo` what the node sends comes in, too
    assert map_.entries[0].service == "ns/svc:http"


@pytest.mark.parametrize(
    ("asked", "output"),
    [
        (match(IIFNAME, "lo"), {}),
        (match(IIFNAME, "l*"), {}),
        (vmap(IIFNAME, anonymous(["eth0", DROP], ["lo", ACCEPT])), {}),
        (vmap(IIFNAME, anonymous(["eth0", ACCEPT])), {"any:30081/tcp": ["any: reject"]}),
        (match(IIFNAME, anonymous("eth0", "lo")), {}),
        (match(IIFNAME, "lo", "!="), {"any:30081/tcp": ["any: reject"]}),
        (match(IIFNAME, "eth0"), {"any:30081/tcp": ["any: reject"]}),
    ],
)
def test_what_the_node_sends_to_itself_comes_in_again_by_lo(asked: Any, output: dict[str, list[str]]) -> None:
    refused = (LOCAL_DADDR, match(payload("tcp", "dport"), 30081), REJECT)
    table = Table().base("input", "input", 0, (asked, ACCEPT), refused)
    assert told(read(table), Hook.OUTPUT) == output


def test_nat_is_asked_once_for_what_the_node_sends_to_itself() -> None:
    port = match(payload("tcp", "dport"), 30081)
    table = Table().nat("prerouting", (LOCAL_DADDR, port, dnat(POD1, 8080)))
    assert told(read(table), Hook.OUTPUT) == {}
    early = table.base("early", "prerouting", -300, (match(IIFNAME, "lo"), port, DROP))
    assert told(read(early), Hook.OUTPUT) == {"any:30081/tcp": ["any: drop"]}


# Other owners' tables, and what is not known.


def web(*, priority: int = -100) -> Table:
    table = Table().nat("prerouting", (vmap(DESTINATION, "@service-ips"),), priority=priority)
    return table.map("service-ips", [to(VIP), goto("web")]).chain("web", (dnat(POD1, 8080),))


AT_VIP = match(DADDR, VIP), match(payload("tcp", "dport"), 80)
WHERE = f"[{VIP}]:80/tcp"


def test_another_table_that_translates_before_counts() -> None:
    other = Table("other", "inet").nat("prerouting", (*AT_VIP, dnat(POD2, 9090)), priority=-101)
    assert told(read(web(), other)) == {WHERE: [f"any: backends, {POD2}/9090 1"]}
    later = Table("other", "inet").nat("prerouting", (*AT_VIP, dnat(POD2, 9090)), priority=-99)
    assert told(read(web(), later)) == {WHERE: [ONE]}


def test_another_table_that_drops_before_or_for_some_sources_counts() -> None:
    other = Table("other", "inet").base(
        "pre", "prerouting", -150, (*AT_VIP, match(SADDR, prefix(PODS)), DROP)
    )
    assert told(read(web(), other)) == {WHERE: [f"{PODS}: drop", ONE]}


def test_nat_chains_are_entered_at_one_place_whatever_their_priority() -> None:
    filtering = Table("other").base("pre", "prerouting", -50, (*AT_VIP, DROP))
    assert told(read(web(priority=10), filtering)) == {WHERE: [ONE]}


def test_filters_count_for_what_is_not_translated_only() -> None:
    forward = Table("other").base("fw", "forward", 0, (*AT_VIP, DROP), (match(DADDR, POD1), DROP))
    assert told(read(web(), forward)) == {WHERE: [ONE]}
    plain = Table().nat("prerouting").base("fw", "forward", 0, (*AT_VIP, DROP))
    assert told(read(plain)) == {WHERE: ["any: drop"]}


def test_what_filters_say_of_pods_alone_names_no_destination() -> None:
    policy = Table("policy", "inet").base(
        "fw", "forward", 0, (match(DADDR, POD1), match(payload("tcp", "dport"), 80), DROP)
    )
    assert read(policy).entries == ()


def test_a_cluster_ip_at_ports_that_no_rule_names_has_no_entry() -> None:
    table = web().base("filter-forward", "forward", 0, (NEW, match(DADDR, "@cluster-ips"), REJECT))
    table.set("cluster-ips", VIP, "fd00:10:96::2")
    assert told(read(table)) == {WHERE: [ONE]}


def test_a_service_whose_chain_is_empty_is_refused_by_the_check_of_cluster_ips() -> None:
    table = (
        Table()
        .nat("prerouting", (vmap(DESTINATION, "@service-ips"),))
        .map("service-ips", [to(VIP), goto("web")])
    )
    table.chain("web").base("filter-forward", "forward", 0, (match(DADDR, "@cluster-ips"), REJECT))
    assert told(read(table.set("cluster-ips", VIP))) == {WHERE: ["any: reject"]}


@pytest.mark.parametrize(
    ("table", "gaps"),
    [
        (Table("other").base("odd", "ingress", 0, (DROP,)), 1),
        (Table("other").base("odd", "prerouting", 0, (DROP,), kind="quantum"), 1),
        (Table("other", "netdev").base("in", "ingress", 0, (DROP,)), 1),
        (Table("other", "netdev").base("in", "ingress", 0), 0),
        (Table("other", "bridge").base("in", "prerouting", 0, (DROP,)), 1),
        (Table("other", "bridge").base("in", "prerouting", 0).chain("unused", (DROP,)), 0),
        (Table("other", "ip").base("odd", "ingress", 0, (DROP,)), 0),
        (Table("other", flags="dormant").base("in", "prerouting", -300, (DROP,)), 0),
        (Table("other", flags="persist").base("in", "prerouting", 0), 0),
        # nft 1.0.6 prints the name of the table in place of a single flag.
        (Table("other", flags="other").base("in", "prerouting", 0), 1),
    ],
)
def test_hooks_that_are_not_walked_are_gaps(table: Table, gaps: int) -> None:
    map_ = read(web(), table)
    assert told(map_) == {WHERE: [ONE]}
    assert len(map_.gaps) == gaps
    assert all("other" in each.fact and each.subject == "node/node-b" for each in map_.gaps)


def test_masquerading_for_some_backends_only_is_undecided() -> None:
    by_number = anonymous([0, goto("one")], [1, goto("two")])
    table = Table().nat(
        "prerouting", (*AT_VIP, vmap({"numgen": {"mode": "random", "mod": 2, "offset": 0}}, by_number))
    )
    table.chain("one", (SET_MARK,), (dnat(POD1, 8080),)).chain("two", (dnat(POD2, 8080),))
    table.nat("postrouting", (match(MARK, 0x4000), MASQUERADE))
    assert told(read(table)) == {WHERE: [f"any: backends, {POD1}/8080 0.5, {POD2}/8080 0.5, undecided"]}


def test_masquerading_by_source_in_postrouting_splits_the_branch() -> None:
    table = web().nat("postrouting", (match(SADDR, prefix(PODS), "!="), MASQUERADE))
    assert told(read(table)) == {WHERE: [f"not {PODS}: backends, {POD1}/8080 1, masquerade", ONE]}


def test_counters_stand_beside_the_text() -> None:
    counted = ({"counter": {"packets": 3, "bytes": 180}}, *AT_VIP, dnat(POD1, 8080))
    entry = read(Table().nat("prerouting", counted)).entries[0]
    (rule,) = entry.branches[0].backends[0].rules
    assert (rule.where, rule.packets, rule.bytes) == ("kube-proxy nat-prerouting", 3, 180)
    assert rule.text == f"ip6 daddr {VIP} tcp dport 80 dnat to [{POD1}]:8080"


@FAMILIES
@pytest.mark.parametrize("name", CAPTURES)
def test_the_rules_of_a_destination_are_its_own(name: str, family: int) -> None:
    """Services with the same backends have rules with equal parts: each is told by its own."""
    table = parse_nft_json(load(DATAPLANES / name, "nft.json")).table(
        {4: "ip", 6: "ip6"}[family], "kube-proxy"
    )
    assert table is not None
    ways = {chain: set(_targets(each.rules)) for chain, each in table.chains.items()}
    seen = 0
    for entry in untouched(name, family).entries:
        for branch in entry.branches:
            # A Service's chains have its name in theirs, behind a slash; the others serve all Services.
            own = {_chain_of(rule) for rule in branch.rules if "/" in _chain_of(rule)}
            meant = own | {target for chain in own for target in ways[chain]}
            for rule in (rule for backend in branch.backends for rule in backend.rules):
                assert _chain_of(rule) in meant, (entry.destination, rule)
                seen += 1
    assert seen > 20


def _chain_of(rule: RuleRef) -> str:
    return rule.where.partition(" ")[2]


def _targets(part: object) -> Iterator[str]:
    if isinstance(part, Jump | Goto):
        yield part.target
    elif isinstance(part, tuple):
        for each in part:
            yield from _targets(each)
    elif isinstance(part, msgspec.Struct):
        for name in part.__struct_fields__:
            yield from _targets(getattr(part, name))
