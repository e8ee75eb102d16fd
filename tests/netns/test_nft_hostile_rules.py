"""What nft's rules ask is judged as the kernel does, or named: rulesets easily misread, asked with real packets."""

from __future__ import annotations

import pytest

from netinspect.models.address import parse_address
from netinspect.models.service_map import Destination, Hook
from tests.netns.nft_reading import Cases, check, load, read_map
from tests.netns.packet_lab import PacketLab

pytestmark = pytest.mark.netns

JUDGED: Cases = {
    "a list of who is banned is no affinity": (
        "set banned { type ipv4_addr; flags timeout; timeout 1h; elements = { 10.1.0.2 }; }\n"
        "chain p { nat prerouting -100; ip saddr @banned goto ban; WEB dnat to 10.2.0.1; }\n"
        "chain o { nat output -100; ip saddr @banned goto ban; WEB dnat to 10.2.0.1; }\n"
        "chain ban { update @banned { ip saddr timeout 1h } drop; }",
        {"in tcp 10.96.0.1 80": "drop", "out tcp 10.96.0.1 80": "10.2.0.1:80"},
    ),
    "maps by concatenations, networks and ranges": (
        "map m { type ipv4_addr . inet_service : verdict; flags interval;\n"
        "elements = { 10.96.0.0/24 . 80-90: goto a, 10.96.1.0-10.96.1.9 . 443: drop }; }\n"
        "map d { type inet_service : ipv4_addr; flags interval; elements = { 80-82: 10.2.0.1, 90: 10.2.0.4 }; }\n"
        "chain p { nat prerouting -100; ip daddr . th dport vmap @m;\n"
        "ip daddr . meta l4proto . th dport vmap { 10.96.1.10 . udp . 53: drop, *: goto b }; }\n"
        "chain a { ip protocol tcp dnat to tcp dport map @d; }\nchain b { ip daddr 10.96.1.10 dnat to 10.2.0.9; }",
        {
            "in tcp 10.96.0.1 81": "10.2.0.1:81",
            "in tcp 10.96.0.1 90": "10.2.0.4:90",
            "in tcp 10.96.0.1 85": "none",
            "in udp 10.96.0.1 80": "none",
            "in tcp 10.96.1.9 443": "drop",
            "in udp 10.96.1.10 53": "drop",
            "in tcp 10.96.1.10 53": "10.2.0.9:53",
        },
    ),
    "marks": (
        "chain m { filter prerouting -150; WEB meta mark set 0x12; WEB meta mark set meta mark | 0x100;\n"
        "WEB ct mark set meta mark and 0xff; meta mark set meta mark ^ 1 tcp dport 443 drop; }\n"
        "chain p { nat prerouting -100; meta mark & 0x100 == 0 tcp dport 80 drop; meta mark vmap { 1: goto a };\n"
        "meta mark 0x110-0x120 ct mark 0x12 ct mark & 0x2 != 0 dnat to 10.2.0.1; }\n"
        "chain a { ip daddr 10.96.0.1 dnat to 10.2.0.2; }\n"
        "chain q { nat postrouting 100; meta mark & 0x100 != 0 masquerade;\n"
        "ip saddr . ip daddr { 10.1.0.2 . 10.2.0.2 } masquerade; }",
        {
            "in tcp 10.96.0.1 80": "10.2.0.1:80 masqueraded",
            "in tcp 10.96.0.2 80": "drop",
            "in tcp 10.96.0.1 81": "10.2.0.2:81 masqueraded",
        },
    ),
    "what the source and its link are": (
        "set s { type ipv4_addr; flags interval; elements = { 10.1.0.0/25, 10.8.0.0/16 }; }\n"
        "chain p { nat prerouting -100; ip saddr != @s drop;\n"
        "ip saddr . tcp dport { 10.1.0.2 . 81, 10.1.0.3 . 82 } jump a;\n"
        'iifname != "left*" drop; iif lo drop; ip daddr 10.96.0.1 fib saddr type != local dnat to 10.2.0.1; }\n'
        "chain a { ip saddr 10.1.0.0/24 iifname { left0, eth9 } ip daddr 10.96.0.1 dnat to 10.2.0.2; }",
        {"in tcp 10.96.0.1 81": "10.2.0.2:81", "in tcp 10.96.0.1 82": "10.2.0.1:82"},
    ),
    "what takes all other sources": (
        "set s { type ipv4_addr; elements = { 10.77.0.1, * }; }\n"
        "chain p { nat prerouting -100; WEB ip saddr vmap { 10.77.0.1: accept, *: jump a };\n"
        "ip daddr 10.96.0.1 tcp dport 81 iifname vmap { eth7: accept, *: goto a };\n"
        "ip daddr 10.96.0.1 tcp dport 443 ip saddr @s drop; }\n"
        "chain o { nat output -100; tcp dport . ip saddr vmap { 80 . 10.77.0.1: accept, *: jump a }; }\n"
        "chain a { ip daddr 10.96.0.1 tcp dport 80-90 dnat to 10.2.0.2; }",
        {
            "in tcp 10.96.0.1 80": "10.2.0.2:80",
            "in tcp 10.96.0.1 81": "10.2.0.2:81",
            "in tcp 10.96.0.1 443": "drop",
            "out tcp 10.96.0.1 80": "10.2.0.2:80",
        },
    ),
    "what a packet does not have is not unlike anything": (
        "chain p { nat prerouting -100; ip daddr 10.96.0.2 dnat to 10.2.0.1;\n"
        "ip daddr . tcp dport != { 10.96.0.9 . 80, 10.96.0.9 . 81 } drop; }",
        {"in tcp 10.96.0.1 80": "drop", "in udp 10.96.0.1 80": "none", "in tcp 10.96.0.9 80": "none"},
    ),
    "protocols have numbers": (
        "chain p { nat prerouting -100; ip daddr 10.96.0.1 meta l4proto 5-7 th dport 80 dnat to 10.2.0.1;\n"
        "ip daddr 10.96.0.1 meta l4proto { 10-20, 30 } th dport 80 dnat to 10.2.0.2; }",
        {"in tcp 10.96.0.1 80": "10.2.0.1:80", "in udp 10.96.0.1 80": "10.2.0.2:80"},
    ),
    "the mark of the connection decides on masquerading": (
        "chain p { nat prerouting -100; WEB ct mark set 5 dnat to 10.2.0.1; ip saddr 10.1.0.2 ct mark set 5;\n"
        "ip daddr 10.96.0.1 tcp dport 81 dnat to 10.2.0.1;\n"
        "ip daddr 10.96.0.1 tcp dport 82 ct mark set 1 dnat to 10.2.0.1; }\n"
        "chain m { nat postrouting 100; ct mark 5 masquerade; }",
        {
            "in tcp 10.96.0.1 80": "10.2.0.1:80 masqueraded",
            "in tcp 10.96.0.1 81": "10.2.0.1:81 masqueraded",
            "in tcp 10.96.0.1 82": "10.2.0.1:82",
        },
    ),
    "flags of a connection are compared as a whole with ==": (
        "chain p { nat prerouting -100; WEB dnat to 10.2.0.1; ip daddr 10.96.0.1 tcp dport 81 dnat to 10.2.0.1;\n"
        "ct state == new ct status != dnat ip daddr 10.96.0.1 tcp dport 82 drop; }\n"
        "chain m { nat postrouting 100; ct status == dnat masquerade; tcp dport 81 ct status dnat masquerade; }",
        {
            "in tcp 10.96.0.1 80": "10.2.0.1:80",
            "in tcp 10.96.0.1 81": "10.2.0.1:81 masqueraded",
            "in tcp 10.96.0.1 82": "drop",
        },
    ),
    "before conntrack a packet is of no connection": (
        "chain r { filter prerouting -300; ct state new ip daddr 10.96.0.1 drop; ct mark 0 ip daddr 10.96.0.1 drop;\n"
        "ct state invalid ip daddr 10.96.0.2 drop; ct mark set 7; ct state new ip daddr 10.1.0.1 drop; }\n"
        "chain a { filter prerouting -150; ct mark 7 drop; }\n"
        "chain p { nat prerouting -100; ip daddr { 10.96.0.1, 10.96.0.2 } tcp dport 80 dnat to 10.2.0.1; }",
        {
            "in tcp 10.96.0.1 80": "10.2.0.1:80",
            "in tcp 10.96.0.2 80": "drop",
            "in tcp 10.1.0.1 80": "none",
            # What comes back by lo has its connection already.
            "out tcp 10.1.0.1 80": "drop",
        },
    ),
    "what is not tracked is of no connection": (
        "chain r { filter prerouting -300; notrack; }\n"
        "chain a { filter prerouting -150; ct mark set 5; ct mark != 5 drop; ct state untracked tcp dport 81 drop; }\n"
        "chain p { nat prerouting -100; ip daddr 10.96.0.1 tcp dport { 80, 81 } dnat to 10.2.0.1; }",
        {"in tcp 10.96.0.1 80": "none", "in tcp 10.96.0.1 81": "drop"},
    ),
}


