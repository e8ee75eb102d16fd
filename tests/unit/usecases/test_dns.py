"""`dns` as a whole: names asked from a node and from a pod, and what is said about the answers."""

from __future__ import annotations

import time
from typing import Any

import pytest
from msgspec.structs import replace

from netinspect.cluster.client import ClusterClient
from netinspect.errors import CommandError, TargetError, UsageError
from netinspect.models.debug_pod import Privilege
from netinspect.models.dns import DnsProtocol
from netinspect.models.dns_report import DnsReport
from netinspect.models.fact import Reason
from netinspect.models.finding import Severity
from netinspect.models.kubernetes import ContainerStatus, Pod
from netinspect.models.resolver import LookupEnd
from netinspect.usecases.dns import look_up
from netinspect.usecases.dns_targets import choose_node, read_dns_cluster
from netinspect.usecases.dns_wish import build_wish, choose_pod, choose_privilege, design_first_plan
from tests.fake.api import FakeApi
from tests.unit.usecases.dns_world import (
    DNS4,
    DNS6,
    NODE_LOCAL_LINK,
    RESOLV_CONF,
    WEB4,
    WEB6,
    DnsNode,
    dns_pod,
    endpoints,
    fill_cluster,
    healthy,
    meta,
    node,
    processes,
    service,
)

WEB = "web.demo.svc.cluster.local."
DB = "db.demo.svc.cluster.local."


def ask(
    client: ClusterClient, source: DnsNode, *names: str, types: tuple[str, ...] = (), pod: Pod | None = None
) -> DnsReport:
    """Ask, as the command does."""
    cluster = read_dns_cluster(client)
    wish = build_wish(names=names, types=types, namespace="demo", node="node-a", pod=pod)
    assert design_first_plan(wish, cluster).node_probes
    return look_up(client, source, wish, cluster)


def from_pod(**options: Any) -> DnsNode:
    """A node with a healthy DNS, on which the pod runs."""
    made: dict[str, Any] = {"says": healthy(), "files": {10: "nameserver 9.9.9.9", 20: RESOLV_CONF}}
    return DnsNode(**{**made, "processes": processes(), **options})


def found(report: DnsReport) -> dict[str, Severity]:
    """The findings by id; each once."""
    ids = [each.id for each in report.findings]
    assert len(ids) == len(set(ids)), ids
    return {each.id: each.severity for each in report.findings}


def found_any(report: DnsReport) -> set[str]:
    """The ids of the findings, which may come once for each server."""
    return {each.id for each in report.findings}


def test_a_healthy_cluster_is_asked_in_both_families_by_both_protocols_and_nothing_is_found(
    fake_api: FakeApi, client: ClusterClient
) -> None:
    """The default name is completed with the cluster domain, and found through the search list."""
    fill_cluster(fake_api)
    source = DnsNode(says=healthy())
    report = ask(client, source)
    (lookup,) = report.items
    assert lookup.name == "kubernetes.default.svc"
    assert [step.name for step in lookup.plans[0].steps] == [
        "kubernetes.default.svc.demo.svc.cluster.local.",
        "kubernetes.default.svc.svc.cluster.local.",
        "kubernetes.default.svc.cluster.local.",
        "kubernetes.default.svc.",
    ]
    udp = {(str(run.server), run.name, run.type) for run in lookup.runs if run.protocol is DnsProtocol.UDP}
    assert len(udp) == 2 * 4 * 2
    tcp = {(str(run.server), run.name, run.type) for run in lookup.runs if run.protocol is DnsProtocol.TCP}
    name = "kubernetes.default.svc.cluster.local."
    assert tcp == {(server, name, type_) for server in (DNS4, DNS6) for type_ in ("A", "AAAA")}
    assert {each.result.end for each in lookup.results} == {LookupEnd.FOUND}
    assert (report.findings, report.gaps, lookup.others) == ((), (), ())


@pytest.mark.parametrize("name", ["web", "db", "outside"])
def test_answers_that_equal_the_api_are_right(fake_api: FakeApi, client: ClusterClient, name: str) -> None:
    """ClusterIP, headless and ExternalName, in both families."""
    fill_cluster(fake_api)
    report = ask(client, DnsNode(says=healthy()), name)
    assert [each.service for each in report.items[0].expected if each.kind != "no-service"] == [
        f"demo/{name}"
    ]
    assert found(report) == {}


WRONG: dict[str, tuple[str, str, list[str], Severity]] = {
    "cluster-ip": ("web", "A", ["A 10.96.9.9"], Severity.HIGH),
    "cluster-ip-v6": ("web", "AAAA", [], Severity.HIGH),
    "headless": ("db", "A", ["A 10.244.1.4"], Severity.MED),
    "headless-v6": ("db", "AAAA", ["AAAA fd00:10:244:1::4", "AAAA fd00:10:244:9::9"], Severity.MED),
    "external-name": ("outside", "A", ["CNAME example.org."], Severity.HIGH),
}


