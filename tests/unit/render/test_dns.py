"""The text of `dns`: what a person reads first."""

from __future__ import annotations

from netinspect.cluster.client import ClusterClient
from netinspect.models.dns_report import DnsReport
from netinspect.render.dns import name_of, render_lookups
from netinspect.usecases.dns import look_up
from netinspect.usecases.dns_targets import read_dns_cluster
from netinspect.usecases.dns_wish import build_wish
from tests.fake.api import FakeApi
from tests.unit.usecases.dns_world import RESOLV_CONF, DnsNode, dns_pod, fill_cluster, healthy, processes


def report_of(fake_api: FakeApi, client: ClusterClient, source: DnsNode, *names: str) -> DnsReport:
    fill_cluster(fake_api)
    source.processes, source.files = processes(), {20: RESOLV_CONF}
    wish = build_wish(names=names, types=(), namespace="demo", node="node-a", pod=dns_pod())
    return look_up(client, source, wish, read_dns_cluster(client))


WEB = """\
from      pod demo/app on node node-a (netns 7)
resolver  /etc/resolv.conf of container main (PID 20)
          nameserver 10.96.0.10
          search demo.svc.cluster.local svc.cluster.local cluster.local
          options ndots:5
domain    cluster.local (Corefile of configmap kube-system/coredns)
service   kube-system/kube-dns 10.96.0.10 fd00:10:96::a (3 of 3 endpoints ready)

NAME web
plan      glibc and musl: up to 8 questions for 4 names, until one is found; if nobody answers it \
fails, glibc after 20 s, musl after 5 s
          1. web.demo.svc.cluster.local. A+AAAA  (search demo.svc.cluster.local)
          2. web.svc.cluster.local. A+AAAA  (search svc.cluster.local)
          3. web.cluster.local. A+AAAA  (search cluster.local)
          4. web. A+AAAA  (as given)
          musl before 1.2.4 does not ask again by TCP: of a truncated answer it takes what is there
NAME                         TYPE    SERVER      PROTO    STATUS    TIME    RECORDS
web.demo.svc.cluster.local.  A,AAAA  10.96.0.10  udp      NOERROR   0.5 ms  A 10.96.1.1, AAAA fd00:10:96::1:1
web.svc.cluster.local.       A,AAAA  10.96.0.10  udp      NXDOMAIN  0.5 ms  -
web.cluster.local.           A,AAAA  10.96.0.10  udp      NXDOMAIN  0.5 ms  -
web.                         A,AAAA  10.96.0.10  udp      NXDOMAIN  0.5 ms  -
web.demo.svc.cluster.local.  A,AAAA  10.96.0.10  tcp      NOERROR   0.5 ms  A 10.96.1.1, AAAA fd00:10:96::1:1
result    glibc and musl: found 10.96.1.1 fd00:10:96::1:1 (web.demo.svc.cluster.local. after 2 questions)
API       web.demo.svc.cluster.local. is service demo/web: cluster-ip 10.96.1.1 fd00:10:96::1:1

nothing wrong was found
"""


def test_plan_answers_and_result_are_shown(fake_api: FakeApi, client: ClusterClient) -> None:
    """Whose resolver, what it asks, what came by UDP and TCP, how it ends, and what the API says."""
    assert render_lookups(report_of(fake_api, client, DnsNode(says=healthy()), "web")) == WEB


def test_answers_that_end_differently_have_rows_of_their_own(
    fake_api: FakeApi, client: ClusterClient
) -> None:
    """A that is answered and AAAA that is not."""
    source = DnsNode(says={**healthy(), ("web.demo.svc.cluster.local.", "AAAA"): "timeout"})
    text = render_lookups(report_of(fake_api, client, source, "web"))
    rows = [line.split()[1:5] for line in text.splitlines() if line.startswith("web.demo.svc.cluster.local.")]
    assert ["A", "10.96.0.10", "udp", "NOERROR"] in rows
    assert ["AAAA", "10.96.0.10", "udp", "timed-out"] in rows
    assert "nothing wrong" not in text


def test_plans_that_differ_are_shown_apart(fake_api: FakeApi, client: ClusterClient) -> None:
    """And why nobody is asked stands there once."""
    text = render_lookups(report_of(fake_api, client, DnsNode(), "a b"))
    assert "plan      glibc: a b is no host name" in text
    assert "plan      musl: up to 8 questions" in text
    assert text.count("is no host name") == 1


def test_foreign_text_cannot_steer_the_terminal(fake_api: FakeApi, client: ClusterClient) -> None:
    """A name with an escape sequence and a line end is one line without."""
    report = report_of(fake_api, client, DnsNode(), "a\x1b[31m\nb")
    text = render_lookups(report, is_wide=True)
    assert "\x1b" not in text
    assert "\nb" not in text
    assert name_of(report.items[0]) == "name/a\x1b[31m\nb"  # render_report makes names safe


def test_wide_shows_flags_and_which_questions_are_none_of_the_resolvers(
    fake_api: FakeApi, client: ClusterClient
) -> None:
    """They were put to find out more."""
    text = render_lookups(report_of(fake_api, client, DnsNode(says=healthy()), "web."), is_wide=True)
    (row,) = [line for line in text.splitlines() if "not a question of the resolver's" in line]
    assert "qr aa rd" in row
    assert row.startswith("web.demo.svc.cluster.local.")
