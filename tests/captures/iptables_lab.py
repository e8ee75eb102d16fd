"""Rules of every kind, put into a network namespace by the tools themselves.

What kube-proxy, the kubelet, flannel, Calico and CNI plugins write, and a rule or two of each match and target that
Linux has. They are given as a person would type them: what is saved is in the tool's own words.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.netns.nfnetlink import make_accounting, make_set
from tests.netns.world import Netns

FAMILIES = (4, 6)
BACKENDS = ("legacy", "nft")
SETS = ("cali40masq", "cali40all", "cali40s")
ACCOUNTING = "ct_state_invalid_dropped_pkts"
_ADDRESSES = {
    4: {
        "family": "iptables",
        "pods": "10.244.0.0/16",
        "pod": "10.244.1.5",
        "backend": "10.244.1.5:8080",
        "service": "10.96.0.20",
        "node": "192.0.2.11",
        "loopback": "127.0.0.0/8",
        "host": "32",
        "mask": "255.255.255.255",
        "multicast": "224.0.0.0/4",
        "odd": "10.0.0.0/255.0.255.0",
        "icmp": "icmp -m icmp --icmp-type",
        "echo": "echo-request",
        "unreachable": "icmp-host-prohibited",
    },
    6: {
        "family": "ip6tables",
        "pods": "fd00:10:244::/48",
        "pod": "fd00:10:244:1::5",
        "backend": "[fd00:10:244:1::5]:8080",
        "service": "fd00:10:96::20",
        "node": "2001:db8::11",
        "loopback": "::1/128",
        "host": "128",
        "mask": "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "multicast": "ff00::/8",
        "odd": "fd00::5/ffff::ffff",
        "icmp": "ipv6-icmp -m icmp6 --icmpv6-type",
        "echo": "echo-request",
        "unreachable": "icmp6-adm-prohibited",
    },
}

# kube-proxy 1.36: pkg/proxy/iptables/proxier.go; older: the same file of 1.21. The kubelet: kubelet_network_linux.go.
KUBERNETES = {
    "mangle": "-N KUBE-KUBELET-CANARY\n-N KUBE-IPTABLES-HINT\n-N KUBE-PROXY-CANARY",
    "nat": """
-N KUBE-SERVICES
-N KUBE-NODEPORTS
-N KUBE-POSTROUTING
-N KUBE-MARK-MASQ
-N KUBE-MARK-DROP
-N KUBE-SVC-WEB
-N KUBE-SVL-WEB
-N KUBE-EXT-WEB
-N KUBE-FW-WEB
-N KUBE-SEP-A
-N KUBE-SEP-B
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-SERVICES -m comment --comment "a/web:http cluster IP" -m tcp -p tcp -d {service} --dport 80 -j \
KUBE-SVC-WEB
-A KUBE-SERVICES -m comment --comment "a/web:sip cluster IP" -m sctp -p sctp -d {service} --dport 9 -j \
KUBE-SVC-WEB
-A KUBE-SERVICES -m comment --comment "a/web:http loadbalancer IP" -m tcp -p tcp -d {node} --dport 80 -j \
KUBE-FW-WEB
-A KUBE-SERVICES -m comment --comment "nodeports; NOTE: this must be the last" -m addrtype --dst-type LOCAL \
-j KUBE-NODEPORTS
-A KUBE-NODEPORTS -m comment --comment a/web:http -m tcp -p tcp --dport 30080 -j KUBE-EXT-WEB
-A KUBE-NODEPORTS -m comment --comment a/web:dns -m udp -p udp --dport 30053 -j KUBE-EXT-WEB
-A KUBE-EXT-WEB -m comment --comment "pod traffic for a/web:http external destinations" -s {pods} -j \
KUBE-SVC-WEB
-A KUBE-EXT-WEB -m comment --comment "masquerade LOCAL traffic" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
-A KUBE-EXT-WEB -i cni0 -j KUBE-SVC-WEB
-A KUBE-EXT-WEB ! -i cali+ -j KUBE-SVL-WEB
-A KUBE-FW-WEB -m comment --comment "a/web:http loadbalancer IP" -s {odd} -j KUBE-EXT-WEB
-A KUBE-FW-WEB -m comment --comment "other traffic to a/web:http will be dropped by KUBE-PROXY-FIREWALL"
-A KUBE-SVC-WEB ! -s {pods} -d {service} -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ
-A KUBE-SVC-WEB -m comment --comment "a/web:http -> {backend}" -m recent --name KUBE-SEP-A --rcheck \
--seconds 10800 --reap -j KUBE-SEP-A
-A KUBE-SVC-WEB -m comment --comment "a/web:http -> {backend}" -m statistic --mode random --probability \
0.3333333333 -j KUBE-SEP-A
-A KUBE-SVC-WEB -m statistic --mode random --probability 0.5000000000 -j KUBE-SEP-B
-A KUBE-SVC-WEB -j KUBE-SEP-B
-A KUBE-SEP-A -s {pod} -j KUBE-MARK-MASQ
-A KUBE-SEP-A -m recent --name KUBE-SEP-A --set -m tcp -p tcp -j DNAT --to-destination {backend}
-A KUBE-SEP-B -m sctp -p sctp -j DNAT --to-destination {backend} --random --persistent
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
-A KUBE-MARK-DROP -j MARK --or-mark 0x8000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
-A KUBE-POSTROUTING -m comment --comment "requiring SNAT" -j MASQUERADE --random-fully
""",
    "filter": """
