"""Which flows lead to what is no endpoint any more, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from netinspect.analyze.conntrack.stale_flows import (
    ClusterView,
    DeadSelector,
    build_cluster_view,
    find_dead_target,
    is_translated_row,
    judge_samples,
    pair_flows,
)
from netinspect.models.address import parse_address
from netinspect.models.conntrack import Flow
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.models.link import Link, LinkAddress
from netinspect.models.stale_flow import StaleFlow, StaleStatus
from netinspect.parse.conntrack_scan import read_row
from tests.unit.analyze.stale_build import (
    CHANGED_AT,
    CLIENT,
    HEIR,
    READ_AT,
    SLICES,
    endpoint,
    flow,
    pod,
    samples,
    service,
    slice_,
    state,
    view,
)

V6, V4 = "fd00:244:2::7", "10.244.2.7"
LIVE6, LIVE4 = "fd00:244:2::9", "10.244.2.9"
VIEW = view()


def judged(
    first: Sequence[Flow],
    second: Sequence[Flow] | None = None,
    before: ClusterView = VIEW,
    after: ClusterView = VIEW,
    **wishes: Any,
) -> list[StaleFlow]:
    both = samples(first, first if second is None else second, **wishes)
    return [item for item, _ in judge_samples(both, before, after, lambda flow: f"delete {flow.id}")]


@pytest.mark.parametrize(("dead", "live", "front"), [(V6, LIVE6, "fd00:96::a"), (V4, LIVE4, "10.96.0.10")])
@pytest.mark.parametrize(
    ("protocol", "words"), [("udp", ""), ("tcp", "ESTABLISHED"), ("sctp", "ESTABLISHED")]
)
def test_what_is_no_endpoint_of_the_service_is_dead(
    dead: str, live: str, front: str, protocol: str, words: str
) -> None:
    """Of either family and each protocol; an endpoint at its port is alive, at another port it is not."""
    target = find_dead_target(flow(dead, protocol=protocol, words=words), VIEW)
    assert target is not None
    assert target.is_gone
    assert [each.key for each in target.services] == ["shop/dns"]
    assert find_dead_target(flow(live, protocol=protocol, words=words), VIEW) is None
    other_port = find_dead_target(flow(live, protocol=protocol, words=words, port=53), VIEW)
    assert other_port is not None
    assert not other_port.is_gone
    assert find_dead_target(flow(front, protocol=protocol, words=words, port=53), VIEW) is None


@pytest.mark.parametrize("dead", [V6, V4])
@pytest.mark.parametrize("services", [(), (service("other", clusterIPs=["10.96.0.11", "fd00:96::b"]),)])
def test_a_pod_that_is_gone_is_dead_though_no_service_is_known(dead: str, services: tuple[Any, ...]) -> None:
    """Its Service was deleted: kube-proxy does not look at its flows any more."""
    target = find_dead_target(flow(dead), view(services))
    assert target is not None
    assert target.services == ()
    assert target.is_gone


@pytest.mark.parametrize(
    "backend", [LIVE6, LIVE4, "2001:db8:5::5", "203.0.113.5", "192.0.2.2", "2001:db8::2"]
)
def test_what_is_no_pods_address_is_nobodys_business_without_a_service(backend: str) -> None:
    """A pod that lives, a stranger, a node: whoever translates to them has his reasons."""
    assert find_dead_target(flow(backend), view(())) is None


@pytest.mark.parametrize(("dst", "dead"), [("2001:db8::1", V6), ("192.0.2.1", V4)])
def test_a_node_port_is_a_services_at_a_nodes_addresses(dst: str, dead: str) -> None:
    """Those of the API and those of its links; at other addresses that port is something else."""
    port = {"name": "dns", "port": 53, "protocol": "UDP", "nodePort": 30053}
    services = (service(type="NodePort", ports=[port]),)
    bridge = Link(
        ifindex=5,
        ifname="cni0",
        mtu=1500,
        operstate="UP",
        addresses=tuple(
            LinkAddress(local=parse_address(each), prefixlen=length, scope="global")
            for each, length in (("10.244.1.1", 24), ("fd00:244:1::1", 64))
        ),
    )
    seen = build_cluster_view(state(services), {"node-a": (bridge,)})
    own = "fd00:244:1::1" if ":" in dst else "10.244.1.1"
    for address in (dst, own):
        target = find_dead_target(flow(dead, dst=address, dport=30053), seen)
        assert target is not None
        assert [each.key for each in target.services] == ["shop/dns"]
    elsewhere = "2001:db8:5::5" if ":" in dst else "203.0.113.5"
    target = find_dead_target(flow(dead, dst=elsewhere, dport=30053), seen)
    assert target is not None
    assert target.services == ()
    live = LIVE6 if ":" in dst else LIVE4
    assert find_dead_target(flow(live, dst=dst, dport=30053), seen) is None
    assert find_dead_target(flow(dead, dst=elsewhere, dport=30053), seen, at_any_address=True) != target


@pytest.mark.parametrize(("dead", "dst"), [(V6, "2001:db8:1::7"), (V4, "203.0.113.7"), (V6, "2001:db8:2::7")])
def test_external_and_load_balancer_addresses_count(dead: str, dst: str) -> None:
    """A flow sent there is the Service's."""
    own = service(externalIPs=["2001:db8:2::7"], ingress=[{"ip": "203.0.113.7"}, {"ip": "2001:db8:1::7"}])
    target = find_dead_target(flow(dead, dst=dst), view((own,)))
    assert target is not None
    assert [each.key for each in target.services] == ["shop/dns"]


