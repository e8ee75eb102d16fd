"""Captures of `nft -j`: every kind of expression that this kernel takes, in every family, by hand.

What real kube-proxies write is in `dataplanes` (capture_dataplanes.py), and that of a node of the test cluster in the
cases `kube-proxy-*`, made by hand with the command in their meta files. Times run, so a case that is there stays: to
capture one anew, remove its files first.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.netns.world import Netns, new_world

Save = Callable[[str, str, str, bytes, str], None]

TOOL = "nft-json"
FOLDER = Path(__file__).parent / "tools" / TOOL
LIST = "nft -j list ruleset"

EXPRESSIONS = r"""
table inet expressions {
  chain one {
  }
  chain matches {
    type filter hook prerouting priority raw; policy accept;
    ip6 saddr fd00::/64 ip6 daddr != { fd00:1::1, fd00:2::/48 } ip6 hoplimit < 10
    ip saddr { 10.0.0.1 } ip daddr 10.0.0.1-10.0.0.9
    ip saddr . tcp dport { 10.0.0.1 . 80, 10.0.0.2 . 81 }
    tcp dport 1-1024 th sport 53
    tcp dport { 80, 443, 8000-8010 }
    meta l4proto { tcp, udp, 253 } meta nfproto ipv6
    iifname "eth*" oifname != "cni0" meta pkttype broadcast
    iifname { "lo", "eth0" } iif "lo"
    fib daddr type local fib saddr . iif oif missing
    fib saddr oifname "lo"
    ct state established,related ct direction original
    ct state != new ct status dnat ct mark & 0xff == 0x1
    ct original ip saddr 10.0.0.1
    meta l4proto tcp ct original proto-dst 80
    meta mark & 0x4000 != 0 meta mark & 0xff00 == 0x4200
    tcp flags & (syn | ack) == syn tcp flags != 0
    tcp option maxseg size 1400 tcp option sack-perm exists
    ip option lsrr exists
    exthdr frag exists
    frag more-fragments 1
    socket transparent 1 rt classid 1
    ip6 saddr . ip6 daddr . meta l4proto . th dport { fd00::1 . fd00::2 . tcp . 80 }
    icmp type echo-request
    icmpv6 type { echo-request, nd-neighbor-solicit }
    ether saddr 00:11:22:33:44:55 vlan id 5
    meta skuid 0 meta cgroup 5 meta day "Monday" meta hour "10:00"-"12:00" meta time "2026-01-01 00:00:00"
    @nh,128,16 0x1 @ll,0,8 & 0x1 == 0x1
    meta random 2147483648 numgen random mod 3 0 symhash mod 2 1
    udp length > 1200 ip dscp cs1 ip length 20-60
  }
  chain statements {
    type filter hook forward priority filter; policy drop;
    counter packets 7 bytes 900 accept comment "counted"
    limit rate 5/second burst 7 packets log prefix "few: " level info flags all
    limit rate over 10 mbytes/second burst 5 kbytes drop
    quota over 5 kbytes ct count over 10 reject
    tcp dport 22 reject with tcp reset
    reject with icmpx admin-prohibited
    meta nfproto ipv6 reject with icmpv6 no-route
    meta mark set meta mark | 0x4000 ct mark set meta mark & 0xff
    meta mark set meta mark ^ 0x4000 meta nftrace set 1 meta priority set 1:2
    ip dscp set cs1 tcp option maxseg size set 1400
    reset tcp option timestamp
    queue flags bypass to 3
    queue flags bypass,fanout to 1-3
    jump one
    goto one
    continue
    return
    jhash ip saddr mod 3 seed 0xbeef vmap { 0 : accept, 1-2 : continue }
    numgen inc mod 2 offset 1 vmap { 1 : goto one, 2 : drop }
    ct state vmap { new : accept, invalid : drop, established : jump one }
    ct state . ct direction vmap { new . original : accept }
    synproxy mss 1460 wscale 7 timestamp sack-perm
  }
  chain raw {
    type filter hook output priority -300;
    notrack
  }
  chain routing {
    type filter hook prerouting priority mangle + 5;
    meta l4proto tcp tproxy to :15001
  }
}
"""
NAT = r"""
table ip nat-four {
  chain pre {
    type nat hook prerouting priority dstnat; policy accept;
    meta l4proto tcp dnat to 10.0.0.1:8080
    dnat to 10.0.0.1-10.0.0.3
    meta l4proto tcp dnat ip addr . port to numgen random mod 2 map { 0 : 10.0.0.1 . 80, 1 : 10.0.0.2 . 81 }
    meta l4proto udp dnat to numgen random mod 1 map { 0 : 10.0.0.1 }
    dnat ip prefix to ip daddr map { 10.1.0.0/16 : 10.2.0.0/16 }
    dnat to ip saddr map { 10.0.0.1 : 10.0.0.2 } comment "by source"
    tcp dport 80 redirect to :8080
    redirect
  }
  chain post {
    type nat hook postrouting priority srcnat;
    masquerade fully-random,persistent
    meta l4proto tcp masquerade to :1024-65535 random
    meta l4proto tcp snat to 10.0.0.1-10.0.0.3:1000-2000 random
    masquerade
  }
}
table ip6 nat-six {
  chain pre {
    type nat hook prerouting priority -100;
    meta l4proto tcp dnat to [fd00::1]:8080
    meta l4proto tcp dnat ip6 addr . port to numgen random mod 2 map { 0 : fd00::1 . 80, 1 : fd00::2 . 81 }
    dnat to fd00::1-fd00::3
  }
  chain post {
    type nat hook postrouting priority 100;
    snat to fd00::5
    masquerade fully-random
  }
}
table inet nat-both {
  chain pre {
    type nat hook prerouting priority -100;
    dnat ip to 10.0.0.1
    meta l4proto tcp dnat ip6 to [fd00::1]:8080
  }
}
"""
SETS = r"""
table inet named {
  comment "what a table holds"
  counter seen { packets 3 bytes 4; comment "named" }
  quota big { over 10 mbytes }
  limit slow { rate 5/second burst 7 packets }
  ct helper ftp {
    type "ftp" protocol tcp
    l3proto ip
  }
  ct timeout quick {
    protocol tcp
    l3proto ip
    policy = { established: 100, close: 4 }
  }
  ct expectation later {
    protocol tcp
    dport 9876
    timeout 1m
    size 12
    l3proto ip
  }
  synproxy shield { mss 1460; wscale 9; timestamp sack-perm }
  set empty { type ipv6_addr; }
  set one { type ipv4_addr; comment "words"; elements = { 10.0.0.1 } }
  set networks { type ipv6_addr; flags interval; auto-merge; elements = { fd00::/64, fd01::1-fd01::9, fd02::1 } }
  set tuples {
    type ipv4_addr . inet_proto . inet_service; elements = { 10.0.0.1 . tcp . 80, 10.0.0.2 . 253 . 443 }
  }
  set ranges { type ipv6_addr . inet_service; flags interval; elements = { fd00::/8 . 80-90, ::1 . 1 } }
  set clients {
    type ipv6_addr; size 65535; flags dynamic,timeout; timeout 3h; gc-interval 10s
    elements = { fd00::9, fd00::8 timeout 5m comment "x", fd00::7 expires 1m }
  }
  set counted { type ipv4_addr; counter; elements = { 10.0.0.7 counter packets 5 bytes 6 } }
  set limited { type ipv4_addr; size 100; flags dynamic; }
  set fixed { type inet_service; flags constant; elements = { 22 } }
  set small { type mark; policy memory; elements = { 0x4000, 1 } }
  set links { type ifname; elements = { "cni0", "eth0" } }
  set like { typeof ip6 saddr . tcp dport; elements = { fd00::1 . 80 } }
  map verdicts {
    type ipv6_addr . inet_proto . inet_service : verdict
    elements = { fd00::1 . tcp . 80 comment "ns/svc:p80" : goto one, fd00::1 . udp . 53 : drop,
      fd00::2 . tcp . 80 : accept }
  }
  map pairs { type inet_service : ipv4_addr . inet_service; elements = { 80 : 10.0.0.1 . 8080 } }
  map marks { type ipv4_addr : mark; flags interval; elements = { 10.0.0.0/8 : 0x1, * : 0x2 } }
  map counters { type ipv4_addr : counter; elements = { 10.0.0.1 : "seen" } }
  chain one {
  }
  chain uses {
    type filter hook input priority 0;
    ip6 daddr . meta l4proto . th dport vmap @verdicts
    ip6 saddr @networks ip6 saddr != @clients update @clients { ip6 saddr }
    add @clients { ip6 saddr timeout 30s } comment "for a while"
    add @limited { ip saddr limit rate over 10/second } drop
    delete @clients { ip6 saddr }
    counter name "seen" limit name "slow" quota name "big"
    counter name ip saddr map @counters
    counter name ip saddr map { 10.0.0.1 : "seen" }
    meta mark set ip saddr map @marks
    meta l4proto tcp ct timeout set "quick"
    meta l4proto tcp ct expectation set "later"
  }
}
"""
OTHERS = r"""
table netdev links {
  chain in {
    type filter hook ingress device "lo" priority 0; policy drop;
    fwd to "lo"
    dup to "lo"
  }
}
table bridge ports {
  chain forward {
    type filter hook forward priority 0; policy accept;
    ether type ip6 accept
    meta ibrname "cni0" accept
  }
}
table arp neighbours {
  chain input {
    type filter hook input priority 0; policy accept;
    arp operation request arp daddr ip 10.0.0.1
  }
}
table inet shortcut {
  flowtable fast {
    hook ingress priority 0
    devices = { lo }
  }
  chain forward {
    type filter hook forward priority 0;
    flow add @fast
  }
}
"""
# nft 1.0.6 prints freed memory for the one flag: which text, depends on luck, and some end the output there.
DORMANT = r"""
table ip aaaaaaaaa {
  flags dormant
}
"""
# What kube-proxy, kubelet, Calico and the portmap plugin write by iptables-nft.
IPTABLES = r"""
for ip in iptables-nft ip6tables-nft; do
  case $ip in ip6*) v4=; pod=fd00:10:244::5 net=fd00:10:96::/112 to=[fd00:10:244::5]:8080;;
  *) v4=1 pod=10.244.0.5 net=10.96.0.0/16 to=10.244.0.5:8080;; esac
  $ip -t nat -N KUBE-SVC-X; $ip -t nat -N KUBE-SEP-X; $ip -N cali-INPUT
  $ip -t nat -A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SVC-X
  $ip -t nat -A KUBE-SVC-X -d $net -p tcp -m comment --comment "ns/svc:p80 cluster IP" -m tcp --dport 80 -j KUBE-SEP-X
  $ip -t nat -A KUBE-SVC-X -m statistic --mode random --probability 0.5 -j KUBE-SEP-X
  $ip -t nat -A KUBE-SVC-X -m addrtype --src-type LOCAL -j RETURN
  $ip -t nat -A KUBE-SEP-X -s $pod -j MARK --or-mark 0x4000
  $ip -t nat -A KUBE-SEP-X -p tcp -m tcp -j DNAT --to-destination $to
  $ip -t nat -A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE --random-fully
  $ip -A INPUT -g cali-INPUT
  $ip -A cali-INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
  $ip -A cali-INPUT -p udp -m multiport --dports 4789,4790 -j DROP
  $ip -A cali-INPUT -i "cali+" -m mark --mark 0x10000/0x10000 -j ACCEPT
  $ip -A FORWARD -j REJECT
