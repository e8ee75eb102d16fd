"""What becomes of a packet in nft's rules: verdicts, marks, chance, sources, what cannot be judged."""

from __future__ import annotations

import pytest

from netinspect.models.service_map import Hook
from tests.unit.analyze.nft_build import (
    ACCEPT,
    DADDR,
    DESTINATION,
    DPORT,
    DROP,
    IIFNAME,
    L4PROTO,
    LOCAL_SADDR,
    MARK,
    MASQUERADE,
    NEW,
    POD1,
    POD2,
    PODS,
    REJECT,
    RETURN,
    SADDR,
    SET_MARK,
    VIP,
    XT,
    Object,
    Table,
    anonymous,
    dnat,
    dnat_to_one_of,
    goto,
    jump,
    match,
    payload,
    prefix,
    random,
    read,
    ruleset,
    to,
    told,
    vmap,
)

WEB = f"[{VIP}]:80/tcp"
AT_VIP = (match(DADDR, VIP), match(payload("tcp", "dport"), 80))


def services(*rules: tuple[Object, ...], hook: str = "prerouting") -> Table:
    """A table whose nat chain sends packets for the Service through these rules."""
    table = Table().nat(hook, (jump("services"),)).map("service-ips", [to(VIP), goto("web")])
    return table.chain("services", (vmap(DESTINATION, "@service-ips"),)).chain("web", *rules)


def branches(*tables: Table, hook: Hook = Hook.PREROUTING) -> list[str]:
    return told(read(*tables), hook).get(WEB, [])


ONE = f"{POD1}/8080 1"
TO_ONE = (dnat(POD1, 8080),)


def test_a_packet_goes_by_jumps_and_maps_to_its_backend() -> None:
    map_ = read(services(TO_ONE))
    assert told(map_) == {WEB: [f"any: backends, {ONE}"]}
    backend = map_.entries[0].branches[0].backends[0]
    rules = map_.entries[0].branches[0].rules
    assert [each.where for each in rules] == [
        "kube-proxy nat-prerouting",
        "kube-proxy services",
        "map service-ips",
    ]
    assert [(each.where, each.text) for each in backend.rules] == [
        ("kube-proxy web", f"dnat to [{POD1}]:8080")
    ]


def test_v4_is_read_from_its_own_tables() -> None:
    key = {"concat": [payload("ip", "daddr"), L4PROTO, DPORT]}
    table = Table(family="ip").nat("prerouting", (vmap(key, "@service-ips"),))
    table.map("service-ips", [to("10.96.0.1"), goto("web")]).chain("web", (dnat("10.244.1.1", 8080),))
    assert told(read(table, family=4)) == {"[10.96.0.1]:80/tcp": ["any: backends, 10.244.1.1/8080 1"]}
    assert told(read(table, family=6)) == {}


