"""Which servers of a cluster's DNS are asked, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from netinspect.analyze.dns.servers import (
    complete_name,
    design_round,
    join_statistics,
    list_servers,
    mark_changed,
)
from netinspect.analyze.dns.servers_judge import judge_series
from netinspect.analyze.dns.statistics import find_disagreements
from netinspect.models.address import parse_address
from netinspect.models.dns import DnsAnswer, DnsOutcome, DnsProtocol, DnsQuestion, DnsRecord, DnsRun
from netinspect.models.dns_cluster import DnsCluster, DnsEndpoint, DnsService
from netinspect.models.dns_servers import DnsSeries, ServerRole
from netinspect.models.fact import Fact, Known, Reason, Unavailable
from netinspect.models.finding import Finding, Severity
from netinspect.models.link import Link, LinkAddress

NAME = "kubernetes.default.svc.cluster.local."
V4, V6 = "10.96.0.10", "fd00:10:96::a"
A4, A6 = "10.244.1.5", "fd00:10:244:1::5"
B4, B6 = "10.244.2.6", "fd00:10:244:2::6"
NO_CACHE = Unavailable(Reason.NOT_APPLICABLE, "none")
BOTH = (DnsProtocol.UDP, DnsProtocol.TCP)


def endpoint(address: str, pod: str, node: str, *, is_ready: bool = True) -> DnsEndpoint:
    return DnsEndpoint(
        address=parse_address(address),
        udp_port=53,
        tcp_port=53,
        is_ready=is_ready,
        is_serving=is_ready,
        pod=f"kube-system/{pod}",
        node=node,
    )


ENDPOINTS = (
    endpoint(A4, "a", "node-a"),
    endpoint(A6, "a", "node-a"),
    endpoint(B4, "b", "node-b"),
    endpoint(B6, "b", "node-b"),
)


def cluster(
    endpoints: Fact[tuple[DnsEndpoint, ...]] | None = None, ips: Sequence[str] = (V4, V6)
) -> DnsCluster:
    return DnsCluster(
        service=Known(
            DnsService(
                namespace="kube-system",
                name="kube-dns",
                cluster_ips=tuple(parse_address(each) for each in ips),
                udp_port=53,
                tcp_port=53,
                endpoints=Known(ENDPOINTS) if endpoints is None else endpoints,
                found_by="by its name",
            )
        ),
        corefile=Unavailable(Reason.NOT_FOUND, ""),
        node_local=Known(()),
    )


def cache_link(*addresses: str) -> Link:
    return Link(
        ifindex=9,
        ifname="nodelocaldns",
        mtu=1500,
        operstate="DOWN",
        addresses=tuple(
            LinkAddress(
                local=parse_address(each),
                prefixlen=32,
                scope="global",
            )
            for each in addresses
        ),
    )


def run(
    server: str,
    protocol: DnsProtocol = DnsProtocol.UDP,
    *,
    status: str = "NOERROR",
    outcome: DnsOutcome = DnsOutcome.ANSWERED,
    time_us: int = 500,
    rdata: str = "10.96.0.1",
) -> DnsRun:
    is_answered = outcome is DnsOutcome.ANSWERED
    record = DnsRecord(name=NAME, ttl=5, rrclass="IN", type="A", rdata=rdata)
    return DnsRun(
        sequence=1,
        start_s=1.0,
        server=parse_address(server),
        port=53,
        protocol=protocol,
        type="A",
        name=NAME,
        exit_code=0 if is_answered else 9,
        answer=Known(
            DnsAnswer(
                outcome=outcome,
                exit_code=0 if is_answered else 9,
                status=status if is_answered else "",
                question=DnsQuestion(name=NAME, rrclass="IN", type="A"),
                answer=(record,) if is_answered and status == "NOERROR" else (),
                query_time_us=time_us if is_answered else None,
            )
        ),
    )


def answered(server: str, count: int = 10, *, protocols: Sequence[DnsProtocol] = BOTH) -> list[DnsRun]:
    return [run(server, protocol) for protocol in protocols for _ in range(count)]


def lost(server: str, count: int = 10, *, protocols: Sequence[DnsProtocol] = BOTH) -> list[DnsRun]:
    outcome = DnsOutcome.TIMED_OUT
    return [run(server, protocol, outcome=outcome) for protocol in protocols for _ in range(count)]


def series(
    runs: Sequence[DnsRun],
    *,
    of: DnsCluster | None = None,
    links: Fact[tuple[Link, ...]] = NO_CACHE,
    nameservers: Sequence[str] = (),
    pod: str = "",
    counters: Fact[dict[str, int]] | None = None,
) -> DnsSeries:
    about = of or cluster()
    return DnsSeries(
        node="node-a",
        pod=pod,
        servers=list_servers(about, links, [parse_address(each) for each in nameservers]),
        cluster=about,
        runs=tuple(runs),
        counters=Known({"insert_failed": 0}) if counters is None else counters,
    )


def judge(given: DnsSeries) -> tuple[Finding, ...]:
    return judge_series(given, find_disagreements(given.runs))


def seen(findings: Sequence[Finding]) -> list[tuple[str, str, str]]:
    return [(each.id, each.severity.value, each.subject) for each in findings]


HEALTHY = [*answered(V4), *answered(V6), *answered(A4), *answered(A6), *answered(B4), *answered(B6)]


def without(*servers: str) -> list[DnsRun]:
    """The healthy series, without what was asked of some servers."""
    gone = {parse_address(each) for each in servers}
    return [each for each in HEALTHY if each.server not in gone]


def test_servers_are_service_cache_pod_and_endpoints_each_once() -> None:
    """In iptables mode the cache's link bears the Service's address as well: it is one server, the Service's."""
    found = list_servers(
        cluster(), Known((cache_link("169.254.20.10", V4),)), [parse_address(V4), parse_address("8.8.8.8")]
    )
    assert [(each.role, str(each.address)) for each in found] == [
        (ServerRole.SERVICE, V4),
        (ServerRole.SERVICE, V6),
        (ServerRole.NODE_LOCAL, "169.254.20.10"),
        *((ServerRole.ENDPOINT, address) for address in (A4, A6, B4, B6)),
        (ServerRole.NAMESERVER, "8.8.8.8"),
    ]