def test_an_address_that_another_pod_has_by_now_is_alive_only_if_a_slice_says_so() -> None:
    """The packets go to the wrong pod: worse than to none."""
    stranger = pod("db-0", V6, V4)
    target = find_dead_target(flow(V6), view(pods=(CLIENT, HEIR, stranger)))
    assert target is not None
    assert not target.is_gone
    slices = (*SLICES, slice_(V6, name="dns-7", family="IPv6"))
    assert find_dead_target(flow(V6), view(slices=slices, pods=(CLIENT, HEIR, stranger))) is None


@pytest.mark.parametrize("address", ["2001:db8::2", "192.0.2.2"])
def test_hostnetwork_backends_are_nodes_addresses(address: str) -> None:
    """Alive while a slice has them, and dead, but not gone, once none has."""
    family = "IPv6" if ":" in address else "IPv4"
    slices = (*SLICES, slice_(address, name="dns-host", family=family))
    assert find_dead_target(flow(address), view(slices=slices)) is None
    target = find_dead_target(flow(address), VIEW)
    assert target is not None
    assert not target.is_gone


@pytest.mark.parametrize(("selector", "is_gone"), [({"app": "dns"}, True), ({}, False)])
def test_a_strangers_address_was_a_pods_if_a_selector_led_to_it(
    selector: dict[str, str], *, is_gone: bool
) -> None:
    """Where pod ranges are not the nodes' (spec.podCIDRs); endpoints made by hand may be anywhere."""
    target = find_dead_target(flow("2001:db8:5::5"), view((service(selector=selector),)))
    assert target is not None
    assert target.is_gone is is_gone


def test_a_terminating_endpoint_is_alive_as_long_as_it_serves() -> None:
    """Then it is dead, though its pod is still there."""
    ending = pod("dns-1", V6)
    serving = slice_(endpoint(V6, ready=False, serving=True, terminating=True), name="dns-7", family="IPv6")
    assert find_dead_target(flow(V6), view(slices=(*SLICES, serving), pods=(CLIENT, HEIR, ending))) is None
    over = slice_(endpoint(V6, ready=False, serving=False, terminating=True), name="dns-7", family="IPv6")
    target = find_dead_target(flow(V6), view(slices=(*SLICES, over), pods=(CLIENT, HEIR, ending)))
    assert target is not None
    assert not target.is_gone


