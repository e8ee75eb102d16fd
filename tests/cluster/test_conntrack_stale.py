"""`conntrack stale` on a real cluster: a held kube-proxy, clients that go on sending, and health under churn."""

from __future__ import annotations

import functools
import itertools
import logging
import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.cluster.kit import Cluster, Ran
from tests.cluster.kube_proxies import Watch, find_kube_proxies, held

pytestmark = pytest.mark.cluster

_LOG = logging.getLogger(__name__)

WEB = "netinspect.test/web:1"
# analyze/conntrack/stale_flows.py: what changed less than so long ago is listed as young.
GRACE_S = 30
CHURN_MINUTES = float(os.environ.get("NETINSPECT_CHURN_MINUTES", "2"))

# One socket a family, used as long as the pod lives: the kernel keeps its source port, so the flow stays the same.
_UDP_CLIENT = """
send() { exec 3<>"/dev/udp/$1/80"; while :; do echo tick >&3; sleep 1; done; }
send {v4} 2>/dev/null & send {v6} 2>/dev/null & wait
"""
# A connection that goes on saying something, answered or not.
_TALKING_CLIENT = """
talk() { exec 3<>"/dev/tcp/$1/80"; while :; do printf 'GET / HTTP/1.1\\r\\nHost: web\\r\\n\\r\\n' >&3; sleep 1; done; }
talk {v4} & talk {v6} & wait
"""
# A connection that says nothing.
_QUIET_CLIENT = "exec 3<>/dev/tcp/{v4}/80 4<>/dev/tcp/{v6}/80; sleep infinity"
# Requests over connections that are kept as long as they are answered, and over one each; datagrams likewise.
_CHURN_CLIENT = r"""
use IO::Socket::IP; $SIG{PIPE} = "IGNORE";
sub nap { select(undef, undef, undef, $_[0]) }
sub dial { IO::Socket::IP->new(PeerHost => $_[0], PeerPort => 80, Proto => $_[1], Timeout => 2) }
sub ask { my ($s) = @_; my ($r, $bits) = ("", "");
  syswrite($s, "GET / HTTP/1.1\r\nHost: web\r\n\r\n") or return 0;
  vec($bits, fileno($s), 1) = 1;
  select(my $ready = $bits, undef, undef, 2) or return 0;
  return sysread($s, $r, 4096) }
for my $address (@ARGV) { for my $kind (qw(keep once datagrams fresh)) { fork and next; while (1) {
  if ($kind eq "keep") { if (my $s = dial($address, "tcp")) { nap(0.2) while ask($s); close $s } nap(0.2) }
  if ($kind eq "once") { if (my $s = dial($address, "tcp")) { ask($s); close $s } nap(0.5) }
  if ($kind eq "datagrams") { my $s = dial($address, "udp"); while (1) { syswrite($s, "tick"); nap(0.3) } }
  if ($kind eq "fresh") { my $s = dial($address, "udp"); for (1 .. 3) { syswrite($s, "tick"); nap(0.3) } }
} } }
sleep 1 while 1;
"""


@pytest.fixture
def service(cluster: Cluster) -> Iterator[dict[str, str]]:
    """Give a dual-stack Service without endpoints yet, TCP and UDP, and its address of each family."""
    name = "echo"
    cluster.apply(build_service(cluster, name))
    yield addresses_of(cluster, name)
    cluster.kubectl("delete", "service,pod,deployment", "-n", cluster.namespace, "-l", "test=stale", "--now")