def test_each_server_gets_each_question_by_its_own_ports() -> None:
    """Both protocols, where the server has a port for them."""
    endpoints = (
        *ENDPOINTS[:1],
        DnsEndpoint(address=parse_address(B6), udp_port=5353, is_ready=True, is_serving=True),
    )
    servers = list_servers(cluster(Known(endpoints)), NO_CACHE)
    queries = design_round(servers, ["x.", "y."], ["A"])
    assert len(queries) == 2 * (2 * 3 + 1)
    assert {(str(each.server), each.port, each.protocol) for each in queries if each.port != 53} == {
        (B6, 5353, DnsProtocol.UDP)
    }


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("web", "web.shop.svc.cluster.local."),
        ("web.prod.svc", "web.prod.svc.cluster.local."),
        ("Web.prod.SVC", "web.prod.svc.cluster.local."),
        ("web.prod.svc.cluster.local", "web.prod.svc.cluster.local."),
        ("web.prod", "web.prod."),
        ("example.com", "example.com."),
        ("web.", "web."),
    ],
)
def test_names_are_completed_as_said(name: str, full: str) -> None:
    """No search list is at work: a Service's name gets the domain, all else is taken as it is."""
    assert complete_name(name, "shop", "cluster.local") == full
    assert complete_name("web", "shop", None) == "web."


def test_what_answers_is_no_finding() -> None:
    """Nothing is wrong with a healthy cluster."""
    assert judge(series(HEALTHY)) == ()


