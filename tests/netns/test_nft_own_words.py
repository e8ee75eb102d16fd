"""Rules in nft's own words in iptables' tables: what iptables-nft-save prints wrongly is named, and nothing else."""

from __future__ import annotations

import shutil

import pytest

from netinspect.collect.facts import read_fact
from netinspect.collect.rule_texts import parse_save
from netinspect.models.command import CommandResult
from netinspect.models.fact import Known
from netinspect.models.iptables import Table
from netinspect.probes.dataplane import build_iptables_probes
from tests.captures.iptables_lab import KUBERNETES, NETWORKS, OF_IPV4, OF_IPV6, OTHERS, prepare, write_rules
from tests.netns.world import Netns, World

pytestmark = pytest.mark.netns
PROBES = {each.name: each for each in build_iptables_probes()}
DOUBT = "holds rules in nft's own words that iptables-nft-save may print wrongly, in: FORWARD"


@pytest.fixture
def node(world: World) -> Netns:
    """A netns with an empty table of each family."""
    if shutil.which("nft") is None:
        pytest.skip("not installed: nft")
    for tool, family in (("iptables-nft", "ip"), ("ip6tables-nft", "ip6")):
        world.node.enter(tool, "-P", "FORWARD", "ACCEPT")
        world.node.enter(tool, "-t", "mangle", "-P", "FORWARD", "ACCEPT")
        kind = "ipv4_addr" if family == "ip" else "ipv6_addr"
        world.node.enter("nft", f"add set {family} filter s {{ type {kind}; }}")
        world.node.enter("nft", f"add chain {family} filter x")
    return world.node


def tables(netns: Netns, tool: str) -> dict[str, Table]:
    """Run the probe as a node side does, and read what came."""
    stdout = netns.enter(*PROBES[tool].argv)
    fact = read_fact(CommandResult("node", 0, "node", tool, 0, stdout), parse_save)
    assert isinstance(fact, Known)
    return fact.value.tables


@pytest.mark.parametrize(
    "rule",
    [
        "ip saddr @s drop",
        "ip saddr != @s drop",
        "ip saddr { 10.0.0.1, 10.0.0.3 } drop",
        "ip saddr 10.0.0.1-10.0.0.3 drop",
        "ip saddr > 10.0.0.1 drop",
        "ip saddr vmap { 10.0.0.1 : drop }",
        "ip saddr 10.0.0.1 ip saddr 10.0.0.2 drop",
        "ip saddr . tcp dport { 10.0.0.1 . 80 } drop",
        "ip protocol { tcp, udp } drop",
        "ip protocol > 5 drop",
        "ip protocol 0 drop",
        "ip protocol udp meta l4proto tcp drop",
        'iifname { "a", "b" } drop',
        'iifname != "a" iifname "b" drop',
        "tcp dport { 80, 443 } accept",
        "tcp dport & 5 == 4 accept",
        # As iptables itself writes two matches of tcp.
        "tcp dport 80 tcp dport 81 accept",
        "tcp doff 5 drop",
        "tcp flags & syn == syn tcp flags & ack == ack drop",
        "udp length 5 drop",
        'log prefix "a" group 4 drop',
        "meta pkttype > 1 drop",
    ],
)
def test_a_rule_that_is_printed_wrongly_makes_its_table_unreadable(node: Netns, rule: str) -> None:
    """With exit code 0 the tool drops or changes a condition. The other table is read."""
    node.enter("nft", f"add rule ip filter FORWARD {rule}")
    # The tool itself has no doubt.
    assert "incompatible" not in node.enter("iptables-nft-save").decode()
    read = tables(node, "iptables-nft-save")
    assert (read["filter"].unreadable, read["mangle"].unreadable) == (DOUBT, None)
    assert tables(node, "ip6tables-nft-save")["filter"].unreadable is None


