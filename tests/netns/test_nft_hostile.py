"""What is read out of nft's rules is what the kernel does: rulesets easily misread, asked with real packets."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network

import pytest

from netinspect.analyze.nft.service_map import read_nft_destinations, read_nft_map
from netinspect.analyze.service_map.source_conditions import holds_for_link, holds_for_network
from netinspect.models.address import parse_address
from netinspect.models.nft import NftRuleset
from netinspect.models.service_map import Branch, Destination, Hook, MapEntry, Outcome, SourceKind
from netinspect.parse.nft_json import parse_nft_json
from tests.netns.packet_lab import CLIENT, LINK, NODE, PacketLab
from tests.netns.world import new_world, why_not

pytestmark = pytest.mark.netns
HOOKS = {"in": Hook.PREROUTING, "out": Hook.OUTPUT}
OFTEN = 24


@pytest.fixture(scope="module")
def lab() -> Iterator[PacketLab]:
    reason = why_not() or (None if shutil.which("nft") else "not installed: nft")
    if reason is not None:
        pytest.skip(reason)
    with new_world() as world:
        made = PacketLab(world)
        yield made
        made.close()


@dataclass(frozen=True)
class Sent:
    """A packet in words: `in tcp 10.96.0.1 80`."""

    hook: Hook
    to: Destination

    @classmethod
    def read(cls, text: str) -> Sent:
        hook, protocol, address, port = text.split()
        return cls(
            HOOKS[hook], Destination(address=parse_address(address), protocol=protocol, port=int(port))
        )

    @property
    def family(self) -> int:
        assert self.to.address is not None
        return self.to.address.version


def done(lab: PacketLab, sent: Sent, *, times: int) -> str:
    """Say what the kernel does."""
    to = sent.to
    found = {lab.send(sent.hook, to.protocol, str(to.address), to.port) for _ in range(times)}
    return " | ".join(sorted(found))


def told(ruleset: NftRuleset, sent: Sent) -> str:
    """Say what is read, in the same words; `?` is what is not decided."""
    local = [parse_address(each) for each in NODE[sent.family]]
    asked = read_nft_destinations(sent.family, ruleset, local, [sent.to])
    map_ = read_nft_map("node", sent.family, ruleset, local)
    named = [each for each in map_.entries if is_of(each.destination, sent.to)]
    words = say(asked, sent)
    doubts = "?" if map_.gaps and "?" not in words else ""
    if named and say(named, sent) != words:
        return f"{words}{doubts}, but in the map: {say(named, sent)}"
    return words + doubts


def is_of(entry: Destination, sent: Destination) -> bool:
    """Whether a destination of the map is the one that is asked for."""
    is_local = str(sent.address) in (*NODE[4], *NODE[6])
    excepted = any(sent.address in ip_network(each) for each in entry.except_)
    here = entry.address == sent.address or (entry.address is None and is_local and not excepted)
    return here and (entry.protocol, entry.port) == (sent.protocol, sent.port)


def say(entries: tuple[MapEntry, ...] | list[MapEntry], sent: Sent) -> str:
    branches = [branch for each in entries if each.hook is sent.hook for branch in each.branches]
    taken = next((each for each in branches if holds(each, sent)), None)
    if taken is None:
        return "none"
    words = [f"{each.address}:{each.port or sent.to.port}" for each in taken.backends if each.share]
    words = [f"{each} masqueraded" for each in words] if taken.masquerade else words
    words += ["lost"] if taken.lost else []
    outcome = " | ".join(sorted(words)) if taken.outcome is Outcome.BACKENDS else str(taken.outcome)
    return outcome + ("?" if taken.undecided else "")


def holds(branch: Branch, sent: Sent) -> bool:
    source = CLIENT[sent.family] if sent.hook is Hook.PREROUTING else NODE[sent.family][2]
    link = LINK if sent.hook is Hook.PREROUTING else None
    return all(
        holds_for_link(each, link)
        if each.kind is SourceKind.LINK
        else holds_for_network(each, parse_address(source))
        for each in branch.when
    )


def nft_text(rules: str) -> str:
    """Write a ruleset out: `nat prerouting -100` for the head of a base chain, WEB for the Service, table `ip t`."""
    text = re.sub(r"\b(filter|nat|route) (\w+) (\S+);", r"type \1 hook \2 priority \3;", rules)
    text = text.replace("WEB", "ip daddr 10.96.0.1 tcp dport 80")
    return text if "table" in text else f"table ip t {{\n{text}\n}}\n"


def check(lab: PacketLab, rules: str, expected: dict[str, str]) -> None:
    """Compare what is read, and what the kernel does, with what is expected; ` ?` is where the reading has doubts."""
    lab.load(nft_text(rules).replace("LINK-ADDRESS", lab.link_address()))
    ruleset = parse_nft_json(lab.node.enter("nft", "-j", "list", "ruleset"))
    found = {}
    for packet, words in expected.items():
        sent = Sent.read(packet)
        read = told(ruleset, sent)
        is_doubted = words.endswith(" ?") and read.endswith("?")
        kernel = done(lab, sent, times=OFTEN if "|" in words else 1)
        found[packet] = (kernel, f"{kernel} ?" if is_doubted else read)
    assert found == {packet: (words.removesuffix(" ?"), words) for packet, words in expected.items()}


WAYS = {
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
    "chance": (
        "chain p { nat prerouting -100; WEB dnat to numgen random mod 3 map { 0: 10.2.0.1, 1-2: 10.2.0.2 }; }",
        {"in tcp 10.96.0.1 80": "10.2.0.1:80 | 10.2.0.2:80"},
    ),
}


JUDGED = {
    "a list of who is banned is no affinity": (
        "set banned { type ipv4_addr; flags timeout; timeout 1h; elements = { 10.1.0.2 }; }\n"
        "chain p { nat prerouting -100; ip saddr @banned goto ban; WEB dnat to 10.2.0.1; }\n"
        "chain o { nat output -100; ip saddr @banned goto ban; WEB dnat to 10.2.0.1; }\n"
        "chain ban { update @banned { ip saddr timeout 1h } drop; }",
        {"in tcp 10.96.0.1 80": "drop", "out tcp 10.96.0.1 80": "10.2.0.1:80"},
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
    ruleset = parse_nft_json(lab.node.enter("nft", "-j", "list", "ruleset"))
    map_ = read_nft_map("node", 4, ruleset, [parse_address(each) for each in NODE[4]])
    web = Destination(address=parse_address("10.96.0.1"), protocol="tcp", port=80)
    assert [each.hook for each in map_.entries if each.destination == web] == [Hook.PREROUTING]


DOUBTED = {
    "rules that name no address may still be for one": (
        "chain p { nat prerouting -100; tcp dport 81 redirect to :8080; ip daddr < 10.96.0.5 tcp dport 80 dnat to 10.2.0.1;\n"
        "fib daddr . iif type local udp dport 80 drop; dnat ip prefix to ip daddr map { 10.96.1.0/24: 10.2.0.0/24 }; }",
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


@pytest.mark.parametrize(("rules", "expected"), JUDGED.values(), ids=JUDGED)
def test_what_a_rule_asks(lab: PacketLab, rules: str, expected: dict[str, str]) -> None:
    """Of the packet, its connection and its source."""
    check(lab, rules, expected)


@pytest.mark.parametrize(("rules", "expected"), WAYS.values(), ids=WAYS)
def test_the_way_that_a_packet_takes(lab: PacketLab, rules: str, expected: dict[str, str]) -> None:
    """From chain to chain, by priority, policy and verdict."""
    check(lab, rules, expected)