def test_statistics_stand_beside_their_server() -> None:
    """In the order of the servers, UDP before TCP."""
    joined = join_statistics(series(HEALTHY))
    assert [(str(each.server.address), each.statistics.protocol) for each in joined[:3]] == [
        (V4, DnsProtocol.UDP),
        (V4, DnsProtocol.TCP),
        (V6, DnsProtocol.UDP),
    ]
    assert {each.statistics.sent for each in joined} == {10}


def test_a_dead_endpoint_is_named_and_explains_the_losses_of_the_service() -> None:
    """It is ready, so the Service still sends questions there: of both families, each by its own address."""
    half = [*answered(V4, 5), *lost(V4, 5), *answered(V6, 5), *lost(V6, 5)]
    findings = judge(series([*without(V4, V6, B4, B6), *half, *lost(B4), *lost(B6)]))
    assert seen(findings) == [("dns-endpoint-dead", "high", "pod/kube-system/b")] * 2
    assert [each.message.split()[1] for each in findings] == [B4, B6]
    assert "1 in 2 goes there" in findings[0].message
    assert any("10 asked, 5 answered" in each.text for each in findings[0].evidence)
    assert findings[0].not_judged


def test_an_endpoint_that_is_not_ready_may_be_dead() -> None:
    """No lookup is sent there."""
    endpoints = (*ENDPOINTS[:2], *(endpoint(each, "b", "node-b", is_ready=False) for each in (B4, B6)))
    assert judge(series([*without(B4, B6), *lost(B4), *lost(B6)], of=cluster(Known(endpoints)))) == ()


def test_a_service_that_is_dead_while_its_endpoints_answer_is_the_nodes_fault() -> None:
    """Only the way through the node's rules differs."""
    findings = judge(series([*without(V6), *lost(V6)]))
    assert seen(findings) == [("dns-service-path-broken", "crit", "service/kube-system/kube-dns")]
    assert V6 in findings[0].message


def test_a_family_without_any_answer_is_one_finding() -> None:
    """Whatever is asked: it is the way, not a server."""
    findings = judge(series([*without(V6, A6, B6), *lost(V6), *lost(A6), *lost(B6)]))
    assert seen(findings) == [("dns-nothing-answers", "high", "node/node-a")]
    everything = [each for server in (V4, V6, A4, A6, B4, B6) for each in lost(server)]
    findings = judge(series(everything, pod="demo/web"))
    assert seen(findings) == [("dns-nothing-answers", "crit", "pod/demo/web")] * 2
    assert findings[0].not_judged == ()


@pytest.mark.parametrize(
    ("server", "protocol", "expected"),
    [
        (V4, DnsProtocol.UDP, ("dns-udp-fails", "crit", "service/kube-system/kube-dns")),
        (V6, DnsProtocol.TCP, ("dns-tcp-fails", "high", "service/kube-system/kube-dns")),
        (B6, DnsProtocol.UDP, ("dns-udp-fails", "high", "pod/kube-system/b")),
    ],
)
def test_one_protocol_only(server: str, protocol: DnsProtocol, expected: tuple[str, str, str]) -> None:
    """The other one answers, so the server is there: something filters."""
    (other,) = [each for each in BOTH if each is not protocol]
    runs = [*without(server), *lost(server, protocols=[protocol]), *answered(server, protocols=[other])]
    assert seen(judge(series(runs))) == [expected]


@pytest.mark.parametrize(("count", "severity"), [(1, Severity.INFO), (2, Severity.MED), (10, Severity.HIGH)])
def test_losses_weigh_by_their_share(count: int, severity: Severity) -> None:
    """Of forty: one proves little, a tenth and more is felt."""
    runs = [*without(V4), *answered(V4, 10, protocols=[DnsProtocol.TCP])]
    runs += answered(V4, 40 - count, protocols=[DnsProtocol.UDP])
    runs += lost(V4, count, protocols=[DnsProtocol.UDP])
    (finding,) = judge(series(runs))
    assert (finding.id, finding.severity) == ("dns-lost-questions", severity)
    assert f"{count} of 40 questions" in finding.message