@pytest.mark.parametrize(("name", "type_", "said", "severity"), WRONG.values(), ids=WRONG)
def test_an_answer_that_differs_from_the_api_twice_is_found(
    fake_api: FakeApi, client: ClusterClient, name: str, type_: str, said: list[str], severity: Severity
) -> None:
    """With the difference, the objects that say otherwise, and their versions."""
    fill_cluster(fake_api)
    full = f"{name}.demo.svc.cluster.local."
    report = ask(client, DnsNode(says={**healthy(), (full, type_): said}), name)
    assert found(report)["dns-answer-differs-from-api"] is severity
    finding = next(each for each in report.findings if each.id == "dns-answer-differs-from-api")
    assert finding.subject == f"service/demo/{name}"
    assert any("resourceVersion" in each.source for each in finding.evidence)
    # ... and an answer that has changed by the second time is none.
    once = DnsNode(says={**healthy(), (full, type_): said}, changes=healthy())
    assert "dns-answer-differs-from-api" not in found(ask(client, once, name))


def test_a_change_of_the_last_minute_is_no_difference_yet(fake_api: FakeApi, client: ClusterClient) -> None:
    """A TTL and a cache lie between the API and the answer; a note says so."""
    fill_cluster(fake_api)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    service(fake_api, "fresh", ["None"])
    endpoints(fake_api, "fresh", "IPv4", ("10.244.1.8",), changed=now)
    report = ask(client, DnsNode(), "fresh")
    assert "dns-answer-differs-from-api" not in found(report)
    assert any("were not held against the API" in note for note in report.notes)


def test_what_the_api_says_otherwise_afterwards_is_not_judged(
    fake_api: FakeApi, client: ClusterClient
) -> None:
    """The Service was changed while the node was asked."""
    fill_cluster(fake_api)

    class Changing(DnsNode):
        def run(self, plan: Any, sinks: Any = None) -> Any:
            done = super().run(plan, sinks)
            spec = {"type": "ClusterIP", "clusterIPs": ["10.96.9.9"]}
            fake_api.store.update("services", "demo", "web", {"spec": spec})
            return done

    wrong = {**healthy(), (WEB, "A"): ["A 10.96.9.9"]}
    assert "dns-answer-differs-from-api" not in found(ask(client, Changing(says=wrong), "web"))


def test_plugins_that_rewrite_are_named_beside_a_difference(fake_api: FakeApi, client: ClusterClient) -> None:
    """The server may have been told to answer so."""
    fill_cluster(fake_api, corefile=".:53 {\n kubernetes cluster.local\n rewrite name a b\n}\n")
    report = ask(client, DnsNode(says={**healthy(), (WEB, "A"): ["A 10.96.9.9"]}), "web")
    assert report.findings[0].not_judged == (
        "the Corefile uses rewrite, which may answer otherwise by right",
    )


def test_a_pod_is_asked_from_with_the_resolv_conf_of_its_container(
    fake_api: FakeApi, client: ClusterClient
) -> None:
    """Not the sandbox's, which an entrypoint does not rewrite; in two trips, within the netns that was found."""
    fill_cluster(fake_api)
    source = from_pod()
    report = ask(client, source, "web", pod=dns_pod())
    assert (report.origin.container, report.origin.pid, report.origin.netns) == ("main", 20, 7)
    assert {str(query.server) for query in source.asked} == {DNS4}
    assert len(source.plans) == 2
    series = next(probe for probe in source.plans[1].node_probes if probe.name == "dns")
    assert series.argv[3:6] == ("netinspect", "7", "10 20")
    assert [str(each) for each in report.items[0].results[0].result.addresses] == [WEB4, WEB6]
    assert found(report) == {}


def test_a_pod_without_a_container_has_its_sandboxs_file(fake_api: FakeApi, client: ClusterClient) -> None:
    """Between two starts of a crashing container only the sandbox lives."""
    fill_cluster(fake_api)
    report = ask(client, from_pod(files={10: RESOLV_CONF}), "web", pod=dns_pod())
    assert (report.origin.container, report.origin.pid) == ("", 10)


def test_a_debugging_container_comes_before_the_sandbox(fake_api: FakeApi, client: ClusterClient) -> None:
    """Its container is not in the pod's spec, but the API knows it."""
    fill_cluster(fake_api)
    pod = dns_pod()
    status = replace(
        pod.status, container_statuses=(), ephemeral_container_statuses=pod.status.container_statuses
    )
    ephemeral = replace(pod, spec=replace(pod.spec, containers=()), status=status)
    assert ask(client, from_pod(), "web", pod=ephemeral).origin.pid == 20


