"""Rules in kube-proxy's words -> a service map; and what each kind of change to them changes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from netinspect.analyze.iptables.service_map import read_iptables_map, read_one_destination
from netinspect.analyze.service_map.compare import compare_maps
from netinspect.models.address import parse_address
from netinspect.models.fact import Reason
from netinspect.models.iptables import Ruleset, XtablesBackend
from netinspect.models.service_map import Hook, Mode, ServiceMap
from netinspect.parse.ipset_save import parse_ipsets
from netinspect.parse.iptables_save import parse_iptables_save
from tests.captures.capture_dataplanes import DATAPLANES, load
from tests.unit.analyze.rules_build import LOCAL, read, ruleset, tell_branch, told

PODS = "fd00:10:244::/48"
VIP, BALANCER = "fd00:10:96::a", "2001:db8::9"
PORTALS = '-m comment --comment "kubernetes service portals" -j KUBE-SERVICES'
NODE_PORTS = (
    'KUBE-SERVICES ! -d ::1/128 -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule '
    'in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS'
)
HOOKS = [f"PREROUTING {PORTALS}", f"OUTPUT {PORTALS}"]
REFUSE = "-j REJECT --reject-with icmp6-port-unreachable"
MASQUERADE = [
    'POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
    "KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
    "KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
    "KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0",
    'KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
]
FILTER = [
    'INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL',
    'INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS',
    "INPUT -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES",
    "INPUT -j KUBE-FIREWALL",
    "FORWARD -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL",
    'FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
    "FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES",
    "FORWARD -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES",
    "OUTPUT -m conntrack --ctstate NEW -j KUBE-PROXY-FIREWALL",
    "OUTPUT -m conntrack --ctstate NEW -j KUBE-SERVICES",
    "OUTPUT -j KUBE-FIREWALL",
    "KUBE-FORWARD -m conntrack --ctstate INVALID -m nfacct --nfacct-name ct_state_invalid_dropped_pkts -j DROP",
    "KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT",
    "KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "KUBE-FIREWALL",
    "KUBE-SERVICES",
    "KUBE-NODEPORTS",
    "KUBE-EXTERNAL-SERVICES",
    "KUBE-PROXY-FIREWALL",
]


def endpoint(number: int, *, sticky: bool = False) -> list[str]:
    record = f"-m recent --set --name KUBE-SEP-{number} --rsource " if sticky else ""
    return [
        f'KUBE-SEP-{number} -s fd00:10:244::{number}/128 -m comment --comment "demo/web:http" -j KUBE-MARK-MASQ',
        f'KUBE-SEP-{number} -p tcp -m comment --comment "demo/web:http" {record}-m tcp '
        f"-j DNAT --to-destination [fd00:10:244::{number}]:8080",
    ]


def balance(chain: str, *numbers: int) -> list[str]:
    chances = [
        f"-m statistic --mode random --probability {1 / left:.11f} " for left in range(len(numbers), 1, -1)
    ]
    return [
        f'{chain} -m comment --comment "demo/web:http -> [fd00:10:244::{number}]:8080" {chance}-j KUBE-SEP-{number}'
        for number, chance in zip(numbers, (*chances, ""), strict=True)
    ]


TO_VIP = f'-d {VIP}/128 -p tcp -m comment --comment "demo/web:http cluster IP" -m tcp --dport 80'
CLUSTER_IP = [
    f"KUBE-SERVICES {TO_VIP} -j KUBE-SVC-WEB",
    f"KUBE-SVC-WEB ! -s {PODS} {TO_VIP} -j KUBE-MARK-MASQ",
    *balance("KUBE-SVC-WEB", 1, 2),
    *endpoint(1),
    *endpoint(2),
]
NODE_PORT = [
    NODE_PORTS,
    'KUBE-NODEPORTS -p tcp -m comment --comment "demo/web:http" -m tcp --dport 30080 -j KUBE-EXT-WEB',
]
EXTERNAL_CLUSTER = [
    'KUBE-EXT-WEB -m comment --comment "masquerade traffic for demo/web:http external destinations" -j KUBE-MARK-MASQ',
    "KUBE-EXT-WEB -j KUBE-SVC-WEB",
]
EXTERNAL_LOCAL = [
    f'KUBE-EXT-WEB -s {PODS} -m comment --comment "pod traffic" -j KUBE-SVC-WEB',
    "KUBE-EXT-WEB -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ",
    "KUBE-EXT-WEB -m addrtype --src-type LOCAL -j KUBE-SVC-WEB",
    "KUBE-EXT-WEB -j KUBE-SVL-WEB",
    *balance("KUBE-SVL-WEB", 1),
]
TO_BALANCER = (
    f'-d {BALANCER}/128 -p tcp -m comment --comment "demo/web:http loadbalancer IP" -m tcp --dport 80'
)
BOTH = "[fd00:10:244::1]:8080 0.5, [fd00:10:244::2]:8080 0.5"
PLAIN = f"not {PODS}: masquerade {BOTH} | {BOTH}"


def node(*nat: list[str], filter_: list[str] | None = None, **other: list[str]) -> Ruleset:
    lines = [*HOOKS, *MASQUERADE, "KUBE-SERVICES", *(line for each in nat for line in each)]
    return ruleset(**other, nat=lines, filter=[*FILTER, *(filter_ or [])])


def at_both(name: str, text: str) -> dict[str, str]:
    return {f"{hook} {name}": text for hook in ("prerouting", "output")}


def test_a_cluster_ip_is_balanced_and_masqueraded_for_all_but_pods() -> None:
    found = read(node(CLUSTER_IP))
    assert told(found) == at_both(f"[{VIP}]:80/tcp", PLAIN)
    assert (found.node, found.family, found.mode, found.gaps) == ("node-a", 6, Mode.IPTABLES, ())
    assert {entry.service for entry in found.entries} == {"demo/web:http"}


def test_ipv4_means_the_same() -> None:
    four = [
        "KUBE-SERVICES -d 10.96.0.10/32 -p udp -m udp --dport 53 -j KUBE-SVC-DNS",
        "KUBE-SVC-DNS ! -s 10.244.0.0/16 -d 10.96.0.10/32 -p udp -m udp --dport 53 -j KUBE-MARK-MASQ",
        "KUBE-SVC-DNS -j KUBE-SEP-DNS",
        "KUBE-SEP-DNS -s 10.244.0.2/32 -j KUBE-MARK-MASQ",
        "KUBE-SEP-DNS -p udp -m udp -j DNAT --to-destination 10.244.0.2:5353",
    ]
    text = "not 10.244.0.0/16: masquerade 10.244.0.2:5353 | 10.244.0.2:5353"
    assert told(read(node(four), 4)) == at_both("10.96.0.10:53/udp", text)


@pytest.mark.parametrize(
    ("condition", "prerouting", "output"),
    [
        (f"! -s {PODS} ", PLAIN, PLAIN),
        ("! -i cni0 ", f"not by cni0: masquerade {BOTH} | {BOTH}", f"masquerade {BOTH}"),
        ("! -i veth+ ", f"not by veth+: masquerade {BOTH} | {BOTH}", f"masquerade {BOTH}"),
        ("", f"masquerade {BOTH}", f"masquerade {BOTH}"),
    ],
)
def test_every_way_to_tell_pods(condition: str, prerouting: str, output: str) -> None:
    """By networks, bridge, prefix, or all alike (masqueradeAll): what the node sends came in by no link."""
    lines = [line.replace(f"! -s {PODS} ", condition) for line in CLUSTER_IP]
    name = f"[{VIP}]:80/tcp"
    assert told(read(node(lines))) == {f"prerouting {name}": prerouting, f"output {name}": output}


def test_without_local_detection_nothing_is_masqueraded_but_hairpin() -> None:
    lines = [line for line in CLUSTER_IP if "! -s" not in line]
    assert told(read(node(lines))) == at_both(f"[{VIP}]:80/tcp", BOTH)


def test_a_node_port_is_one_entry_for_any_local_address() -> None:
    found = told(read(node(CLUSTER_IP, NODE_PORT, EXTERNAL_CLUSTER)))
    assert found == {
        **at_both(f"[{VIP}]:80/tcp", PLAIN),
        **at_both("local:30080/tcp but ::1/128", f"masquerade {BOTH}"),
    }


def test_a_twin_for_localhost_means_the_same() -> None:
    """kube-proxy counts node ports on localhost by a rule of their own."""
    twin = (
        "KUBE-NODEPORTS -d 127.0.0.0/8 -p tcp -m tcp --dport 30080 "
        "-m nfacct --nfacct-name localhost_nps_accepted_pkts -j KUBE-EXT-WEB"
    )
    lines = [
        NODE_PORTS.replace("! -d ::1/128 ", ""),
        twin,
        "KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-EXT-WEB",
        "KUBE-EXT-WEB -j KUBE-SEP-A",
        "KUBE-SEP-A -p tcp -m tcp -j DNAT --to-destination 10.244.0.2:8080",
    ]
    assert told(read(node(lines), 4)) == at_both("local:30080/tcp", "10.244.0.2:8080 no hairpin")
    other = [*lines, "KUBE-EXT-B -p tcp -m tcp -j DNAT --to-destination 10.244.0.3:8080"]
    other[1] = twin.replace("KUBE-EXT-WEB", "KUBE-EXT-B")
    assert told(read(node(other), 4)) == {
        **at_both("127.0.0.1:30080/tcp", "10.244.0.3:8080 no hairpin"),
        **at_both("local:30080/tcp but 127.0.0.0/8", "10.244.0.2:8080 no hairpin"),
    }


def test_node_ports_on_some_addresses_are_entries_of_those() -> None:
    lines = [line for line in NODE_PORT if line != NODE_PORTS]
    lines.append("KUBE-SERVICES -d fd00:10:99::11/128 -j KUBE-NODEPORTS")
    found = told(read(node(CLUSTER_IP, lines, EXTERNAL_CLUSTER)))
    assert found == {
        **at_both(f"[{VIP}]:80/tcp", PLAIN),
        **at_both("[fd00:10:99::11]:30080/tcp", f"masquerade {BOTH}"),
    }


def test_node_ports_on_a_network_are_entries_of_the_addresses_in_it() -> None:
    lines = [line for line in NODE_PORT if line != NODE_PORTS]
    lines.append("KUBE-SERVICES -d fd00:10:99::/64 -j KUBE-NODEPORTS")
    found = told(read(node(CLUSTER_IP, lines, EXTERNAL_CLUSTER)))
    assert [name for name in found if "30080" in name] == [
        "prerouting [fd00:10:99::11]:30080/tcp",
        "output [fd00:10:99::11]:30080/tcp",
    ]


def test_policy_local_sends_pods_and_the_node_everywhere() -> None:
    found = told(read(node(CLUSTER_IP, NODE_PORT, EXTERNAL_LOCAL)))
    assert found["prerouting local:30080/tcp but ::1/128"] == f"{PODS}: {BOTH} | [fd00:10:244::1]:8080"
    assert found["output local:30080/tcp but ::1/128"] == f"{PODS}: {BOTH} | masquerade {BOTH}"


def test_policy_local_without_local_endpoints_drops_what_comes_from_outside() -> None:
    external = [line for line in EXTERNAL_LOCAL if "SVL" not in line]
    drop = (
        'KUBE-EXTERNAL-SERVICES -p tcp -m comment --comment "demo/web:http has no local endpoints" '
        "-m addrtype --dst-type LOCAL -m tcp --dport 30080 -j DROP"
    )
    found = told(read(node(CLUSTER_IP, NODE_PORT, external, filter_=[drop])))
    assert found["prerouting local:30080/tcp but ::1/128"] == f"{PODS}: {BOTH} | drop"
    assert found["prerouting [::1]:30080/tcp"] == "drop"
    assert found["output local:30080/tcp but ::1/128"] == f"{PODS}: {BOTH} | masquerade {BOTH}"
    assert found["output [::1]:30080/tcp"] == "drop"


def test_source_ranges_are_branches_and_the_rest_is_dropped() -> None:
    lines = [
        f"KUBE-SERVICES {TO_BALANCER} -j KUBE-FW-WEB",
        "KUBE-FW-WEB -s 2001:db8:1::/48 -j KUBE-EXT-WEB",
        f"KUBE-FW-WEB -s {BALANCER}/128 -j KUBE-EXT-WEB",
        'KUBE-FW-WEB -m comment --comment "other traffic to demo/web:http will be dropped by KUBE-PROXY-FIREWALL"',
    ]
    drop = f"KUBE-PROXY-FIREWALL {TO_BALANCER} -j DROP"
    found = told(read(node(CLUSTER_IP, lines, EXTERNAL_CLUSTER, filter_=[drop])))
    text = f"2001:db8:1::/48: masquerade {BOTH} | {BALANCER}/128: masquerade {BOTH} | drop"
    assert found == {**at_both(f"[{VIP}]:80/tcp", PLAIN), **at_both(f"[{BALANCER}]:80/tcp", text)}
    open_ = told(read(node(CLUSTER_IP, lines, EXTERNAL_CLUSTER)))
    assert open_[f"output [{BALANCER}]:80/tcp"] == text.removesuffix(" | drop")


def test_a_service_without_endpoints_is_refused() -> None:
    lines = [
        f"KUBE-SERVICES {TO_VIP.replace('cluster IP', 'has no endpoints')} {REFUSE}",
        f"KUBE-EXTERNAL-SERVICES {TO_BALANCER} {REFUSE}",
    ]
    found = read(node(filter_=lines))
    assert told(found) == {
        f"prerouting [{BALANCER}]:80/tcp": "reject",
        **at_both(f"[{VIP}]:80/tcp", "reject"),
    }
    assert found.entries[-1].service == "demo/web:http"


def test_a_health_check_node_port_is_let_in() -> None:
    comment = '-m comment --comment "demo/web:http health check node port"'
    accept = f"KUBE-NODEPORTS -p tcp {comment} -m tcp --dport 31807 -j ACCEPT"
    assert told(read(node(filter_=[accept]))) == {"input local:31807/tcp": "accept"}
    closed = ["INPUT -p tcp -m tcp --dport 31807 -j DROP", *FILTER, accept]
    assert told(read(ruleset(nat=[*HOOKS, "KUBE-SERVICES"], filter=closed))) == {
        "input local:31807/tcp": "drop"
    }


def test_session_affinity_is_a_trait_of_the_backend() -> None:
    check = "-m recent --rcheck --seconds 10800 --reap"
    sticky = [
        f"KUBE-SVC-WEB {check} --name KUBE-SEP-{number} --rsource -j KUBE-SEP-{number}" for number in (1, 2)
    ]
    lines = [
        *CLUSTER_IP[:2],
        *sticky,
        *balance("KUBE-SVC-WEB", 1, 2),
        *endpoint(1, sticky=True),
        *endpoint(2),
    ]
    one = "[fd00:10:244::1]:8080 0.5 for 10800s, [fd00:10:244::2]:8080 0.5"
    assert told(read(node(lines))) == at_both(f"[{VIP}]:80/tcp", f"not {PODS}: masquerade {one} | {one}")


def test_shares_are_what_the_rules_hold() -> None:
    lines = [*CLUSTER_IP[:2], *balance("KUBE-SVC-WEB", 1, 2, 3), *endpoint(1), *endpoint(2), *endpoint(3)]
    lines = [line.replace("0.33333333333", "0.33333333349") for line in lines]
    backends = read(node(lines)).entries[0].branches[0].backends
    assert [each.share for each in backends] == [
        0.33333333349,
        pytest.approx((1 - 0.33333333349) / 2, abs=1e-15),
        pytest.approx((1 - 0.33333333349) / 2, abs=1e-15),
    ]
    assert sum(each.share for each in backends) == pytest.approx(1, abs=1e-15)


def test_what_no_backend_takes_is_lost() -> None:
    """Probabilities that do not add up, and a chain that was emptied."""
    short = [line for line in CLUSTER_IP if not line.endswith("-j KUBE-SEP-2")]
    text = "[fd00:10:244::1]:8080 0.5 lost 0.5"
    assert told(read(node(short))) == at_both(f"[{VIP}]:80/tcp", f"not {PODS}: masquerade {text} | {text}")
    emptied = [*(line for line in CLUSTER_IP if not line.startswith("KUBE-SEP-2")), "KUBE-SEP-2"]
    assert told(read(node(emptied))) == told(read(node(short)))
    nobody = [*(line for line in CLUSTER_IP if not line.startswith("KUBE-SEP-")), "KUBE-SEP-1", "KUBE-SEP-2"]
    assert told(read(node(nobody))) == {}


def test_a_backend_that_two_rules_lead_to_is_one() -> None:
    lines = [*CLUSTER_IP[:2], *balance("KUBE-SVC-WEB", 1, 2, 3), *endpoint(1), *endpoint(2)]
    lines += [line.replace("KUBE-SEP-1", "KUBE-SEP-3") for line in endpoint(1)]
    text = "[fd00:10:244::1]:8080 0.6667, [fd00:10:244::2]:8080 0.3333"
    assert told(read(node(lines)))[f"output [{VIP}]:80/tcp"] == f"not {PODS}: masquerade {text} | {text}"


def test_a_backend_with_and_without_affinity_is_doubted_to_have_one() -> None:
    check = "-m recent --rcheck --seconds 60 --reap --name KUBE-SEP-1 --rsource -j KUBE-SEP-1"
    twin = [line.replace("KUBE-SEP-1", "KUBE-SEP-3") for line in endpoint(1)]
    lines = [*CLUSTER_IP[:2], f"KUBE-SVC-WEB {check}", *balance("KUBE-SVC-WEB", 1, 3)]
    both = told(read(node([*lines, *endpoint(1, sticky=True), *twin])))
    text = "[fd00:10:244::1]:8080"
    assert both == at_both(f"[{VIP}]:80/tcp", f"not {PODS}: masquerade {text} | {text}")
    again = [line.replace("KUBE-SEP-3", "KUBE-SEP-1") for line in lines]
    alone = told(read(node([*again, *endpoint(1, sticky=True)])))
    text = "[fd00:10:244::1]:8080 for 60s"
    assert alone == at_both(f"[{VIP}]:80/tcp", f"not {PODS}: masquerade {text} | {text}")


def test_what_nothing_jumps_to_is_in_no_map() -> None:
    """Not from one hook, not from any, not behind a chain that is gone."""
    lines = [*CLUSTER_IP, *NODE_PORT, *EXTERNAL_CLUSTER]
    whole = told(read(ruleset(nat=[*HOOKS, *MASQUERADE, *lines])))
    for hook, rest in (("prerouting", HOOKS[1:]), ("output", HOOKS[:1])):
        found = told(read(ruleset(nat=[*rest, *MASQUERADE, *lines])))
        assert found == {name: text for name, text in whole.items() if not name.startswith(hook)}
    assert told(read(ruleset(nat=[*MASQUERADE, *lines]))) == {}
    assert told(read(ruleset(nat=[*HOOKS, *MASQUERADE, "KUBE-SERVICES"]))) == {}
    assert told(read(ruleset())) == {}


# One change of each kind to one Service of two, and what becomes of its entries.
OTHER = [line.replace(VIP, "fd00:10:96::b").replace("WEB", "OTHER") for line in CLUSTER_IP]
OTHER = [line.replace("KUBE-SEP-", "KUBE-SEP-OTHER-").replace("demo/web", "demo/other") for line in OTHER]
ONE_MASQUERADED = "undecided ('not all backends are masqueraded alike',)"


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (
            "--to-destination [fd00:10:244::1]:8080",
            "--to-destination [fd00:10:244::9]:8080",
            PLAIN.replace(
                BOTH, "[fd00:10:244::2]:8080 0.5, [fd00:10:244::9]:8080 0.5 masqueraded from fd00:10:244::1"
            ),
        ),
        (
            "--to-destination [fd00:10:244::1]:8080",
            "--to-destination [fd00:10:244::1]:81",
            PLAIN.replace("[fd00:10:244::1]:8080", "[fd00:10:244::1]:81"),
        ),
        (
            "--probability 0.50000000000",
            "--probability 0.25000000000",
            PLAIN.replace("::1]:8080 0.5", "::1]:8080 0.25").replace("::2]:8080 0.5", "::2]:8080 0.75"),
        ),
        (f"! -s {PODS}", "! -s fd00:10:245::/48", PLAIN.replace(PODS, "fd00:10:245::/48")),
        (f"! -s {PODS}", f"-s {PODS}", PLAIN.replace("not ", "")),
        (
            "KUBE-SEP-1 -s fd00:10:244::1/128",
            "KUBE-SEP-1 -s fd00:10:244::9/128",
            PLAIN.replace("::1]:8080 0.5", "::1]:8080 0.5 masqueraded from fd00:10:244::9"),
        ),
        (
            "KUBE-SEP-1 -s fd00:10:244::1/128 ",
            "KUBE-SEP-1 ",
            f"not {PODS}: masquerade [fd00:10:244::1]:8080 0.5 no hairpin, [fd00:10:244::2]:8080 0.5 | "
            f"[fd00:10:244::1]:8080 0.5 no hairpin, [fd00:10:244::2]:8080 0.5 {ONE_MASQUERADED}",
        ),
        (f"KUBE-SVC-WEB ! -s {PODS} {TO_VIP} -j KUBE-MARK-MASQ", "KUBE-SVC-WEB", BOTH),
        ("-j KUBE-SEP-1", "-j KUBE-SEP-2", PLAIN.replace(BOTH, "[fd00:10:244::2]:8080")),
        ("-j KUBE-SVC-WEB", "-j KUBE-SVC-OTHER", BOTH),
        ("-j KUBE-SVC-WEB", "-j DROP", "drop"),
        ("-j KUBE-SVC-WEB", "-j RETURN", None),
        (
            f"{TO_VIP} -j KUBE-SVC-WEB",
            f"-s 2001:db8::/32 {TO_VIP} -j KUBE-SVC-WEB",
            f"2001:db8::/32: masquerade {BOTH}",
        ),
        ("-m statistic", "-m limit --limit 3/min -m statistic", None),
    ],
)
def test_one_change_changes_exactly_one_service(old: str, new: str, text: str | None) -> None:
    changed = [line.replace(old, new) for line in CLUSTER_IP]
    assert changed != CLUSTER_IP
    before, after = read(node(CLUSTER_IP, OTHER)), read(node(changed, OTHER))
    untouched = at_both("[fd00:10:96::b]:80/tcp", PLAIN)
    assert told(before) == {**at_both(f"[{VIP}]:80/tcp", PLAIN), **untouched}
    found = told(after)
    if text is not None:
        assert found == {**at_both(f"[{VIP}]:80/tcp", text), **untouched}
    assert {name: each for name, each in found.items() if "96::b" in name} == untouched
    assert {str(each.destination.address) for each in compare_maps(before, after, LOCAL)} == {VIP}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
            "KUBE-MARK-MASQ -j MARK --set-xmark 0x8000/0x8000",
        ),
        ("KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000", "KUBE-MARK-MASQ"),
        ("-m mark ! --mark 0x4000/0x4000 -j RETURN", "-j RETURN"),
        ("-j KUBE-POSTROUTING", "-j RETURN"),
        ("-j MASQUERADE --random-fully", "-j ACCEPT"),
    ],
)
def test_masquerade_is_what_postrouting_does_with_the_mark(old: str, new: str) -> None:
    lines = [line.replace(old, new) for line in [*HOOKS, *MASQUERADE, *CLUSTER_IP]]
    text = "[fd00:10:244::1]:8080 0.5 no hairpin, [fd00:10:244::2]:8080 0.5 no hairpin"
    assert told(read(ruleset(nat=lines))) == at_both(f"[{VIP}]:80/tcp", text)


@pytest.mark.parametrize(
    "others",
    [
        ["POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"],
        ["POSTROUTING -j FLANNEL-POSTRTG", "FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -j RETURN",
         f"FLANNEL-POSTRTG -s {PODS} -d {PODS} -j RETURN", f"FLANNEL-POSTRTG -s {PODS} ! -d ff00::/8 -j MASQUERADE",
         f"FLANNEL-POSTRTG ! -s {PODS} -d {PODS} -j MASQUERADE"],
        ["POSTROUTING -o eth0 -j MASQUERADE"],
        [f"POSTROUTING -s {PODS} -d {PODS} -m comment --comment cali -j MASQUERADE"],
    ],
)  # fmt: skip
def test_masquerade_of_others_is_none_of_services(others: list[str]) -> None:
    """What is not marked is theirs; what is marked leaves with another source either way."""
    others = [line.replace("172.17.0.0/16", "fd00:172::/64") for line in others]
    for lines in ([*HOOKS, *others, *MASQUERADE], [*HOOKS, *MASQUERADE, *others]):
        found = told(read(ruleset(nat=[*lines, *CLUSTER_IP])))
        assert found == at_both(f"[{VIP}]:80/tcp", PLAIN)


def test_a_mark_of_others_leaves_masquerading_as_it_is() -> None:
    """What POSTROUTING does to every packet is none of Services' business, whatever else is marked."""
    raw = ["PREROUTING -i cali+ -j MARK --set-xmark 0x40000/0x40000"]
    theirs = "POSTROUTING -m set --match-set cali60masq-ipam-pools src -j MASQUERADE"
    lines = [*HOOKS, theirs, *MASQUERADE, *CLUSTER_IP]
    assert told(read(ruleset(raw=raw, nat=lines))) == at_both(f"[{VIP}]:80/tcp", PLAIN)