def test_rules_of_one_family_do_not_match_packets_of_the_other_in_a_table_of_both() -> None:
    table = Table("both", "inet").nat(
        "prerouting",
        (match(payload("ip", "daddr"), "10.0.0.1", "!="), DROP),
        (match({"meta": {"key": "nfproto"}}, "ipv4"), DROP),
        (*AT_VIP, *TO_ONE),
    )
    assert branches(table) == [f"any: backends, {ONE}"]


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ((jump("side"),), [f"any: backends, {ONE}"]),
        ((goto("side"),), []),
        ((RETURN,), []),
        ((ACCEPT,), []),
        ((DROP,), ["any: drop"]),
        ((NEW, DROP), ["any: drop"]),
        (
            (match({"ct": {"key": "state"}}, ["established", "related"], "in"), DROP),
            [f"any: backends, {ONE}"],
        ),
        ((match({"ct": {"key": "state"}}, "new", "!="), DROP), [f"any: backends, {ONE}"]),
        ((match({"ct": {"key": "status"}}, "dnat", "in"), DROP), [f"any: backends, {ONE}"]),
        ((match(L4PROTO, 6), DROP), ["any: drop"]),
        ((match(L4PROTO, anonymous("udp", "tcp")), DROP), ["any: drop"]),
        ((match(L4PROTO, "udp"), DROP), [f"any: backends, {ONE}"]),
        ((match(payload("udp", "dport"), 80), DROP), [f"any: backends, {ONE}"]),
        ((match(payload("udp", "dport"), 80, "!="), DROP), [f"any: backends, {ONE}"]),
        ((match(DPORT, {"range": [79, 81]}), DROP), ["any: drop"]),
        ((match(DPORT, 80, ">"), DROP), [f"any: backends, {ONE}"]),
        ((match(DPORT, 80, ">="), DROP), ["any: drop"]),
        ((match(DADDR, prefix("fd00:10:96::/112")), DROP), ["any: drop"]),
        ((match(DADDR, prefix("fd00:10:96::/112"), "!="), DROP), [f"any: backends, {ONE}"]),
        ((match(DADDR, anonymous(prefix("fd00:10:95::/112"), VIP)), DROP), ["any: drop"]),
        ((match({"meta": {"key": "protocol"}}, "ip6"), DROP), ["any: drop"]),
        ((match(MARK, 0), DROP), ["any: drop"]),
        ((vmap({"ct": {"key": "state"}}, anonymous(["invalid", DROP], ["new", ACCEPT])),), []),
        ((vmap({"ct": {"key": "state"}}, anonymous(["invalid", DROP])),), [f"any: backends, {ONE}"]),
        ((vmap(DPORT, anonymous([{"range": [1, 99]}, DROP])),), ["any: drop"]),
        ((vmap(DPORT, anonymous([81, ACCEPT], ["*", DROP])),), ["any: drop"]),
        ((vmap(DPORT, anonymous([80, ACCEPT], ["*", DROP])),), []),
        (({"counter": {"packets": 1, "bytes": 2}}, {"log": {"prefix": "seen"}}), [f"any: backends, {ONE}"]),
    ],
)
def test_verdicts_and_comparisons(first: tuple[Object, ...], expected: list[str]) -> None:
    assert branches(services(first, TO_ONE).chain("side")) == expected


def test_return_goes_behind_the_jump_and_the_end_of_a_goto_behind_the_jump_before() -> None:
    table = (
        services((jump("inner"),), TO_ONE)
        .chain("inner", (goto("last"),), (DROP,))
        .chain("last", (RETURN,), (DROP,))
    )
    assert branches(table) == [f"any: backends, {ONE}"]


def test_accept_ends_its_base_chain_only() -> None:
    first = Table("first").base("early", "prerouting", -300, (ACCEPT,), (DROP,))
    assert branches(first, services(TO_ONE)) == [f"any: backends, {ONE}"]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (2, f"any: backends, {POD1}/8080 0.5, {POD2}/8080 0.5"),
        (4, f"any: backends, {POD1}/8080 0.25, {POD2}/8080 0.25, lost 0.5"),
        (1, f"any: backends, {POD1}/8080 1"),
    ],
)
def test_numbers_of_numgen_are_shares(count: int, expected: str) -> None:
    assert branches(services((dnat_to_one_of((POD1, 8080), (POD2, 8080), count=count),))) == [expected]


def test_verdict_maps_of_numgen_lead_to_chains_of_endpoints() -> None:
    by_number = anonymous([{"range": [3, 4]}, goto("one")], [5, goto("two")])
    table = services((vmap(random(3, offset=3), by_number),))
    table.chain("one", TO_ONE).chain("two", (dnat(POD2, 8080),))
    assert branches(table) == [f"any: backends, {POD1}/8080 0.6667, {POD2}/8080 0.3333"]


def test_chance_within_chance_multiplies() -> None:
    table = services((vmap(random(2), anonymous([0, goto("one")], [1, goto("more")])),))
    table.chain("one", TO_ONE).chain("more", (dnat_to_one_of((POD1, 8080), (POD2, 8080)),))
    assert branches(table) == [f"any: backends, {POD1}/8080 0.75, {POD2}/8080 0.25"]