@pytest.mark.parametrize(
    "line",
    [
        # Not translated: sent to a pod that is gone by its own address; ICMP; a protocol without ports.
        "ipv6     10 udp      17 119 src=fd00:244:1::5 dst=fd00:244:2::7 sport=4242 dport=53 "
        "src=fd00:244:2::7 dst=fd00:244:1::5 sport=53 dport=4242 [ASSURED] mark=0 use=1 id=1",
        "ipv6     10 icmpv6   58 29 src=fd00:244:1::5 dst=fd00:96::a type=128 code=0 id=9 "
        "src=fd00:244:2::7 dst=fd00:244:1::5 type=129 code=0 id=9 mark=0 use=1 id=1",
    ],
)
def test_flows_that_are_not_translated_are_none_of_it(line: str) -> None:
    """What a node's own rules have not led anywhere is not theirs to mend."""
    from netinspect.parse.conntrack import parse_flow

    assert find_dead_target(parse_flow(line), VIEW) is None


def test_an_entry_that_met_no_rule_is_none_of_it() -> None:
    """Sent to a Service and not translated: a fault of rules, not of this table."""
    assert find_dead_target(flow("fd00:96::a", port=53), VIEW) is None


@pytest.mark.parametrize("backend", [V6, V4, LIVE6, LIVE4])
def test_lines_are_chosen_by_their_columns_without_losing_any(backend: str) -> None:
    """Translated flows pass; where destination and answerer are one, the flow need not be read."""
    row = read_row(flow(backend).raw.encode())
    assert row is not None
    assert is_translated_row(row)
    front = "fd00:96::a" if ":" in backend else "10.96.0.10"
    plain = read_row(flow(front, port=53).raw.encode())
    assert plain is not None
    assert not is_translated_row(plain)


def test_the_selector_keeps_what_may_be_dead_and_counts_what_it_saw() -> None:
    """The node's own addresses are not known yet: a node port counts at any address."""
    selector = DeadSelector(VIEW, lambda flow: flow.id != 3)
    kept = [each.id for each in (flow(V6, id_=1), flow(LIVE4, id_=2), flow(V4, id_=3)) if selector(each)]
    assert kept == [1]
    assert selector.seen == 2


def test_a_flow_that_sends_to_a_gone_pod_in_both_samples_is_said_to() -> None:
    """With names, endpoints that there are now, idle time, the first sample's line and the command."""
    first, second = flow(V6, timeout=118), flow(V6, timeout=117)
    (item,) = judged([first, flow(LIVE6, id_=78)], [second, flow(LIVE6, id_=78)])
    assert item.status is StaleStatus.SENDS
    assert (item.service, item.service_port, item.is_gone) == ("shop/dns", "53/udp", True)
    assert item.endpoints == ("[fd00:244:2::9]:5353",)
    assert item.idle_s == 3
    assert item.first_sample == first.raw
    assert item.named.flow == second
    assert (item.named.source.name, item.named.node) == ("client", "node-a")
    assert item.command == "delete 77"


def test_only_what_both_samples_have_is_judged() -> None:
    """One that went, one that came, and one that another took the place of (the id differs)."""
    assert (
        judged([flow(V6)], []) == judged([], [flow(V6)]) == judged([flow(V6, id_=1)], [flow(V6, id_=2)]) == []
    )


@pytest.mark.parametrize("dead", [V6, V4])
def test_only_what_both_readings_of_the_api_say_is_judged(dead: str) -> None:
    """An endpoint that was one before, or is one after, is alive."""
    family = "IPv6" if ":" in dead else "IPv4"
    alive = view(slices=(*SLICES, slice_(dead, name="dns-7", family=family)))
    assert judged([flow(dead)], before=alive) == judged([flow(dead)], after=alive) == []


def test_a_service_that_was_made_or_deleted_meanwhile_is_not_judged() -> None:
    """Also one that was made anew with the old one's name and address."""
    anew = service()
    anew = replace(anew, metadata=replace(anew.metadata, uid="another"))
    for after in (view(()), view((anew,))):
        (item,) = judged([flow(V6)], after=after)
        assert item.status is StaleStatus.NOT_JUDGED
        assert "meanwhile" in item.reason