def test_udp_clients_that_go_on_sending_to_a_deleted_pod_are_found_and_nothing_else_is(
    cluster: Cluster, service: dict[str, str]
) -> None:
    """In both modes and both families; once kube-proxy goes on, the entries are cleaned and the finding goes away."""
    proxies = find_kube_proxies(cluster)
    start_endpoint(cluster, "victim", "node-b")
    for node in proxies:
        start_client(cluster, f"udp-{node}", node, _UDP_CLIENT, service)
    victim = pod_addresses(cluster, "victim")
    # Every client has its flow to the only endpoint that there is; later ones cannot take it over.
    cluster.until(lambda: all(flows_to(cluster, node, ip) for node in proxies for ip in victim), 30)
    start_endpoint(cluster, "heir", "node-a")
    wait_for_rules(cluster, pod_addresses(cluster, "heir"), tuple(proxies), service)
    with held(proxies):
        cluster.kubectl("delete", "pod", "victim", "-n", cluster.namespace, "--now")
        wait_until_settled(cluster, "echo")
        found = cluster.netinspect("conntrack", "stale", "--all-nodes", "-o", "json", "--fail-on", "crit")
        text = cluster.netinspect("conntrack", "stale", "--all-nodes", "-o", "wide")
        still_there = {(node, ip): flows_to(cluster, node, ip) for node in proxies for ip in victim}
    assert found.code == 3, found.err
    own = own_findings(cluster, found)
    assert {(each["id"], each["severity"], each["subject"], each["node"]) for each in own} == {
        ("conntrack-stale-udp", "crit", f"pod/{cluster.namespace}/udp-{node}", node) for node in proxies
    }
    items = [each for each in own_items(cluster, found) if each["status"] == "sends"]
    assert sorted((each["named"]["node"], each["named"]["flow"]["reply"]["src"]) for each in items) == sorted(
        (node, ip) for node in proxies for ip in victim
    )
    assert len(own) == len(items) == 2 * len(proxies)
    assert {each["status"] for each in items} == {"sends"}
    assert all(each["isGone"] and each["endpoints"] for each in items)
    for finding in own:
        texts = [each["text"] for each in finding["evidence"]]
        (command,) = finding["commands"]
        assert command.startswith("conntrack -D -f ipv")
        assert command in text.ok().out
        assert all(any(entry in text for text in texts) for entry in ("udp", "live endpoints: "))
    assert all(len(each) == 1 for each in still_there.values()), "the command deleted something"
    # kube-proxy goes on: it deletes the entries, and the clients reach the heir.
    cluster.until(lambda: not any(flows_to(cluster, node, ip) for node in proxies for ip in victim), 60)
    after = cluster.netinspect("conntrack", "stale", "--all-nodes", "-o", "json").ok()
    assert own_findings(cluster, after) == own_items(cluster, after) == []
    heir = pod_addresses(cluster, "heir")
    assert all(flows_to(cluster, node, ip) for node in proxies for ip in heir)


def test_what_was_printed_deletes_exactly_that_entry(cluster: Cluster, service: dict[str, str]) -> None:
    """The command of a finding, run by hand on its node, ends that flow and no other: the client reaches the heir."""
    proxies = find_kube_proxies(cluster)
    node = "node-a"
    start_endpoint(cluster, "victim", "node-b")
    start_client(cluster, "udp-1", node, _UDP_CLIENT, service)
    start_client(cluster, "udp-2", node, _UDP_CLIENT, service)
    victim = pod_addresses(cluster, "victim")
    cluster.until(lambda: all(len(flows_to(cluster, node, ip)) == 2 for ip in victim), 30)
    start_endpoint(cluster, "heir", "node-a")
    wait_for_rules(cluster, pod_addresses(cluster, "heir"), tuple(proxies), service)
    # Rules are to follow the API here, and the flows are not: kube-proxy is held while it would clean them only.
    with held(proxies):
        cluster.kubectl("delete", "pod", "victim", "-n", cluster.namespace, "--now")
        wait_until_settled(cluster, "echo")
        ran = cluster.netinspect("conntrack", "stale", "--node", node, "-o", "json").ok()
        (chosen,) = [
            item
            for item in own_items(cluster, ran)
            if item["named"]["source"]["name"] == "udp-1" and item["named"]["flow"]["family"] == "ipv6"
        ]
        before = conntrack_ids(cluster, node, victim)
        cluster.on_node(node, *chosen["command"].split())
        after = conntrack_ids(cluster, node, victim)
    assert before - after == {chosen["named"]["flow"]["id"]}