-N KUBE-FIREWALL
-N KUBE-FORWARD
-N KUBE-SERVICES
-N KUBE-NODEPORTS
-N KUBE-PROXY-FIREWALL
-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j \
KUBE-PROXY-FIREWALL
-A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
-A INPUT -j KUBE-FIREWALL
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A KUBE-FIREWALL -m comment --comment "block incoming localnet connections" -d {loopback} ! -s {loopback} \
-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -m nfacct --nfacct-name ct_state_invalid_dropped_pkts -j DROP
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-SERVICES -m comment --comment "a/web:http has no endpoints" -m tcp -p tcp -d {service} --dport 80 \
-j REJECT
-A KUBE-NODEPORTS -m comment --comment "a/web:http health check node port" -m tcp -p tcp --dport 32000 -j \
ACCEPT
-A KUBE-PROXY-FIREWALL -m comment --comment "a/web:http traffic not accepted by KUBE-FW-WEB" -m tcp -p tcp \
-d {node} --dport 80 -j DROP
""",
}

# flannel: pkg/trafficmngr/iptables; the plugins portmap, bridge (utils.SetupIPMasq), firewall; Calico: felix/rules.
NETWORKS = {
    "raw": """
-N cali-PREROUTING
-A PREROUTING -m comment --comment cali:6gwbT8clXdHdC1b1 -j cali-PREROUTING
-A cali-PREROUTING -i cali+ -m comment --comment cali:x -m rpfilter --validmark --invert -j DROP
-A cali-PREROUTING -m comment --comment "NodeLocal DNS Cache: skip conntrack" -d {service} -p udp -m udp \
--dport 53 -j CT --notrack
-A cali-PREROUTING -p udp -m udp --dport 53 -j NOTRACK
-A cali-PREROUTING -p udp -j CT --zone 5 --ctevents new,destroy --zone-orig 7
""",
    "mangle": """
-N cali-mangle
-A PREROUTING -m comment --comment cali:6gwbT8clXdHdC1b1 -j cali-mangle
-A cali-mangle -p tcp -m socket --transparent -j MARK --set-xmark 0x1/0xff
-A cali-mangle -p tcp -m tcp --syn -j CONNMARK --save-mark --nfmask 0xff --ctmask 0xff
-A cali-mangle -j CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80
-A cali-mangle -p tcp -m tcp --dport 80 -j TPROXY --on-port 15001 --tproxy-mark 0x1/0x1
-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -m tcpmss --mss 1400:65535 -j TCPMSS --clamp-mss-to-pmtu
-A FORWARD -p tcp -m tcp --syn -m tcpmss ! --mss 536 -j TCPMSS --set-mss 1300
""",
    "nat": """
-N FLANNEL-POSTRTG
-N CNI-HOSTPORT-DNAT
-N CNI-HOSTPORT-SETMARK
-N CNI-DN-abc
-N cali-nat-outgoing
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s {pods} ! -d {multicast} -m comment --comment "flanneld masq" -j MASQUERADE \
--random-fully
-A POSTROUTING -s {pod} -m comment --comment "name: \\"cbr0\\" id: \\"ab12\\"" -j ACCEPT
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"cbr0\\" id: \\"ab12\\"" -m multiport \
--dports 8080,9000:9010 -j CNI-DN-abc
-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000
-A CNI-DN-abc -s {pods} -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK
-A cali-nat-outgoing -m comment --comment cali:f -m set --match-set cali40masq src -m set ! --match-set \
cali40all dst -j MASQUERADE
-A POSTROUTING -o eth0 -m comment --comment "AWS, SNAT" -m addrtype ! --dst-type LOCAL -j SNAT --to-source \
{node} --random-fully
""",
    "filter": """
