"""Whose an entry of a map is: by the rules, by a chain's hash, by the API; and what its backends are."""

from __future__ import annotations

from msgspec.structs import replace

from netinspect.analyze.rules.service_rules import build_service_names, name_rules
from netinspect.analyze.service_map.chain_names import ServicePortName, iptables_hash
from netinspect.models.address import parse_address
from netinspect.models.address_owner import AddressOwner, OwnerKind
from netinspect.models.fact import Known
from netinspect.models.kubernetes import Endpoint, EndpointSlice, ObjectMeta, ObjectReference
from netinspect.models.service_map import (
    Backend,
    Branch,
    Destination,
    Hook,
    MapEntry,
    Mode,
    Outcome,
    RuleRef,
    ServiceMap,
    SourceCondition,
    SourceKind,
)
from netinspect.models.service_rules import NamedBy, Role, ServiceRules
from tests.unit.analyze.build import link
from tests.unit.flow_world import DENIED, STATE, service

V6, V4 = "fd00:96::20", "10.96.0.20"
WEB_1_V6 = Backend(address=parse_address("fd00:244:1::5"), port=8080, share=1.0)
PODS = SourceCondition(kind=SourceKind.NETWORK, values=("10.244.0.0/16",))


def to(ip: str | None, port: int = 80, protocol: str = "tcp", except_: tuple[str, ...] = ()) -> Destination:
    return Destination(
        address=parse_address(ip) if ip else None, protocol=protocol, port=port, except_=except_
    )


def branch(*backends: Backend, where: str = "nat KUBE-SERVICES", packets: int | None = None) -> Branch:
    return Branch(
        outcome=Outcome.BACKENDS,
        backends=backends,
        rules=(RuleRef(where=where, text=f"-A {where}", packets=packets),),
    )


def entry(
    destination: Destination,
    *branches: Branch,
    hook: Hook = Hook.PREROUTING,
    service: str = "",
) -> MapEntry:
    return MapEntry(
        hook=hook, destination=destination, branches=branches or (branch(WEB_1_V6),), service=service
    )


def name(*entries: MapEntry, state: object = None, links: object = None) -> tuple[ServiceRules, ...]:
    service_map = ServiceMap(node="node-a", family=6, mode=Mode.IPTABLES, entries=entries)
    return name_rules(service_map, build_service_names(state or STATE, links))  # type: ignore[arg-type]


def test_the_rules_say_whose_a_destination_is_also_where_the_api_says_another() -> None:
    [rules] = name(entry(to(V6), service="old/shop:web"))
    assert (rules.title, rules.named_by, rules.role) == ("old/shop:web", NamedBy.RULES, Role.CLUSTER_IP)
    assert (rules.node, rules.family, rules.mode) == ("node-a", 6, Mode.IPTABLES)


def test_an_unnamed_port_has_no_colon() -> None:
    [rules] = name(entry(to(V6), service="old/shop"))
    assert (rules.title, rules.port_name) == ("old/shop", "")


def test_the_hash_of_a_chain_names_the_service() -> None:
    hash_ = iptables_hash(ServicePortName(namespace="demo", service="web", port_name="http"))
    for where in (f"nat KUBE-SVC-{hash_}", f"nat KUBE-EXT-{hash_}"):
        [rules] = name(entry(to("2001:db8::9", 8443), branch(WEB_1_V6, where=where)))
        assert (rules.title, rules.named_by, rules.role) == ("demo/web:http", NamedBy.HASH, Role.UNKNOWN)
    of_backend = replace(WEB_1_V6, rules=(RuleRef(where=f"nat KUBE-SVC-{hash_}", text=""),))
    [rules] = name(entry(to("2001:db8::9", 8443), branch(of_backend)))
    assert rules.title == "demo/web:http"