def test_a_quiet_connection_is_listed_and_is_no_finding(cluster: Cluster, service: dict[str, str]) -> None:
    """First to a pod that left the Service, then to one that is gone: a connection that sends nothing harms nobody."""
    find_kube_proxies(cluster)
    start_endpoint(cluster, "victim", "node-b")
    start_client(cluster, "quiet", "node-a", _QUIET_CLIENT, service)
    victim = pod_addresses(cluster, "victim")
    cluster.until(lambda: all(flows_to(cluster, "node-a", ip) for ip in victim), 30)
    start_endpoint(cluster, "heir", "node-a")
    cluster.kubectl("label", "pod", "victim", "-n", cluster.namespace, "app-")
    young = cluster.netinspect(
        "conntrack", "stale", "quiet", "-n", cluster.namespace, "-o", "json", "--for", "5s"
    )
    wait_until_settled(cluster, "echo")
    left = cluster.netinspect(
        "conntrack", "stale", "quiet", "-n", cluster.namespace, "-o", "json", "--for", "5s"
    )
    cluster.kubectl("delete", "pod", "victim", "-n", cluster.namespace, "--now")
    gone = cluster.netinspect(
        "conntrack", "stale", "quiet", "-n", cluster.namespace, "-o", "json", "--for", "5s"
    )
    # The server of the pod that lives sends keepalives now and then: they are seen, and no fault.
    for ran, statuses, is_gone in (
        (young, {"young"}, False),
        (left, {"quiet", "not-judged"}, False),
        (gone, {"quiet"}, True),
    ):
        items = own_items(cluster, ran.ok())
        assert {each["named"]["flow"]["reply"]["src"] for each in items} == set(victim), ran.out
        assert {each["status"] for each in items} <= statuses
        assert {each.get("isGone", False) for each in items} == {is_gone}
        assert ran.json["findings"] == []
    assert all(each["idleS"] < 60 for each in own_items(cluster, gone))


def test_a_connection_that_sends_and_gets_no_answer_is_found(
    cluster: Cluster, service: dict[str, str]
) -> None:
    """A pod that vanished without a word: its client repeats what nobody acknowledges, which only the timer tells."""
    find_kube_proxies(cluster)
    start_endpoint(cluster, "victim", "node-b")
    start_client(cluster, "talks", "node-a", _TALKING_CLIENT, service)
    victim = pod_addresses(cluster, "victim")
    cluster.until(lambda: all(flows_to(cluster, "node-a", ip) for ip in victim), 30)
    start_endpoint(cluster, "heir", "node-a")
    cluster.on_node("node-b", "ip", "link", "set", cluster.link_that_moves("node-b", victim[0]), "down")
    cluster.kubectl("delete", "pod", "victim", "-n", cluster.namespace, "--now")
    wait_until_settled(cluster, "echo")
    # What is not acknowledged is repeated at ever longer intervals.
    ran = cluster.netinspect(
        "conntrack", "stale", "talks", "-n", cluster.namespace, "-o", "json", "--for", "70s"
    ).ok()
    own = own_findings(cluster, ran)
    assert [(each["id"], each["severity"]) for each in own] == [("conntrack-stale-tcp", "crit")] * 2, ran.out
    assert {each["subject"] for each in own} == {f"pod/{cluster.namespace}/talks"}
    assert {each["named"]["flow"]["reply"]["src"] for each in own_items(cluster, ran)} == set(victim)


def test_nothing_is_reported_of_a_healthy_cluster_under_churn(
    cluster: Cluster, service: dict[str, str]
) -> None:
    """Pods replaced, Services scaled, rollouts, with clients of both protocols and families at work: no finding."""
    proxies = find_kube_proxies(cluster)
    cluster.apply(build_deployment(cluster, 4))
    cluster.kubectl("rollout", "status", "deployment/echo", "-n", cluster.namespace, "--timeout=120s")
    for node in proxies:
        command = ["perl", "-e", _CHURN_CLIENT, *service.values()]
        start_pod(cluster, f"churn-{node}", node, command, {"role": "client"})
    end = time.monotonic() + CHURN_MINUTES * 60
    runs = looked = 0
    with Watch(proxies) as watch, churning(cluster) as changes:
        while time.monotonic() < end or not looked:
            began = time.monotonic()
            ran = cluster.netinspect("conntrack", "stale", "--all-nodes", "-o", "json")
            runs += 1
            findings = own_findings(cluster, ran)
            # Where another test held a kube-proxy a while ago, this is no healthy cluster.
            is_healthy = watch.last_stopped < began - 60
            looked += is_healthy
            assert_all_speak(cluster, tuple(proxies), service)
            listed = len(own_items(cluster, ran))
            _LOG.info("run %d: healthy %s, %d listed, %d findings", runs, is_healthy, listed, len(findings))
            assert ran.code in (0, 4), ran.err
            assert not (is_healthy and findings), ran.out
            assert time.monotonic() < end + 300, "kube-proxy was held by another test all the time"
    _LOG.info("%d of %d runs on a healthy cluster, %d changes", looked, runs, len(changes))
    assert len(changes) >= min(3, runs)