def test_docker_beside_kube_proxy_changes_no_service() -> None:
    """Its published ports are entries without a Service's name."""
    docker = [
        "PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "OUTPUT ! -d ::1/128 -m addrtype --dst-type LOCAL -j DOCKER",
        "POSTROUTING -s fd00:172::/64 ! -o docker0 -j MASQUERADE",
        "DOCKER -i docker0 -j RETURN",
        "DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination [fd00:172::2]:80",
    ]
    kube = [*HOOKS, *MASQUERADE, "KUBE-SERVICES", *CLUSTER_IP, *NODE_PORT, *EXTERNAL_CLUSTER]
    found = told(read(ruleset(nat=[*docker, *kube])))
    assert found == {
        **told(read(ruleset(nat=kube))),
        "prerouting local:8080/tcp": "by docker0: none | [fd00:172::2]:80 no hairpin",
        "output local:8080/tcp but ::1/128": "[fd00:172::2]:80 no hairpin",
    }


def test_a_rule_that_lets_marked_packets_leave_as_they_are_counts() -> None:
    lines = [*HOOKS, f"POSTROUTING -d {PODS} -j ACCEPT", *MASQUERADE, *CLUSTER_IP]
    text = "[fd00:10:244::1]:8080 0.5 no hairpin, [fd00:10:244::2]:8080 0.5 no hairpin"
    assert told(read(ruleset(nat=lines))) == at_both(f"[{VIP}]:80/tcp", text)
    for where, holds in (
        ("-p tcp -m tcp --dport 8080", True),
        ("-p tcp -m tcp --dport 80", False),
        ("-p udp", False),
        (f"-d {VIP}/128", False),
        ("-m conntrack --ctstate DNAT", True),
        ("-m addrtype --dst-type LOCAL", False),
    ):
        one = [*HOOKS, f"POSTROUTING {where} -j ACCEPT", *MASQUERADE, *CLUSTER_IP]
        assert told(read(ruleset(nat=one)))[f"output [{VIP}]:80/tcp"] == (text if holds else PLAIN)
    some = [*HOOKS, f"POSTROUTING -s {PODS} -j ACCEPT", *MASQUERADE, *CLUSTER_IP]
    assert (
        told(read(ruleset(nat=some)))[f"output [{VIP}]:80/tcp"] == f"not {PODS}: masquerade {text} | {text}"
    )