def test_containers_that_see_another_file_are_named(fake_api: FakeApi, client: ClusterClient) -> None:
    """An entrypoint may have rewritten it in one of them."""
    fill_cluster(fake_api)
    pod = dns_pod()
    side = ContainerStatus(name="side", container_id=f"containerd://{'ef' * 32}")
    both = replace(pod, status=replace(pod.status, container_statuses=(*pod.status.container_statuses, side)))
    source = from_pod(
        files={20: RESOLV_CONF, 30: "nameserver 9.9.9.9"},
        processes=[*processes(), (30, f"/kubepods/pod{pod.metadata.uid}/{'ef' * 32}", 7)],
    )
    report = ask(client, source, "web", pod=both)
    assert "pod app: other containers have another resolv.conf than main: side" in report.notes


def test_a_hostnetwork_pod_is_asked_from_in_the_nodes_netns(fake_api: FakeApi, client: ClusterClient) -> None:
    """With ClusterFirst it has the node's resolver: cluster names are not found there, and F59 says why."""
    fill_cluster(fake_api)
    netns = 4026531840
    source = from_pod(
        processes=processes(netns), files={20: "nameserver 192.0.2.1"}, default={"192.0.2.1": "NXDOMAIN"}
    )
    source.says = {}
    report = ask(client, source, "web", pod=dns_pod(hostNetwork=True))
    series = next(probe for probe in source.plans[1].node_probes if probe.name == "dns")
    assert series.argv[3:7] == ("netinspect", "1", "0", "60")
    assert report.origin.netns is None
    assert found(report)["dns-hostnetwork-policy"] is Severity.HIGH
    right = ask(
        client,
        from_pod(processes=processes(netns)),
        "web",
        pod=dns_pod(hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet"),
    )
    assert found(right) == {}


def test_a_resolver_that_points_elsewhere_is_found(fake_api: FakeApi, client: ClusterClient) -> None:
    """F58: and that the cluster's DNS knows the name is shown by asking it from the same place."""
    fill_cluster(fake_api)
    source = from_pod(files={20: RESOLV_CONF.replace(DNS4, "10.96.0.99")}, default={"10.96.0.99": "timeout"})
    source.says = {(*key, "udp", DNS4): said for key, said in healthy().items()}
    report = ask(client, source, "web", pod=dns_pod())
    assert found(report) == {"dns-wrong-nameserver": Severity.CRIT, "dns-server-unreachable": Severity.CRIT}
    assert [(str(run.server), run.name) for run in report.items[0].others][:1] == [(DNS4, WEB)]
    assert report.findings[0].evidence[0].text == "nameserver 10.96.0.99"


@pytest.mark.parametrize(
    "spec",
    [{"dnsPolicy": "Default"}, {"dnsPolicy": "None", "dnsConfig": {}}, {"dnsConfig": {"nameservers": []}}],
)
def test_a_pod_that_chose_its_resolver_is_told_in_a_note(
    fake_api: FakeApi, client: ClusterClient, spec: dict[str, Any]
) -> None:
    """dnsPolicy Default or None, or a dnsConfig. That its server does not know the cluster's names is found."""
    fill_cluster(fake_api)
    source = from_pod(files={20: RESOLV_CONF.replace(DNS4, "192.0.2.1")})
    source.says = {(*key, "udp", DNS4): said for key, said in healthy().items()}
    report = ask(client, source, "web", pod=dns_pod(**spec))
    assert found(report) == {"dns-unknown-to-nameserver": Severity.HIGH}
    assert any("are its own choice" in note for note in report.notes)


def test_a_service_that_is_a_name_server_is_one_of_the_clusters(
    fake_api: FakeApi, client: ClusterClient
) -> None:
    """Somebody's own DNS Service, or NodeLocal DNSCache: not "elsewhere"."""
    fill_cluster(fake_api)
    service(fake_api, "own-dns", ["10.96.0.53"], port=53)
    source = from_pod(files={20: RESOLV_CONF.replace(DNS4, "10.96.0.53")})
    assert found(ask(client, source, "web", pod=dns_pod())) == {}
    source = from_pod(files={20: RESOLV_CONF.replace(DNS4, "169.254.20.10")})
    assert found(ask(client, source, "web", pod=dns_pod())) == {}


def test_a_server_elsewhere_that_knows_the_clusters_names_is_not_wrong(
    fake_api: FakeApi, client: ClusterClient
) -> None:
    """A cache on the node at an address of its own, and a node's resolver that forwards the zone; by IPv6 as well."""
    fill_cluster(fake_api)
    for address in ("fd00:53::53", "169.254.10.11"):
        conf = RESOLV_CONF.replace(DNS4, address)
        assert found(ask(client, from_pod(files={20: conf}), "web", pod=dns_pod())) == {}
        on_node = from_pod(processes=processes(4026531840), files={20: conf})
        assert found(ask(client, on_node, "web", pod=dns_pod(hostNetwork=True))) == {}


def test_a_server_that_has_an_address_for_every_name_does_not_know_the_clusters(
    fake_api: FakeApi, client: ClusterClient
) -> None:
    """Some providers answer so instead of NXDOMAIN."""
    fill_cluster(fake_api)
    source = from_pod(files={20: RESOLV_CONF.replace(DNS4, "192.0.2.1")}, default={"*": ["A 203.0.113.9"]})
    source.says = {}
    for name in ("web", "nosuch"):
        assert "dns-wrong-nameserver" in found(ask(client, source, name, pod=dns_pod()))


def test_a_server_elsewhere_that_was_asked_for_no_name_of_the_cluster_is_less_certain(
    fake_api: FakeApi, client: ClusterClient
) -> None:
    """It may know them; the finding says that nobody asked."""
    fill_cluster(fake_api)
    source = from_pod(files={20: RESOLV_CONF.replace(DNS4, "192.0.2.1")})
    report = ask(client, source, "example.com.", pod=dns_pod())
    assert found(report)["dns-wrong-nameserver"] is Severity.HIGH
    finding = next(each for each in report.findings if each.id == "dns-wrong-nameserver")
    assert finding.not_judged == ("no name of the cluster that the API knows was asked for there",)
    assert "are not found" not in finding.message


def test_a_server_that_is_named_twice_is_asked_once(fake_api: FakeApi, client: ClusterClient) -> None:
    """And no question is missed."""
    fill_cluster(fake_api)
    report = ask(client, from_pod(files={20: f"{RESOLV_CONF}\nnameserver {DNS4}"}), "web", pod=dns_pod())
    assert (report.gaps, found(report)) == ((), {})


def test_servers_of_both_kinds_are_found(fake_api: FakeApi, client: ClusterClient) -> None:
    """musl takes whichever answers first."""
    fill_cluster(fake_api)
    source = from_pod(files={20: f"{RESOLV_CONF}\nnameserver 192.0.2.1"})
    assert found(ask(client, source, "web", pod=dns_pod())) == {"dns-mixed-nameservers": Severity.MED}


def test_a_name_that_ends_with_a_dot_is_not_found_only_because_of_the_search_list(
    fake_api: FakeApi, client: ClusterClient
) -> None:
    """The full name is asked for as well, and named."""
    fill_cluster(fake_api)
    report = ask(client, DnsNode(says=healthy()), "web.")
    assert found(report) == {"dns-nxdomain-search-list": Severity.MED}
    assert "ends with a dot" in report.findings[0].message
    assert WEB.removesuffix(".") in report.findings[0].advice


def test_a_search_list_without_the_cluster_is_found(fake_api: FakeApi, client: ClusterClient) -> None:
    """The pod asks the right server for the wrong names."""
    fill_cluster(fake_api)
    source = from_pod(files={20: f"nameserver {DNS4}\nsearch corp.example"})
    report = ask(client, source, "web", pod=dns_pod())
    assert found(report) == {"dns-nxdomain-search-list": Severity.MED}
    assert "corp.example" in report.findings[0].message


def test_another_cluster_domain_in_the_search_list_is_told(fake_api: FakeApi, client: ClusterClient) -> None:
    """The kubelet's clusterDomain is not CoreDNS's; an IPv6 name server has the question beside it asked by IPv6."""
    fill_cluster(fake_api)
    conf = RESOLV_CONF.replace("cluster.local", "corp.test").replace(DNS4, DNS6)
    report = ask(client, from_pod(files={20: conf}), "web", pod=dns_pod())
    assert found(report) == {"dns-nxdomain-search-list": Severity.MED}
    assert {str(run.server) for run in report.items[0].others} == {DNS6}
    assert any("cluster domain corp.test" in note and "cluster.local" in note for note in report.notes)


def test_a_service_of_that_name_in_another_namespace_is_named(
    fake_api: FakeApi, client: ClusterClient
) -> None:
    """As what may have been meant."""
    fill_cluster(fake_api)
    service(fake_api, "api", ["10.96.3.3"], namespace="shop")
    report = ask(client, DnsNode(says=healthy()), "api")
    assert found(report) == {"dns-nxdomain-other-namespace": Severity.MED}
    assert report.findings[0].advice == "use api.shop, if that one is meant"


@pytest.mark.parametrize(
    ("name", "is_told"),
    [
        ("web.demo", False),
        ("api.demo", True),
        ("api.demo.svc", True),
        ("api.demo.svc.cluster.local", True),
        ("api.com", False),
        ("api.example.com", False),
        ("api.demo.example.com", False),
        ("api.cluster.local", False),
    ],
)
def test_only_names_of_the_form_of_a_services_are_told_of_other_namespaces(
    fake_api: FakeApi, client: ClusterClient, name: str, is_told: bool
) -> None:
    """`api.example.com` is somebody else's `api`."""
    fill_cluster(fake_api)
    service(fake_api, "api", ["10.96.3.3"], namespace="shop")
    assert ("dns-nxdomain-other-namespace" in found(ask(client, DnsNode(says=healthy()), name))) is is_told


@pytest.mark.parametrize("type_", ["AAAA", "A"])
def test_one_family_alone_shows_what_is_not_found(
    fake_api: FakeApi, client: ClusterClient, type_: str
) -> None:
    """NXDOMAIN is about the name; how getaddrinfo without a family would end is still not told."""
    fill_cluster(fake_api)
    service(fake_api, "api", ["10.96.3.3"], namespace="shop")
    source = DnsNode(says=healthy())
    told = {
        "web.demo.svc.": {"dns-nxdomain-search-list": Severity.MED},
        "api": {"dns-nxdomain-other-namespace": Severity.MED},
        "nosuch": {"dns-name-not-found": Severity.INFO},
        # Without an address of one family; the other may have one, and so may what an ExternalName stands for.
        "kubernetes.default": {},
        "outside": {},
        "web": {},
    }
    for name, expected in told.items():
        report = ask(client, source, name, types=(type_,))
        assert (found(report), report.items[0].results) == (expected, ()), name


@pytest.mark.parametrize(("says", "is_told"), [("SERVFAIL", False), ("timeout", False), ("NXDOMAIN", True)])
def test_an_external_name_that_could_not_be_looked_up_is_not_told_as_missing(
    fake_api: FakeApi, client: ClusterClient, says: str, is_told: bool
) -> None:
    """Whether its target exists is not known then."""
    fill_cluster(fake_api)
    name = "outside.demo.svc.cluster.local."
    source = DnsNode(says={**healthy(), (name, "A"): says, (name, "AAAA"): says})
    assert ("dns-service-without-address" in found_any(ask(client, source, "outside"))) is is_told


def test_a_name_that_is_not_there_is_worth_knowing(fake_api: FakeApi, client: ClusterClient) -> None:
    """The servers are right; a script can still ask for it with --fail-on info."""
    fill_cluster(fake_api)
    assert found(ask(client, DnsNode(says=healthy()), "nosuch.demo")) == {"dns-name-not-found": Severity.INFO}
    assert found(ask(client, DnsNode(says=healthy()), "web.demo")) == {}


def test_the_tcp_question_for_a_service_record_is_put_for_the_service(
    fake_api: FakeApi, client: ClusterClient
) -> None:
    """`_http._tcp.web.demo.svc` is meant in the cluster domain, not as it stands."""
    fill_cluster(fake_api)
    source = DnsNode(says=healthy())
    ask(client, source, "_http._tcp.web.demo.svc", types=("SRV",))
    tcp = {each.name for each in source.asked if each.protocol is DnsProtocol.TCP}
    assert tcp == {"_http._tcp.web.demo.svc.cluster.local."}


def test_a_headless_service_without_ready_endpoints_is_told(fake_api: FakeApi, client: ClusterClient) -> None:
    """It is not found, and the API says why."""
    fill_cluster(fake_api)
    service(fake_api, "empty", ["None"])
    endpoints(fake_api, "empty", "IPv6", ("fd00::1",), ready=False)
    report = ask(client, DnsNode(says=healthy()), "empty")
    assert found(report) == {"dns-service-without-address": Severity.MED}


def test_no_ready_endpoint_is_found(fake_api: FakeApi, client: ClusterClient) -> None:
    """F60, and that nothing answers there."""
    fill_cluster(fake_api, ready=False)
    report = ask(client, DnsNode(default={"*": "closed"}))
    ids = [(each.id, each.severity) for each in report.findings]
    assert ids == [
        ("dns-no-endpoints", Severity.CRIT),
        ("dns-server-unreachable", Severity.CRIT),
        ("dns-server-unreachable", Severity.CRIT),
    ]
    assert "refused at once" in report.findings[1].advice


def test_no_ready_endpoint_of_one_family_is_found(fake_api: FakeApi, client: ClusterClient) -> None:
    """IPv4 is answered, IPv6 is not."""
    fill_cluster(fake_api)
    slices = {"endpoints": [{"addresses": ["fd00:10:244:1::2"], "conditions": {"ready": False}}]}
    fake_api.store.update("endpointslices", "kube-system", "kube-dns-ipv6", slices)
    report = ask(client, DnsNode(says=healthy(), default={DNS6: "closed", "*": "NXDOMAIN"}))
    assert found(report)["dns-no-endpoints"] is Severity.HIGH
    assert DNS6 in next(each.message for each in report.findings if each.id == "dns-no-endpoints")


def silent(protocol: str, says: str = "timeout") -> DnsNode:
    table = {(*key, "tcp" if protocol == "udp" else "udp"): said for key, said in healthy().items()}
    return DnsNode(says=table, default={protocol: says, "*": "NXDOMAIN"})


def test_udp_that_is_lost_and_tcp_that_is_not(fake_api: FakeApi, client: ClusterClient) -> None:
    """At both addresses: a finding each."""
    fill_cluster(fake_api)
    report = ask(client, silent("udp"))
    assert [(each.id, each.severity) for each in report.findings] == [("dns-udp-fails", Severity.CRIT)] * 2


def test_tcp_that_is_refused_and_udp_that_is_not(fake_api: FakeApi, client: ClusterClient) -> None:
    """F61."""
    fill_cluster(fake_api)
    report = ask(client, silent("tcp", "closed"))
    assert [(each.id, each.severity) for each in report.findings] == [("dns-tcp-fails", Severity.HIGH)] * 2


def test_one_dead_address_of_two_is_less_than_all(fake_api: FakeApi, client: ClusterClient) -> None:
    """The other family still answers."""
    fill_cluster(fake_api)
    dead = {(*key, protocol, DNS6): "timeout" for key in healthy() for protocol in ("udp", "tcp")}
    report = ask(client, DnsNode(says={**healthy(), **dead}, default={DNS6: "timeout", "*": "NXDOMAIN"}))
    assert found(report) == {"dns-server-unreachable": Severity.HIGH}
    assert DNS6 in report.findings[0].message


@pytest.mark.parametrize("says", ["SERVFAIL", "timeout"])
def test_external_names_that_fail_where_the_clusters_are_answered_are_upstreams_fault(
    fake_api: FakeApi, client: ClusterClient, says: str
) -> None:
    """F62."""
    fill_cluster(fake_api)
    source = from_pod(says={("example.com.", "A"): says, ("example.com.", "AAAA"): says})
    assert found(ask(client, source, "example.com", pod=dns_pod())) == {"dns-upstream-failure": Severity.HIGH}


@pytest.mark.parametrize(
    ("says", "finding_id"),
    [("SERVFAIL", "dns-servfail"), ("REFUSED", "dns-refused"), ("NOTIMP", "dns-unexpected-status")],
)
def test_statuses_that_are_failures_are_found(
    fake_api: FakeApi, client: ClusterClient, says: str, finding_id: str
) -> None:
    """dig ends with 0 for each of them."""
    fill_cluster(fake_api)
    source = from_pod(says={(WEB, "A"): says, (WEB, "AAAA"): says})
    assert finding_id in found(ask(client, source, "web", pod=dns_pod()))


def test_single_losses_are_told_as_such(fake_api: FakeApi, client: ClusterClient) -> None:
    """One question of many."""
    fill_cluster(fake_api)
    source = from_pod(says={**healthy(), ("web.cluster.local.", "AAAA"): "timeout"})
    report = ask(client, source, "web", pod=dns_pod())
    assert found(report)["dns-lost-questions"] is Severity.MED


def test_an_external_name_behind_the_whole_search_list_is_told_as_load(
    fake_api: FakeApi, client: ClusterClient
) -> None:
    """F63: eight questions for one name."""
    fill_cluster(fake_api)
    says = {("example.com.", "A"): ["A 192.0.2.7"], ("example.com.", "AAAA"): ["AAAA 2001:db8::7"]}
    report = ask(client, from_pod(says=says), "example.com", pod=dns_pod())
    assert found(report) == {"dns-search-expansion": Severity.INFO}
    assert "8 questions" in report.findings[0].message


def test_a_name_that_only_glibc_finds_is_told(fake_api: FakeApi, client: ClusterClient) -> None:
    """musl never searches for a name with as many dots as ndots."""
    fill_cluster(fake_api)
    source = from_pod(files={20: RESOLV_CONF.replace("ndots:5", "ndots:1")})
    report = ask(client, source, "web.demo", pod=dns_pod())
    assert found(report) == {"dns-libc-differs": Severity.MED}


def test_node_local_cache_without_its_pod_is_found(fake_api: FakeApi, client: ClusterClient) -> None:
    """F64: the link still takes the questions. With a ready pod it is a note."""
    fill_cluster(fake_api)
    pod = {
        "metadata": meta("nld", "kube-system"),
        "spec": {"nodeName": "node-a"},
        "status": {"conditions": []},
    }
    pod["metadata"]["labels"] = {"k8s-app": "node-local-dns"}
    fake_api.store.add("pods", pod)
    source = DnsNode(says=healthy(), links=NODE_LOCAL_LINK)
    # Nothing tells that it does not run where all is answered: its pod may have another label.
    assert found(ask(client, source)) == {}
    dead = DnsNode(says={}, default={DNS4: "timeout", "*": "NXDOMAIN"}, links=NODE_LOCAL_LINK)
    assert found(ask(client, dead))["dns-node-local-down"] is Severity.CRIT
    unasked = DnsNode(
        says=healthy(),
        links=NODE_LOCAL_LINK.replace(b"10.96.0.10", b"169.254.20.11"),
        files={20: RESOLV_CONF},
    )
    report = ask(client, unasked)
    assert found(report) == {"dns-node-local-down": Severity.HIGH}
    assert report.findings[0].not_judged == ("nothing was asked at these addresses",)
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    fake_api.store.update("pods", "kube-system", "nld", ready)
    report = ask(client, source)
    assert found(report) == {}
    assert any("NodeLocal DNSCache" in note and "169.254.20.10" in note for note in report.notes)


def test_the_cluster_domain_is_read_from_a_pod_where_the_corefile_is_not(
    fake_api: FakeApi, client: ClusterClient
) -> None:
    """Never assumed: it is another one here."""
    fill_cluster(fake_api, corefile="")
    pod = {"metadata": {**meta("app", "demo"), "uid": dns_pod().metadata.uid}}
    fake_api.store.add("pods", {**pod, "spec": {"nodeName": "node-a"}, "status": {"phase": "Running"}})
    conf = f"search demo.svc.corp.test svc.corp.test corp.test\nnameserver {DNS4}"
    wish = build_wish(names=(), types=(), namespace="demo", node="node-a", pod=None)
    assert choose_privilege(wish, read_dns_cluster(client)) is Privilege.SYSADMIN
    report = ask(client, from_pod(files={20: conf}))
    assert report.cluster.domain is not None
    assert (report.cluster.domain.name, report.cluster.domain.source) == (
        "corp.test",
        "the search list of pod demo/app",
    )
    assert report.items[0].plans[0].steps[2].name == "kubernetes.default.svc.corp.test."
    assert report.gaps == ()


def test_an_unknown_cluster_domain_is_a_gap(fake_api: FakeApi, client: ClusterClient) -> None:
    """No pod of the node could tell; names are asked as they are."""
    fill_cluster(fake_api, corefile="")
    report = ask(client, DnsNode(), "web.demo")
    assert [(gap.fact, gap.reason) for gap in report.gaps] == [("the cluster domain", Reason.NOT_FOUND)]
    assert [step.name for step in report.items[0].plans[0].steps] == ["web.demo."]


def test_missing_rights_are_gaps_and_the_rest_goes_on(fake_api: FakeApi, client: ClusterClient) -> None:
    """ConfigMaps and the pods of kube-system may not be read; the answers are there."""
    fill_cluster(fake_api)
    fake_api.deny("*", "configmaps")
    fake_api.deny("list", "pods")
    report = ask(client, from_pod(), "web", pod=dns_pod())
    reasons = {gap.fact: gap.reason for gap in report.gaps}
    assert reasons == {
        "CoreDNS's Corefile": Reason.PERMISSION_DENIED,
        "the pods of NodeLocal DNSCache": Reason.PERMISSION_DENIED,
    }
    assert report.cluster.domain is not None
    assert report.cluster.domain.source == "the search list of pod demo/app"
    assert found(report) == {}
    assert report.items[0].results[0].result.end is LookupEnd.FOUND


def test_without_the_right_to_list_services_each_is_asked_for(
    fake_api: FakeApi, client: ClusterClient
) -> None:
    """A user of one namespace: what is expected is still known; whose an unknown address is, is not."""
    fill_cluster(fake_api)
    fake_api.deny("list", "services")
    report = ask(client, DnsNode(says={**healthy(), (WEB, "A"): ["A 10.96.9.9"]}), "web")
    assert found(report) == {"dns-answer-differs-from-api": Severity.HIGH}
    source = from_pod(files={20: RESOLV_CONF.replace(DNS4, "10.96.0.99")})
    report = ask(client, source, "web", pod=dns_pod())
    assert [gap.subject for gap in report.gaps] == ["nameserver/10.96.0.99"]
    assert "dns-wrong-nameserver" not in found(report)


def test_no_dig_is_a_gap_with_advice(fake_api: FakeApi, client: ClusterClient) -> None:
    """And no "nothing is wrong"."""
    fill_cluster(fake_api)
    report = ask(client, DnsNode(is_without_dig=True))
    assert {gap.reason for gap in report.gaps} == {Reason.TOOL_MISSING}
    assert "--image" in report.gaps[0].detail
    assert report.items[0].runs == ()


def test_questions_that_were_not_put_are_a_gap(fake_api: FakeApi, client: ClusterClient) -> None:
    """The time was over; what the lookup would have come to is not guessed."""
    fill_cluster(fake_api)
    report = ask(client, DnsNode(says=healthy(), most=3))
    assert [gap.reason for gap in report.gaps] == [Reason.TIMED_OUT]
    assert {each.result.end for each in report.items[0].results} == {LookupEnd.UNDECIDED}


def test_other_types_are_asked_and_no_lookup_is_judged(fake_api: FakeApi, client: ClusterClient) -> None:
    """getaddrinfo asks for A and AAAA only."""
    fill_cluster(fake_api)
    source = DnsNode(says={("_http._tcp.web.demo.svc.cluster.local.", "SRV"): [f"SRV 0 100 80 {WEB}"]})
    report = ask(client, source, "_http._tcp.web", types=("srv",))
    assert {query.type for query in source.asked} == {"SRV"}
    assert report.items[0].results == ()
    assert found(report) == {}


HOSTILE = [
    *("$(id)", "-t", "+short", "@192.0.2.1", "a b", "x'; exit 3; '", "a\nb"),
    *("m\u00fcller.example", "_x.y", "a" * 300, "a,metadata.namespace=kube-system"),
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_data(fake_api: FakeApi, client: ClusterClient, name: str) -> None:
    """They reach the arguments as they are, and no request of the API's is made of them."""
    fill_cluster(fake_api)
    source = DnsNode()
    report = ask(client, source, name)
    assert report.items[0].name == name
    assert all(query.name.startswith(name) for query in source.asked)
    selectors = [each.one("fieldSelector") for each in fake_api.seen("GET", "/services$")]
    assert all(selector == "" or selector.removeprefix("metadata.name=").isalnum() for selector in selectors)


@pytest.mark.parametrize(
    ("names", "types", "message"),
    [
        (("",), (), "a name is empty"),
        (("\udcff",), (), "no UTF-8"),
        ((), ("a b",), "no record type"),
        ((), ("AXFR",), "zone transfer"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_started(
    names: tuple[str, ...], types: tuple[str, ...], message: str
) -> None:
    """As an error of usage."""
    with pytest.raises(UsageError, match=message):
        build_wish(names=names, types=types, namespace="demo", node="node-a", pod=None)


def test_too_many_questions_are_refused(fake_api: FakeApi, client: ClusterClient) -> None:
    """Rather than cut."""
    fill_cluster(fake_api)
    with pytest.raises(UsageError, match="more than 400"):
        ask(client, DnsNode(), *(f"name-{number}" for number in range(50)))


def test_the_pod_to_ask_from_is_the_first_that_runs() -> None:
    """Completed pods and pods that wait for a node are refused in words."""
    pods = (dns_pod("b"), dns_pod("a"), dns_pod("c"))
    assert choose_pod(pods).metadata.name == "a"
    with pytest.raises(TargetError, match="not bound to a node yet"):
        choose_pod((dns_pod("x", nodeName=""),))


def test_a_pod_is_not_looked_for_where_no_process_is_seen(fake_api: FakeApi, client: ClusterClient) -> None:
    """`--via` a pod without the node's PIDs."""
    fill_cluster(fake_api)
    with pytest.raises(CommandError, match="privilege sysadmin"):
        ask(client, from_pod(privilege=Privilege.NETADMIN), "web", pod=dns_pod())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"processes": ()}, "no process on the node belongs to the pod"),
        ({"files": {}}, "no process of the pod has a resolv.conf that could be read .PIDs: 10, 20"),
        ({"files": {20: "a\0b"}}, "no text"),
    ],
)
def test_a_pod_whose_resolver_cannot_be_found_is_an_error(
    fake_api: FakeApi, client: ClusterClient, options: dict[str, Any], message: str
) -> None:
    """And never another's file."""
    fill_cluster(fake_api)
    with pytest.raises(CommandError, match=message):
        ask(client, from_pod(**options), "web", pod=dns_pod())


def test_a_cluster_without_a_known_dns_service_is_an_error_from_a_node(client: ClusterClient) -> None:
    """A pod knows whom it asks; a node does not."""
    wish = build_wish(names=("a.b",), types=(), namespace="demo", node="node-a", pod=None)
    with pytest.raises(TargetError, match=r"DNS Service was not found.*kube-system/kube-dns"):
        look_up(client, DnsNode(), wish, read_dns_cluster(client))


def test_the_node_is_the_first_by_name_that_is_ready_and_runs_linux(
    fake_api: FakeApi, client: ClusterClient
) -> None:
    """The same one each time."""
    for made in (node("d"), node("c"), node("b", ready="False"), node("a", system="windows")):
        fake_api.store.add("nodes", made)
    assert choose_node(client) == "c"
