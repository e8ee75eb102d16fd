"""Two maps are the same where they do the same to every packet, however their branches are cut."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from msgspec.structs import replace

from netinspect.analyze.service_map.compare import compare_maps
from netinspect.models.address import Address, parse_address
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
from netinspect.models.service_map_difference import MapDifference

POD_A, POD_B = "fd00:10:244::5", "fd00:10:244:1::9"
VIP = "fd00:10:96::a"
PODS = SourceCondition(kind=SourceKind.NETWORK, values=("fd00:10:244::/48",))
NOT_PODS = replace(PODS, negated=True)
BRIDGE = SourceCondition(kind=SourceKind.LINK, values=("cni0",))
CALICO = SourceCondition(kind=SourceKind.LINK, values=("cali+",))
LOCAL = tuple(map(parse_address, ("::1", "fd00::1", "10.0.0.1")))


def backend(address: str = POD_A, share: float = 1.0, **fields: object) -> Backend:
    values = {"port": 80, "masqueraded_from": (parse_address(address),), **fields}
    return Backend(address=parse_address(address), share=share, **values)  # type: ignore[arg-type]


def to(*backends: Backend, when: tuple[SourceCondition, ...] = (), **fields: object) -> Branch:
    return Branch(outcome=Outcome.BACKENDS, backends=backends, when=when, **fields)  # type: ignore[arg-type]


def end(outcome: Outcome, *when: SourceCondition) -> Branch:
    return Branch(outcome=outcome, when=when)


def entry(
    *branches: Branch,
    address: str | None = VIP,
    hook: Hook = Hook.PREROUTING,
    except_: tuple[str, ...] = (),
    port: int = 80,
) -> MapEntry:
    to_address: Address | None = parse_address(address) if address else None
    return MapEntry(
        hook=hook,
        destination=Destination(address=to_address, protocol="tcp", port=port, except_=except_),
        branches=branches,
    )


def compare(
    expected: tuple[MapEntry, ...], seen: tuple[MapEntry, ...], family: int = 6
) -> tuple[MapDifference, ...]:
    left, right = (
        ServiceMap(node="n", family=family, mode=Mode.IPTABLES, entries=each) for each in (expected, seen)
    )
    return compare_maps(left, right, LOCAL)


def test_branches_cut_otherwise_mean_the_same() -> None:
    one = entry(to(backend(), when=(NOT_PODS,), masquerade=True), to(backend()))
    other = entry(to(backend(), when=(PODS,)), to(backend(), masquerade=True))
    assert compare((one,), (other,)) == ()


def test_rules_counters_and_names_are_no_part_of_the_meaning() -> None:
    ref = RuleRef(where="nat KUBE-SERVICES", text="-A ...", packets=7)
    other = entry(to(backend(rules=(ref,)), rules=(ref,)))
    assert compare((entry(to(backend())),), (replace(other, service="ns/name"),)) == ()


@pytest.mark.parametrize("family", [4, 6])
def test_a_difference_says_which_packets_and_what_is_different(family: int) -> None:
    pods, vip = ("fd00:10:244::/48", VIP) if family == 6 else ("10.244.0.0/16", "10.96.0.10")
    only = SourceCondition(kind=SourceKind.NETWORK, values=(pods,), negated=True)
    pod = POD_A if family == 6 else "10.244.0.5"
    good = entry(to(backend(pod), when=(only,), masquerade=True), to(backend(pod)), address=vip)
    bad = entry(to(backend(pod)), address=vip)
    (found,) = compare((good,), (bad,), family)
    assert found.hook is Hook.PREROUTING
    assert found.destination == good.destination
    assert found.differs[0] == "masquerade"
    assert found.source not in ip_network(pods)
    assert found.source.version == family
    assert (found.expected, found.seen) == (good.branches[0], bad.branches[0])


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        (to(backend(POD_B)), "backends"),
        (to(backend(port=81)), "backends"),
        (to(backend(port=None)), "backends"),
        (to(backend(share=0.5), lost=0.5), "lost"),
        (to(backend(affinity_s=10800)), "affinity"),
        (to(backend(masqueraded_from=())), "hairpin"),
        (to(backend(weight=1)), "weight"),
        (to(backend(forwarding="masq")), "forwarding"),
        (to(backend(), masquerade=True), "masquerade"),
        (to(backend(), undecided=("mark match",)), "undecided"),
        (end(Outcome.REJECT), "outcome"),
        (end(Outcome.NONE), "outcome"),
    ],
)
def test_each_trait_counts(changed: Branch, name: str) -> None:
    one, other = (entry(to(backend())),), (entry(changed),)
    assert [name in found.differs for found in compare(one, other)] == [True]
    if not changed.undecided:
        assert [name in found.differs for found in compare(other, one)] == [True]


def test_shares_may_differ_by_what_iptables_rounds_and_no_more() -> None:
    third = entry(to(backend(share=1 / 3), backend(POD_B, share=2 / 3)))
    rounded = entry(to(backend(share=0.33333333349), backend(POD_B, share=0.66666666651)))
    wrong = entry(to(backend(share=0.33334), backend(POD_B, share=0.66666)))
    assert compare((third,), (rounded,)) == ()
    assert [each.differs for each in compare((third,), (wrong,))] == [("shares",)]


def test_the_order_of_backends_does_not_matter() -> None:
    pair = backend(share=0.5), backend(POD_B, share=0.5)
    assert compare((entry(to(*pair)),), (entry(to(*reversed(pair))),)) == ()


def test_hairpin_does_not_matter_where_all_is_masqueraded_or_the_pod_cannot_be_the_source() -> None:
    without = backend(masqueraded_from=())
    assert compare((entry(to(backend(), masquerade=True)),), (entry(to(without, masquerade=True)),)) == ()
    one = entry(to(backend(), when=(NOT_PODS,)), to(backend()))
    assert compare((one,), (entry(to(without, when=(NOT_PODS,)), to(backend())),)) == ()
    (found,) = compare((one,), (entry(to(without)),))
    assert found.differs == ("hairpin",)
    assert found.source in ip_network(PODS.values[0])


def test_masquerading_does_not_matter_where_nothing_is_sent() -> None:
    one = replace(end(Outcome.DROP), masquerade=True)
    assert compare((entry(one),), (entry(end(Outcome.DROP)),)) == ()


def test_a_missing_entry_is_the_same_as_one_that_does_nothing() -> None:
    assert compare((), (entry(end(Outcome.NONE)),)) == ()
    (found,) = compare((entry(to(backend())),), ())
    assert (found.differs, found.seen.outcome) == (("outcome",), Outcome.NONE)
    (found,) = compare((), (entry(to(backend())),))
    assert (found.differs, found.expected.outcome) == (("outcome",), Outcome.NONE)


def test_hooks_protocols_and_ports_are_apart() -> None:
    one = entry(to(backend()))
    for other in (entry(to(backend()), hook=Hook.OUTPUT), entry(to(backend()), port=81)):
        assert len(compare((one,), (other,))) == 2


def test_a_source_outside_all_branches_meets_nothing() -> None:
    firewall = entry(to(backend(), when=(PODS,)))
    dropped = entry(to(backend(), when=(PODS,)), end(Outcome.DROP))
    (found,) = compare((dropped,), (firewall,))
    assert (found.expected.outcome, found.seen.outcome) == (Outcome.DROP, Outcome.NONE)


def test_a_range_within_a_range_is_a_piece_of_its_own() -> None:
    inner = SourceCondition(kind=SourceKind.NETWORK, values=("fd00:10:244:1::/64",))
    one = entry(to(backend(), when=(PODS,)))
    other = entry(end(Outcome.DROP, inner), to(backend(), when=(PODS,)))
    (found,) = compare((one,), (other,))
    assert str(found.source) == "fd00:10:244:1::1"


def test_the_whole_space_is_compared_up_to_its_last_address() -> None:
    last = SourceCondition(kind=SourceKind.NETWORK, values=("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",))
    first = SourceCondition(kind=SourceKind.NETWORK, values=("::/128",))
    for edge in (first, last):
        (found,) = compare((entry(to(backend())),), (entry(end(Outcome.DROP, edge), to(backend())),))
        assert f"{found.source}/128" in (*last.values, *first.values)


def test_every_condition_of_a_branch_must_hold() -> None:
    one = entry(to(backend(), when=(PODS, BRIDGE)))
    assert compare((one,), (entry(to(backend(), when=(BRIDGE, PODS))),)) == ()
    found = compare((one,), (entry(to(backend(), when=(PODS,))),))
    assert [(each.link == "cni0", str(each.source)) for each in found] == [(False, "fd00:10:244::1")]


def test_links_are_told_apart_by_name_and_by_prefix() -> None:
    one = entry(to(backend(), when=(CALICO,)), end(Outcome.DROP))
    calico = SourceCondition(kind=SourceKind.LINK, values=("cali0",))
    (found,) = compare((one,), (entry(to(backend(), when=(calico,)), end(Outcome.DROP)),))
    assert found.link is not None
    assert found.link.startswith("cali")
    assert found.link != "cali0"


def test_a_prefix_within_a_prefix_is_a_piece_of_its_own() -> None:
    def only(*links: str) -> tuple[MapEntry, ...]:
        named = SourceCondition(kind=SourceKind.LINK, values=links)
        return (entry(to(backend(), when=(named,)), end(Outcome.DROP)),)

    (found,) = compare(only("veth+"), only("veth", "veth0+", "veth1"))
    assert found.link == "veth2"
    (found,) = compare(only("veth+"), only("veth+", "cni0"))
    assert found.link == "cni0"
    every = tuple(f"veth{each}" for each in "0123456789abcdefghijklmnopqrstuvwxyz")
    (found,) = compare(only("veth+"), only(*every))
    assert found.link == "veth/"


def test_at_output_there_is_no_link() -> None:
    not_bridge = replace(BRIDGE, negated=True)
    one = entry(to(backend(), when=(not_bridge,), masquerade=True), to(backend()), hook=Hook.OUTPUT)
    always = entry(to(backend(), masquerade=True), hook=Hook.OUTPUT)
    assert compare((one,), (always,)) == ()
    assert len(compare((replace(one, hook=Hook.PREROUTING),), (replace(always, hook=Hook.PREROUTING),))) == 1


def test_a_node_port_is_the_same_at_any_address_and_at_each() -> None:
    any_ = entry(to(backend()), address=None, port=30080)
    each = tuple(entry(to(backend()), address=str(a), port=30080) for a in LOCAL if a.version == 6)
    assert compare((any_,), each) == ()
    (found,) = compare((any_,), each[:1])
    assert str(found.destination.address) == "fd00::1"


def test_an_address_that_is_left_out_meets_nothing_there() -> None:
    without = entry(to(backend()), address=None, port=30080, except_=("::1/128",))
    any_ = entry(to(backend()), address=None, port=30080)
    (found,) = compare((any_,), (without,))
    assert (str(found.destination.address), found.also_at) == ("::1", ())
    own = entry(to(backend()), address="::1", port=30080)
    assert compare((any_,), (without, own)) == ()


def test_an_entry_for_the_address_stands_before_one_for_any() -> None:
    any_ = entry(to(backend()), address=None, port=30080)
    own = entry(end(Outcome.DROP), address="::1", port=30080)
    (found,) = compare((any_,), (any_, own))
    assert str(found.destination.address) == "::1"


def test_a_difference_at_any_address_is_one() -> None:
    any_ = entry(to(backend()), address=None, port=30080)
    (found,) = compare((any_,), ())
    assert [str(each) for each in (found.destination.address, *found.also_at)] == ["::1", "fd00::1"]


def test_what_cannot_be_compared_is_refused() -> None:
    six = ServiceMap(node="n", family=6, mode=Mode.IPTABLES)
    with pytest.raises(ValueError, match="IPv6, the other of IPv4"):
        compare_maps(six, replace(six, family=4), LOCAL)
    node_port = replace(six, entries=(entry(to(backend()), address=None),))
    with pytest.raises(ValueError, match="no local address"):
        compare_maps(six, node_port, (parse_address("10.0.0.1"),))


@pytest.mark.parametrize("turned", [False, True])
def test_which_map_is_which_does_not_matter(turned: bool) -> None:
    any_ = entry(to(backend()), address=None, port=30080)
    without = entry(to(backend()), address=None, port=30080, except_=("::1/128",))
    own = entry(to(backend()), address="fd00::1", port=30080)
    nothing: tuple[MapEntry, ...] = ()
    for one, other, expected in (
        (nothing, (any_,), ["::1 fd00::1"]),
        ((any_,), (without,), ["::1"]),
        ((without,), (own,), []),
        ((any_,), (own,), ["::1"]),
    ):
        pair = (other, one) if turned else (one, other)
        found = compare(*pair)
        addresses = [" ".join(map(str, (each.destination.address, *each.also_at))) for each in found]
        assert addresses == expected


def test_of_two_entries_for_any_address_the_narrower_one_counts() -> None:
    wide = entry(end(Outcome.DROP), address=None, port=30080)
    narrow = entry(to(backend()), address=None, port=30080, except_=("::1/128",))
    each = (
        entry(to(backend()), address="fd00::1", port=30080),
        entry(end(Outcome.DROP), address="::1", port=30080),
    )
    assert compare((wide, narrow), each) == compare((narrow, wide), each) == ()


def test_an_entry_for_any_local_address_says_nothing_of_others() -> None:
    any_ = entry(to(backend()), address=None)
    (found,) = compare((any_,), (any_, entry(end(Outcome.DROP))))
    assert (found.expected.outcome, found.seen.outcome) == (Outcome.NONE, Outcome.DROP)


def test_a_backend_without_share_is_one_more_backend() -> None:
    (found,) = compare((entry(to(backend())),), (entry(to(backend(), backend(POD_B, share=0.0))),))
    assert found.differs == ("backends",)


def test_what_the_first_map_leaves_open_is_no_difference() -> None:
    open_ = Branch(outcome=Outcome.NONE, undecided=("claimed by two",))
    assert compare((entry(open_),), (entry(to(backend())),)) == ()
    assert compare((entry(open_),), (entry(open_),)) == ()
    other = replace(open_, undecided=("mark match",))
    (found,) = compare((entry(open_),), (entry(other),))
    assert found.differs == ("undecided",)