@pytest.mark.parametrize(
    "rule", ["ip6 saddr @s drop", "ip6 daddr fd00::1-fd00::5 drop", "ip6 saddr vmap { ::1 : drop }"]
)
def test_ipv6_likewise(node: Netns, rule: str) -> None:
    """The other family is read."""
    node.enter("nft", f"add rule ip6 filter FORWARD {rule}")
    assert tables(node, "ip6tables-nft-save")["filter"].unreadable == DOUBT
    assert tables(node, "iptables-nft-save")["filter"].unreadable is None


@pytest.mark.parametrize(
    ("rule", "printed"),
    [
        ("ip saddr 10.0.0.1 drop", "-s 10.0.0.1/32 -j DROP"),
        ("ip saddr & 255.0.255.0 == 10.0.3.0 drop", "-s 10.0.3.0/255.0.255.0 -j DROP"),
        ('ip daddr != 10.0.0.0/8 iifname "a*" goto x', "! -d 10.0.0.0/8 -i a+ -g x"),
        ("tcp dport 80-90 accept", "-p tcp -m tcp --dport 80:90 -j ACCEPT"),
        ("tcp dport > 1024 accept", "-p tcp -m tcp --dport 1025:65535 -j ACCEPT"),
        ("tcp sport 6 tcp dport < 5 return", "-p tcp -m tcp --sport 6 --dport 0:4 -j RETURN"),
        ("tcp flags & (fin | syn) == syn drop", "-p tcp -m tcp --tcp-flags FIN,SYN SYN -j DROP"),
        ("tcp flags syn,ack drop", "-p tcp -m tcp ! --tcp-flags SYN,ACK NONE -j DROP"),
        ("meta mark & 4 != 0 jump x", "-m mark ! --mark 0x0/0x4 -j x"),
        ("meta mark & 0xffff0000 == 0x10000", "-m mark --mark 0x10000/0xffff0000"),
        ("meta mark & 0xff == 0x10", "-m mark --mark 0x10/0xff"),
        ("tcp sport 0 drop", "-p tcp -m tcp --sport 0 -j DROP"),
        ("meta l4proto 253 counter", "-p 253"),
        ("ip frag-off & 0x1fff != 0 drop", "-f -j DROP"),
        ("limit rate 5/day burst 9 packets drop", "-m limit --limit 5/day --limit-burst 9 -j DROP"),
        ('ip saddr 10.0.0.1 drop comment "[{ ip saddr @s }]; \\\\ wrong"', ""),
    ],
)
def test_a_rule_that_is_printed_as_it_is_raises_no_doubt(node: Netns, rule: str, printed: str) -> None:
    """Of the forms that iptables-nft itself writes."""
    node.enter("nft", f"add rule ip filter FORWARD {rule}")
    table = tables(node, "iptables-nft-save")["filter"]
    assert table.unreadable is None
    assert printed in table.chains["FORWARD"].rules[0].raw


@pytest.mark.parametrize("family", [4, 6])
def test_what_iptables_writes_raises_no_doubt(world: World, family: int) -> None:
    """Every kind of rule that the tool can write."""
    prepare(world.node, family)
    own = OF_IPV4 if family == 4 else OF_IPV6
    for group in ((KUBERNETES,), (NETWORKS,), (OTHERS, own)):
        write_rules(world.node, family, "nft", *group)
        read = tables(world.node, "iptables-nft-save" if family == 4 else "ip6tables-nft-save")
        assert {each.unreadable for each in read.values()} == {None}


def test_of_very_many_chains_the_base_chains_are_looked_at(node: Netns) -> None:
    """All of them would take nft long, and gigabytes."""
    chains = "".join(f":c{number} - [0:0]\n" for number in range(2001))
    for chain, doubt in (("c5", None), ("FORWARD", DOUBT)):
        node.enter(
            "sh",
            "-c",
            'printf "%s" "$1" | iptables-nft-restore',
            "sh",
            f"*filter\n:FORWARD ACCEPT [0:0]\n{chains}COMMIT\n",
        )
        node.enter("nft", "add set ip filter s { type ipv4_addr; }")
        node.enter("nft", f"add rule ip filter {chain} ip saddr @s drop")
        assert tables(node, "iptables-nft-save")["filter"].unreadable == doubt
