"""Rules in nft's words are proven by nft: it reads them, and the kernel then has the same rules."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from netinspect.analyze.nft.words import say_statement
from netinspect.models.nft import NftRule, NftRuleset
from netinspect.models.nft_statement import Counter
from netinspect.parse.nft_json import parse_nft_json
from tests.netns.world import World

pytestmark = pytest.mark.netns

CHAINS = """
table ip6 t {
  map by-mark { type mark : verdict; elements = { 1 : jump other, 2 : drop } }
  map ways { type ipv6_addr . inet_proto . inet_service : verdict
    elements = { fd00:96::20 . tcp . 80 : goto other } }
  set seen { type ipv6_addr; flags dynamic,timeout; timeout 1h; size 65535; }
  set nets { type ipv6_addr; flags interval; elements = { fd00:244::/48 } }
  counter lost { }
  chain other { }
  chain nat { type nat hook prerouting priority dstnat; policy accept; }
  chain back { type nat hook postrouting priority srcnat; policy accept; }
  chain rules { type filter hook prerouting priority filter; policy accept; }
}
"""

RULES = {
    "nat": (
        "ip6 daddr . meta l4proto . th dport vmap @ways",
        "meta l4proto tcp ip6 saddr fd00::1 dnat to [fd00:244::5]:8080",
        "meta l4proto tcp dnat ip6 addr . port to numgen random mod 2 map "
        "{ 0 : fd00:244::5 . 80, 1 : fd00:244::6 . 81 }",
        "dnat to numgen random mod 3 map { 0 : fd00::1, 1 : fd00::2, 2 : fd00::3 }",
        "tcp dport 81 redirect to :8081",
        "ip6 saddr @seen goto other",
        "fib daddr type local tcp dport { 30080, 30090-30099 } jump other",
    ),
    "back": (
        "meta mark & 0x00004000 != 0 masquerade fully-random",
        "ip6 saddr . ip6 daddr { fd00::1 . fd00::1, fd00::2 . fd00::2 } masquerade",
        'oifname "eth*" snat to fd00::9 persistent',
    ),
    "rules": (
        "ct state established,related accept",
        "ct state invalid drop",
        "ct original ip6 saddr fd00::1 return",
        "ip6 saddr != { fd00:1::/64, fd00:2::/64 } drop",
        "ip6 saddr != @nets counter packets 5 bytes 7 drop",
        "ip6 saddr fd00::1-fd00::9 reject with icmpv6 admin-prohibited",
        "tcp dport 80 reject with tcp reset",
        "meta mark set meta mark | 0x00004000",
        "meta mark set mark and 0xffff7fff",
        'iifname != "cni0" continue',
        "update @seen { ip6 saddr timeout 10s }",
        "add @seen { ip6 saddr limit rate 5/minute }",
        "limit rate over 10/second burst 7 packets drop",
        "limit rate 10 mbytes/second",
        'log prefix "a b: " level warn',
        "log group 2 snaplen 64",
        "meta l4proto { tcp, udp, 253 } th dport 53 notrack",
        'counter name "lost"',
        "ct mark set meta mark",
        "tcp flags & (fin | syn) == syn",
        "tcp flags syn / syn,ack",
        "tcp option maxseg size 1460",
        "@th,16,16 0x50",
        "jhash ip6 saddr mod 4 seed 0x1 vmap { 0 : accept, 1 : jump other }",
        "symhash mod 2 vmap { 0 : accept }",
        "quota over 100 mbytes drop",
        "ct count over 20 reject",
        "exthdr hbh exists",
        "meta mark vmap @by-mark",
        "ip6 hoplimit set 64",
        "vlan id 5",
        "socket transparent 1 accept",
        "rt nexthop fd00::1",
        'ip6 version 6 comment "some words"',
    ),
}


def listed(world: World) -> NftRuleset:
    return parse_nft_json(world.node.enter("nft", "-j", "list", "ruleset"))


def load(world: World, text: str) -> None:
    done = subprocess.run(
        ["nsenter", f"--net=/proc/{world.node.pid}/ns/net", "nft", "-f", "-"],
        input=text.encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, (text, done.stderr.decode())


def add(world: World, chain: str, rule: str) -> NftRule:
    """Add a rule and return it as nft lists it."""
    load(world, f"add rule ip6 t {chain} {rule}")
    table = listed(world).table("ip6", "t")
    assert table is not None
    return table.chains[chain].rules[-1]


@pytest.mark.parametrize("chain", RULES)
def test_nft_reads_the_words_back(world: World, chain: str) -> None:
    if shutil.which("nft") is None:
        pytest.skip("not installed: nft")
    load(world, CHAINS)
    for rule in RULES[chain]:
        first = add(world, chain, rule)
        words = " ".join(say_statement(each) for each in first.statements)
        second = add(world, chain, words)
        assert plain(second) == plain(first), (rule, words)


def plain(rule: NftRule) -> list[object]:
    """A rule without what every listing changes."""
    return [Counter() if isinstance(each, Counter) else each for each in rule.statements]