def timed(
    server: str, time_us: int, count: int = 10, protocol: DnsProtocol = DnsProtocol.UDP
) -> list[DnsRun]:
    return [run(server, protocol, time_us=time_us) for _ in range(count)]


@pytest.mark.parametrize(
    ("own_us", "usual_us", "count", "is_slow"),
    [
        (80_000, 500, 10, True),
        (20_000, 4_000, 10, True),
        (19_999, 500, 10, False),
        (20_000, 4_001, 10, False),
        (80_000, 500, 9, False),
    ],
)
def test_a_slow_endpoint_is_named(own_us: int, usual_us: int, count: int, is_slow: bool) -> None:
    """Five times the others, 20 ms at least, and asked ten times: below that it is not felt, or chance."""
    runs = [*timed(A4, usual_us), *timed(A6, usual_us), *answered(V4), *timed(B4, own_us, count)]
    findings = judge(series(runs))
    assert seen(findings) == ([("dns-endpoint-slow", "high", "pod/kube-system/b")] if is_slow else [])
    if is_slow:
        assert f"p50 {own_us / 1000:.1f} ms, slowest {own_us / 1000:.1f} ms" in findings[0].evidence[0].text


def test_what_is_no_slow_endpoint() -> None:
    """The Service's address, TCP, and the other family of the same pod are no measure and are not measured."""
    assert judge(series([*without(V4), *timed(V4, 80_000)])) == ()
    assert judge(series([*without(B4), *answered(B4), *timed(B4, 80_000, 20, DnsProtocol.TCP)])) == ()
    one_pod = (endpoint(A4, "a", "node-a"), endpoint(A6, "a", "node-a"))
    assert judge(series([*timed(A4, 80_000), *timed(A6, 500)], of=cluster(Known(one_pod)))) == ()


def test_the_usual_time_is_the_median_of_the_others() -> None:
    """One fast and one slow neighbour do not make it: the lower of two middles counts."""
    pods = tuple(endpoint(f"10.244.1.{n}", f"p{n}", "node-a") for n in (1, 2, 3, 4))
    of = cluster(Known(pods), [V4])
    runs = [*timed("10.244.1.1", 100), *timed("10.244.1.2", 15_000), *timed("10.244.1.3", 16_000)]
    assert judge(series([*runs, *timed("10.244.1.4", 60_000)], of=of)) == ()
    slow = judge(series([*runs, *timed("10.244.1.4", 75_000)], of=of))
    assert seen(slow) == [("dns-endpoint-slow", "high", "pod/kube-system/p4")]


def test_the_address_that_every_link_has_is_no_server() -> None:
    """The cache's link has an fe80:: address like any other; its 169.254 address is chosen."""
    found = list_servers(cluster(), Known((cache_link("169.254.20.10", "fe80::1", "fd00::53"),)))
    caches = [str(each.address) for each in found if each.role is ServerRole.NODE_LOCAL]
    assert caches == ["169.254.20.10", "fd00::53"]


def test_a_service_is_asked_at_the_ports_that_it_has() -> None:
    """One without a TCP port gets no question by TCP."""
    about = cluster()
    assert isinstance(about.service, Known)
    service = replace(about.service.value, udp_port=5353, tcp_port=None)
    queries = design_round(list_servers(replace(about, service=Known(service)), NO_CACHE), ["x."], ["A"])
    asked = [(each.protocol, each.port) for each in queries if str(each.server) in (V4, V6)]
    assert asked == [(DnsProtocol.UDP, 5353)] * 2


