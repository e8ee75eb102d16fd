"""Rules of nft that are easily misread. That the kernel does so is shown by tests/netns/test_nft_hostile*.py."""

from __future__ import annotations

import pytest

from netinspect.models.service_map import Hook
from tests.unit.analyze.nft_build import (
    ACCEPT,
    DADDR,
    DPORT,
    DROP,
    L4PROTO,
    MARK,
    POD1,
    POD2,
    RETURN,
    SADDR,
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
    random,
    read,
    told,
    vmap,
)

TCP_DPORT = payload("tcp", "dport")
AT_VIP = (match(DADDR, VIP), match(TCP_DPORT, 80))
ONE, TWO = (*AT_VIP, dnat(POD1, 80)), (*AT_VIP, dnat(POD2, 80))
TO_ONE, TO_TWO = f"any: backends, {POD1}/80 1", f"any: backends, {POD2}/80 1"
WEB = f"[{VIP}]:80/tcp"
CT_STATE, CT_MARK, CT_STATUS = ({"ct": {"key": key}} for key in ("state", "mark", "status"))
PKTTYPE: Object = {"meta": {"key": "pkttype"}}
PERHAPS = match(PKTTYPE, "host")
CLIENT = "fd00:9::9"


def of_web(*tables: Table, hook: Hook = Hook.PREROUTING) -> list[str]:
    return told(read(*tables), hook).get(WEB, [])


def set_to(key: Object, value: object) -> Object:
    return {"mangle": {"key": key, "value": value}}


def nat(*rules: tuple[Object, ...]) -> Table:
    return Table().nat("prerouting", *rules)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ((), "any: drop"),
        (((*AT_VIP, ACCEPT),), TO_ONE),
        (((*AT_VIP, RETURN), (ACCEPT,)), "any: drop"),
        (((PERHAPS, ACCEPT),), "any: drop, undecided"),
        (((PERHAPS, RETURN), (ACCEPT,)), f"{TO_ONE}, undecided"),
    ],
)
def test_what_comes_to_the_end_of_a_base_chain_meets_its_policy(
    rules: tuple[tuple[Object, ...], ...], expected: str
) -> None:
    early = Table("other").base("in", "prerouting", -150, *rules, policy="drop")
    assert of_web(early, nat(ONE)) == [expected]


def test_of_base_chains_of_one_priority_the_last_added_is_met_first() -> None:
    first, second = (
        Table(name).base("in", "prerouting", -100, rule, kind="nat")
        for name, rule in (("a", ONE), ("b", TWO))
    )
    assert (of_web(first, second), of_web(second, first)) == ([TO_TWO], [TO_ONE])
    drops = Table("drops").base("in", "prerouting", -100, (*AT_VIP, DROP))
    assert (of_web(first, drops), of_web(drops, first)) == (["any: drop"], [TO_ONE])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ((match(CT_STATE, "new", "in"), DROP), TO_ONE),
        ((match(CT_STATE, "invalid", "in"), DROP), "any: drop"),
        ((match(CT_MARK, 0), DROP), TO_ONE),
        ((set_to(CT_MARK, 7),), TO_ONE),
    ],
)
def test_before_conntrack_there_is_no_connection(rule: tuple[Object, ...], expected: str) -> None:
    early = Table("raw").base("in", "prerouting", -300, rule)
    marked = Table("late").base("in", "prerouting", -150, (match(CT_MARK, 7), DROP))
    assert of_web(early, marked, nat(ONE)) == [expected]


@pytest.mark.parametrize(("priority", "expected"), [(-300, []), (-150, [TO_ONE])])
def test_notrack_is_for_what_is_not_tracked_yet(priority: int, expected: list[str]) -> None:
    assert of_web(Table("raw").base("in", "prerouting", priority, ({"notrack": None},)), nat(ONE)) == expected


@pytest.mark.parametrize(
    ("asked", "is_masqueraded"),
    [
        (match(CT_STATUS, "dnat", "in"), True),
        (match(CT_STATUS, "dnat"), False),
        (match(CT_MARK, 5), True),
        (match(CT_MARK, 6), False),
    ],
)
def test_the_connection_decides_on_masquerading(asked: Object, is_masqueraded: bool) -> None:
    table = nat((*AT_VIP, set_to(CT_MARK, 5), dnat(POD1, 80)))
    table.nat("postrouting", (asked, {"masquerade": None}))
    assert of_web(table) == [TO_ONE + (", masquerade" if is_masqueraded else "")]


