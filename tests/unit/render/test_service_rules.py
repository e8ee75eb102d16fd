"""Rules for Services as people read them."""

from __future__ import annotations

from msgspec.structs import replace

from netinspect.models.address import parse_address
from netinspect.models.address_owner import AddressOwner, OwnerKind
from netinspect.models.service_map import (
    Destination,
    Hook,
    Mode,
    Outcome,
    RuleRef,
    SourceCondition,
    SourceKind,
)
from netinspect.models.service_rules import NamedBackend, NamedBranch, NamedBy, Role, ServiceRules
from netinspect.render.service_rules import (
    COLUMNS,
    WIDE_COLUMNS,
    name_of,
    render_tree,
    rows_of,
    show_destination,
)
from netinspect.render.table import render_table

PODS = SourceCondition(kind=SourceKind.NETWORK, values=("fd00:244::/48",))
OWN = RuleRef(where="nat KUBE-SERVICES", text="-A KUBE-SERVICES -d fd00:96::20/128", packets=12, bytes=720)
LEAF = RuleRef(where="nat KUBE-SEP-A", text="-A KUBE-SEP-A -j DNAT")


def backend(number: int, share: float = 0.5) -> NamedBackend:
    return NamedBackend(
        address=parse_address(f"fd00:244:1::{number}"),
        port=8080,
        share=share,
        masqueraded_from=(parse_address(f"fd00:244:1::{number}"),),
        rules=(LEAF,),
        owner=AddressOwner(kind=OwnerKind.POD, namespace="demo", name=f"web-{number}", node="node-a"),
    )


def web(*branches: NamedBranch, **fields: object) -> ServiceRules:
    rules = ServiceRules(
        node="node-a",
        family=6,
        mode=Mode.IPTABLES,
        namespace="demo",
        service="web",
        port_name="http",
        named_by=NamedBy.RULES,
        role=Role.CLUSTER_IP,
        destination=Destination(address=parse_address("fd00:96::20"), protocol="tcp", port=80),
        hooks=(Hook.PREROUTING, Hook.OUTPUT),
        branches=branches,
    )
    return replace(rules, **fields)


FROM_PODS = NamedBranch(
    when=(PODS,), outcome=Outcome.BACKENDS, backends=(backend(1), backend(2)), rules=(OWN,)
)
OTHERS = replace(FROM_PODS, when=(), masquerade=True)


def test_a_tree_has_branches_backends_and_rules_with_their_counters() -> None:
    assert render_tree([web(FROM_PODS, OTHERS)]) == (
        "node node-a, IPv6, iptables mode\n"
        "demo/web:http ClusterIP [fd00:96::20]:80/tcp at prerouting and output\n"
        "├─ from fd00:244::/48: 2 backends\n"
        "│  by nat KUBE-SERVICES (12 packets)\n"
        "│  ├─ 50% [fd00:244:1::1]:8080 pod demo/web-1 on node-a (hairpin masqueraded)\n"
        "│  │  by nat KUBE-SEP-A\n"
        "│  └─ 50% [fd00:244:1::2]:8080 pod demo/web-2 on node-a (hairpin masqueraded)\n"
        "│     by nat KUBE-SEP-A\n"
        "└─ from any other source: 2 backends, masqueraded\n"
        "   by nat KUBE-SERVICES (12 packets)\n"
        "   └─ the same 2 backends as above\n"
    )


def test_a_way_through_rules_is_one_line() -> None:
    once = replace(LEAF, where="nat KUBE-SVC-A", packets=1)
    both = replace(FROM_PODS, rules=(OWN, once, LEAF), backends=())
    way = "by nat KUBE-SERVICES (12 packets) > KUBE-SVC-A (1 packet) > KUBE-SEP-A\n"
    assert f"└─ from fd00:244::/48: 0 backends\n   {way}" in render_tree([web(both)])


def test_of_rules_of_one_chain_the_last_leads_on() -> None:
    marked, gone = replace(LEAF, packets=1), replace(LEAF, packets=2)
    tree = render_tree([web(replace(FROM_PODS, rules=(OWN, marked, gone), backends=()))])
    assert "by nat KUBE-SERVICES (12 packets) > KUBE-SEP-A (2 packets)\n" in tree


def test_wide_shows_the_rules_themselves() -> None:
    text = render_tree([web(FROM_PODS)], is_wide=True)
    assert "· nat KUBE-SERVICES (12 packets) -A KUBE-SERVICES -d fd00:96::20/128\n" in text
    assert "· nat KUBE-SEP-A -A KUBE-SEP-A -j DNAT\n" in text


def test_a_rule_of_one_hook_says_so_when_it_is_shown_whole() -> None:
    apart = replace(OWN, hooks=(Hook.OUTPUT,))
    text = render_tree([web(replace(FROM_PODS, rules=(apart,)))], is_wide=True)
    assert "· at output: nat KUBE-SERVICES (12 packets) -A KUBE-SERVICES" in text