def test_the_api_names_what_the_rules_do_not() -> None:
    names = {
        (each.destination.protocol, each.role): (each.title, each.named_by)
        for each in name(
            entry(to(V6)), entry(to(V6, protocol="udp")), entry(to(None, 30080), hook=Hook.OUTPUT)
        )
    }
    assert names == {
        ("tcp", Role.CLUSTER_IP): ("demo/web:http", NamedBy.API),
        ("udp", Role.CLUSTER_IP): ("demo/web:echo", NamedBy.API),
        ("tcp", Role.NODE_PORT): ("demo/web:http", NamedBy.API),
    }


def test_what_nothing_names_has_no_name() -> None:
    [rules] = name(entry(to("2001:db8::9", 443)))
    assert (rules.title, rules.named_by, rules.role) == ("", NamedBy.NOTHING, Role.UNKNOWN)


def test_a_node_port_that_is_named_address_by_address_is_the_services_at_the_nodes_addresses_only() -> None:
    links = {"node-a": [link("cni0", 5, "bridge", ips=("fd00:244:1::1/64",))]}
    for ip, role in (
        ("fd00:99::11", Role.NODE_PORT),
        ("fd00:244:1::1", Role.NODE_PORT),
        ("::1", Role.NODE_PORT),
        ("2001:db8::9", Role.UNKNOWN),
    ):
        [rules] = name(entry(to(ip, 30080)), links=links)
        assert rules.role is role, ip


def test_roles_of_all_ways_in_and_a_cluster_ip_stays_its_owners() -> None:
    thief = service("a-thief", external=(V6,))
    web = service("web", V6, external=("2001:db8::1",), balancer=("2001:db8::2",))
    with_check = replace(web, spec=replace(web.spec, health_check_node_port=31000))
    state = replace(STATE, services=Known((thief, with_check)))
    found = {
        each.destination.port if each.destination.address is None else str(each.destination.address): (
            each.role,
            each.service,
        )
        for each in name(
            entry(to(V6)),
            entry(to("2001:db8::1")),
            entry(to("2001:db8::2")),
            entry(to(None, 31000), hook=Hook.INPUT),
            state=state,
        )
    }
    assert found == {
        V6: (Role.CLUSTER_IP, "web"),
        "2001:db8::1": (Role.EXTERNAL_IP, "web"),
        "2001:db8::2": (Role.LOAD_BALANCER, "web"),
        31000: (Role.HEALTH_CHECK, "web"),
    }


def test_hooks_at_which_the_same_happens_are_one_and_keep_the_rules_of_both() -> None:
    """Each rule once: where the two walks meet, they go on as one."""
    common = tuple(RuleRef(where=f"nat {chain}", text="x") for chain in ("KUBE-SERVICES", "KUBE-SVC-X"))
    backend = replace(WEB_1_V6, rules=(RuleRef(where="nat KUBE-SEP-X", text="x"),))
    first, second = (
        Branch(
            outcome=Outcome.BACKENDS,
            backends=(backend,),
            rules=(
                RuleRef(where=f"nat {hook}", text="x"),
                *common,
                RuleRef(where=f"nat AFTER-{hook}", text="x"),
            ),
        )
        for hook in ("PREROUTING", "OUTPUT")
    )
    [rules] = name(entry(to(V6), second, hook=Hook.OUTPUT), entry(to(V6), first))
    assert rules.hooks == (Hook.PREROUTING, Hook.OUTPUT)
    assert [(each.where, each.hooks) for each in rules.branches[0].rules] == [
        ("nat PREROUTING", (Hook.PREROUTING,)),
        ("nat OUTPUT", (Hook.OUTPUT,)),
        ("nat KUBE-SERVICES", ()),
        ("nat KUBE-SVC-X", ()),
        ("nat AFTER-PREROUTING", (Hook.PREROUTING,)),
        ("nat AFTER-OUTPUT", (Hook.OUTPUT,)),
    ]
    assert [(each.where, each.hooks) for each in rules.branches[0].backends[0].rules] == [
        ("nat KUBE-SEP-X", ())
    ]