def assert_all_speak(cluster: Cluster, nodes: Sequence[str], service: dict[str, str]) -> None:
    """Make sure that the clients of each node have answers in each family and protocol: else silence proves nothing."""

    def is_answered(node: str, address: str, protocol: str) -> bool:
        family = "ipv6" if ":" in address else "ipv4"
        listed = cluster.on_node(node, "conntrack", "-L", "-f", family, "-p", protocol, "--orig-dst", address)
        return any("[ASSURED]" in line for line in listed.splitlines())

    for node, address, protocol in itertools.product(nodes, service.values(), ("tcp", "udp")):
        cluster.until(functools.partial(is_answered, node, address, protocol), 30)


@contextmanager
def churning(cluster: Cluster) -> Iterator[list[str]]:
    """Change the Deployment again and again while the block runs, in a thread; gives what was done so far."""
    done: list[str] = []
    stop = threading.Event()
    chosen = random.Random(4)

    def delete_pod() -> str:
        pods = cluster.get("pods", "-n", cluster.namespace, "-l", "app=echo")["items"]
        if pods:
            name = chosen.choice(pods)["metadata"]["name"]
            cluster.kubectl("delete", "pod", name, "-n", cluster.namespace, "--wait=false", check=False)
        return "pod replaced"

    def scale() -> str:
        count = chosen.choice((2, 3, 5, 6))
        cluster.kubectl("scale", "deployment/echo", "-n", cluster.namespace, f"--replicas={count}")
        return "scaled"

    def roll() -> str:
        cluster.kubectl("rollout", "restart", "deployment/echo", "-n", cluster.namespace)
        return "rollout"

    def run() -> None:
        for action in itertools.cycle((delete_pod, scale, delete_pod, roll, scale)):
            if stop.is_set():
                return
            done.append(action())
            # Now and then long enough for the changes to be old enough to be judged.
            stop.wait(chosen.choice((3, 8, 15, 45)))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()


def own_findings(cluster: Cluster, ran: Ran) -> list[dict[str, Any]]:
    """Return the findings about this test's clients: the bench may be shared."""
    return [each for each in ran.json["findings"] if each["subject"].startswith(f"pod/{cluster.namespace}/")]


def own_items(cluster: Cluster, ran: Ran) -> list[dict[str, Any]]:
    """Return the flows of this test's Services."""
    return [each for each in ran.json["items"] if each.get("service", "").startswith(f"{cluster.namespace}/")]


def flows_to(cluster: Cluster, node: str, address: str) -> list[str]:
    """Return the lines of a node's table in which an address answers for a Service, by a witness."""
    family = "ipv6" if ":" in address else "ipv4"
    out = cluster.on_node(node, "conntrack", "-L", "-f", family, "-o", "id", "--reply-src", address)
    return [
        line
        for line in out.splitlines()
        if f"dst={address} " not in line.partition(" src=")[2].split(" src=")[0]
    ]


def conntrack_ids(cluster: Cluster, node: str, addresses: Sequence[str]) -> set[int]:
    """Return the ids of a node's flows to these addresses through a Service."""
    lines = (line for each in addresses for line in flows_to(cluster, node, each))
    return {int(line.rpartition("id=")[2].split()[0]) for line in lines}