def test_a_translation_of_others_before_kube_proxys_counts() -> None:
    theirs = f"PREROUTING -d {VIP}/128 -p tcp -m tcp --dport 80 -j DNAT --to-destination [fd00::1]:1"
    found = told(read(ruleset(nat=[theirs, *HOOKS, *MASQUERADE, *CLUSTER_IP])))
    assert found == {
        f"prerouting [{VIP}]:80/tcp": "[fd00::1]:1 no hairpin",
        f"output [{VIP}]:80/tcp": PLAIN,
    }
    behind = told(read(ruleset(nat=[*HOOKS, theirs, *MASQUERADE, *CLUSTER_IP])))
    assert behind == at_both(f"[{VIP}]:80/tcp", PLAIN)


def test_what_cannot_be_judged_is_named_and_does_not_match() -> None:
    unsure = f"PREROUTING -m limit --limit 3/min -d {VIP}/128 -j ACCEPT"
    found = told(read(ruleset(nat=[unsure.replace(f" -d {VIP}/128", ""), *HOOKS, *MASQUERADE, *CLUSTER_IP])))
    undecided = "undecided ('limit match: nat PREROUTING -m limit --limit 3/min -j ACCEPT',)"
    assert found == {
        f"prerouting [{VIP}]:80/tcp": f"not {PODS}: masquerade {BOTH} {undecided} | {BOTH} {undecided}",
        f"output [{VIP}]:80/tcp": PLAIN,
    }