def test_what_nothing_is_done_with_is_said() -> None:
    rest = NamedBranch(outcome=Outcome.NONE)
    dropped = NamedBranch(when=(PODS,), outcome=Outcome.DROP)
    text = render_tree([web(dropped, rest)])
    assert text.endswith("├─ from fd00:244::/48: drop\n└─ from any other source: nothing is done\n")
    rows = render_table(COLUMNS, [*rows_of(web(dropped, rest))], has_headers=False).splitlines()
    assert [row.split()[5:] for row in rows] == [
        ["fd00:244::/48", "drop", "<none>"],
        ["any", "other", "nothing", "is", "done", "<none>"],
    ]


def test_what_has_no_backends_says_what_happens_and_what_was_not_judged() -> None:
    refused = NamedBranch(outcome=Outcome.REJECT, undecided=("mark match 0x1: nat X",))
    assert render_tree([web(refused, namespace="", service="", port_name="", role=Role.UNKNOWN)]) == (
        "node node-a, IPv6, iptables mode\n"
        "no Service is known for [fd00:96::20]:80/tcp at prerouting and output\n"
        "└─ from any source: reject, 1 rule not judged\n"
        "   not judged: mark match 0x1: nat X\n"
    )


def test_traits_of_a_backend_and_what_is_lost() -> None:
    odd = replace(
        backend(1, 1 / 3), weight=2, forwarding="masq", affinity_s=10800, masqueraded_from=(), owner=None
    )
    text = render_tree([web(replace(OTHERS, backends=(odd,), lost=2 / 3, rules=()))])
    assert "└─ from any source: 1 backend, masqueraded, 66.7% lost\n" in text
    assert "   └─ 33.3% [fd00:244:1::1]:8080 (weight 2, masq, affinity 10800 s)\n" in text


def test_each_node_and_family_has_its_heading() -> None:
    items = [web(OTHERS), web(OTHERS, node="node-b", mode=Mode.NFTABLES)]
    headings = [line for line in render_tree(items).splitlines() if line.startswith("node ")]
    assert headings == ["node node-a, IPv6, iptables mode", "node node-b, IPv6, nftables mode"]


def test_text_of_rules_cannot_write_to_the_terminal() -> None:
    evil = RuleRef(where="nat X", text="a\x1b[31m\nb")
    text = render_tree([web(replace(OTHERS, rules=(evil,)))], is_wide=True)
    assert "\x1b" not in text
    assert "\nb" not in text


def test_a_table_has_a_row_for_each_branch() -> None:
    link = SourceCondition(kind=SourceKind.LINK, values=("cni0",), negated=True)
    many = replace(OTHERS, when=(link,), backends=tuple(backend(each, 0.2) for each in range(1, 6)))
    text = render_table(COLUMNS, [*rows_of(web(FROM_PODS, many))])
    assert [line.split() for line in text.splitlines()] == [
        ["NODE", "SERVICE", "TYPE", "DESTINATION", "HOOKS", "SOURCE", "DOES", "BACKENDS"],
        [
            *("node-a", "demo/web:http", "ClusterIP", "[fd00:96::20]:80/tcp", "prerouting,output"),
            *("fd00:244::/48", "2", "backends"),
            "[fd00:244:1::1]:8080(50%),[fd00:244:1::2]:8080(50%)",
        ],
        [
            *("node-a", "demo/web:http", "ClusterIP", "[fd00:96::20]:80/tcp", "prerouting,output"),
            *("not", "link", "cni0", "5", "backends,", "masqueraded"),
            "[fd00:244:1::1]:8080(20%),[fd00:244:1::2]:8080(20%),[fd00:244:1::3]:8080(20%)",
            *("+", "2", "more"),
        ],
    ]


def test_a_wide_table_has_all_backends() -> None:
    many = replace(OTHERS, backends=tuple(backend(each, 0.2) for each in range(1, 6)))
    text = render_table(WIDE_COLUMNS, [*rows_of(web(many))], is_wide=True)
    assert ",".join(f"[fd00:244:1::{each}]:8080(20%)" for each in range(1, 6)) in text
    assert "more" not in text


def test_wide_columns_say_mode_affinity_and_packets() -> None:
    row = replace(FROM_PODS, backends=(replace(backend(1), affinity_s=60),))
    text = render_table(COLUMNS, [*rows_of(web(row))], is_wide=True)
    assert text.splitlines()[1].split()[-4:] == ["iptables", "rules", "60s", "12"]
    bare = NamedBranch(outcome=Outcome.DROP)
    text = render_table(COLUMNS, [*rows_of(web(bare))], is_wide=True)
    assert text.splitlines()[1].split()[-4:] == ["iptables", "rules", "<none>", "<none>"]


def test_names_and_destinations() -> None:
    assert name_of(web()) == "service/web"
    assert name_of(web(service="")) == "destination/[fd00:96::20]:80/tcp"
    local = Destination(address=None, protocol="udp", port=30053, except_=("127.0.0.0/8",))
    assert show_destination(local) == "any-local:30053/udp except 127.0.0.0/8"
    assert show_destination(replace(local, except_=())) == "any-local:30053/udp"