def test_evidence_says_from_where_and_endpoints_without_a_pod_are_named_by_address() -> None:
    """An endpoint may be no pod (a manual slice); the place is the node, or the pod's netns on it."""
    strangers = (replace(ENDPOINTS[0], pod=""), *ENDPOINTS[2:3])
    runs = [*answered(V4), *lost(A4), *answered(B4)]
    (finding,) = judge(series(runs, of=cluster(Known(strangers), [V4])))
    assert (finding.id, finding.subject) == ("dns-endpoint-dead", f"server/{A4}")
    assert finding.evidence[0].source == "dig on node node-a"
    assert finding.evidence[0].text == f"UDP {A4}:53: 10 asked, 0 answered (10 timed-out)"
    (finding,) = judge(series(runs, of=cluster(Known(strangers), [V4]), pod="demo/web"))
    assert finding.evidence[0].source == "dig in pod demo/web's netns on node node-a"
    assert finding.not_judged == ()


@pytest.mark.parametrize(("status", "expected"), [("SERVFAIL", "dns-servfail"), ("REFUSED", "dns-refused")])
def test_refusals_and_failures_of_one_server(status: str, expected: str) -> None:
    """It answers, and no resolver can use what it says: that is the server's fault, and no other answer."""
    runs = [*without(B6), *(run(B6, status=status) for _ in range(3))]
    findings = judge(series(runs))
    assert seen(findings) == [(expected, "high", "pod/kube-system/b")]


def test_different_answers_between_servers_are_a_finding_and_a_change_in_time_is_none() -> None:
    """One that always says something else lags; all that change together do not."""
    stale = [run(B4, protocol, rdata="10.96.0.99") for protocol in BOTH for _ in range(3)]
    findings = judge(series([*without(B4), *stale]))
    assert seen(findings) == [("dns-servers-disagree", "med", f"name/{NAME}")]
    assert any("10.96.0.99 from 10.244.2.6" in each.text for each in findings[0].evidence)
    servers = (V4, V6, A4, A6, B4, B6)
    later = [run(server, rdata="10.96.0.99") for server in servers]
    assert judge(series([*HEALTHY, *later])) == ()


def test_no_ready_endpoint() -> None:
    """The API says so; a list that could not be read says nothing."""
    refused = [run(each, outcome=DnsOutcome.CONNECTION_REFUSED) for each in (V4, V6)]
    none = judge(series(refused, of=cluster(Known(()))))
    assert ("dns-no-endpoints", "crit", "service/kube-system/kube-dns") in seen(none)
    unread = cluster(Unavailable(Reason.PERMISSION_DENIED, "forbidden"))
    assert "dns-no-endpoints" not in [each.id for each in judge(series(refused, of=unread))]
    only_v4 = (endpoint(A4, "a", "node-a"),)
    runs = [*answered(V4), *answered(A4), *lost(V6)]
    found = [
        each for each in judge(series(runs, of=cluster(Known(only_v4)))) if each.id == "dns-no-endpoints"
    ]
    assert [(each.severity, V6 in each.message, V4 in each.message) for each in found] == [
        (Severity.HIGH, True, False)
    ]


def test_insert_failed_is_told_with_its_limits() -> None:
    """Entries lost at confirm; not where NodeLocal DNSCache keeps lookups out of conntrack."""
    counted: Fact[dict[str, int]] = Known({"insert_failed": 7})
    (finding,) = judge(series(HEALTHY, counters=counted))
    assert (finding.id, finding.severity) == ("dns-insert-race", Severity.MED)
    assert "insert_failed +7" in finding.evidence[0].text
    cached = [*HEALTHY, *answered("169.254.20.10")]
    links: Fact[tuple[Link, ...]] = Known((cache_link("169.254.20.10"),))
    assert judge(series(cached, counters=counted, links=links)) == ()
    assert judge(series(HEALTHY, counters=Unavailable(Reason.TOOL_MISSING, ""))) == ()