def test_what_chance_leaves_over_goes_on_with_the_next_rule() -> None:
    first = vmap(random(4), anonymous([0, goto("one")]))
    table = services((first,), (dnat(POD2, 8080),)).chain("one", TO_ONE)
    assert branches(table) == [f"any: backends, {POD1}/8080 0.25, {POD2}/8080 0.75"]


def test_a_comparison_by_chance_is_a_share_too() -> None:
    table = services((match(random(4), 1, "<"), *TO_ONE), (dnat(POD2, 8080),))
    assert branches(table) == [f"any: backends, {POD1}/8080 0.25, {POD2}/8080 0.75"]


def test_chance_that_asks_for_the_source_inside() -> None:
    table = services((vmap(random(2), anonymous([0, goto("one")], [1, goto("two")])),))
    table.chain("one", (match(SADDR, prefix(PODS)), DROP), TO_ONE).chain("two", (dnat(POD2, 8080),))
    assert branches(table) == [
        f"{PODS}: backends, {POD2}/8080 0.5, lost 0.5",
        f"any: backends, {POD1}/8080 0.5, {POD2}/8080 0.5",
    ]


def test_sources_are_told_apart_and_asked_once() -> None:
    pods = match(SADDR, prefix(PODS))
    inside = match(SADDR, prefix("fd00:10:244:1::/64"))
    table = services((pods, jump("of-pods")), (pods, DROP), TO_ONE).chain("of-pods", (inside, REJECT))
    assert branches(table) == [
        f"{PODS} and fd00:10:244:1::/64: reject",
        f"{PODS}: drop",
        f"any: backends, {ONE}",
    ]


def test_branches_that_do_the_same_as_the_rest_are_not_told() -> None:
    table = services((match(SADDR, prefix(PODS), "!="), {"counter": {"packets": 0, "bytes": 0}}), TO_ONE)
    assert branches(table) == [f"any: backends, {ONE}"]


def test_sources_by_set_by_map_and_by_range() -> None:
    table = services(
        (match(SADDR, "@bad"), DROP),
        (
            vmap(
                SADDR,
                anonymous(
                    [{"range": ["2001:db8::", "2001:db8::ff"]}, goto("refuse")], ["2001:db8:1::1", DROP]
                ),
            ),
        ),
        TO_ONE,
    ).set("bad", "2001:db8:2::1", prefix("2001:db8:3::/48"))
    table.chain("refuse", (REJECT,))
    assert branches(table) == [
        "2001:db8:2::1/128|2001:db8:3::/48: drop",
        "2001:db8::/120: reject",
        "2001:db8:1::1/128: drop",
        f"any: backends, {ONE}",
    ]


def test_an_empty_set_holds_no_source() -> None:
    assert branches(services((match(SADDR, "@none"), DROP), TO_ONE).set("none")) == [f"any: backends, {ONE}"]
    assert branches(services((match(SADDR, "@none", "!="), DROP), TO_ONE).set("none")) == ["any: drop"]


def test_links_are_sources_of_what_comes_in_only() -> None:
    rules = (match(IIFNAME, "veth*"), DROP), (match(IIFNAME, "cni0", "!="), SET_MARK), TO_ONE
    coming = services(*rules).nat("postrouting", (match(MARK, 0x4000), MASQUERADE))
    assert branches(coming) == [
        "veth+: drop",
        f"not cni0: backends, {ONE}, masquerade",
        f"any: backends, {ONE}",
    ]
    going = services(*rules, hook="output").nat("postrouting", (match(MARK, 0x4000), MASQUERADE))
    assert branches(going, hook=Hook.OUTPUT) == [f"any: backends, {ONE}, masquerade"]


def test_the_node_is_a_source_at_output_only() -> None:
    rules = (LOCAL_SADDR, DROP), TO_ONE
    assert branches(services(*rules)) == [f"any: backends, {ONE}"]
    assert branches(services(*rules, hook="output"), hook=Hook.OUTPUT) == ["any: drop"]