done
"""


def capture_nft(save: Save) -> None:
    """Make every case that is not there yet."""
    version = _run("nft", "--version").decode().strip()

    def keep(netns: Netns, case: str, command: str = LIST) -> None:
        if not (FOLDER / f"{case}.out").exists():
            save(TOOL, case, command, netns.enter("sh", "-c", command), version)

    with new_world() as world:
        for case, text in (("expressions", EXPRESSIONS), ("nat", NAT), ("sets", SETS), ("others", OTHERS)):
            keep(load_ruleset(world.new_netns(), text), case)
        keep(world.new_netns(), "empty")
        sets, nat = load_ruleset(world.new_netns(), SETS), load_ruleset(world.new_netns(), NAT)
        keep(sets, "sets-terse", "nft -j -t list ruleset")
        keep(sets, "sets-stateless", "nft -j -s list ruleset")
        keep(sets, "list-map", "nft -j list map inet named verdicts")
        keep(sets, "list-counters", "nft -j list counters")
        keep(nat, "list-chain", "nft -j list chain ip nat-four pre")
        keep(nat, "list-tables", "nft -j list tables")
        keep(
            load_ruleset(world.new_netns(), EXPRESSIONS), "expressions-numeric", "nft -j -nn -y list ruleset"
        )
        keep(load_ruleset(world.new_netns(), DORMANT), "one-flag", "nft -j list tables")
        iptables = world.new_netns()
        iptables.enter("sh", "-e", "-c", IPTABLES)
        keep(iptables, "iptables-nft")


def load_ruleset(netns: Netns, text: str) -> Netns:
    """Load what the kernel takes of a ruleset, line by line: it may lack a module."""
    netns.ip("link set lo up")
    lines = text.split("\n")
    while True:
        done = _try(netns, "\n".join(lines))
        if done.returncode == 0:
            return netns
        place, _, message = done.stderr.decode().partition(": ")
        number = int(place.split(":")[1]) - 1
        sys.stderr.write(f"not here: {lines[number].strip()} ({message.splitlines()[0]})\n")
        del lines[number]


def _try(netns: Netns, text: str) -> subprocess.CompletedProcess[bytes]:
    argv = ("nsenter", f"--net=/proc/{netns.pid}/ns/net", "--", "nft", "-f", "-")
    return subprocess.run(argv, input=text.encode(), capture_output=True, check=False)


def _run(*argv: str) -> bytes:
    return subprocess.run(argv, capture_output=True, check=True).stdout
