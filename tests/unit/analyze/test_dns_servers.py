"""Which servers of a cluster's DNS are asked, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from netinspect.analyze.dns_servers import complete_name, design_round, join_statistics, list_servers
from netinspect.analyze.dns_servers_judge import judge_series
from netinspect.analyze.dns_statistics import find_disagreements
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


def cluster(endpoints: Fact[tuple[DnsEndpoint, ...]] | None = None) -> DnsCluster:
    return DnsCluster(
        service=Known(
            DnsService(
                namespace="kube-system",
                name="kube-dns",
                cluster_ips=(parse_address(V4), parse_address(V6)),
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
        (ServerRole.NAMESERVER, "8.8.8.8"),
        *((ServerRole.ENDPOINT, address) for address in (A4, A6, B4, B6)),
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


def test_a_slow_endpoint_is_named() -> None:
    """Against the others, and only where it can be felt and was asked often enough."""

    def timed(time_us: int, count: int = 10) -> list[DnsRun]:
        return [run(B4, time_us=time_us) for _ in range(count)]

    findings = judge(series([*without(B4), *timed(80_000)]))
    assert seen(findings) == [("dns-endpoint-slow", "high", "pod/kube-system/b")]
    assert judge(series([*without(B4), *timed(15_000)])) == ()
    assert judge(series([*without(B4), *timed(80_000, 9)])) == ()


@pytest.mark.parametrize(("status", "expected"), [("SERVFAIL", "dns-servfail"), ("REFUSED", "dns-refused")])
def test_refusals_and_failures_of_one_server(status: str, expected: str) -> None:
    """It answers, and no resolver can use what it says; that it differs from the others is said as well."""
    runs = [*without(B6), *(run(B6, status=status) for _ in range(3))]
    findings = judge(series(runs))
    assert seen(findings) == [
        (expected, "high", "pod/kube-system/b"),
        ("dns-servers-disagree", "med", f"name/{NAME}"),
    ]


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
    ids = [each.id for each in judge(series(refused, of=cluster(Known(()))))]
    assert "dns-no-endpoints" in ids
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