def test_a_pod_that_came_to_the_address_meanwhile_is_not_gone() -> None:
    """It may have answered: gone is what both readings say is."""
    taken = view(pods=(CLIENT, HEIR, pod("db-0", V6)))
    assert [item.is_gone for item in judged([flow(V6)], before=taken)] == [False]
    assert [item.is_gone for item in judged([flow(V6)], after=taken)] == [False]


@pytest.mark.parametrize(
    ("age_s", "elapsed", "status"),
    [
        (19, 10, StaleStatus.YOUNG),
        (21, 10, StaleStatus.SENDS),
        (5, 30, StaleStatus.SENDS),
        (-90, 10, StaleStatus.YOUNG),
    ],
)
def test_what_changed_a_moment_ago_is_young(age_s: int, elapsed: float, status: StaleStatus) -> None:
    """Rules lag the API. What was so for long by our own two readings is old, whatever the clocks say."""
    now = view(read_at=CHANGED_AT + age_s)
    (item,) = judged([flow(V6)], before=now, after=now, elapsed=elapsed)
    assert item.status is status


@pytest.mark.parametrize("dead", [V6, V4])
def test_a_change_does_not_age_while_other_nodes_answer(dead: str) -> None:
    """This node's second sample is 10 s after its first; the last node answered five minutes later."""
    before, after = view(read_at=CHANGED_AT + 1), view(read_at=CHANGED_AT + 300)
    (item,) = judged([flow(dead)], before=before, after=after)
    assert item.status is StaleStatus.YOUNG
    assert "11 s ago" in item.reason


@pytest.mark.parametrize(
    "address", ["fe80::a", "::1", "ff02::fb", "169.254.20.10", "127.0.0.1", "224.0.0.251"]
)
@pytest.mark.parametrize("packets", [None, (5, 5)])
def test_a_local_address_was_never_a_pods(address: str, packets: tuple[int, int] | None) -> None:
    """A node-local resolver, a redirect: kube-proxy leads nothing there, nor does it clean up."""
    (item,) = judged([flow(address, port=53, packets=packets)])
    assert (item.status, item.is_gone) == (StaleStatus.NOT_JUDGED, False)
    assert item.reason == "another rule than kube-proxy's translates it"


@pytest.mark.parametrize("dead", [V6, V4])
def test_a_syn_without_an_answer_is_as_young_as_the_rules(dead: str) -> None:
    """And is no endpoint's by both readings: else every rollout would be a finding."""
    syn = flow(dead, protocol="tcp", words="SYN_SENT", timeout=90, flags="", unreplied="[UNREPLIED]")
    later = replace(syn, timeout_s=80)
    fresh, alive = (
        view(read_at=CHANGED_AT + 5),
        view(slices=(*SLICES, slice_(dead, name="dns-7", family="IPv6" if ":" in dead else "IPv4"))),
    )
    (item,) = judged([syn], [later])
    assert (item.status, item.answered, item.idle_s) == (StaleStatus.NOT_JUDGED, None, None)
    (item,) = judged([syn], [later], before=fresh)
    assert item.status is StaleStatus.YOUNG
    assert judged([syn], [later], before=alive) == judged([syn], [later], after=alive) == []


def test_a_closed_connection_is_so_however_young_all_is() -> None:
    """Every rollout leaves hundreds of them for two minutes."""
    now = view(read_at=CHANGED_AT + 1)
    (item,) = judged([flow(V6, protocol="tcp", words="TIME_WAIT", timeout=90)], before=now, after=now)
    assert item.status is StaleStatus.CLOSING


def test_the_service_is_as_young_as_its_slices() -> None:
    """And they as it."""
    late = "2026-11-25T17:09:50Z"
    for now in (view((service(changed=late),)), view(slices=(*SLICES, slice_(name="dns-9", changed=late)))):
        (item,) = judged([flow(V4)], before=now, after=now)
        assert item.status is StaleStatus.YOUNG
        assert "20 s ago" in item.reason