-N FLANNEL-FWD
-N cali-tw-x
-N KUBE-NWPLCY-x
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A FLANNEL-FWD -s {pods} -m comment --comment "flanneld forward" -j ACCEPT
-A FORWARD -o cali+ -g cali-tw-x
-A cali-tw-x -m conntrack --ctstate INVALID -j DROP
-A cali-tw-x -m mark --mark 0x0/0x20000 -m set --match-set cali40s dst,dst -j NFLOG --nflog-group 1 \
--nflog-prefix "DPI|default/x y" --nflog-size 80
-A cali-tw-x -m comment --comment cali:y -m mark --mark 0x10000/0x10000 -j RETURN
-A KUBE-NWPLCY-x -m physdev --physdev-is-bridged --physdev-in vethA -j MARK --set-xmark 0x10000/0x10000
-A KUBE-NWPLCY-x -m physdev ! --physdev-is-in -j ACCEPT
-A KUBE-NWPLCY-x -m limit --limit 10/min --limit-burst 10 -j NFLOG --nflog-group 100
""",
}

OTHERS = {
    "mangle": """
-A OUTPUT -j DSCP --set-dscp 10
-A OUTPUT -j TOS --set-tos 0x10/0x3f
-A OUTPUT -j CLASSIFY --set-class 1:f
-A OUTPUT -j CHECKSUM --checksum-fill
-A OUTPUT -p tcp -j TCPOPTSTRIP --strip-options 5,8
-A PREROUTING -j TEE --gateway {node}
-A PREROUTING -j IDLETIMER --timeout 5 --label idle
-A OUTPUT -j HMARK --hmark-tuple src,dst --hmark-rnd 0x1 --hmark-mod 10 --hmark-offset 5
""",
    "filter": """
-N loud
-A INPUT
-A INPUT -p 89
-A INPUT ! -p 17 -j ACCEPT
-A INPUT -g loud
-A INPUT -m comment --comment "" -j ACCEPT
-A INPUT -m comment --comment "it's a \\"quoted\\" \\\\ back -m x -j Y" -j ACCEPT
-A INPUT -m comment --comment "Grüße; \\$HOME \\`x\\` #" -j ACCEPT
-A INPUT -m comment --comment --j -j ACCEPT
-A INPUT -p {icmp} {echo} -j REJECT --reject-with {unreachable}
-A INPUT -p tcp -m tcp ! --tcp-flags ALL SYN,ACK --tcp-option 7 -j REJECT --reject-with tcp-reset
-A INPUT -p tcp -m multiport ! --sports 1:3,5 -m multiport --ports 9 -j ACCEPT
-A INPUT -p udp -m udp ! --sport 1:3 --dport 5: -j ACCEPT
-A INPUT -p sctp -m sctp --chunk-types any DATA:Be,INIT ! --dport 9 -j ACCEPT
-A INPUT -p dccp -m dccp --sport 1 --dccp-types REQUEST,RESPONSE -j ACCEPT
-A INPUT -p esp -m esp --espspi 1:5 -j ACCEPT
-A INPUT -m state --state NEW,UNTRACKED -j ACCEPT
-A INPUT -m conntrack --ctproto 6 ! --ctorigdst {service} --ctorigdstport 80:90 --ctdir ORIGINAL --ctstatus \
ASSURED --ctexpire 5:10 -j ACCEPT
-A INPUT -m connmark ! --mark 0x1/0xff -j ACCEPT
-A INPUT -m connbytes --connbytes 10:20 --connbytes-dir both --connbytes-mode packets -j ACCEPT
-A INPUT -m connlimit --connlimit-above 5 --connlimit-mask 24 --connlimit-saddr -j DROP
-A INPUT -m statistic --mode nth ! --every 3 --packet 1 -j DROP
-A INPUT -m recent --update --seconds 60 --hitcount 4 --rttl --name ssh --rdest -j DROP
-A INPUT -m recent ! --remove --name ssh -j DROP
-A INPUT -m hashlimit --hashlimit-above 5/sec --hashlimit-burst 9 --hashlimit-mode srcip,dstport \
--hashlimit-name web --hashlimit-htable-expire 5000 -j DROP
-A INPUT -m limit --limit 5/hour -j LOG --log-prefix "dropped: " --log-level 6 --log-uid --log-ip-options
-A INPUT -m iprange --src-range {pod}-{pod} ! --dst-range {service}-{service} -j ACCEPT
-A INPUT -m length ! --length 64:1500 -j ACCEPT
-A INPUT -m mac ! --mac-source 02:00:00:00:00:01 -j ACCEPT
-A INPUT -m pkttype --pkt-type multicast -j ACCEPT
-A INPUT -m policy --dir in --pol ipsec --strict --reqid 1 --proto esp --mode tunnel --tunnel-src {node} \
--tunnel-dst {node} --next --reqid 2 -j ACCEPT
-A INPUT -m quota ! --quota 1000 -j ACCEPT
-A INPUT -m string --algo bm --to 100 --string "a \\"b\\" c" --icase -j DROP
-A INPUT -m string --algo kmp --hex-string "|00ff|" -j DROP
-A INPUT -m string --algo kmp ! --string b -j DROP
-A INPUT -m time --timestart 08:00 --timestop 17:30:05 --weekdays Mon,Tue --datestart 2026-01-01 --kerneltz \
-j ACCEPT
-A INPUT -m u32 --u32 "0&0xff=0x1:0x5 && 4>>2=1" -j DROP
-A INPUT -m bpf --bytecode "2,48 0 0 9,6 0 0 0" -j DROP
-A INPUT -m helper --helper ftp-21 -j ACCEPT
-A INPUT -m cpu ! --cpu 1 -j ACCEPT
-A INPUT -m dscp ! --dscp 10 -j ACCEPT
-A INPUT -m tos --tos 0x10/0x3f -j ACCEPT
-A INPUT -m ecn --ecn-ip-ect 3 -p tcp -j ACCEPT
-A INPUT -m devgroup ! --src-group 0x2/0x3 -j ACCEPT
-A INPUT -m cluster --cluster-total-nodes 2 --cluster-local-node 1 --cluster-hash-seed 5 -j ACCEPT
-A INPUT -m connlabel ! --label 5 --set -j ACCEPT
-A INPUT -m cgroup ! --cgroup 5 -j ACCEPT
-A OUTPUT -m owner --uid-owner 0-5 ! --gid-owner 7 --socket-exists -j ACCEPT
-A INPUT -j NFQUEUE --queue-balance 0:3 --queue-bypass --queue-cpu-fanout
-A INPUT -p tcp -j SYNPROXY --sack-perm --timestamp --wscale 7 --mss 1460
-A INPUT -j AUDIT --type accept
-A INPUT -j SET --add-set cali40s src --exist --timeout 60
-A INPUT -m set ! --match-set cali40s src --packets-gt 5 ! --update-counters -j DROP
""",
    "nat": """