def wait_for_rules(
    cluster: Cluster, heirs: Sequence[str], nodes: Sequence[str], service: dict[str, str]
) -> None:
    """Wait until every node leads new flows to an endpoint that was added: only then may kube-proxy be held."""

    def is_reached(node: str) -> bool:
        for address in service.values():
            probe = f'for i in $(seq 20); do echo x >"/dev/udp/{address}/80"; done'
            cluster.kubectl(
                "exec", "-n", cluster.namespace, probe_pod(cluster, node), "--", "bash", "-c", probe
            )
        return all(flows_to(cluster, node, each) for each in heirs)

    for node in nodes:
        cluster.until(lambda node=node: is_reached(node), 60)


def probe_pod(cluster: Cluster, node: str) -> str:
    """Return a pod of this test's on a node that can send."""
    pods = cluster.get("pods", "-n", cluster.namespace, "-l", "role=probe")["items"]
    name = f"probe-{node}"
    if name not in [each["metadata"]["name"] for each in pods]:
        start_pod(cluster, name, node, ["sleep", "infinity"], {"role": "probe"})
    return name


def wait_until_settled(cluster: Cluster, service: str) -> None:
    """Wait until the Service's EndpointSlices have not changed for the time of grace."""

    def age_s() -> float:
        slices = cluster.get(
            "endpointslices",
            "-n",
            cluster.namespace,
            "-l",
            f"kubernetes.io/service-name={service}",
            "--show-managed-fields",
        )
        times = [
            datetime.fromisoformat(field["time"])
            for each in slices["items"]
            for field in each["metadata"]["managedFields"]
        ]
        return (datetime.now(UTC) - max(times)).total_seconds()

    cluster.until(lambda: age_s() > 1, 30)  # the change that was just made has come
    cluster.until(lambda: age_s() > GRACE_S + 1, 120)


def build_service(cluster: Cluster, name: str) -> dict[str, Any]:
    """Return a dual-stack Service for pods with the label `app: NAME`."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": cluster.namespace, "labels": {"test": "stale"}},
        "spec": {
            "selector": {"app": name},
            "ipFamilyPolicy": "RequireDualStack",
            "ports": [
                {"name": "http", "port": 80, "targetPort": 8080},
                {"name": "udp", "port": 80, "targetPort": 8080, "protocol": "UDP"},
            ],
        },
    }


def build_deployment(cluster: Cluster, replicas: int) -> dict[str, Any]:
    """Return a Deployment of endpoints."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "echo", "namespace": cluster.namespace, "labels": {"test": "stale"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "echo"}},
            "template": {
                "metadata": {"labels": {"app": "echo", "test": "stale"}},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [
                        {
                            "name": "web",
                            "image": WEB,
                            "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
                        }
                    ],
                },
            },
        },
    }


def addresses_of(cluster: Cluster, service: str) -> dict[str, str]:
    """Return a Service's address of each family."""
    found = cluster.get("service", service, "-n", cluster.namespace)["spec"]["clusterIPs"]
    return {"v6" if ":" in each else "v4": each for each in found}


def pod_addresses(cluster: Cluster, name: str) -> list[str]:
    """Return a pod's addresses."""
    return [each["ip"] for each in cluster.get("pod", name, "-n", cluster.namespace)["status"]["podIPs"]]


def start_endpoint(cluster: Cluster, name: str, node: str) -> None:
    """Run a pod that answers, with the Service's label, and wait for it."""
    start_pod(cluster, name, node, None, {"app": "echo"})


def start_client(cluster: Cluster, name: str, node: str, script: str, service: dict[str, str]) -> None:
    """Run a pod with a script of bash that speaks to the Service."""
    for family, address in service.items():
        script = script.replace(f"{{{family}}}", address)
    start_pod(cluster, name, node, ["bash", "-c", script], {"role": "client"})


def start_pod(
    cluster: Cluster, name: str, node: str, command: list[str] | None, labels: dict[str, str]
) -> None:
    """Run a pod and wait until it is ready."""
    container: dict[str, Any] = {"name": "main", "image": WEB if command is None else cluster.image}
    if command is not None:
        container["command"] = command
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": cluster.namespace, "labels": {"test": "stale", **labels}},
            "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container]},
        }
    )
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "-n", cluster.namespace, "--timeout=60s")
