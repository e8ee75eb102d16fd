"""One rule against one packet: what does not match, what matches, and what is still open."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from netinspect.analyze.iptables.extensions import MATCHES
from netinspect.analyze.iptables.match import RuleMatcher
from netinspect.analyze.iptables.packet import Asked, Packet, PacketView
from netinspect.analyze.iptables.residue import MarkTest, RecentCheck, Residue
from netinspect.models.address import parse_address
from netinspect.models.ipset import IpSet
from netinspect.models.service_map import Hook
from netinspect.parse.ipset_save import parse_ipsets
from tests.unit.analyze.rules_build import rule, tell_condition

EVERY_BIT = ":".join(8 * ["ffff"])
PACKET = Packet(
    hook=Hook.PREROUTING,
    family=6,
    protocol="tcp",
    address=parse_address("fd00:10:96::a"),
    port=80,
    is_local=False,
)
FOUR = replace(PACKET, family=4, address=parse_address("10.96.0.10"))
OWN = replace(PACKET, hook=Hook.OUTPUT)
HERE = replace(PACKET, address=parse_address("fd00:10:99::11"), is_local=True)
ANYWHERE_HERE = replace(PACKET, address=None, is_local=True)


def judge(text: str, packet: Packet = PACKET, sets: Mapping[str, IpSet] | None = None) -> Residue | None:
    return RuleMatcher(sets).judge(rule(f"{text} -j X"), PacketView(packet))


def said(text: str, packet: Packet = PACKET, sets: Mapping[str, IpSet] | None = None) -> str:
    """What a rule comes to: `no`, `yes`, or what is open."""
    residue = judge(text, packet, sets)
    if residue is None:
        return "no"
    open_ = [*map(tell_condition, residue.conditions), *(f"? {each}" for each in residue.undecided)]
    return " and ".join(open_) or "yes"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("-d fd00:10:96::a/128", "yes"),
        ("! -d fd00:10:96::a/128", "no"),
        ("-d fd00:10:96::b/128", "no"),
        ("! -d fd00:10:96::b/128", "yes"),
        ("-d fd00:10:96::/112", "yes"),
        ("-d fd00:10:97::/112", "no"),
        ("-p tcp", "yes"),
        ("! -p tcp", "no"),
        ("-p udp", "no"),
        ("! -p udp", "yes"),
        ("-p 6", "yes"),
        ("-p 132", "no"),
        ("-p ipv6-icmp", "no"),
        ("-p tcp -m tcp --dport 80", "yes"),
        ("-p tcp -m tcp ! --dport 80", "no"),
        ("-p tcp -m tcp --dport 81", "no"),
        ("-p tcp -m tcp --dport 79:81", "yes"),
        ("-p tcp -m tcp --dport :80", "yes"),
        ("-p tcp -m tcp --dport 81:", "no"),
        ("-p tcp -m tcp --sport 80", "? tcp match --sport 80"),
        ("-p tcp -m tcp --sport 0:65535", "yes"),
        ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN", "yes"),
        ("-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN", "no"),
        ("-p tcp -m tcp --tcp-flags RST RST", "no"),
        ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG NONE", "no"),
        ("-p tcp -m multiport --dports 79,80", "yes"),
        ("-p tcp -m multiport --dports 70:90", "yes"),
        ("-p tcp -m multiport ! --dports 79,80", "no"),
        ("-p tcp -m multiport --dports 81,443", "no"),
        ("-p tcp -m multiport --ports 80", "yes"),
        ("-p tcp -m multiport ! --ports 80", "no"),
        ("-p tcp -m multiport --ports 81", "? multiport match --ports 81"),
        ("-p tcp -m multiport --sports 80", "? multiport match --sports 80"),
        ('-m comment --comment "a b"', "yes"),
        ("-m nfacct --nfacct-name localhost_nps_accepted_pkts", "yes"),
    ],
)
def test_what_hangs_on_the_destination_is_decided(text: str, answer: str) -> None:
    assert said(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("-d 10.96.0.10/32", "yes"),
        ("-d 10.0.0.10/255.0.0.255", "yes"),
        ("-d 10.0.0.11/255.0.0.255", "no"),
        ("-d 10.96.0.0/16", "yes"),
        ("-s 10.0.0.1/255.0.0.255", "? source 10.0.0.1/255.0.0.255"),
        ("-m iprange --dst-range 10.96.0.9-10.96.0.10", "yes"),
        ("-m iprange ! --dst-range 10.96.0.9-10.96.0.10", "no"),
        ("-m iprange --dst-range 10.96.0.11-10.96.0.12", "no"),
        ("-f", "no"),
        ("! -f", "yes"),
    ],
)
def test_what_only_ipv4_has(text: str, answer: str) -> None:
    assert said(text, FOUR) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("-s fd00:10:244::/48", "fd00:10:244::/48"),
        ("! -s fd00:10:244::/48", "not fd00:10:244::/48"),
        ("-s fd00:10:244::5/128 -i cni0", "by cni0 and fd00:10:244::5/128"),
        ("! -i veth+", "not by veth+"),
        ("-i lo", "no"),
        ("! -i lo", "yes"),
        ("-m iprange --src-range fd00::-fd00::2", "fd00::/127,fd00::2/128"),
        ("-m addrtype --src-type LOCAL", "no"),
        ("-m addrtype ! --src-type LOCAL", "yes"),
        ("-m addrtype --src-type UNICAST", "? addrtype match --src-type UNICAST"),
        ("-m physdev ! --physdev-is-in", "? physdev match ! --physdev-is-in"),
        ("-m owner --uid-owner 0", "no"),
        ("-m owner ! --uid-owner 0 ! --gid-owner 0", "yes"),
        ("-m owner ! --uid-owner 0 --gid-owner 0", "no"),
    ],
)
def test_what_hangs_on_the_source_is_open(text: str, answer: str) -> None:
    assert said(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("-s fd00:10:244::/48", "fd00:10:244::/48"),
        ("-i cni0", "no"),
        ("! -i cni0", "yes"),
        ("-m addrtype --src-type LOCAL", "yes"),
        ("-m addrtype ! --src-type LOCAL", "no"),
        ("-m addrtype --src-type UNICAST", "no"),
        ("-m physdev ! --physdev-is-in", "yes"),
        ("-m physdev --physdev-is-in", "no"),
        ("-m owner --uid-owner 0", "? owner match"),
        ("-o lo", "no"),
        ("! -o lo", "yes"),
        ("-o eth0", "? out link eth0"),
        ("! -o eth0", "? out link ! eth0"),
    ],
)
def test_a_packet_of_the_node_has_no_link_and_a_local_source(text: str, answer: str) -> None:
    assert said(text, OWN) == answer


@pytest.mark.parametrize(
    ("text", "away", "here", "anywhere"),
    [
        ("-m addrtype --dst-type LOCAL", "no", "yes", "yes"),
        ("-m addrtype ! --dst-type LOCAL", "yes", "no", "no"),
        ("-m addrtype --dst-type LOCAL,MULTICAST", "no", "yes", "yes"),
        ("-m addrtype --dst-type UNICAST", "? addrtype match --dst-type UNICAST", "no", "no"),
        ("-m addrtype --dst-type LOCAL --limit-iface-in", *3 * ("? addrtype match with limit-iface",)),
        ("-o lo", "no", "yes", "yes"),
        ("-o l+", "? out link l+", "yes", "yes"),
        ("! -o eth0", "? out link ! eth0", "yes", "yes"),
        ("-d fd00:10:99::11/128", "no", "yes", "no"),
        ("! -d fd00:10:99::11/128", "yes", "no", "yes"),
        ("-d ::/0", "yes", "yes", "yes"),
    ],
)
def test_a_local_destination(text: str, away: str, here: str, anywhere: str) -> None:
    """A local address that no rule names is in no network that one names."""
    assert (said(text), said(text, HERE), said(text, ANYWHERE_HERE)) == (away, here, anywhere)


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("-m conntrack --ctstate NEW", "yes", "yes"),
        ("-m conntrack --ctstate RELATED,ESTABLISHED", "no", "no"),
        ("-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT", "yes", "no"),
        ("-m state --state NEW,INVALID", "yes", "yes"),
        ("-m state --state INVALID", "no", "no"),
        ("-m conntrack --ctdir REPLY", "no", "no"),
        ("-m conntrack --ctorigdst fd00:10:96::a", "yes", "? conntrack match --ctorigdst fd00:10:96::a"),
        ("-m conntrack --ctorigdst fd00:10:96::b", "no", "? conntrack match --ctorigdst fd00:10:96::b"),
        ("-m conntrack --ctorigdstport 80", "yes", "? conntrack match --ctorigdstport 80"),
        ("-m conntrack --ctorigsrc fd00::1", *2 * ("? conntrack match --ctorigsrc fd00::1",)),
    ],
)
def test_the_packet_is_new(text: str, before: str, after: str) -> None:
    assert (said(text), said(text, replace(PACKET, is_translated=True))) == (before, after)


@pytest.mark.parametrize(
    "text",
    [
        "-m limit --limit 3/min",
        "-m set --match-set NOWHERE dst,dst",
        "-m socket --transparent",
        "-m time --utc",
    ],
)
def test_what_nobody_can_know_is_named(text: str) -> None:
    """Nothing unknown passes for a match; but what does not match otherwise does not match."""
    assert said(text).startswith(f"? {text.split()[1]} match")
    assert said(f"-p udp {text}") == "no"


def test_a_remainder_is_never_taken_as_understood() -> None:
    whole = rule("-p tcp -j X")
    residue = RuleMatcher().judge(replace(whole, remainder="--new-option 1"), PacketView(PACKET))
    assert residue is not None
    assert residue.undecided == ["not understood: --new-option 1"]


def test_marks_chance_and_memory_are_left_to_the_walk() -> None:
    marked = judge("-m mark ! --mark 0x4000/0x4000")
    assert marked is not None
    assert marked.marks == [MarkTest(0x4000, 0x4000, negated=True)]
    random = judge("-m statistic --mode random --probability 0.33333333349")
    assert random is not None
    assert random.probability == 0.33333333349
    turned = judge("-m statistic --mode random ! --probability 0.25000000000")
    assert turned is not None
    assert turned.probability == 0.75
    nth = judge("-m statistic --mode nth --every 4 --packet 0")
    assert nth is not None
    assert nth.probability == 0.25
    check = judge(
        "-m recent --rcheck --seconds 10800 --reap --name S --mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --rsource"
    )
    assert check is not None
    assert check.check == RecentCheck("S", 10800)
    recorded = judge("-m recent --set --name S --mask 255.255.255.255 --rsource", FOUR)
    assert recorded is not None
    assert recorded.recorded == ["S"]


@pytest.mark.parametrize(
    "words",
    [
        "--rcheck",
        "! --rcheck --seconds 9",
        "--rcheck --seconds 9 --hitcount 2",
        "--rcheck --seconds 9 --rdest",
        "--remove",
    ],
)
def test_other_uses_of_recent_are_no_affinity(words: str) -> None:
    residue = judge(f"-m recent {words} --name S --mask 255.255.255.255", FOUR)
    assert residue is not None
    assert residue.check is None
    assert residue.undecided


def test_a_list_of_a_part_of_the_address_is_no_affinity() -> None:
    residue = judge("-m recent --rcheck --seconds 9 --name S --mask 255.255.255.0 --rsource", FOUR)
    assert residue is not None
    assert residue.undecided == ["recent match that is not by the whole source address"]


SETS = parse_ipsets(
    b"""create VIP hash:ip,port family inet6 hashsize 1024 maxelem 65536