def test_marks_are_computed_and_postrouting_decides() -> None:
    unmark = {"mangle": {"key": MARK, "value": {"^": [MARK, 0x4000]}}}
    masked = {"&": [MARK, 0x4000]}
    table = services((SET_MARK,), TO_ONE).nat("postrouting", (jump("masquerading"),))
    table.chain("masquerading", (match(masked, 0), RETURN), (unmark,), (MASQUERADE,))
    assert branches(table) == [f"any: backends, {ONE}, masquerade"]
    unmarked = services(TO_ONE).nat("postrouting", (match(masked, 0, "!="), MASQUERADE))
    assert branches(unmarked) == [f"any: backends, {ONE}"]
    twice = services((SET_MARK,), (unmark,), TO_ONE).nat("postrouting", (match(masked, 0, "!="), MASQUERADE))
    assert branches(twice) == [f"any: backends, {ONE}"]


def test_masquerading_of_other_tables_is_no_trait_of_a_service() -> None:
    other = Table("cni").nat("postrouting", (MASQUERADE,))
    assert branches(other, services(TO_ONE)) == [f"any: backends, {ONE}"]


def test_hairpin_by_mark_is_a_trait_of_the_backend() -> None:
    table = services((vmap(random(1), anonymous([0, goto("endpoint")])),))
    table.chain("endpoint", (match(SADDR, POD1), jump("mark")), TO_ONE).chain("mark", (SET_MARK,))
    table.nat("postrouting", (match(MARK, 0x4000), MASQUERADE))
    assert branches(table) == [f"any: backends, {POD1}/8080 1 hairpin {POD1}"]


def test_hairpin_by_set_is_a_trait_of_the_backend() -> None:
    key = {"concat": [SADDR, DADDR, L4PROTO, DPORT]}
    dnatted = match({"ct": {"key": "status"}}, "dnat", "in")
    table = services((dnat_to_one_of((POD1, 8080), (POD2, 8080)),))
    table.nat("postrouting", (dnatted, match(key, "@hairpin-connections"), MASQUERADE))
    table.set(
        "hairpin-connections", {"concat": [POD1, POD1, "tcp", 8080]}, {"concat": [POD2, POD2, "udp", 8080]}
    )
    assert branches(table) == [f"any: backends, {POD1}/8080 0.5 hairpin {POD1}, {POD2}/8080 0.5"]


def test_affinity_is_a_trait_of_the_backend_where_it_is_filled_and_asked() -> None:
    update = {"set": {"op": "update", "elem": SADDR, "set": "@affinity-1"}}
    asked = (match(SADDR, "@affinity-1"), goto("endpoint"))
    chosen = (vmap(random(1), anonymous([0, goto("endpoint")])),)

    def table(*rules: tuple[Object, ...], **timeout: int) -> Table:
        built = services(*rules).set("affinity-1", flags=["timeout"], **timeout)
        return built.chain("endpoint", (update,), TO_ONE)

    assert branches(table(asked, chosen, timeout=60)) == [f"any: backends, {POD1}/8080 1 for 60s"]
    assert branches(table(chosen, timeout=60)) == [f"any: backends, {ONE}"]
    assert branches(table(asked, chosen)) == [f"any: backends, {ONE}"]


def test_affinity_set_of_another_endpoint_does_not_count() -> None:
    update = {"set": {"op": "update", "elem": SADDR, "set": "@affinity-1"}}
    table = services(
        (match(SADDR, "@affinity-1"), goto("other")), (vmap(random(1), anonymous([0, goto("endpoint")])),)
    )
    table.set("affinity-1", flags=["timeout"], timeout=60).chain("endpoint", (update,), TO_ONE)
    table.chain("other", (update,), (dnat(POD2, 8080),))
    assert branches(table) == [f"any: backends, {ONE}"]


def test_a_port_of_none_stays() -> None:
    assert branches(services((dnat(POD1),))) == [f"any: backends, {POD1}/None 1"]