@pytest.mark.parametrize(("rules", "expected"), JUDGED.values(), ids=JUDGED)
def test_what_a_rule_asks(lab: PacketLab, rules: str, expected: dict[str, str]) -> None:
    """Of the packet, its connection and its source."""
    check(lab, rules, expected)


DOUBTED: Cases = {
    "rules that name no address may still be for one": (
        "chain p { nat prerouting -100; tcp dport 81 redirect to :8080; ip daddr < 10.96.0.5 tcp dport 80 goto a;\n"
        "fib daddr . iif type local udp dport 80 drop;\n"
        "dnat ip prefix to ip daddr map { 10.96.1.0/24: 10.2.0.0/24 }; }\n"
        "chain a { dnat to 10.2.0.1; }",
        {
            "in tcp 10.96.0.1 80": "10.2.0.1:80 ?",
            "in tcp 10.96.0.1 81": "10.1.0.1:8080 ?",
            "in udp 10.1.0.1 80": "drop ?",
            "in tcp 10.96.1.1 443": "10.2.0.1:443 ?",
        },
    ),
    "a long chain that asks for addresses of links as well": (
        "chain f { filter prerouting -150; "
        + "".join(f"ip daddr 10.96.1.{host} accept; " for host in range(20))
        + "ip daddr 10.96.0.2 drop; ether daddr LINK-ADDRESS drop; }\n"
        "chain p { nat prerouting -100; ip daddr 10.96.0.0/16 tcp dport 80 dnat to 10.2.0.1; }",
        {
            "in tcp 10.96.1.3 80": "10.2.0.1:80",
            "in tcp 10.96.0.2 80": "drop",
            "in tcp 10.96.0.1 80": "drop ?",
        },
    ),
    "a set that the packet itself was put into": (
        "set seen { type ipv4_addr; flags dynamic,timeout; timeout 1h; }\n"
        "chain p { nat prerouting -100; WEB add @seen { ip daddr }; ip daddr @seen WEB dnat to 10.2.0.1;\n"
        "ip daddr 10.96.0.1 tcp dport 81 update @seen { ip saddr }; ip saddr != @seen drop;\n"
        "ip daddr 10.96.0.1 tcp dport 81 dnat to 10.2.0.1; }",
        {"in tcp 10.96.0.1 80": "10.2.0.1:80 ?", "in tcp 10.96.0.1 81": "10.2.0.1:81 ?"},
    ),
    "a mark of a single host may do more than masquerade": (
        "chain p { nat prerouting -100; ip saddr 10.1.0.2 meta mark set 1; meta mark 1 WEB drop;\n"
        "ip daddr 10.96.0.1 tcp dport 80-81 dnat to 10.2.0.1; }",
        {"in tcp 10.96.0.1 80": "drop ?", "in tcp 10.96.0.1 81": "10.2.0.1:81"},
    ),
    "an accept passes by the rest of all chains": (
        "chain p { nat prerouting -100; jump a; WEB dnat to 10.2.0.1; }\nchain a { meta pkttype host accept; }",
        {"in tcp 10.96.0.1 80": "none ?"},
    ),
    "so does one in a chain that is jumped to": (
        "chain p { nat prerouting -100; meta pkttype host jump a; WEB dnat to 10.2.0.1; }\nchain a { accept; }",
        {"in tcp 10.96.0.1 80": "none ?"},
    ),
    "a return may pass by an accept": (
        "chain p { nat prerouting -100; jump a; WEB dnat to 10.2.0.1; }\n"
        "chain a { meta pkttype host return; accept; }",
        {"in tcp 10.96.0.1 80": "10.2.0.1:80 ?"},
    ),
    "an accept saves from the policy": (
        "chain f { filter prerouting -150; policy drop; meta pkttype host accept; }\n"
        "chain p { nat prerouting -100; WEB dnat to 10.2.0.1; }",
        {"in tcp 10.96.0.1 80": "10.2.0.1:80 ?"},
    ),
    "where nothing is passed by there is no doubt": (
        "chain p { nat prerouting -100; jump a; WEB goto b; tcp dport 81 dnat to 10.2.0.1; }\n"
        "chain a { meta pkttype host return; tcp dport 443 accept; }\n"
        "chain b { numgen random mod 2 vmap { 0: jump c, 1: jump c }; dnat to 10.2.0.2; }\n"
        "chain c { meta pkttype host return; counter; }",
        {"in tcp 10.96.0.1 80": "10.2.0.2:80"},
    ),
    "what is left to chance may be accepted": (
        "chain p { nat prerouting -100; WEB jump b; ip daddr 10.96.0.1 dnat to 10.2.0.1; }\n"
        "chain b { numgen random mod 2 vmap { 0: jump c, 1: jump c }; }\n"
        "chain c { meta pkttype host accept; }",
        {"in tcp 10.96.0.1 80": "none ?"},
    ),
    "what is redirected is no destination, and no silence": (
        "chain p { nat prerouting -100; WEB quota 1 mbytes jump a; }\n"
        "chain a { jhash ip saddr mod 1 vmap { 0: jump b }; }\nchain b { tcp dport 80 redirect to :8080; }",
        {"in tcp 10.96.0.1 80": "10.1.0.1:8080 ?"},
    ),
}