add VIP fd00:10:96::a,tcp:80
create LOOP hash:ip,port,ip family inet6 hashsize 1024 maxelem 65536
add LOOP fd00:10:96::a,tcp:80,fd00:10:96::a
add LOOP fd00:10:96::a,tcp:80,fd00:10:96::b
add LOOP fd00:10:96::c,tcp:80,fd00:10:96::c
create RANGES hash:ip,port,net family inet6 hashsize 1024 maxelem 65536
add RANGES fd00:10:96::a,tcp:80,fd00::/32
create PORTS bitmap:port range 0-65535
add PORTS 80
create NETS hash:net family inet6 hashsize 1024 maxelem 65536
add NETS fd00:10:96::/112
create HOLES hash:net family inet6 hashsize 1024 maxelem 65536
add HOLES fd00:10:96::/112
add HOLES fd00:10:96::a nomatch
create LISTS list:set size 8
add LISTS VIP
add LISTS NETS
create LINKS hash:net,iface family inet6 hashsize 1024 maxelem 65536
"""
)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("--match-set VIP dst,dst", "yes"),
        ("! --match-set VIP dst,dst", "no"),
        ("--match-set VIP src,dst", "fd00:10:96::a/128"),
        ("--match-set VIP dst,src", "? set match VIP dst,src"),
        ("--match-set LOOP dst,dst,src", "fd00:10:96::a/128,fd00:10:96::b/128"),
        ("! --match-set LOOP dst,dst,src", "not fd00:10:96::a/128,fd00:10:96::b/128"),
        ("--match-set RANGES dst,dst,src", "fd00::/32"),
        ("--match-set PORTS dst", "yes"),
        ("--match-set NETS dst", "yes"),
        ("--match-set NETS src", "fd00:10:96::/112"),
        ("--match-set HOLES dst", "? set match HOLES dst"),
        ("--match-set LISTS dst", "? set match LISTS dst"),
        ("--match-set LISTS dst,dst", "yes"),
        ("--match-set LINKS src,src", "? set match LINKS src,src"),
        ("--match-set VIP dst,dst --packets-gt 3", "? set match --packets-gt"),
    ],
)
def test_sets_are_asked(text: str, answer: str) -> None:
    assert said(f"-m set {text}", sets=SETS) == answer


@pytest.mark.parametrize("packet", [replace(PACKET, port=81), replace(PACKET, protocol="udp"), HERE])
def test_another_destination_is_in_no_set(packet: Packet) -> None:
    assert said("-m set --match-set VIP dst,dst", packet, SETS) == "no"
    assert said("-m set ! --match-set VIP dst,dst", packet, SETS) == "yes"
    assert said("-m set --match-set LOOP dst,dst,src", packet, SETS) == "no"


def test_what_a_rule_asked_is_noted() -> None:
    """Two packets that agree in it get the same answer, so that nothing else has to be walked again."""

    def asked(text: str) -> Asked:
        view = PacketView(PACKET)
        RuleMatcher(SETS).judge(rule(f"{text} -j X"), view)
        return Asked(view.asked)

    assert asked("-s fd00::/8") == Asked(0)
    assert asked("-p tcp -m tcp") == Asked.PROTOCOL
    assert asked("-p tcp -m tcp --dport 80") == Asked.PROTOCOL | Asked.PORT
    assert asked("-d fd00::/8") == Asked.ADDRESS
    assert asked("-i cni0") == asked("-m addrtype --src-type LOCAL") == Asked.HOOK
    assert asked("-m addrtype --dst-type LOCAL") == Asked.LOCAL
    assert asked("-m set --match-set VIP dst,dst") == Asked.PROTOCOL | Asked.PORT | Asked.ADDRESS
    assert asked("-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT") == Asked.HOOK


def test_every_match_by_name_is_tried_here() -> None:
    """A match that is judged and not tested is a guess."""
    tried = {
        "addrtype", "comment", "conntrack", "iprange", "mark", "multiport", "nfacct", "owner", "physdev",
        "recent", "set", "state", "statistic", "tcp",
    }  # fmt: skip
    same_as_tcp = {"dccp", "sctp", "udp", "udplite"}
    assert tried | same_as_tcp == MATCHES.keys()
    for name in ("sctp", "udp"):
        packet = replace(PACKET, protocol=name)
        assert said(f"-p {name} -m {name} --dport 80", packet) == "yes"
        assert said(f"-p {name} -m {name} --dport 81", packet) == "no"
