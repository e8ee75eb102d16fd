"""Which options iptables' matches and targets print, and how many words follow each.

Source: the save functions of iptables 1.8.11's extensions (and of older versions, where they printed others); the same
names of both families stand in one list. What stands here is understood; anything else makes a rule's remainder.

In the lists, an option's words are one, unless a mark stands behind it: `:0` none, `:2` two, `:?` one or none, `:s` one
string that is quoted where needed, `:q` one that is always quoted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class OptionForm(NamedTuple):
    """How an option is printed.

    Attributes:
        name: with its dashes.
        words: how many words follow.
        optional: whether the one word may lack.
        is_string: whether its word is quoted where needed.
        always_quoted: whether its word always is.
    """

    name: str
    words: int = 1
    optional: bool = False
    is_string: bool = False
    always_quoted: bool = False


Forms = Mapping[str, OptionForm]


def _form(text: str) -> OptionForm:
    name, _, mark = text.partition(":")
    name = f"--{name}"
    if mark in ("0", "2"):
        return OptionForm(name, int(mark))
    return OptionForm(name, optional=mark == "?", is_string=mark == "s", always_quoted=mark == "q")


def _forms(lists: Mapping[str, str]) -> dict[str, Forms]:
    return {
        name: {form.name: form for form in map(_form, text.split())}
        for names, text in lists.items()
        for name in names.split()
    }


_PORTS = "sport dport"
MATCHES: Mapping[str, Forms] = _forms(
    {
        "addrtype": "src-type dst-type limit-iface-in:0 limit-iface-out:0",
        "ah": "ahspi ahlen ahres:0",
        "bpf": "bytecode:q object-pinned",
        "cgroup": "cgroup path:s",
        "cluster": "cluster-total-nodes cluster-local-node cluster-local-nodemask cluster-hash-seed",
        "comment": "comment:s",
        "connbytes": "connbytes connbytes-mode connbytes-dir",
        "connlabel": "label:q set:0",
        "connlimit": "connlimit-upto connlimit-above connlimit-mask connlimit-saddr:0 connlimit-daddr:0",
        "connmark mark": "mark",
        "conntrack": "ctstate ctproto ctorigsrc ctorigdst ctreplsrc ctrepldst ctorigsrcport ctorigdstport "
        "ctreplsrcport ctrepldstport ctstatus ctexpire ctdir",
        "cpu": "cpu",
        "dccp": f"{_PORTS} dccp-types dccp-option",
        "devgroup": "src-group dst-group",
        "dscp": "dscp dscp-class",
        "dst": "dst-len dst-opts",
        "ecn": "ecn-tcp-cwr:0 ecn-tcp-ece:0 ecn-ip-ect",
        "esp": "espspi",
        "eui64": "",
        "frag": "fragid fraglen fragres:0 fragfirst:0 fragmore:0 fraglast:0",
        "hashlimit": "hashlimit hashlimit-upto hashlimit-above hashlimit-burst hashlimit-mode hashlimit-name "
        "hashlimit-htable-size hashlimit-htable-max hashlimit-htable-gcinterval hashlimit-htable-expire "
        "hashlimit-srcmask hashlimit-dstmask hashlimit-rate-match:0 hashlimit-rate-interval",
        "hbh": "hbh-len hbh-opts",
        "helper": "helper:s",
        "hl": "hl-eq hl-lt hl-gt",
        "icmp": "icmp-type",
        "icmp6": "icmpv6-type",
        "ipcomp": "ipcompspi compres:0",
        "iprange": "src-range dst-range",
        "ipv6header": "header soft:0",
        "ipvs": "ipvs:0 vproto vaddr vport vdir vmethod vportctl",
        "length": "length",
        "limit": "limit limit-burst",
        "mac": "mac-source",
        "mh": "mh-type",
        "multiport": "sports dports ports",
        "nfacct": "nfacct-name:s",
        "osf": "genre ttl log",
        "owner": "uid-owner gid-owner pid-owner sid-owner cmd-owner socket-exists:0 suppl-groups:0",
        "physdev": "physdev-in physdev-out physdev-is-in:0 physdev-is-out:0 physdev-is-bridged:0",
        "pkttype": "pkt-type",
        "policy": "dir pol strict:0 reqid spi proto mode tunnel-src tunnel-dst next:0",
        "quota": "quota",
        "rateest": "rateest rateest1 rateest2 rateest-delta:0 rateest-lt:0 rateest-gt:0 rateest-eq:0 "
        "rateest-bps:? rateest-pps:? rateest-bps1:? rateest-pps1:? rateest-bps2:? rateest-pps2:?",
        "realm": "realm",
        "recent": "set:0 rcheck:0 update:0 remove:0 seconds reap:0 hitcount rttl:0 name mask rsource:0 rdest:0",
        "rpfilter": "loose:0 validmark:0 accept-local:0 invert:0",
        "rt": "rt-type rt-segsleft rt-len rt-0-res:0 rt-0-addrs rt-0-not-strict:0",
        "sctp": f"{_PORTS} chunk-types:2",
        "set": "match-set:2 return-nomatch:0 update-counters:0 update-subcounters:0 packets-eq packets-lt packets-gt "
        "bytes-eq bytes-lt bytes-gt",
        "socket": "transparent:0 nowildcard:0 restore-skmark:0",
        "srh": "srh-next-hdr srh-hdr-len-eq srh-hdr-len-gt srh-hdr-len-lt srh-segs-left-eq srh-segs-left-gt "
        "srh-segs-left-lt srh-last-entry-eq srh-last-entry-gt srh-last-entry-lt srh-tag srh-psid srh-nsid srh-lsid",
        "state": "state",
        "statistic": "mode probability every packet",
        "string": "string:q hex-string:q algo from to icase:0",
        "tcp": f"{_PORTS} tcp-flags:2 syn:0 tcp-option",
        "tcpmss": "mss",
        "time": "datestart datestop timestart timestop monthdays weekdays contiguous:0 kerneltz:0 localtz:0 utc:0",
        "tos": "tos",
        "ttl": "ttl-eq ttl-lt ttl-gt",
        "u32": "u32:q",
        "udp udplite": _PORTS,
    }
)

_NAT = "random:0 random-fully:0 persistent:0"
TARGETS: Mapping[str, Forms] = _forms(
    {
        "AUDIT": "type",
        "CHECKSUM": "checksum-fill:0",
        "CLASSIFY": "set-class",
        "CLUSTERIP": "new:0 hashmode clustermac total-nodes local-node hash-init",
        "CONNMARK": "set-mark set-xmark and-mark or-mark xor-mark save-mark:0 restore-mark:0 mask nfmask ctmask "
        "left-shift-mark right-shift-mark",
        "CONNSECMARK": "save:0 restore:0",
        "CT": "notrack:0 helper ctevents expevents zone zone-orig zone-reply timeout",
        "DNAT": f"to-destination {_NAT}",
        "DNPT SNPT": "src-pfx dst-pfx",
        "DSCP": "set-dscp set-dscp-class",
        "ECN": "ecn-tcp-remove:0 ecn-tcp-cwr ecn-tcp-ece ecn-ip-ect",
        "HL": "hl-set hl-dec hl-inc",
        "HMARK": "hmark-tuple hmark-src-prefix hmark-dst-prefix hmark-sport-mask hmark-dport-mask hmark-spi-mask "
        "hmark-sport hmark-dport hmark-spi hmark-proto-mask hmark-rnd hmark-mod hmark-offset",
        "IDLETIMER": "timeout label alarm:0",
        "LED": "led-trigger-id:q led-delay led-always-blink:0",
        "LOG": "log-prefix:s log-level log-tcp-sequence:0 log-tcp-options:0 log-ip-options:0 log-uid:0 "
        "log-macdecode:0",
        "MARK": "set-mark set-xmark and-mark or-mark xor-mark",
        "MASQUERADE REDIRECT": f"to-ports {_NAT}",
        "NETMAP": "to",
        "NFLOG": "nflog-prefix:s nflog-group nflog-range nflog-size nflog-threshold",
        "NFQUEUE": "queue-num queue-balance queue-bypass:0 queue-cpu-fanout:0",
        "NOTRACK TRACE": "",
        "RATEEST": "rateest-name rateest-interval rateest-ewmalog",
        "REJECT": "reject-with",
        "SECMARK": "selctx",
        "SET": "add-set:2 del-set:2 map-set:2 exist:0 timeout map-mark:0 map-prio:0 map-queue:0",
        "SNAT": f"to-source {_NAT}",
        "SYNPROXY": "sack-perm:0 timestamp:0 wscale mss ecn:0",
        "TCPMSS": "set-mss clamp-mss-to-pmtu:0",
        "TCPOPTSTRIP": "strip-options",
        "TEE": "gateway oif",
        "TOS": "set-tos and-tos or-tos xor-tos",
        "TPROXY": "on-port on-ip tproxy-mark",
        "TTL": "ttl-set ttl-dec ttl-inc",
        "ULOG": "ulog-prefix:s ulog-nlgroup ulog-cprange ulog-qthreshold",
    }
)