-A PREROUTING -p tcp -j REDIRECT --to-ports 80-90 --random
-A POSTROUTING -p tcp -j MASQUERADE --to-ports 1024-2048
-A PREROUTING -d {pods} -j NETMAP --to {pods}
""",
}
OF_IPV4 = {
    "filter": """
-A INPUT -f -j DROP
-A INPUT ! -f -p udp -j DROP
-A INPUT -p ah -m ah ! --ahspi 1:5 -j DROP
-A INPUT -m ttl --ttl-lt 5 -j DROP
-A INPUT -m realm --realm 0x1/0xff -j DROP
-A INPUT -p {icmp} any -j DROP
-A INPUT -p {icmp} 3/1 -j DROP
""",
    "mangle": "-A OUTPUT -j TTL --ttl-inc 1\n-A OUTPUT -p tcp -j ECN --ecn-tcp-remove",
}
OF_IPV6 = {
    "filter": """
-A INPUT -m ah ! --ahspi 1:5 --ahres -j DROP
-A INPUT -m hl --hl-gt 5 -j DROP
-A INPUT -m frag --fragid 1:2 --fragmore -j DROP
-A INPUT -m ipv6header --header hop-by-hop,route --soft -j DROP
-A INPUT -m rt --rt-type 0 --rt-segsleft 1:5 --rt-0-res -j DROP
-A INPUT -m hbh --hbh-len 5 --hbh-opts 1:2,3 -j DROP
-A INPUT -m dst ! --dst-len 5 --dst-opts 1:2,3 -j DROP
-A INPUT -p ipv6-mh -m mh --mh-type 1:5 -j DROP
""",
    "mangle": """
-A OUTPUT -j HL --hl-dec 1
-A POSTROUTING -s fd00::/64 -j SNPT --src-pfx fd00::/64 --dst-pfx 2001:db8::/64
""",
}


def program(family: int, backend: str = "", action: str = "") -> str:
    """Return a tool's name: `ip6tables-nft-save` for 6, nft, -save."""
    return f"{_ADDRESSES[family]['family']}{backend and '-'}{backend}{action}"


def prepare(netns: Netns, family: int) -> None:
    """Make what rules name."""
    for name in SETS:
        make_set(netns, name, family)
    make_accounting(netns, ACCOUNTING)


def write_rules(netns: Netns, family: int, backend: str, *groups: Mapping[str, str]) -> None:
    """Put every rule of these groups into the tables, one after the other, as a person would."""
    for group in groups:
        for table, text in group.items():
            for line in text.strip().splitlines():
                command = f"{program(family, backend)} -t {table} {line.format(**_ADDRESSES[family])}"
                netns.enter("sh", "-c", command)