def test_a_cache_or_a_name_server_of_the_pod_that_is_dead() -> None:
    """The node's cache breaks all of its pods; a foreign server breaks lookups now and then."""
    links: Fact[tuple[Link, ...]] = Known((cache_link("169.254.20.10"),))
    findings = judge(series([*HEALTHY, *lost("169.254.20.10")], links=links))
    assert seen(findings) == [("dns-node-local-down", "crit", "node/node-a")]
    findings = judge(series([*HEALTHY, *lost("192.0.2.53")], nameservers=["192.0.2.53"]))
    assert seen(findings) == [("dns-server-unreachable", "high", "server/192.0.2.53")]


def test_endpoints_that_are_not_ready_do_not_count_as_endpoints() -> None:
    """They may even answer: no lookup is sent there."""
    gone = (endpoint(A4, "a", "node-a", is_ready=False),)
    runs = [*lost(V4), *answered(A4)]
    assert ("dns-no-endpoints", "crit", "service/kube-system/kube-dns") in seen(
        judge(series(runs, of=cluster(Known(gone), [V4])))
    )


def test_an_endpoint_that_came_or_went_meanwhile_is_not_judged() -> None:
    """A rollout: what was sent to it is lost, at the Service too, and nobody is at fault."""
    given = series([*without(V4, B4), *answered(V4, 5), *lost(V4, 5), *lost(B4)])
    unready = endpoint(B4, "b", "node-b", is_ready=False)
    for left in (ENDPOINTS[:2], (*ENDPOINTS[:2], unready, ENDPOINTS[3])):
        later = replace(given, servers=mark_changed(given.servers, cluster(Known(left))))
        assert "dns-endpoint-dead" not in {each.id for each in judge(later)}
        assert "dns-lost-questions" not in {each.id for each in judge(later)}
    unread = cluster(Unavailable(Reason.PERMISSION_DENIED, "forbidden"))
    assert mark_changed(given.servers, unread) == given.servers


def test_the_service_is_not_blamed_for_chance_beside_a_dead_endpoint() -> None:
    """All of a few questions may have gone to the dead one: by one protocol, or by both."""
    udp, tcp = [DnsProtocol.UDP], [DnsProtocol.TCP]
    for at_service in ([*lost(V4, 2)], [*lost(V4, 2, protocols=udp), *answered(V4, 2, protocols=tcp)]):
        found = judge(series([*without(V4, B4), *lost(B4), *at_service]))
        assert seen(found) == [("dns-endpoint-dead", "high", "pod/kube-system/b")]


def test_one_lost_question_is_no_verdict() -> None:
    """Asked once, and lost: it is told, and weighs nothing."""
    (finding,) = judge(series([*without(B4), *lost(B4, 1, protocols=[DnsProtocol.UDP])]))
    assert (finding.id, finding.severity) == ("dns-endpoint-dead", Severity.INFO)


def test_a_foreign_name_server_explains_nothing() -> None:
    """It is dead, and the Service loses questions for another reason."""
    runs = [*without(V4), *answered(V4, 5), *lost(V4, 5), *lost("192.0.2.53")]
    ids = [each.id for each in judge(series(runs, nameservers=["192.0.2.53"]))]
    assert sorted(ids) == ["dns-lost-questions", "dns-lost-questions", "dns-server-unreachable"]


def test_silence_is_explained_by_what_was_asked() -> None:
    """Without endpoints to ask, kube-proxy may well be at fault; a foreign server that answers changes nothing."""
    unread = cluster(Unavailable(Reason.PERMISSION_DENIED, "forbidden"), [V4])
    (finding,) = judge(series(lost(V4), of=unread))
    assert finding.id == "dns-nothing-answers"
    assert "no endpoint was known" in finding.advice
    everything = [*lost(V4), *lost(A4), *answered("192.0.2.53")]
    about = cluster(Known(ENDPOINTS[:1]), [V4])
    (finding,) = judge(series(everything, of=about, nameservers=["192.0.2.53"]))
    assert finding.id == "dns-nothing-answers"
    assert "it is not kube-proxy's rules" in finding.advice