def test_dnat_of_a_port_alone_keeps_the_address() -> None:
    assert branches(services(({"dnat": {"port": 8080}},))) == [f"any: backends, {VIP}/8080 1"]


def test_dnat_for_the_other_family_does_not_match() -> None:
    table = services(({"dnat": {"family": "ip", "addr": "10.0.0.1", "port": 80}},), TO_ONE)
    assert branches(table) == [f"any: backends, {ONE}"]


def test_what_is_not_tracked_is_not_translated() -> None:
    raw = Table("raw").base("early", "prerouting", -300, (match(DADDR, VIP), {"notrack": None}))
    assert branches(raw, services(TO_ONE)) == []


@pytest.mark.parametrize(
    "unclear",
    [
        XT,
        {"xt": None},
        {"hitherto": {"unheard": "of"}},
        {"limit": {"rate": 1, "per": "second"}},
        match(DPORT, "http", "<"),
        match({"concat": [SADDR, IIFNAME]}, "@pairs"),
    ],
)
def test_what_cannot_be_judged_counts_as_no_match_and_is_named(unclear: Object) -> None:
    table = services((unclear, DROP), TO_ONE)
    table.set("pairs", {"concat": [POD1, "cni0"]}, type=["ipv6_addr", "ifname"])
    map_ = read(table)
    assert told(map_) == {WEB: [f"any: backends, {ONE}, undecided"]}
    (text,) = map_.entries[0].branches[0].undecided
    assert "kube-proxy web" in text
    assert text.endswith(" drop")


@pytest.mark.parametrize(
    "harmless",
    [
        (match(DADDR, "fd00:10:96::2"), XT, DROP),
        (XT, match(DADDR, "fd00:10:96::2"), DROP),
        (XT, match(L4PROTO, "udp"), DROP),
        ({"xt": None}, match(L4PROTO, "udp"), DROP),
        (XT, {"counter": {"packets": 0, "bytes": 0}}),
        (XT, jump("empty")),
        (XT, jump("of-others")),
        ({"xt": {"type": "match", "name": "comment"}}, {"counter": {"packets": 0, "bytes": 0}}),
    ],
)
def test_what_cannot_be_judged_and_could_not_matter_is_not_named(harmless: tuple[Object, ...]) -> None:
    table = services(harmless, TO_ONE).chain("empty").chain("of-others", (match(DPORT, 81), DROP))
    assert branches(table) == [f"any: backends, {ONE}"]


def test_a_verdict_that_skips_matters_where_something_is_skipped() -> None:
    assert branches(services((XT, ACCEPT), TO_ONE)) == [f"any: backends, {ONE}, undecided"]
    assert branches(services(TO_ONE).base("late", "prerouting", 0, (XT, ACCEPT))) == [f"any: backends, {ONE}"]


def test_an_iptables_comment_matches() -> None:
    comment = {"xt": {"type": "match", "name": "comment"}}
    assert branches(services((comment, *TO_ONE))) == [f"any: backends, {ONE}"]


def test_a_rule_with_a_remainder_is_not_judged() -> None:
    whole = ruleset(services(TO_ONE))
    assert whole.tables[0].chains["web"].rules[0].remainder == ""
    table = services(TO_ONE)
    table.objects()  # the last rule is the translating one
    table._rules[-1]["rule"]["new-in-nft-9"] = 1
    assert branches(table) == []


def test_chains_that_nothing_jumps_to_are_not_met() -> None:
    table = Table().nat("prerouting").map("service-ips", [to(VIP), goto("web")])
    table.chain("services", (vmap(DESTINATION, "@service-ips"),)).chain("web", TO_ONE)
    assert read(table).entries == ()


def test_a_thousand_sources_are_not_all_told_apart() -> None:
    rules = [(match(SADDR, f"2001:db8::{number:x}"), DROP) for number in range(1, 1000)]
    found = branches(services(*rules, TO_ONE))
    assert len(found) < 1000
    assert found[-1] == f"any: backends, {ONE}, undecided"