def test_an_entry_that_only_may_be_there_is_a_gap() -> None:
    lines = [f"KUBE-SERVICES {TO_VIP} -m time --utc -j KUBE-SVC-WEB", *CLUSTER_IP[1:]]
    found = read(node(lines))
    assert found.entries == ()
    assert [(each.subject, each.reason) for each in found.gaps] == [("node/node-a", Reason.UNPARSABLE)]
    assert found.gaps[0].detail.startswith(f"time match: nat KUBE-SERVICES -d {VIP}/128")


def test_rules_that_name_ranges_of_ports_are_a_gap() -> None:
    line = f"PREROUTING -d {VIP}/128 -p tcp -m tcp --dport 8000:8010 -j DNAT --to-destination [fd00::1]:1"
    found = read(ruleset(nat=[*HOOKS, "KUBE-SERVICES", line]))
    assert [each.detail for each in found.gaps] == [f"range of ports: nat -A {line}"]


def test_a_table_that_cannot_be_read_is_a_gap() -> None:
    rules = node(CLUSTER_IP)
    tables = {
        **rules.tables,
        "raw": replace(rules.tables["nat"], name="raw", chains={}, unreadable="use nft"),
    }
    found = read(replace(rules, tables=tables))
    assert [(each.fact, each.detail) for each in found.gaps] == [("table raw of iptables (IPv6)", "use nft")]