@pytest.mark.parametrize(
    ("kind", "protocols"),
    [("tcp reset", {"tcp"}), ("icmp", set()), ("icmpv6", {"tcp", "udp"}), ("icmpx", {"tcp", "udp"})],
)
def test_a_reject_is_for_the_protocols_of_its_kind(kind: str, protocols: set[str]) -> None:
    table = nat().base("f", "forward", 0, (match(DADDR, VIP), match(DPORT, 80), {"reject": {"type": kind}}))
    found = told(read(table))
    assert {each for each in ("tcp", "udp") if f"[{VIP}]:80/{each}" in found} == protocols


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (((vmap(TCP_DPORT, anonymous([80, {"continue": None}])), *ONE),), [TO_ONE]),
        (((*AT_VIP, {"continue": None}, DROP),), ["any: drop"]),
        (
            (
                (
                    match(
                        {"concat": [DADDR, payload("udp", "dport")]}, anonymous({"concat": [VIP, 80]}), "!="
                    ),
                    DROP,
                ),
                ONE,
            ),
            [TO_ONE],
        ),
        (((match(L4PROTO, {"range": ["ggp", "udp"]}), *ONE),), []),
        (((match(L4PROTO, {"range": [5, "udp"]}), *ONE),), [TO_ONE]),
        (
            ((*AT_VIP, vmap(SADDR, anonymous([CLIENT, ACCEPT], ["*", goto("a")]))),),
            [f"{CLIENT}/128: none", TO_ONE],
        ),
        (((match(SADDR, anonymous(CLIENT, "*")), *ONE),), [TO_ONE]),
        (((jump("perhaps"),), ONE), [f"{TO_ONE}, undecided"]),
        (((PERHAPS, jump("accepts")), ONE), [f"{TO_ONE}, undecided"]),
        (((PERHAPS, jump("returns")), ONE), [TO_ONE]),
        (
            ((*AT_VIP, vmap(random(2), anonymous([0, jump("perhaps")], [1, goto("a")]))), TWO),
            [f"any: backends, {POD1}/80 0.5, {POD2}/80 0.5, undecided"],
        ),
        (((match(SADDR, CLIENT), set_to(MARK, 1)), (match(MARK, 1), DROP), ONE), [f"{TO_ONE}, undecided"]),
        (
            ((match(SADDR, CLIENT), set_to(CT_MARK, 1)), (match(CT_MARK, 1), DROP), ONE),
            [f"{CLIENT}/128: drop", TO_ONE],
        ),
        (
            (({"set": {"op": "add", "elem": DADDR, "set": "@seen"}}, match(DADDR, "@seen"), DROP), ONE),
            [f"{TO_ONE}, undecided"],
        ),
        (((match(SADDR, "@seen"), goto("ban")), ONE), [f"{CLIENT}/128: drop", TO_ONE]),
    ],
)
def test_what_rules_do(rules: tuple[tuple[Object, ...], ...], expected: list[str]) -> None:
    table = nat(*rules).chain("a", (dnat(POD1, 80),)).chain("perhaps", (PERHAPS, ACCEPT))
    table.chain("accepts", (ACCEPT,)).chain("returns", (RETURN,)).set("seen", CLIENT)
    table.chain("ban", ({"set": {"op": "update", "elem": SADDR, "set": "@seen"}}, DROP))
    assert of_web(table) == expected


def test_a_long_chain_asks_for_addresses_of_links_too() -> None:
    others = [(match(DADDR, f"fd00:8::{host}"), ACCEPT) for host in range(20)]
    of_link = (match(payload("ether", "daddr"), "02:00:00:00:00:01"), DROP)
    early = Table("other").base("in", "prerouting", -150, *others, of_link)
    assert of_web(early, nat(ONE)) == [f"{TO_ONE}, undecided"]


@pytest.mark.parametrize(
    "first",
    [
        match(DADDR, anonymous(f"{VIP}9", prefix("fd00:10:96::/64"))),
        match(DADDR, prefix("fd00:10:96::/64")),
        match(TCP_DPORT, anonymous(9, {"range": [80, 90]})),
        match(L4PROTO, anonymous({"range": [5, 7]})),
    ],
)
def test_destinations_are_named_beside_networks_and_ranges(first: Object) -> None:
    second = vmap(DADDR, anonymous([f"{VIP}8", DROP], ["*", goto("b")]))
    table = nat((first, goto("a"))).chain("a", (match(DADDR, prefix("fd00:10:96::/112")), second))
    assert of_web(table.chain("b", ONE)) == [TO_ONE]


def test_what_is_dropped_behind_the_routing() -> None:
    table = nat((*AT_VIP, RETURN)).base("last", "postrouting", 0, (*AT_VIP, DROP))
    assert of_web(table) == of_web(table, hook=Hook.OUTPUT) == ["any: drop"]


def test_what_cannot_be_judged_is_a_gap_where_nothing_else_happens() -> None:
    map_ = read(nat((*AT_VIP, {"redirect": {"port": 8080}})))
    assert (map_.entries, [each.detail.partition(":")[0] for each in map_.gaps]) == ((), ["redirect to "])
