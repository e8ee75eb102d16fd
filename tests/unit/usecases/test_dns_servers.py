"""`dns --servers` as a whole: who is asked how often, from where, and what is said of the answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from netinspect.cluster.client import ClusterClient
from netinspect.errors import TargetError, UsageError
from netinspect.models.command import CommandResult
from netinspect.models.dns import DnsProtocol
from netinspect.models.dns_query import DnsQuery
from netinspect.models.dns_servers import DnsServersReport, ServerRole
from netinspect.models.fact import Reason
from netinspect.models.kubernetes import Pod
from netinspect.probes.plan import Probe
from netinspect.usecases.dns_servers import (
    build_series_wish,
    compare_servers,
    default_timeout_s,
    design_dry_plan,
)
from netinspect.usecases.dns_targets import read_dns_cluster
from netinspect.usecases.dns_wish import build_wish
from tests.fake.api import FakeApi
from tests.unit.usecases.dns_world import (
    DNS4,
    DNS6,
    NODE_LOCAL_LINK,
    RESOLV_CONF,
    DnsNode,
    dns_pod,
    fill_cluster,
    healthy,
    processes,
)
from tests.unit.usecases.fake_node import result

A4, B4, A6 = "10.244.1.2", "10.244.2.2", "fd00:10:244:1::2"
STATISTICS = (
    "cpu=0   \tfound=0 invalid=0 insert=0 insert_failed={} drop=0 early_drop=0 error=0 search_restart=0 \n"
)


@dataclass
class CountingNode(DnsNode):
    """A node whose conntrack counters can be read, and rise."""

    failed: tuple[int, int] | None = (3, 3)

    def _run(self, probe: Probe) -> CommandResult:
        if not probe.name.startswith("conntrack-statistics"):
            return super()._run(probe)
        if self.failed is None:
            return result(probe.name, code=127, stderr=b"conntrack: not found")
        value = self.failed[probe.name.endswith("again")]
        return result(probe.name, STATISTICS.format(value).encode())


def compare(
    client: ClusterClient,
    source: DnsNode,
    *names: str,
    types: tuple[str, ...] = ("A",),
    pod: Pod | None = None,
    count: int = 1,
) -> DnsServersReport:
    """Ask, as the command does."""
    wish = build_wish(names=names, types=types, namespace="demo", node="node-a", pod=pod)
    return compare_servers(client, source, wish, build_series_wish(count, 50, None), read_dns_cluster(client))


def test_every_server_is_asked_the_same(fake_api: FakeApi, client: ClusterClient) -> None:
    """Both addresses of the Service and each endpoint, both families, UDP and TCP; the default name is completed."""
    fill_cluster(fake_api)
    source = CountingNode(says=healthy())
    report = compare(client, source)
    assert {(str(each.server), each.protocol.value) for each in source.asked} == {
        (server, protocol) for server in (DNS4, DNS6, A4, B4, A6) for protocol in ("udp", "tcp")
    }
    assert {each.name for each in source.asked} == {"kubernetes.default.svc.cluster.local."}
    assert len(report.items) == 10
    assert [each.server.role for each in report.items[:4]] == [ServerRole.SERVICE] * 4
    assert (report.findings, report.gaps, report.disagreements) == ((), (), ())
    assert report.counters is not None
    assert report.counters["insert_failed"] == 0


def test_one_trip_asks_in_rounds_between_two_readings_of_the_counters(
    fake_api: FakeApi, client: ClusterClient
) -> None:
    """The series says how often and how fast; a rise of insert_failed is told."""
    fill_cluster(fake_api)
    source = CountingNode(says=healthy(), failed=(2**32 - 1, 4))
    report = compare(client, source, count=7)
    (plan,) = source.plans
    names = [probe.name for probe in plan.node_probes]
    assert names == ["links", "conntrack-statistics", "dns-series", "conntrack-statistics-again"]
    argv = plan.node_probes[2].argv
    assert argv[argv.index("netinspect") + 1 :][:3] == ("7", "0.02", "84")
    assert [each.id for each in report.findings] == ["dns-insert-race"]
    assert "insert_failed +5" in report.findings[0].evidence[0].text
    assert any("the time was over after 10 of 70" in note for note in report.notes)


def test_an_endpoint_that_is_silent_is_named(fake_api: FakeApi, client: ClusterClient) -> None:
    """Told apart from the Service that sends half of the questions there."""
    fill_cluster(fake_api)
    source = CountingNode(says=healthy(), default={B4: "timeout", "*": "NXDOMAIN"})
    key = ("kubernetes.default.svc.cluster.local.", "A")
    source.says = {(*key, protocol, B4): "timeout" for protocol in ("udp", "tcp")} | healthy()
    report = compare(client, source)
    assert [each.id for each in report.findings] == ["dns-endpoint-dead"]
    assert B4 in report.findings[0].message
    assert "asked 1 times only: --count asks more often" in report.findings[0].not_judged
    dead = [each.statistics for each in report.items if str(each.server.address) == B4]
    assert [(each.lost, each.loss, each.p50_us) for each in dead] == [(1, 1.0, None)] * 2


def test_the_cache_of_the_node_is_asked_where_the_cluster_has_one(
    fake_api: FakeApi, client: ClusterClient
) -> None:
    """That takes another trip: which addresses it has, only the node knows."""
    fill_cluster(fake_api)
    fake_api.store.add(
        "pods",
        {
            "metadata": {
                "name": "node-local-dns-x",
                "namespace": "kube-system",
                "labels": {"k8s-app": "node-local-dns"},
            },
            "spec": {"nodeName": "node-a"},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        },
    )
    source = CountingNode(says=healthy(), links=NODE_LOCAL_LINK)
    report = compare(client, source)
    assert len(source.plans) == 2
    caches = {str(each.server.address) for each in report.items if each.server.role is ServerRole.NODE_LOCAL}
    assert caches == {"169.254.20.10"}


def test_a_pod_asks_from_its_netns_and_its_own_servers_too(fake_api: FakeApi, client: ClusterClient) -> None:
    """Its resolv.conf names a foreign server: that is asked as well, and it does not know the name."""
    fill_cluster(fake_api)
    text = f"{RESOLV_CONF}\nnameserver 192.0.2.53\n"
    key = ("kubernetes.default.svc.cluster.local.", "A")
    says = {(*key, protocol, "192.0.2.53"): "NXDOMAIN" for protocol in ("udp", "tcp")} | healthy()
    source = CountingNode(says=says, files={20: text}, processes=processes())
    report = compare(client, source, pod=dns_pod())
    assert report.pod == "demo/app"
    series = source.plans[-1].node_probes[2].argv
    assert series.count("netinspect") == 2  # through within.sh, which enters the netns
    assert "7" in series
    foreign = [each for each in report.items if each.server.role is ServerRole.NAMESERVER]
    assert {str(each.server.address) for each in foreign} == {"192.0.2.53"}
    assert [each.id for each in report.findings] == ["dns-servers-disagree"]


def test_what_could_not_be_read_is_a_gap(fake_api: FakeApi, client: ClusterClient) -> None:
    """No dig, no conntrack: each is named, and nothing is found to be wrong."""
    fill_cluster(fake_api)
    report = compare(client, CountingNode(is_without_dig=True, failed=None))
    assert [(each.fact, each.reason) for each in report.gaps] == [
        ("the answers of the name servers", Reason.TOOL_MISSING),
        ("the conntrack counters", Reason.TOOL_MISSING),
    ]
    assert (report.items, report.findings, report.counters) == ((), (), None)


def test_without_any_server_it_is_an_error(fake_api: FakeApi, client: ClusterClient) -> None:
    """Nothing to ask is not "all is well"."""
    fill_cluster(fake_api)
    fake_api.store.remove("services", "kube-system", "kube-dns")
    with pytest.raises(TargetError, match="no server of the cluster's DNS is known"):
        compare(client, CountingNode())


@pytest.mark.parametrize(
    ("count", "rate", "timeout_s"),
    [(0, 50, None), (1001, 50, None), (10, 0, None), (10, 201, None), (10, 50, 20.0)],
)
def test_numbers_without_meaning_are_refused(count: int, rate: float, timeout_s: float | None) -> None:
    """Before anything is started."""
    with pytest.raises(UsageError):
        build_series_wish(count, rate, timeout_s)


def test_too_many_questions_in_a_round_are_refused(fake_api: FakeApi, client: ClusterClient) -> None:
    """It says what to leave out."""
    fill_cluster(fake_api)
    with pytest.raises(UsageError, match="more than 400"):
        compare(client, CountingNode(), *(f"name-{number}" for number in range(60)))


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("web", "web.demo.svc.cluster.local."),
        ("web.demo", "web.demo.svc.cluster.local."),
        ("web.demo.svc", "web.demo.svc.cluster.local."),
        ("kubernetes.default", "kubernetes.default.svc.cluster.local."),
        ("example.com", "example.com."),
        ("web.demo.", "web.demo."),
        ("nosuch", "nosuch.demo.svc.cluster.local."),
    ],
)
def test_names_are_those_of_services_where_there_are_such(
    fake_api: FakeApi, client: ClusterClient, name: str, full: str
) -> None:
    """As an application would give them: the API says whether `web.demo` is a Service or a name outside."""
    fill_cluster(fake_api)
    assert compare(client, CountingNode(says=healthy()), name).names == (full,)


def test_a_question_that_dig_does_not_put_is_a_gap(fake_api: FakeApi, client: ClusterClient) -> None:
    """Nothing was asked, so nothing can be found to be right."""
    fill_cluster(fake_api)

    class Refusing(CountingNode):
        def _answer(self, place: int, query: DnsQuery, probe: str) -> str:
            text = "dig: 'a..test.' is not a legal name (empty label)"
            head = f"run {place} 100.00 10 {query.server} 53 {query.protocol.value} XYZ"
            return f"{head} {len(query.name)} {len(text)}\n{query.name}\n{text}\n"

    report = compare(client, Refusing(), types=("XYZ",))
    assert [(each.fact, each.reason) for each in report.gaps] == [
        ("the answers of the name servers", Reason.FAILED)
    ]
    assert "dig put no question" in report.gaps[0].detail


def test_the_only_name_server_of_a_pod_weighs_more(fake_api: FakeApi, client: ClusterClient) -> None:
    """Where it is dead, every lookup of the pod fails; beside another one, some are late."""
    fill_cluster(fake_api)
    key = ("kubernetes.default.svc.cluster.local.", "A")
    says = {(*key, protocol, "192.0.2.53"): "timeout" for protocol in ("udp", "tcp")} | healthy()
    for text, severity in (
        ("nameserver 192.0.2.53", "crit"),
        (f"{RESOLV_CONF}\nnameserver 192.0.2.53", "high"),
    ):
        source = CountingNode(says=says, files={20: text}, processes=processes())
        (finding,) = compare(client, source, pod=dns_pod()).findings
        assert (finding.id, finding.severity.value) == ("dns-server-unreachable", severity)


def test_the_time_follows_the_count_unless_it_is_given() -> None:
    """A dead server takes two seconds a question: there is time for that, and an end."""
    assert build_series_wish(10, 50, None).limit_s == 120
    assert default_timeout_s(build_series_wish(10, 50, None)) == 180
    assert build_series_wish(1000, 50, None).limit_s == 1800
    assert build_series_wish(10, 50, 90.0).limit_s == 60


def test_a_dry_run_knows_the_servers_of_the_api(fake_api: FakeApi, client: ClusterClient) -> None:
    """Also where there is none."""
    fill_cluster(fake_api)
    wish: dict[str, Any] = {"names": (), "types": ("A",), "namespace": "demo", "node": "node-a", "pod": None}
    series = build_series_wish(1, 50, None)
    plan = design_dry_plan(read_dns_cluster(client), build_wish(**wish), series)
    assert any(DNS6 in probe.argv for probe in plan.node_probes)
    assert any(DnsProtocol.TCP.value in probe.argv for probe in plan.node_probes)