def test_a_name_that_changed_a_moment_ago_may_differ_between_caches() -> None:
    """Each server keeps what it knew for its own half minute."""
    stale = [run(B4, protocol, rdata="10.96.0.99") for protocol in BOTH for _ in range(3)]
    given = series([*without(B4), *stale])
    assert judge(replace(given, unsettled=(NAME,))) == ()
    assert len(judge(given)) == 1


def test_one_odd_answer_is_no_disagreement() -> None:
    """Only servers that never gave the same answer differ."""
    assert judge(series([*HEALTHY, run(B4, rdata="10.96.0.99")])) == ()


def test_losses_of_the_service_are_explained_by_an_endpoint_that_is_used() -> None:
    """By one that fails by one protocol too; not by one that gets no lookups, nor where no endpoint is at fault."""
    udp, tcp = [DnsProtocol.UDP], [DnsProtocol.TCP]
    half = [*answered(V4, 5, protocols=udp), *lost(V4, 5, protocols=udp), *answered(V4, protocols=tcp)]
    one_sided = [*lost(B4, protocols=udp), *answered(B4, protocols=tcp)]
    assert seen(judge(series([*without(V4, B4), *half, *one_sided]))) == [
        ("dns-udp-fails", "high", "pod/kube-system/b")
    ]
    unused = (*ENDPOINTS[:2], *(endpoint(each, "b", "node-b", is_ready=False) for each in (B4, B6)))
    for of, runs in ((cluster(), half), (cluster(Known(unused)), [*half, *lost(B4)])):
        assert seen(judge(series([*without(V4, B4), *runs], of=of))) == [
            ("dns-lost-questions", "high", "service/kube-system/kube-dns")
        ]


@pytest.mark.parametrize(("sent", "severity"), [(20, Severity.HIGH), (21, Severity.MED)])
def test_a_tenth_is_many(sent: int, severity: Severity) -> None:
    """Two lost of twenty are felt, of twenty-one less so."""
    udp = [DnsProtocol.UDP]
    runs = [*answered(B4, sent - 2, protocols=udp), *lost(B4, 2, protocols=udp)]
    (finding,) = judge(series([*without(B4), *runs, *answered(B4, protocols=[DnsProtocol.TCP])]))
    assert (finding.id, finding.severity, finding.subject) == (
        "dns-lost-questions",
        severity,
        "pod/kube-system/b",
    )


def test_what_gets_no_lookups_is_not_judged() -> None:
    """Not ready: one protocol only, or some losses."""
    of = cluster(Known((*ENDPOINTS[:2], endpoint(B4, "b", "node-b", is_ready=False))))
    udp, tcp = [DnsProtocol.UDP], [DnsProtocol.TCP]
    for runs in (
        [*lost(B4, protocols=udp), *answered(B4, protocols=tcp)],
        [*answered(B4, 5), *lost(B4, 5)],
    ):
        assert judge(series([*without(B4, B6), *runs], of=of)) == ()


def test_what_could_not_be_read_is_not_lost() -> None:
    """Answers that are unreadable say nothing of a server: it is not dead, nor is its family."""

    def unread(server: str) -> list[DnsRun]:
        answer = Unavailable(Reason.UNPARSABLE, "no dig")
        return [replace(each, answer=answer) for each in answered(server)]

    assert judge(series([*without(B4), *unread(B4)])) == ()
    assert judge(series([*without(V6, A6, B6), *unread(V6), *unread(A6), *unread(B6)])) == ()


def test_what_a_dead_endpoint_was_judged_by() -> None:
    """From a node a policy may be in the way; asked three times is enough, twice is said."""
    few = judge(series([*without(B4), *lost(B4, 2)]))[0].not_judged
    enough = judge(series([*without(B4), *lost(B4, 3)]))[0].not_judged
    assert [text.split(",")[0].split(":")[0] for text in few] == [
        "whether a NetworkPolicy keeps this place from asking",
        "asked 2 times only",
    ]
    assert len(enough) == 1