def test_a_block_list_of_thousands_is_named_and_not_told_apart() -> None:
    rules = (match(SADDR, "@bad"), DROP), TO_ONE
    few, many = ([f"2001:db8::{number:x}" for number in range(count)] for count in (1000, 1001))
    assert branches(services(*rules).set("bad", *few))[0].endswith(": drop")
    assert branches(services(*rules).set("bad", *many)) == [f"any: backends, {ONE}, undecided"]


def test_a_long_chain_with_a_rule_for_each_destination_is_read_in_order() -> None:
    others = [(match(DADDR, f"fd00:10:96::{number:x}"), jump("odd")) for number in range(100, 140)]
    own = (match(DADDR, VIP), match(payload("tcp", "dport"), 80))
    table = Table().nat(
        "prerouting", *others, (*own, SET_MARK), *others, (match(IIFNAME, "lo"), DROP), (*own, *TO_ONE)
    )
    table.chain("odd", (DROP,)).nat("postrouting", (match(MARK, 0x4000), MASQUERADE))
    map_ = read(table)
    assert told(map_) == {WEB: ["lo: drop", f"any: backends, {ONE}, masquerade"]}
    first = read(
        Table().nat("prerouting", *others[:3], (*own, DROP), *others, (*own, *TO_ONE)).chain("odd", (DROP,))
    )
    assert told(first) == {WEB: ["any: drop"]}
    end = Table().nat("prerouting", (jump("long"),), (*own, *TO_ONE)).chain("long", *others, (XT, *own, DROP))
    assert branches(end.chain("odd", (DROP,))) == [f"any: backends, {ONE}, undecided"]


def test_protocols_may_be_printed_as_numbers() -> None:
    table = Table().nat("prerouting", (match(L4PROTO, anonymous(6, 17)), vmap(DESTINATION, "@service-ips")))
    table.map("service-ips", [{"concat": [VIP, 6, 6]}, goto("web")], [{"concat": [VIP, 17, 17]}, goto("web")])
    assert told(read(table.chain("web", TO_ONE))) == {
        f"[{VIP}]:6/tcp": [f"any: backends, {ONE}"],
        f"[{VIP}]:17/udp": [f"any: backends, {ONE}"],
    }


def test_destinations_are_gathered_along_jumps_and_maps() -> None:
    table = Table().nat("prerouting", (match(DADDR, VIP), jump("vip")), (vmap(DADDR, "@by-address"),))
    table.map("by-address", ["fd00:10:96::2", jump("web")], type="ipv6_addr")
    table.chain("vip", (match(payload("udp", "dport"), anonymous(53, 54)), *TO_ONE))
    table.chain("web", (match(payload("sctp", "dport"), 9), *TO_ONE), (match(DPORT, {"range": [1, 2]}), DROP))
    assert told(read(table)) == {
        f"[{VIP}]:53/udp": [f"any: backends, {ONE}"],
        f"[{VIP}]:54/udp": [f"any: backends, {ONE}"],
        "[fd00:10:96::2]:9/sctp": [f"any: backends, {ONE}"],
    }


def test_networks_and_ranges_in_sets_hold_destinations() -> None:
    ports = {"range": [80, 89]}
    nets = "@nets", "@both"
    for number, name in enumerate(nets):
        key = DADDR if number == 0 else {"concat": [DADDR, DPORT]}
        table = services((match(key, name), DROP), TO_ONE)
        table.set(
            "nets", prefix("fd00:10:95::/112"), prefix("fd00:10:96::/112"), {"range": ["fd01::1", "fd01::9"]}
        )
        table.set("both", {"concat": [prefix("fd00:10:96::/112"), ports]}, type=["ipv6_addr", "inet_service"])
        assert branches(table) == ["any: drop"]
    table = services((match({"concat": [DADDR, DPORT]}, "@both"), DROP), TO_ONE)
    table.set("both", {"concat": [prefix("fd00:10:95::/112"), ports]}, type=["ipv6_addr", "inet_service"])
    assert branches(table) == [f"any: backends, {ONE}"]