def test_sources_that_no_branch_takes_are_left_alone_and_it_is_said() -> None:
    some = replace(branch(WEB_1_V6), when=(PODS,))
    [rules] = name(entry(to(V6), some), entry(to(V6), some, hook=Hook.OUTPUT))
    assert [(each.when, each.outcome) for each in rules.branches] == [
        ((PODS,), Outcome.BACKENDS),
        ((), Outcome.NONE),
    ]
    others = replace(branch(), when=(replace(PODS, negated=True),), outcome=Outcome.DROP)
    [rules] = name(entry(to(V6), some, others))
    assert [each.outcome for each in rules.branches] == [Outcome.BACKENDS, Outcome.DROP]


def test_hooks_at_which_something_else_happens_stay_apart() -> None:
    other = replace(branch(WEB_1_V6), masquerade=True)
    found = name(entry(to(V6), branch(WEB_1_V6)), entry(to(V6), other, hook=Hook.OUTPUT))
    assert [each.hooks for each in found] == [(Hook.PREROUTING,), (Hook.OUTPUT,)]
    assert [each.branches[0].masquerade for each in found] == [False, True]


def test_conditions_and_traits_of_branches_are_kept() -> None:
    odd = Branch(
        when=(PODS,),
        outcome=Outcome.BACKENDS,
        backends=(replace(WEB_1_V6, affinity_s=5),),
        lost=0.5,
        masquerade=True,
        undecided=("mark",),
    )
    [rules] = name(entry(to(V6), odd))
    found = rules.branches[0]
    assert (found.when, found.lost, found.masquerade, found.undecided) == ((PODS,), 0.5, True, ("mark",))
    assert found.backends[0].affinity_s == 5


def test_backends_are_pods_and_a_host_network_pod_is_told_by_the_slices() -> None:
    node_v6 = replace(WEB_1_V6, address=parse_address("fd00:99::11"))
    of_web = EndpointSlice(
        metadata=ObjectMeta(name="web-x", namespace="demo", labels={"kubernetes.io/service-name": "web"}),
        address_type="IPv6",
        endpoints=(
            Endpoint(
                addresses=("fd00:99::11",),
                node_name="node-a",
                target_ref=ObjectReference(kind="Pod", name="proxy", namespace="demo"),
            ),
            Endpoint(addresses=("fd00:99::12",), target_ref=ObjectReference(kind="Node", name="node-b")),
        ),
    )
    state = replace(STATE, slices=Known((of_web,)))
    other = replace(WEB_1_V6, address=parse_address("fd00:99::12"))
    [rules] = name(entry(to(V6), branch(WEB_1_V6, node_v6, other)), state=state)
    web_1, host, node = (each.owner for each in rules.branches[0].backends)
    assert web_1 == AddressOwner(kind=OwnerKind.POD, namespace="demo", name="web-1", node="node-a")
    assert host == AddressOwner(kind=OwnerKind.POD, namespace="demo", name="proxy", node="node-a")
    assert node == AddressOwner(kind=OwnerKind.NODE, name="node-b")


def test_without_the_api_only_the_rules_name_things() -> None:
    state = replace(STATE, pods=DENIED, services=DENIED, nodes=DENIED)
    named, unnamed = name(entry(to(V6), service="demo/web:http"), entry(to(V4)), state=state)
    assert (named.title, named.role) == ("demo/web:http", Role.UNKNOWN)
    assert (unnamed.title, unnamed.role) == ("", Role.UNKNOWN)
    assert named.branches[0].backends[0].owner == AddressOwner(kind=OwnerKind.UNKNOWN)


def test_services_stand_by_name_and_what_has_none_last() -> None:
    found = name(
        entry(to("2001:db8::9", 443)),
        entry(to(None, 30080)),
        entry(to(V6)),
        entry(to("fd00::1"), service="a/b"),
    )
    assert [(each.title, each.role) for each in found] == [
        ("a/b", Role.UNKNOWN),
        ("demo/web:http", Role.CLUSTER_IP),
        ("demo/web:http", Role.NODE_PORT),
        ("", Role.UNKNOWN),
    ]