def test_what_is_not_tracked_is_not_translated() -> None:
    """A node-local DNS cache takes the DNS Service's address out of tracking."""
    raw = [f"PREROUTING -d {VIP}/128 -p tcp -m tcp --dport 80 -j NOTRACK"]
    assert told(read(node(CLUSTER_IP, raw=raw))) == {f"output [{VIP}]:80/tcp": PLAIN}


def test_packets_that_are_dropped_before_nat_never_get_there() -> None:
    raw = ["PREROUTING -s 2001:db8:bad::/48 -j DROP"]
    found = told(read(node(CLUSTER_IP, raw=raw)))
    assert found == {
        f"prerouting [{VIP}]:80/tcp": f"2001:db8:bad::/48: drop | {PLAIN}",
        f"output [{VIP}]:80/tcp": PLAIN,
    }


def test_marks_of_mangle_count() -> None:
    mangle = ["PREROUTING -i eth1 -j MARK --set-xmark 0x4000/0x4000"]
    found = told(read(node(CLUSTER_IP, mangle=mangle)))
    assert found[f"prerouting [{VIP}]:80/tcp"] == f"by eth1: masquerade {BOTH} | {PLAIN}"


def test_firewalls_in_filter_are_no_entries() -> None:
    """Unless a Service without endpoints would be refused there: then the first rule counts."""
    theirs = ["INPUT -p tcp -m tcp --dport 22 -j DROP", f"FORWARD -d {VIP}/128 -j DROP", "INPUT -j DROP"]
    filter_ = [*theirs, *FILTER]
    assert told(read(ruleset(nat=[*HOOKS, *MASQUERADE, *CLUSTER_IP], filter=filter_))) == at_both(
        f"[{VIP}]:80/tcp", PLAIN
    )
    reject = f"KUBE-SERVICES {TO_VIP} -j REJECT --reject-with icmp6-port-unreachable"
    found = told(read(ruleset(nat=[*HOOKS, "KUBE-SERVICES"], filter=[*filter_, reject])))
    assert found == {f"prerouting [{VIP}]:80/tcp": "drop", f"output [{VIP}]:80/tcp": "reject"}