@pytest.mark.parametrize(("rules", "expected"), DOUBTED.values(), ids=DOUBTED)
def test_what_cannot_be_judged_is_named_where_it_may_matter(
    lab: PacketLab, rules: str, expected: dict[str, str]
) -> None:
    """However far away that is."""
    check(lab, rules, expected)


NAMED = {
    "beside a network and a range of ports": (
        "chain p { nat prerouting -100; ip daddr { 10.96.0.9, 10.96.0.0/29 } tcp dport { 9, 80-90 } goto a; }\n"
        "chain a { WEB dnat to 10.2.0.1; }"
    ),
    "beyond a network, and a network in that": (
        "chain p { nat prerouting -100; ip daddr 10.96.0.0/16 goto a; }\n"
        "chain a { ip daddr . tcp dport vmap { 10.96.0.0/24 . 80-90: goto b, 10.96.1.0/24 . 80: drop }; }\n"
        "chain b { WEB dnat to 10.2.0.1; }"
    ),
    "by the element for all others": (
        "chain p { nat prerouting -100; ip daddr vmap { 10.96.0.9: accept, *: goto a }; }\n"
        "chain a { ip daddr . tcp dport vmap { 10.96.0.9 . 80: accept, *: goto b }; }\n"
        "chain b { meta l4proto vmap { udp: accept, *: goto c }; }\nchain c { WEB dnat to 10.2.0.1; }"
    ),
    "in a range of protocols": (
        "chain p { nat prerouting -100; meta l4proto { 5-7, 30 } goto a; }\n"
        "chain a { ip daddr 10.96.0.1 th dport 80 dnat to 10.2.0.1; }"
    ),
}


@pytest.mark.parametrize("rules", NAMED.values(), ids=NAMED)
def test_which_destinations_are_in_the_map(lab: PacketLab, rules: str) -> None:
    """A port of an address that some rule names, whatever else rules on the way ask for."""
    check(lab, rules, {"in tcp 10.96.0.1 80": "10.2.0.1:80"})
    map_ = read_map(load(lab, rules), 4)
    web = Destination(address=parse_address("10.96.0.1"), protocol="tcp", port=80)
    assert [each.hook for each in map_.entries if each.destination == web] == [Hook.PREROUTING]
