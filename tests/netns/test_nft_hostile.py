"""The way through nft's chains is what the kernel goes: rulesets easily misread, asked with real packets."""

from __future__ import annotations

import pytest

from tests.netns.nft_reading import Cases, check
from tests.netns.packet_lab import PacketLab

pytestmark = pytest.mark.netns

WAYS: Cases = {
    "a translation is for its protocol and hook": (
        "chain p { nat prerouting -100; WEB dnat to 10.2.0.1:8080; }",
        {
            "in tcp 10.96.0.1 80": "10.2.0.1:8080",
            "out tcp 10.96.0.1 80": "none",
            "in udp 10.96.0.1 80": "none",
        },
    ),
    "what is not tracked is not translated": (
        "chain r { filter prerouting -300; ip daddr 10.96.0.1 notrack; }\n"
        "chain p { nat prerouting -100; WEB dnat to 10.2.0.1; }",
        {"in tcp 10.96.0.1 80": "none"},
    ),
    "of nat chains of one priority the last added is asked first": (
        "chain a { nat prerouting -100; WEB dnat to 10.2.0.1; }\n"
        "chain b { nat prerouting -100; WEB dnat to 10.2.0.2; }\n"
        "chain c { nat prerouting -90; WEB dnat to 10.2.0.3; }",
        {"in tcp 10.96.0.1 80": "10.2.0.2:80"},
    ),
    "and of those of several tables": (
        "table inet t {\nchain a { nat prerouting -100; WEB dnat ip to 10.2.0.1; }\n}\n"
        "table ip u {\nchain b { nat prerouting -100; WEB dnat to 10.2.0.2; }\n}",
        {"in tcp 10.96.0.1 80": "10.2.0.2:80"},
    ),
    "of filter chains of one priority likewise": (
        "chain n { nat output -100; meta mark 7 dnat to 10.2.0.1; }\n"
        "chain a { filter prerouting -300; ip daddr 10.96.0.1 meta mark set 1; }\n"
        "chain b { filter prerouting -300; meta mark 1 tcp dport 80 drop; }\n"
        "chain c { filter prerouting -300; ip daddr 10.96.0.2 meta mark 1 drop; }\n"
        "chain d { filter prerouting -300; ip daddr 10.96.0.2 meta mark set 1; }",
        {"in tcp 10.96.0.1 80": "none", "in tcp 10.96.0.2 80": "drop"},
    ),
    "nat has the place of its first chain": (
        "chain a { filter prerouting -100; ip daddr 10.96.0.1 drop; }\n"
        "chain n { nat postrouting 100; }\n"
        "chain b { filter prerouting -100; ip daddr 10.96.0.2 drop; }\n"
        "chain p { nat prerouting -150; ip daddr { 10.96.0.1, 10.96.0.2 } tcp dport 80 dnat to 10.2.0.1; }",
        {"in tcp 10.96.0.1 80": "10.2.0.1:80", "in tcp 10.96.0.2 80": "drop"},
    ),
    "what goes on is dropped behind the routing": (
        "chain p { nat prerouting -100; WEB return; ip daddr 10.96.0.2 tcp dport 80 dnat to 10.2.0.1; }\n"
        "chain l { filter postrouting 0; ip daddr { 10.96.0.1, 10.1.0.1 } drop; }",
        {
            "in tcp 10.96.0.1 80": "drop",
            "in tcp 10.96.0.2 80": "10.2.0.1:80",
            "out tcp 10.96.0.1 80": "drop",
            "out tcp 10.1.0.1 80": "drop",
            "in tcp 10.1.0.1 80": "none",
        },
    ),
    "jumps, gotos and returns": (
        "chain p { nat prerouting -100; jump c1; ip daddr 10.96.0.1 tcp dport 81 dnat to 10.2.0.9; }\n"
        + "".join(f"chain c{n} {{ jump c{n + 1}; tcp dport 82 dnat to 10.2.0.8; }}\n" for n in range(1, 13))
        + "chain c13 { goto c14; WEB dnat to 10.2.0.3; }\n"
        "chain c14 { tcp dport vmap { 81: return, 443: accept }; WEB dnat to 10.2.0.1; }",
        {
            "in tcp 10.96.0.1 80": "10.2.0.1:80",
            "in tcp 10.96.0.1 81": "10.2.0.9:81",
            "in tcp 10.96.0.1 82": "10.2.0.8:82",
            "in tcp 10.96.0.1 443": "none",
        },
    ),
    "an accept is of one base chain, a drop of all": (
        "chain f { filter prerouting -150; WEB accept; }\n"
        "chain n { nat prerouting -100; WEB accept; ip daddr 10.96.0.2 drop; }\n"
        "chain p { nat prerouting -90; ip daddr { 10.96.0.1, 10.96.0.2 } tcp dport 80 dnat to 10.2.0.1; }",
        {"in tcp 10.96.0.1 80": "10.2.0.1:80", "in tcp 10.96.0.2 80": "drop"},
    ),
    "tables of both families and of each": (
        "table inet t {\nchain p { nat prerouting -90; meta nfproto vmap { ipv4: jump four, ipv6: goto six }; "
        "tcp dport 443 drop; }\n"
        "chain four { tcp dport 80-81 dnat ip to 10.2.0.1; }\nchain six { tcp dport 81 dnat ip6 to fd00:2::1; }\n}\n"
        "table ip t {\nchain p { nat prerouting -100; WEB dnat to 10.2.0.2; }\n}\n"
        "table ip6 t {\nchain p { nat prerouting -100; tcp dport 80 dnat to [fd00:2::2]:8080; }\n}",
        {
            "in tcp 10.96.0.1 80": "10.2.0.2:80",
            "in tcp 10.96.0.1 81": "10.2.0.1:81",
            "in tcp 10.96.0.1 443": "drop",
            "in tcp fd00:96::1 80": "fd00:2::2:8080",
            "in tcp fd00:96::1 81": "fd00:2::1:81",
            "in tcp fd00:96::1 443": "none",
        },
    ),
    "what is sent to the node by itself": (
        "chain o { nat output -100; fib daddr type local ip daddr != 127.0.0.0/8 tcp dport 81 dnat to 10.2.0.1; }\n"
        "chain i { filter input 0; policy drop; iifname lo tcp dport 80 accept; ip daddr 10.3.0.1 reject; }",
        {
            "out tcp 10.1.0.1 80": "none",
            "out tcp 10.1.0.1 81": "10.2.0.1:81",
            "out tcp 127.0.0.1 81": "drop",
            "in tcp 10.1.0.1 80": "drop",
            "in tcp 10.3.0.1 80": "reject",
        },
    ),
    "continue goes on with the same rule": (
        "chain p { nat prerouting -100; ip daddr 10.96.0.1 jump a; tcp dport 443 continue drop; }\n"
        "chain a { tcp dport vmap { 80: continue, 81: accept } dnat to 10.2.0.2;\n"
        "ip daddr 10.96.0.1 tcp dport 80-90 dnat to 10.2.0.1; }",
        {
            "in tcp 10.96.0.1 80": "10.2.0.2:80",
            "in tcp 10.96.0.1 81": "none",
            "in tcp 10.96.0.1 82": "10.2.0.1:82",
            "in tcp 10.96.0.1 443": "drop",
        },
    ),
    "any loopback address is the node's own": (
        "chain p { nat output -100; meta mark 7 dnat to 10.2.0.1; }\n"
        "chain i { filter input 0; ip daddr 127.0.0.5 tcp dport 80 drop; }",
        {"out tcp 127.0.0.5 80": "drop"},
    ),
    "a policy drops what comes to a base chain's end": (
        "chain f { filter prerouting -150; policy drop; ip daddr 10.96.0.1 jump a; ip daddr 10.96.0.2 goto a; }\n"
        "chain a { tcp dport 80 accept; ip daddr 10.96.0.1 tcp dport 81 return; tcp dport 443 return; }\n"
        "chain p { nat prerouting -100; ip daddr { 10.96.0.1, 10.96.0.2 } tcp dport { 80, 443 } dnat to 10.2.0.1; }",
        {
            "in tcp 10.96.0.1 80": "10.2.0.1:80",
            "in tcp 10.96.0.1 443": "drop",
            "in tcp 10.96.0.2 443": "drop",
            "in udp 10.96.0.1 80": "drop",
            "out tcp 10.96.0.1 80": "none",
        },
    ),
    "a policy of nat drops what was not translated": (
        "chain p { nat prerouting -100; policy drop; ip daddr 10.96.0.1 tcp dport { 80, 81 } jump a; }\n"
        "chain a { tcp dport 80 dnat to 10.2.0.1; }",
        {"in tcp 10.96.0.1 80": "10.2.0.1:80", "in tcp 10.96.0.1 81": "drop"},
    ),
    "a policy of forward is for what goes on": (
        "chain p { nat prerouting -100; WEB dnat to 10.2.0.1; ip daddr 10.96.0.1 tcp dport 81 return; }\n"
        "chain f { filter forward 0; policy drop; ip daddr 10.2.0.1 accept; }",
        {"in tcp 10.96.0.1 80": "10.2.0.1:80", "in tcp 10.96.0.1 81": "drop", "out tcp 10.96.0.1 81": "none"},
    ),
    "notrack behind conntrack does nothing": (
        "chain a { filter prerouting -150; ip daddr 10.96.0.1 notrack; }\n"
        "chain p { nat prerouting -100; WEB dnat to 10.2.0.1; }",
        {"in tcp 10.96.0.1 80": "10.2.0.1:80"},
    ),
    "what refuses in another protocol's way does nothing": (
        "table inet t {\n chain p { nat prerouting -100; meta mark 7 dnat ip to 10.2.0.1; }\n"
        "chain f { filter forward 0; tcp dport 80 reject with icmp port-unreachable; tcp dport 81 reject;\n"
        "udp dport 80 reject with icmpv6 port-unreachable; th dport 443 reject with tcp reset; }\n}",
        {
            "in tcp 10.96.0.1 80": "reject",
            "in tcp fd00:96::1 80": "none",
            "in udp 10.96.0.1 80": "none",
            "in udp fd00:96::1 80": "reject",
            "in tcp 10.96.0.1 81": "reject",
            "in tcp fd00:96::1 81": "reject",
            "in tcp 10.96.0.1 443": "reject",
            "in udp 10.96.0.1 443": "none",
        },
    ),
    "chance, and what goes on behind it": (
        "chain p { nat prerouting -100; WEB dnat to numgen random mod 3 map { 0: 10.2.0.1, 1-2: 10.2.0.2 };\n"
        "ip daddr 10.96.0.1 jump b; ip daddr 10.96.0.1 dnat to 10.2.0.3; }\n"
        "chain b { numgen inc mod 2 offset 3 vmap { 3: goto c, 4: jump c }; dnat to 10.2.0.4; }\n"
        "chain c { tcp dport 443 drop; }",
        {
            "in tcp 10.96.0.1 80": "10.2.0.1:80 | 10.2.0.2:80",
            "in tcp 10.96.0.1 81": "10.2.0.3:81 | 10.2.0.4:81",
            "in tcp 10.96.0.1 443": "drop",
        },
    ),
}


@pytest.mark.parametrize(("rules", "expected"), WAYS.values(), ids=WAYS)
def test_the_way_that_a_packet_takes(lab: PacketLab, rules: str, expected: dict[str, str]) -> None:
    """From chain to chain, by priority, policy and verdict."""
    check(lab, rules, expected)
