"""Captures of ipvsadm and ipset, from a machine whose kernel has IPVS.

As root: `python tests/captures/cases_ipvs.py [by-hand] [CASE ...]`. The first kind are virtual servers and sets made by
hand, in every form that the tools print; the second what real kube-proxies in ipvs mode write for shapes of Services
and by their settings, in the form of the other modes' captures (capture_dataplanes.py) with `ipvsadm-save.txt`,
`ipvsadm-list.txt` and `ipset-save.txt` beside.

Hashes and times differ from run to run: a case that is there stays. To make one anew, remove its files first.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.captures.kube_proxy_lab import NAMESPACE, new_lab
from tests.cluster.bench import old_kube_proxy
from tests.cluster.bench.kubectl import items
from tests.cluster.service_shapes import Builder, Shape, build_few_shapes, build_shapes
from tests.machine.ipvs_machine import IpvsMachine, ToolTexts, booted_ipvs
from tests.machine.machine import Machine, booted

TOOLS = Path(__file__).parent / "tools"
# The newest, and one that reads less of the API.
VERSION, BEFORE = "1.36.2", "1.33.5"
DATAPLANES = Path(__file__).parent / "dataplanes"
_GZIP_ABOVE = 32 * 1024

# Every form of a virtual server: protocols, marks, schedulers with flags, persistence, forwarding, weights.
_SERVERS = r"""
modprobe -a ip_vs ip_vs_rr ip_vs_wrr ip_vs_wlc ip_vs_lc ip_vs_sh ip_vs_mh ip_vs_lblc ip_vs_pe_sip dummy
ip link add kube-ipvs0 type dummy
ip addr add 10.99.0.11/24 dev lo; ip addr add fd00:10:99::11/64 dev lo nodad
ipvsadm -A -t 10.96.0.20:80 -s rr -p 10800
ipvsadm -a -t 10.96.0.20:80 -r 10.244.1.5:8080 -m -w 1
ipvsadm -a -t 10.96.0.20:80 -r 10.244.2.9:8080 -m -w 0
ipvsadm -A -u 10.96.0.10:53 -s wrr
ipvsadm -a -u 10.96.0.10:53 -r 10.244.0.2:53 -m -w 65535
ipvsadm -a -u 10.96.0.10:53 -r 10.244.0.3:53 -g -w 2
ipvsadm -a -u 10.96.0.10:53 -r 10.244.0.4:53 -i -w 3
ipvsadm -a -u 10.96.0.10:53 -r 10.244.0.5:53 -i -w 3 --tun-type gue --tun-port 6080
ipvsadm -a -u 10.96.0.10:53 -r 10.244.0.6:53 -i -w 3 --tun-type gue --tun-port 6080 --tun-remcsum
ipvsadm -a -u 10.96.0.10:53 -r 10.244.0.7:53 -i -w 3 --tun-type gre --tun-csum
ipvsadm -a -u 10.96.0.10:53 -r 10.99.0.11:53 -g -w 4
ipvsadm -A --sctp-service 10.96.0.30:9999 -s mh -b mh-fallback,mh-port
ipvsadm -A -t 10.96.0.31:80 -s sh -b sh-fallback,sh-port
ipvsadm -A -t 10.96.0.32:80 -s wlc -b flag-1,flag-3
ipvsadm -A -t 10.96.0.33:0 -s lc -p 60 -M 255.255.255.0
ipvsadm -a -t 10.96.0.33:0 -r 10.244.0.2:0 -m
ipvsadm -A -u 10.96.0.40:5060 -s sh -p 360 -M 255.255.0.0 --pe sip -o
ipvsadm -A -f 7 -s wlc
ipvsadm -a -f 7 -r 10.0.0.9:0 -g -w 1
ipvsadm -A -f 4294967295 -s rr || ipvsadm -A -f 2147483647 -s rr
ipvsadm -A -f 7 -6 -s rr -p 300 -M 64
ipvsadm -a -f 7 -6 -r [fd00::9]:0 -g -w 1
ipvsadm -A -t [fd00:10:96::a]:80 -s wrr -p 10800 -M 64
ipvsadm -a -t [fd00:10:96::a]:80 -r [fd00:10:244:1::5]:8080 -m -w 3
ipvsadm -a -t [fd00:10:96::a]:80 -r [fd00:10:244:1:1111:2222:3333:4444]:8080 -m -w 1
ipvsadm -a -t [fd00:10:96::a]:80 -r [fd00:10:99::11]:8080 -m -w 1
ipvsadm -A --sctp-service [fd00:10:96::b]:9999 -s rr
"""
# Every type that this kernel has, and every option that the tool prints; kube-proxy's, Calico's and flannel's forms.
_SETS = r"""
modprobe -a ip_set ip_set_hash_ip ip_set_hash_net ip_set_hash_ipport ip_set_hash_ipportip ip_set_hash_ipportnet
ipset create KUBE-CLUSTER-IP hash:ip,port family inet comment
ipset add KUBE-CLUSTER-IP 10.96.0.10,udp:53
ipset add KUBE-CLUSTER-IP 10.96.0.1,tcp:443 comment "default/kubernetes:https"
ipset create KUBE-6-LOOP-BACK hash:ip,port,ip family inet6
ipset add KUBE-6-LOOP-BACK fd00:10:244:1::5,tcp:8080,fd00:10:244:1::5
ipset create KUBE-LOAD-BALANCER-SOURCE-CIDR hash:ip,port,net
ipset add KUBE-LOAD-BALANCER-SOURCE-CIDR 198.18.1.1,tcp:80,203.0.113.0/25
ipset create KUBE-NODE-PORT-TCP bitmap:port range 0-65535
ipset add KUBE-NODE-PORT-TCP 30080
ipset create KUBE-NODE-PORT-SCTP-HASH hash:ip,port
ipset add KUBE-NODE-PORT-SCTP-HASH 10.99.0.11,sctp:30068
ipset create cali40all-ipam-pools hash:net family inet maxelem 1048576
ipset add cali40all-ipam-pools 10.244.0.0/16
ipset create cali60s:AbC_d-1 hash:net family inet6 maxelem 1048576
ipset create cali40s:9 hash:ip,port maxelem 1048576
ipset add cali40s:9 10.244.1.5,icmp:echo-request
ipset add cali40s:9 10.244.1.5,gre:0
ipset create timed hash:ip timeout 300 counters comment skbinfo forceadd netmask 24
ipset add timed 10.0.7.0 timeout 200000 packets 5 bytes 420 comment "x  y # 'z'" skbmark 0x1/0xff skbprio 1:2 skbqueue 3
ipset create excepted hash:net counters
ipset add excepted 10.0.0.0/8
ipset add excepted 10.1.0.0/16 nomatch
ipset create links hash:net,iface family inet6
ipset add links fd00::/64,eth0
ipset add links fd01::/64,physdev:veth1
ipset create wild hash:net,iface
ipset add wild 10.0.0.0/8,eth+ wildcard
ipset create marked hash:ip,mark markmask 0xff
ipset add marked 10.0.0.1,0x00000005
ipset create macs hash:mac
ipset add macs 02:00:00:00:00:01
ipset create both hash:ip,mac
ipset add both 10.0.0.1,02:00:00:00:00:01
ipset create known bitmap:ip,mac range 10.0.0.0/24
ipset add known 10.0.0.1
ipset add known 10.0.0.2,02:00:00:00:00:01
ipset create few bitmap:ip range 10.0.0.0/16 netmask 24
ipset add few 10.0.7.0
ipset create netnet hash:net,net
ipset add netnet 10.0.0.0/8,192.168.0.0/16
ipset create netport hash:net,port
ipset add netport 10.0.0.0/8,udp:53
ipset create netportnet hash:net,port,net family inet6
ipset add netportnet fd00::/64,tcp:80,fd01::/64
ipset create odd\ name hash:ip
ipset add odd\ name 10.0.0.1
ipset create all list:set size 8
ipset add all excepted
ipset add all timed
"""


BY_HAND, PLAIN = "by-hand", "plain"
# Settings of kube-proxy's that change what it writes in this mode; without any, every shape of Service is there, and of
# two versions.
_SETTINGS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "masquerade": {"iptables": {"masqueradeAll": True, "masqueradeBit": 10}, "ipvs": {"scheduler": "wrr"}},
    "bridge": {"detectLocalMode": "BridgeInterface", "detectLocal": {"bridgeInterface": "cni0"}},
    "no-cidr": {"clusterCIDR": ""},
    "cidr": {"nodePortAddresses": ["192.168.77.0/24", "fd00:77::/64"]},
}


def main() -> None:
    """Make every case that is not there yet, or those of them that are named."""
    wanted = sys.argv[1:] or [BY_HAND, BEFORE, *_SETTINGS]
    if BY_HAND in wanted:
        with booted() as machine:
            _capture_by_hand(machine)
    missing = [each for each in wanted if each != BY_HAND and not _folder(each).exists()]
    if whole := [each for each in missing if each in (BEFORE, PLAIN)]:
        _capture_cases(whole, build_shapes)
    if others := [each for each in missing if each not in whole]:
        _capture_cases(others, build_few_shapes)


def _capture_cases(names: list[str], build: Callable[[Builder], tuple[Shape, ...]]) -> None:
    with new_lab() as lab, lab.services(build(Builder(NAMESPACE))):
        for name in names:
            program = old_kube_proxy.build(_version(name))
            with booted_ipvs(program=program, extra=_SETTINGS.get(name)) as ipvs:
                _capture_kube_proxy(ipvs, name)


def _version(case: str) -> str:
    return BEFORE if case == BEFORE else VERSION


def _setting(case: str) -> str:
    return "" if case in (BEFORE, PLAIN) else case


def _folder(case: str) -> Path:
    return DATAPLANES / "-".join(filter(None, (_version(case), "ipvs", _setting(case))))


def _capture_by_hand(machine: Machine) -> None:
    tool = machine.check("ipvsadm --version | head -n 1").decode().strip()

    def keep(folder: str, case: str, command: str, version: str = tool) -> None:
        path = TOOLS / folder / f"{case}.out"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(machine.check(command))
            kernel = ".".join(machine.kernel_release.split(".")[:2])
            meta = f"command: {command}\ntool: {version}\nkernel: {kernel}\norigin: captured\n"
            path.with_suffix(".meta").write_text(meta)

    listings = {
        "ipvsadm-save": "ipvsadm -Sn",
        "ipvsadm-list": "ipvsadm -Ln",
        "ipvsadm-stats": "ipvsadm -Ln --stats",
        "ipvsadm-rate": "ipvsadm -Ln --rate",
    }
    machine.check("modprobe ip_vs")
    for folder, command in listings.items():
        keep(folder, "nothing", command)
    machine.check(_SERVERS)
    for folder, command in listings.items():
        keep(folder, "every-form", command)
    keep("ipvsadm-stats", "exact", "ipvsadm -Ln --stats --exact")
    ipset = machine.check("ipset --version").decode().strip()
    keep("ipset-save", "nothing", "ipset save", ipset)
    machine.check(_SETS)
    keep("ipset-save", "every-form", "ipset save", ipset)


def _capture_kube_proxy(ipvs: IpvsMachine, case: str) -> None:
    texts = ipvs.wait_until(_is_whole, 400)
    metrics = "curl -s http://127.0.0.1:10249"
    files = {
        "iptables-save.txt": texts.iptables_save.decode(),
        "ip6tables-save.txt": texts.ip6tables_save.decode(),
        "ipvsadm-save.txt": texts.ipvsadm_save.decode(),
        "ipvsadm-list.txt": texts.ipvsadm_list.decode(),
        "ipset-save.txt": texts.ipset_save.decode(),
        "addresses.json": texts.ip_addr.decode(),
        "configz.json": ipvs.machine.check(f"{metrics}/configz").decode(),
        "proxy-mode.txt": ipvs.machine.check(f"{metrics}/proxyMode").decode(),
        "services.json": _listing("services"),
        "endpointslices.json": _listing("endpointslices"),
        "nodes.json": _listing("nodes"),
        "meta.json": _meta(ipvs, case),
    }
    _folder(case).mkdir(parents=True)
    for name, text in files.items():
        data = text.encode()
        if len(data) > _GZIP_ABOVE:
            # Without a time, so that the same text is the same file.
            (_folder(case) / f"{name}.gz").write_bytes(gzip.compress(data, mtime=0))
        else:
            (_folder(case) / name).write_bytes(data)


def _listing(kind: str) -> str:
    """Return all objects of a kind as the API gives them, one a line, without what only its writers need."""
    lines = []
    for each in items(kind, timeout=60):
        each["metadata"].pop("managedFields", None)
        lines.append(json.dumps(each, separators=(",", ":")))
    return '{"items":[\n' + ",\n".join(lines) + "\n]}\n"


def _is_whole(texts: ToolTexts) -> bool:
    """Whether the last kinds that kube-proxy writes are there: the rules of IPv6, and members of its sets."""
    return b"KUBE-6-CLUSTER-IP dst,dst -j ACCEPT" in texts.ip6tables_save and all(
        f"add {name} ".encode() in texts.ipset_save
        for name in ("KUBE-CLUSTER-IP", "KUBE-6-CLUSTER-IP", "KUBE-LOAD-BALANCER", "KUBE-6-LOAD-BALANCER")
    )


def _meta(ipvs: IpvsMachine, case: str) -> str:
    first = {
        tool: ipvs.machine.check(f"{tool} --version | head -n 1").decode().strip()
        for tool in ("iptables", "ipset", "ipvsadm")
    }
    kernel = ".".join(ipvs.machine.kernel_release.split(".")[:2])
    meta = {
        "origin": "captured",
        "kubeProxy": _version(case),
        "mode": "ipvs",
        "case": _setting(case),
        "api": VERSION,
        "kernel": kernel,
        **first,
    }
    return json.dumps(meta, indent=1) + "\n"


if __name__ == "__main__":
    main()