@pytest.mark.parametrize(("dead", "only"), [(V6, "IPv4"), (V4, "IPv6")])
def test_a_service_without_endpoints_of_the_family_is_left_alone(dead: str, only: str) -> None:
    """As kube-proxy does, a family for itself: nothing could take the place."""
    now = view(slices=[each for each in SLICES if each.address_type == only])
    (item,) = judged([flow(dead)], before=now, after=now)
    assert item.status is StaleStatus.NO_ENDPOINTS
    assert item.endpoints == ()
    assert "kube-proxy leaves such flows alone" in item.reason


def test_another_proxys_service_is_not_judged() -> None:
    """Its rules are its own."""
    now = view((service(labels={"service.kubernetes.io/service-proxy-name": "other"}),))
    (item,) = judged([flow(V6)], before=now, after=now)
    assert item.status is StaleStatus.NOT_JUDGED


@pytest.mark.parametrize("services", [(), None])
def test_a_pod_without_an_address_in_the_api_may_have_the_one_that_none_has(
    services: tuple[Any, ...] | None,
) -> None:
    """It matters where nothing but the pods says that the address is dead."""
    starting = view(services, pods=(CLIENT, HEIR, pod("starts", phase="Pending")))
    for before, after in ((starting, view(services)), (view(services), starting)):
        (item,) = judged([flow(V6)], before=before, after=after)
        assert item.status is (StaleStatus.NOT_JUDGED if services == () else StaleStatus.SENDS)
    elsewhere = view(services, pods=(CLIENT, HEIR, pod("starts", node="node-a", phase="Pending")))
    (item,) = judged([flow(V6)], before=elsewhere, after=elsewhere)
    assert item.status is StaleStatus.SENDS


@pytest.mark.parametrize("index", [0, 1])
def test_a_family_that_one_sample_lacks_is_not_judged(index: int) -> None:
    """Half a table is none; the other family is."""
    both = samples([flow(V6), flow(V4)], [flow(V6), flow(V4)])
    listings = list(both.flows.listings)
    listings[index] = replace(listings[index], ipv4=Unavailable(Reason.TRUNCATED, "cut"))
    cut = replace(both, flows=replace(both.flows, listings=tuple(listings)))
    assert [pair.second.family for pair in pair_flows(cut)] == ["ipv6"]
    assert list(pair_flows(replace(both, flows=replace(both.flows, listings=both.flows.listings[:1])))) == []


@pytest.mark.parametrize("starts", [(0.0, 110.0), (100.0, 0.0), (110.0, 100.0)])
def test_samples_without_a_time_between_them_are_not_judged(starts: tuple[float, float]) -> None:
    """A listing whose end was cut does not tell when it began."""
    both = samples([flow(V6)], [flow(V6)])
    listings = tuple(
        replace(listing, start_s=start) for listing, start in zip(both.flows.listings, starts, strict=True)
    )
    assert list(pair_flows(replace(both, flows=replace(both.flows, listings=listings)))) == []


def test_without_sysctls_there_is_no_idle_time() -> None:
    """The rest is judged all the same."""
    both = replace(samples([flow(V6)], [flow(V6)]), timers=Unavailable(Reason.FAILED, "no"))
    ((item, _),) = judge_samples(both, VIEW, VIEW, str)
    assert (item.status, item.idle_s) == (StaleStatus.SENDS, None)


@pytest.mark.parametrize("name", ["pods", "services", "slices"])
def test_nothing_is_judged_by_half_an_api(name: str) -> None:
    """A list that is missing is not an empty one."""
    denied = Unavailable(Reason.PERMISSION_DENIED, "forbidden")
    with pytest.raises(ValueError, match="missing"):
        build_cluster_view(replace(state(), **{name: denied}))
    assert isinstance(state(read_at=READ_AT).pods, Known)
