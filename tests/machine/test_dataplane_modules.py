"""On a kernel made of modules: asking for rules loads none of them, and says what it did not ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from netinspect.models.command import CommandResult
from netinspect.parse.nft_json import parse_nft_json
from netinspect.probes import dataplane
from netinspect.probes.plan import Plan, Probe
from tests.machine.machine import Machine

pytestmark = pytest.mark.machine

# What the tests load; in an order in which they can be removed.
LOADED = (
    "xt_limit xt_TRACE xt_tcpudp xt_comment xt_mark xt_conntrack xt_set ip_tables ip6_tables nft_compat x_tables ip_vs "
    "nft_limit nft_ct nf_tables ip_set_hash_ip ip_set"
)
ALL = (
    *dataplane.build_dataplane_plan().node_probes,
    *dataplane.build_ipvs_probes(),
    dataplane.build_nft_text_probe(),
    dataplane.build_ipset_probe(),
)
CHAIN = "nft add chain ip filter INPUT '{ type filter hook input priority 0; }'"


@pytest.fixture
def bare(own_machine: Machine) -> Iterator[Machine]:
    """A machine without rules, sets and their modules."""
    machine = own_machine

    def clean() -> None:
        machine.check(
            "iptables-legacy -V >/dev/null\n"
            "if [ -s /proc/net/ip_tables_names ]; then iptables-legacy -F; iptables-legacy -t nat -F; fi\n"
            "if [ -e /sys/module/nf_tables ]; then nft flush ruleset; fi\n"
            "if [ -e /proc/net/ip_vs ]; then ipvsadm -C; fi\n"
            "if [ -e /sys/module/ip_set ]; then ipset destroy; fi\n"
            "rmmod iptable_nat iptable_filter 2>/dev/null || true\n"
            f"for each in {LOADED}; do modprobe -r $each 2>/dev/null || true; done"
        )

    clean()
    yield machine
    clean()


def list_modules(machine: Machine) -> set[str]:
    """Return the names of the modules that are loaded."""
    return {line.split()[0] for line in machine.check("cat /proc/modules").decode().splitlines()}


def ask(machine: Machine, *probes: Probe) -> dict[str, CommandResult]:
    return {each.name: each for each in machine.run(Plan(probes or ALL)).results}


def test_a_kernel_without_rules_is_left_so(bare: Machine) -> None:
    """Every probe answers that there is nothing, and nothing is loaded; the bare tools would load modules."""
    before = list_modules(bare)
    assert not before & {"nf_tables", "ip_set", "ip_vs", "ip_tables", "x_tables"}
    results = ask(bare)
    assert list_modules(bare) == before
    # kube-proxy does not run there, and a machine has links.
    silent = {name: each for name, each in results.items() if name not in ("kube-proxy-mode", "links")}
    assert {name: each.exit_code for name, each in silent.items()} == dict.fromkeys(silent, 0)
    assert parse_nft_json(silent.pop("nft-tables").stdout).tables == ()
    assert {each.stdout for each in silent.values()} == {b""}
    assert b"the kernel has no nf_tables" in results["nft-tables"].stderr
    bare.shell("nft list ruleset; ipset list; ipvsadm -Ln")
    assert {"nf_tables", "ip_set", "ip_vs"} <= list_modules(bare)


def test_rules_of_iptables_are_read(bare: Machine) -> None:
    """Of both backends and families; what iptables itself has written needs nothing more."""
    for tool in ("iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy"):
        bare.check(
            f"{tool} -A INPUT -p tcp -m tcp --dport 22 -m comment --comment ssh -m mark --mark 1 -j ACCEPT"
        )
    before = list_modules(bare)
    results = ask(bare)
    assert list_modules(bare) == before
    for name in ("iptables-legacy-save", "ip6tables-legacy-save", "iptables-nft-save", "ip6tables-nft-save"):
        assert b"-m comment --comment ssh" in results[name].stdout, results[name]
    bare.check("iptables-legacy -F; ip6tables-legacy -F")


@pytest.mark.parametrize(
    ("rule", "module"),
    [
        ("tcp dport 22 accept", "xt_tcpudp"),
        ('accept comment "x"', "xt_comment"),
        ("meta mark 1 accept", "xt_mark"),
        ("limit rate 5/second accept", "xt_limit"),
        ("meta nftrace set 1", "xt_TRACE"),
        ("meta pkttype broadcast accept", "xt_pkttype"),
        ("log group 1", "xt_NFLOG"),
        ("icmp type echo-request accept", "icmp"),
        ("ip ttl 3 accept", "ttl"),
    ],
)
def test_rules_in_nfts_words_are_not_asked_for(bare: Machine, rule: str, module: str) -> None:
    """The tool would look for a match of xtables, and the kernel would load it: this is refused, with the reason."""
    bare.check(f"nft add table ip filter; {CHAIN}; nft add rule ip filter INPUT '{rule}'")
    before = list_modules(bare)
    result = ask(bare)["iptables-nft-save"]
    assert list_modules(bare) == before
    assert result.exit_code == 1
    assert "could load kernel modules" in result.stderr.decode()
    assert module in result.stderr.decode()
    bare.check("iptables-nft-save")
    assert list_modules(bare) > before


def test_rules_that_need_no_match_are_read(bare: Machine) -> None:
    """Addresses, links and protocols are the tool's own."""
    rules = "ip saddr 10.0.0.0/8 ip protocol tcp iifname eth0 accept"
    bare.check(f"nft add table ip filter; {CHAIN}; nft add rule ip filter INPUT {rules}")
    before = list_modules(bare)
    result = ask(bare)["iptables-nft-save"]
    assert list_modules(bare) == before
    assert b"-A INPUT -s 10.0.0.0/8 -i eth0 -p tcp -j ACCEPT" in result.stdout


def test_many_chains_are_not_listed_before(bare: Machine) -> None:
    """A large cluster's: the modules that kube-proxy uses decide."""
    chains = "nft add table ip filter; seq 2001 | sed 's/.*/add chain ip filter KUBE-X-&/' | nft -f -"
    bare.check(f"{chains}; {CHAIN}")
    refused = ask(bare, *(each for each in ALL if each.name == "iptables-nft-save"))["iptables-nft-save"]
    assert b"xt_comment" in refused.stderr
    bare.check("modprobe -a nft_compat xt_comment xt_mark xt_tcpudp")
    before = list_modules(bare)
    result = ask(bare)["iptables-nft-save"]
    assert list_modules(bare) == before
    assert result.stdout.count(b":KUBE-X-") == 2001


def test_sets_and_virtual_servers_are_read(bare: Machine) -> None:
    """With their modules loaded, each tool is asked."""
    bare.check(
        "ipset create KUBE-CLUSTER-IP hash:ip,port; ipvsadm -A -t 10.96.0.10:53 -s rr; ipvsadm -A -t [fd00::a]:53"
    )
    before = list_modules(bare)
    results = ask(bare)
    assert list_modules(bare) == before
    assert results["ipset-names"].stdout == b"KUBE-CLUSTER-IP\n"
    assert b"create KUBE-CLUSTER-IP hash:ip,port" in results["ipset-save"].stdout
    assert b"TCP  10.96.0.10:53 rr" in results["ipvs-list"].stdout
    assert b"[fd00::a]:53" in results["ipvs-list"].stdout
    assert b"TCP  0A60000A:0035 rr" in results["ipvs-table"].stdout