def test_the_protection_of_loopback_addresses_is_no_service() -> None:
    """KUBE-FIREWALL drops what others send there, whatever the port; a rule for one port is another matter."""
    reject = f"KUBE-EXTERNAL-SERVICES -p tcp -m addrtype --dst-type LOCAL -m tcp --dport 30080 {REFUSE}"
    martian = "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"
    guarded = [f"INPUT ! -s ::1/128 -d ::1/128 {martian}", *FILTER, reject]
    found = told(read(ruleset(nat=[*HOOKS, "KUBE-SERVICES"], filter=guarded)))
    assert found == at_both("local:30080/tcp", "reject")
    closed = [f"INPUT ! -s ::1/128 -d ::1/128 -p tcp {martian}", *FILTER, reject]
    found = told(read(ruleset(nat=[*HOOKS, "KUBE-SERVICES"], filter=closed)))
    assert found == {
        **at_both("[::1]:30080/tcp", "not ::1/128: drop | reject"),
        **at_both("local:30080/tcp but ::1/128", "reject"),
    }


@pytest.mark.parametrize(
    ("rule", "output"),
    [
        ("INPUT -j RETURN", None),
        ("INPUT -i lo -j ACCEPT", None),
        ("INPUT -i l+ -j ACCEPT", None),
        ("INPUT -m addrtype --src-type LOCAL -j ACCEPT", None),
        ("INPUT ! -i lo -j ACCEPT", "reject"),
        ("INPUT -i eth0 -j ACCEPT", "reject"),
        ("INPUT -m mark --mark 0x1/0x1 -j ACCEPT", "reject"),
    ],
)
def test_what_the_node_sends_to_itself_comes_in_again_by_lo(rule: str, output: str | None) -> None:
    reject = f"KUBE-EXTERNAL-SERVICES -p tcp -m addrtype --dst-type LOCAL -m tcp --dport 30080 {REFUSE}"
    rules = ruleset(nat=[*HOOKS, "KUBE-SERVICES"], filter=[rule, *FILTER, reject])
    assert told(read(rules)).get("output local:30080/tcp") == output


def test_nat_is_asked_once_for_what_the_node_sends_to_itself() -> None:
    lines = ["PREROUTING -p tcp -m tcp --dport 30080 -j DNAT --to-destination [fd00:10:244::1]:8080"]
    mangle = ["PREROUTING -i lo -p tcp -m tcp --dport 30080 -j DROP"]
    assert set(told(read(ruleset(nat=lines)))) == {"prerouting local:30080/tcp"}
    assert told(read(ruleset(nat=lines, mangle=mangle)))["output local:30080/tcp"] == "drop"


def test_host_ports_of_portmap_are_entries() -> None:
    lines = [
        "PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
        "OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
        'POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ',
        "CNI-DN-1 -s fd00:10:244::/64 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK",
        "CNI-DN-1 -p tcp -m tcp --dport 8080 -j DNAT --to-destination [fd00:10:244::7]:80",
        'CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"cbr0\\" id: \\"1\\"" '
        "-m multiport --dports 8080,8443 -j CNI-DN-1",
        "CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE",
        'CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000',
    ]
    found = read(ruleset(nat=lines))
    to = "[fd00:10:244::7]:80 no hairpin"
    assert told(found) == at_both("local:8080/tcp", f"fd00:10:244::/64: masquerade {to} | {to}")
    assert {entry.service for entry in found.entries} == {""}
    assert found.layout == "iptables, no rules of kube-proxy"


def test_rules_of_kube_proxy_1_21() -> None:
    """The masquerade rule before the jump, KUBE-FW for every balancer, KUBE-XLB, and a mark for what is dropped."""
    lines = [
        f"KUBE-SERVICES ! -s {PODS} {TO_VIP} -j KUBE-MARK-MASQ",
        f"KUBE-SERVICES {TO_VIP} -j KUBE-SVC-WEB",
        f"KUBE-SERVICES {TO_BALANCER} -j KUBE-FW-WEB",
        *balance("KUBE-SVC-WEB", 1, 2),
        *endpoint(1),
        *endpoint(2),
        "KUBE-FW-WEB -s 2001:db8:1::/48 -j KUBE-XLB-WEB",
        "KUBE-FW-WEB -j KUBE-MARK-DROP",
        f"KUBE-XLB-WEB -s {PODS} -j KUBE-SVC-WEB",
        "KUBE-XLB-WEB -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ",
        "KUBE-XLB-WEB -m addrtype --src-type LOCAL -j KUBE-SVC-WEB",
        'KUBE-XLB-WEB -m comment --comment "Balancing rule 0 for demo/web:http" -j KUBE-SEP-1',
        "KUBE-MARK-DROP -j MARK --set-xmark 0x8000/0x8000",
    ]
    drop = ["KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP"]
    local = read(node(lines, filter_=drop))
    assert local.layout == "iptables, kube-proxy 1.23 or older"
    assert told(local) == {
        **at_both(f"[{VIP}]:80/tcp", PLAIN),
        f"prerouting [{BALANCER}]:80/tcp": "2001:db8:1::/48: [fd00:10:244::1]:8080",
        f"output [{BALANCER}]:80/tcp": f"2001:db8:1::/48: masquerade {BOTH} | drop",
    }
    # The balancer's address is the node's own where kube-proxy's hosts are balancers too: INPUT, and dropped there.
    own = read_iptables_map("node-a", 6, node(lines, filter_=drop), (*LOCAL, parse_address(BALANCER)))
    assert told(own)[f"prerouting [{BALANCER}]:80/tcp"] == "2001:db8:1::/48: [fd00:10:244::1]:8080 | drop"


@pytest.mark.parametrize(
    ("nat", "filter_", "layout"),
    [
        ([], FILTER, "iptables, kube-proxy 1.26 or newer"),
        (["KUBE-EXT-A"], [], "iptables, kube-proxy 1.24 or 1.25"),
        (["KUBE-XLB-A"], [], "iptables, kube-proxy 1.23 or older"),
        ([], [], "iptables, kube-proxy 1.25 or older"),
    ],
)
def test_the_layout_is_told_by_chains(nat: list[str], filter_: list[str], layout: str) -> None:
    assert read(ruleset(nat=[*HOOKS, "KUBE-SERVICES", *nat], filter=filter_)).layout == layout


def test_members_of_sets_are_destinations() -> None:
    sets = parse_ipsets(
        b"create KUBE-CLUSTER-IP hash:ip,port family inet6 hashsize 1024 maxelem 65536\n"
        b"add KUBE-CLUSTER-IP fd00:10:96::a,tcp:80\n"
        b"create KUBE-NODE-PORT-TCP bitmap:port range 0-65535\n"
        b"add KUBE-NODE-PORT-TCP 30080\n"
    )
    lines = [
        "KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j KUBE-SEP-1",
        "KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODE-PORT",
        "KUBE-NODE-PORT -p tcp -m set --match-set KUBE-NODE-PORT-TCP dst -j KUBE-SEP-2",
        *endpoint(1),
        *endpoint(2),
    ]
    assert told(read(node(lines), sets=sets)) == {
        **at_both(f"[{VIP}]:80/tcp", "[fd00:10:244::1]:8080"),
        **at_both("local:30080/tcp", "[fd00:10:244::2]:8080"),
    }


def test_rules_are_told_in_the_order_of_the_walk() -> None:
    branch = read(node(CLUSTER_IP)).entries[0].branches[0]
    assert [(each.where, each.text.split(" -j ")[-1]) for each in branch.rules] == [
        ("nat PREROUTING", "KUBE-SERVICES"),
        ("nat KUBE-SERVICES", "KUBE-SVC-WEB"),
        ("nat KUBE-SVC-WEB", "KUBE-MARK-MASQ"),
        ("nat KUBE-MARK-MASQ", "MARK --set-xmark 0x4000/0x4000"),
    ]
    assert [(each.where, each.text.split(" -j ")[-1]) for each in branch.backends[0].rules] == [
        ("nat KUBE-SVC-WEB", "KUBE-SEP-1"),
        ("nat KUBE-SEP-1", "KUBE-MARK-MASQ"),
        ("nat KUBE-SEP-1", "DNAT --to-destination [fd00:10:244::1]:8080"),
    ]


def test_one_destination_is_read_as_it_is_in_the_map() -> None:
    rules = node(CLUSTER_IP, NODE_PORT, EXTERNAL_LOCAL)

    def one(hook: Hook, address: str, port: int) -> str:
        branches = read_one_destination(rules, LOCAL, hook, parse_address(address), "tcp", port)
        return " | ".join(map(tell_branch, branches))

    assert one(Hook.OUTPUT, VIP, 80) == PLAIN
    assert one(Hook.OUTPUT, VIP, 81) == ""
    assert one(Hook.PREROUTING, "fd00:10:99::11", 30080) == f"{PODS}: {BOTH} | [fd00:10:244::1]:8080"
    assert one(Hook.PREROUTING, "::1", 30080) == ""


def test_one_destination_is_asked_of_sets_too() -> None:
    sets = parse_ipsets(
        b"create VIPS hash:ip family inet6 hashsize 1024 maxelem 65536\nadd VIPS fd00:10:96::a\n"
    )
    rules = node(["KUBE-SERVICES -m set --match-set VIPS dst -j KUBE-SEP-1", *endpoint(1)])
    branches = read_one_destination(rules, LOCAL, Hook.OUTPUT, parse_address(VIP), "tcp", 80, sets)
    assert [*map(tell_branch, branches)] == ["[fd00:10:244::1]:8080"]


def _captured(name: str, file: str, old: str = "", new: str = "") -> ServiceMap:
    text = load(DATAPLANES / name, file)
    assert old in text
    return read_iptables_map(
        "node-a", 6 if file.startswith("ip6") else 4, parse_iptables_save(text.replace(old, new)), LOCAL
    )


@pytest.mark.parametrize("file", ["ip6tables-save.txt", "iptables-save.txt"])
def test_a_real_node_without_the_jumps_of_nat_translates_nothing(file: str) -> None:
    name = "1.36.2-iptables"
    whole = _captured(name, file)
    assert len([entry for entry in whole.entries if entry.branches[0].backends]) > 200
    bare = _captured(name, file, "-j KUBE-SERVICES\n", "-j RETURN\n")
    assert not [entry for entry in bare.entries if any(branch.backends for branch in entry.branches)]


def test_more_than_a_thousand_endpoints_have_no_comments_and_are_all_there() -> None:
    found = _captured("1.36.2-iptables-large", "ip6tables-save.txt")
    largest = max(
        (branch for entry in found.entries for branch in entry.branches), key=lambda each: len(each.backends)
    )
    assert len(largest.backends) == 1200
    assert {each.is_hairpin_masqueraded for each in largest.backends} == {True}
    assert all(each.share == pytest.approx(1 / 1200, abs=1e-6) for each in largest.backends)
    assert sum(each.share for each in largest.backends) == pytest.approx(1, abs=1e-9)


def test_both_backends_write_the_same_map() -> None:
    nft = _captured("1.36.2-iptables-any", "ip6tables-save.txt")
    legacy = _captured("1.36.2-iptables-legacy", "ip6tables-save.txt")
    text = load(DATAPLANES / "1.36.2-iptables-legacy", "ip6tables-save.txt")
    assert parse_iptables_save(text).backend is XtablesBackend.LEGACY
    assert len(legacy.entries) == len(nft.entries)
