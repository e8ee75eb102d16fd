"""`conntrack watch` on a real cluster: flows are seen coming and going, and nothing keeps running on the node."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cluster.kit import Cluster, Ran, interrupt, observer_name
from tests.cluster.test_leftovers import Relay
from tests.cluster.test_veth import simple_pod

pytestmark = pytest.mark.cluster

WEB = os.environ.get("NETINSPECT_TEST_DISTROLESS", "netinspect.test/web:1")
PORT = 8093
UDP_PORT = 8094


class Live:
    """A watch that runs: what it printed so far, a line each."""

    def __init__(self, cluster: Cluster, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.cluster = cluster
        self.process = cluster.start("conntrack", "watch", *arguments, env=env)
        self.lines: list[str] = []
        self.told: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(pipe, into), daemon=True)
            for pipe, into in ((self.process.stdout, self.lines), (self.process.stderr, self.told))
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, pipe: Any, into: list[str]) -> None:
        for line in pipe:
            into.append(line.decode())

    def wait_until_listening(self, *nodes: str) -> None:
        """Return once the kernel of each node has a listener: it is then said on stderr, and seen in the node."""

        def is_listening(node: str) -> bool:
            return any(f"watching {node} " in line for line in self.told) and bool(
                watchers(self.cluster, node)
            )

        self.cluster.until(lambda: all(is_listening(node) for node in nodes), 60)

    @property
    def events(self) -> list[dict[str, Any]]:
        """What came with -o jsonl."""
        return [json.loads(line) for line in self.lines]

    def event(self, event: str, flow_id: int | None = None, **original: Any) -> dict[str, Any]:
        """Wait for an event of a flow with this id, or these fields in its original tuple."""

        def find() -> dict[str, Any] | None:
            for each in self.events:
                first = each["flow"]["original"]
                is_it = flow_id in (None, each["flow"]["id"]) and original.items() <= first.items()
                if each["event"] == event and is_it:
                    return each
            return None

        found: dict[str, Any] = self.cluster.until(find, 30)
        return found

    def end(self, signum: int = signal.SIGINT) -> Ran:
        """Send a signal, wait for the end, and return all that was printed."""
        if self.process.poll() is None and signum:
            self.process.send_signal(signum)
        self.process.wait(90)
        for reader in self._readers:
            reader.join(10)
        return Ran(self.process.returncode, "".join(self.lines), "".join(self.told))


@contextmanager
def watching(cluster: Cluster, *arguments: str, env: dict[str, str] | None = None) -> Iterator[Live]:
    live = Live(cluster, *arguments, env=env)
    try:
        yield live
    finally:
        live.end(signal.SIGTERM)


def watchers(cluster: Cluster, node: str) -> list[str]:
    """The processes on a node that a watch is made of."""
    own = ("conntrack -E", "head -c 1")
    lines = cluster.on_node(node, "ps", "-eo", "args").splitlines()
    return [line for line in lines if any(text in line for text in own)]


@pytest.fixture(scope="module")
def service(cluster: Cluster) -> dict[str, str]:
    """A dual-stack Service of one pod, TCP and UDP, a client on each node; its address by family."""
    nodes = cluster.nodes()
    meta = {"name": "echo", "namespace": cluster.namespace}
    server = simple_pod(cluster, "echo", nodeName=nodes[-1])
    server["spec"]["containers"] = [{"name": "web", "image": WEB}]
    ports = [
        {"name": "http", "protocol": "TCP", "port": PORT, "targetPort": 8080},
        {"name": "datagrams", "protocol": "UDP", "port": UDP_PORT, "targetPort": 8080},
    ]
    spec = {"selector": {"app": "echo"}, "ipFamilyPolicy": "PreferDualStack", "ports": ports}
    clients = [simple_pod(cluster, f"client-{node}", nodeName=node) for node in nodes]
    cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}, server, *clients)
    pods = ["pod/echo", *(f"pod/client-{node}" for node in nodes)]
    cluster.kubectl("wait", "-n", cluster.namespace, "--for=condition=Ready", *pods, "--timeout=90s")
    addresses = cluster.get("service", "echo", "-n", cluster.namespace)["spec"]["clusterIPs"]
    for node in nodes:
        for address in addresses:
            cluster.until(
                lambda node=node, address=address: ask(cluster, node, "tcp", address, check=False), 60
            )
    return {"ipv6" if ":" in each else "ipv4": each for each in addresses}


def ask(cluster: Cluster, node: str, protocol: str, address: str, *, check: bool = True) -> bool:
    """Send a request from the node's client pod, and wait for its answer."""
    if protocol == "tcp":
        host = f"[{address}]" if ":" in address else address
        command = ["curl", "-sS", "-o", "/dev/null", "-m", "5", f"http://{host}:{PORT}/"]
    else:
        command = [
            "bash",
            "-c",
            f"exec 3<>/dev/udp/{address}/{UDP_PORT}; echo tick >&3; timeout 5 head -c 1 <&3",
        ]
    pod = f"client-{node}"
    return cluster.kubectl("exec", "-n", cluster.namespace, pod, "--", *command, check=check).code == 0


def owner(each: dict[str, Any], end: str) -> tuple[str, str, str]:
    found = each[end]
    return found["kind"], found.get("namespace", ""), found["name"]


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_flow_through_a_service_is_seen_coming_and_going(
    cluster: Cluster, service: dict[str, str], protocol: str, family: str
) -> None:
    """NEW with both names and the translation, and DESTROY of the same entry, from each node's dataplane."""
    if family not in service:
        pytest.skip(f"the cluster gives Services no {family} address")
    address, nodes = service[family], cluster.nodes()
    namespace = cluster.namespace
    with watching(cluster, "--all-nodes", "--dst", address, "-o", "jsonl") as live:
        live.wait_until_listening(*nodes)
        for node in nodes:
            ask(cluster, node, protocol, address)
            (source,) = [
                each["ip"]
                for each in cluster.get("pod", f"client-{node}", "-n", namespace)["status"]["podIPs"]
                if (":" in each["ip"]) == (family == "ipv6")
            ]
            new = live.event("NEW", src=source, dst=address)
            assert new["node"] == node
            assert new["flow"]["protocol"] == protocol
            assert owner(new, "source") == ("pod", namespace, f"client-{node}")
            assert owner(new, "destination") == ("service", namespace, "echo")
            assert owner(new, "backend") == ("pod", namespace, "echo")
            assert new["time"].endswith("Z")
            first = new["flow"]["original"]
            assert first["dport"] == (PORT if protocol == "tcp" else UDP_PORT)
            ports = ("--sport", str(first["sport"]), "--dport", str(first["dport"]))
            flow = ("-f", family, "-p", protocol, "-s", source, "-d", address, *ports)
            cluster.on_node(node, "conntrack", "-D", *flow)
            gone = live.event("DESTROY", new["flow"]["id"])
            assert (gone["node"], gone["flow"]["original"]["sport"]) == (node, first["sport"])
            assert gone["words"] == new["words"]
        ended = live.end()
    assert ended.code == 130
    assert {each["flow"]["original"]["dst"] for each in live.events} == {address}
    for node in nodes:
        assert f"watching {node} with privilege netadmin: nf_conntrack_events is " in ended.err


def test_updates_come_in_order(cluster: Cluster, service: dict[str, str]) -> None:
    """A TCP connection's life, as the node's kernel tells it."""
    node, address = cluster.nodes()[0], service["ipv4"]
    flags = ("--node", node, "--dst", address, "--proto", "tcp", "-o", "jsonl")
    with watching(cluster, *flags) as live:
        live.wait_until_listening(node)
        ask(cluster, node, "tcp", address)
        new = live.event("NEW", dst=address)
        cluster.until(lambda: any(each["flow"].get("state") == "TIME_WAIT" for each in live.events), 20)
    own = [each for each in live.events if each["flow"]["id"] == new["flow"]["id"]]
    states = [(each["event"], each["flow"].get("state")) for each in own]
    assert states[:3] == [("NEW", "SYN_SENT"), ("UPDATE", "SYN_RECV"), ("UPDATE", "ESTABLISHED")]
    assert states[-1] == ("UPDATE", "TIME_WAIT")
    assert own == sorted(own, key=lambda each: str(each["time"]))


def test_the_flows_of_a_pod_and_no_others(cluster: Cluster, service: dict[str, str]) -> None:
    """A pod's name leads to its node; its address counts in any place; --event chooses, and --count ends it."""
    here, *_, there = cluster.nodes()
    if here == there:
        pytest.skip("one node: there is no other to be left out")
    pod = f"client-{here}"
    flags = ("-n", cluster.namespace, pod, "--event", "new", "--count", "2", "--dport", str(PORT))
    with watching(cluster, *flags, "-o", "jsonl") as live:
        live.wait_until_listening(here)
        for address in service.values():
            ask(cluster, there, "tcp", address)
            ask(cluster, here, "tcp", address)
            ask(cluster, here, "tcp", address)
        assert live.process.wait(30) == 0
        live.end()
    assert [(each["event"], owner(each, "source")) for each in live.events] == [
        ("NEW", ("pod", cluster.namespace, pod))
    ] * 2


def test_a_table_has_its_header_once_and_for_ends_it(cluster: Cluster, service: dict[str, str]) -> None:
    """For people: a line an event; the end is no error."""
    node, address = cluster.nodes()[0], service["ipv4"]
    with watching(cluster, "--node", node, "--dst", address, "--for", "4s") as live:
        live.wait_until_listening(node)
        ask(cluster, node, "tcp", address)
        assert live.process.wait(60) == 0
        ended = live.end()
    header, *rows = ended.out.splitlines()
    assert header.split() == ["TIME", "EVENT", "PROTO", "STATE", "WHO"]
    assert len(rows) >= 3
    assert all("service " in row and "/echo" in row for row in rows)


def test_names_of_pods_that_come_later(cluster: Cluster, service: dict[str, str]) -> None:
    """A pod that was not there at the start is named, too."""
    node, address = cluster.nodes()[0], service["ipv4"]
    with watching(cluster, "--node", node, "--dst", address, "-o", "jsonl") as live:
        live.wait_until_listening(node)
        cluster.apply(simple_pod(cluster, "latecomer"))
        cluster.kubectl(
            "wait", "-n", cluster.namespace, "--for=condition=Ready", "pod/latecomer", "--timeout=60s"
        )

        def is_named() -> bool:
            command = ("curl", "-sS", "-o", "/dev/null", "-m", "5", f"http://{address}:{PORT}/")
            cluster.kubectl("exec", "-n", cluster.namespace, "latecomer", "--", *command, check=False)
            return any(
                owner(each, "source")[2] == "latecomer" for each in live.events if "name" in each["source"]
            )

        cluster.until(is_named, 30)
    cluster.kubectl("delete", "pod", "latecomer", "-n", cluster.namespace, "--now")


@pytest.mark.parametrize(
    ("signum", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_nothing_keeps_running_in_a_kept_pod(cluster: Cluster, signum: int, code: int) -> None:
    """Within seconds, also where the plugin could do nothing any more."""
    nodes = cluster.nodes()
    with watching(cluster, "--all-nodes", "--keep", "5m") as live:
        live.wait_until_listening(*nodes)
        assert all(len(watchers(cluster, node)) >= 2 for node in nodes)
        assert live.end(signum).code == code
        cluster.until(lambda: not any(watchers(cluster, node) for node in nodes), 10)
    assert len(cluster.debug_pods()) == len(nodes)
    cluster.netinspect("cleanup").ok()


def test_a_listener_that_hangs_and_is_killed_leaves_nothing(
    cluster: Cluster, service: dict[str, str]
) -> None:
    """A stopped process takes nothing and hears nothing; then it is gone."""
    node = cluster.nodes()[0]
    with watching(cluster, "--node", node, "--keep", "5m", "-o", "jsonl") as live:
        live.wait_until_listening(node)
        live.process.send_signal(signal.SIGSTOP)
        for _ in range(5):
            ask(cluster, node, "tcp", service["ipv4"])
        assert watchers(cluster, node)
        live.process.send_signal(signal.SIGKILL)
        cluster.until(lambda: not watchers(cluster, node), 10)
    cluster.netinspect("cleanup").ok()


def test_nothing_keeps_running_in_a_pod_that_was_there(cluster: Cluster) -> None:
    """--via: the pod is somebody's, and stays; a node that it is not on is a gap beside it."""
    node, *_, other = cluster.nodes()
    via = f"{cluster.namespace}/{observer_name(node)}"
    with watching(cluster, "--node", node, "--node", other, "--via", via, "--for", "3s") as live:
        live.wait_until_listening(node)
        ended = live.end(0)
    assert ended.code == (4 if node != other else 0)
    if node != other:
        assert f"gap: node/{other}: the rest of its events could not be read: " in ended.err
    cluster.until(lambda: not watchers(cluster, node), 10)
    assert cluster.debug_pods() == []


def test_a_connection_that_is_cut_ends_both_sides(cluster: Cluster) -> None:
    """What was seen until then is printed, the rest is a gap; nothing keeps running on the node."""
    node = cluster.nodes()[0]
    with Relay(cluster) as relay:
        env = {"KUBECONFIG": relay.kubeconfig}
        with watching(cluster, "--node", node, "--keep", "5m", "-o", "jsonl", env=env) as live:
            live.wait_until_listening(node)
            cluster.until(lambda: live.lines, 60)
            relay.stop()
            ended = live.end(0)
            assert ended.code == 4
            assert (
                f"gap: node/{node}: the rest of its events could not be read: the connection was lost"
                in ended.err
            )
            cluster.until(lambda: not watchers(cluster, node), 10)
    cluster.netinspect("cleanup").ok()


def test_debug_pods_are_gone_after_each_way_out(cluster: Cluster) -> None:
    """By --count, --for, Ctrl-C and a reader that leaves."""
    node = cluster.nodes()[0]
    ran = cluster.netinspect("conntrack", "watch", "--all-nodes", "--count", "3", "-o", "jsonl").ok()
    assert len([json.loads(line) for line in ran.out.splitlines()]) == 3
    assert cluster.debug_pods() == []
    ran = cluster.netinspect("conntrack", "watch", "--node", node, "--dport", "1", "--for", "1s").ok()
    assert (ran.out, "No events were seen" in ran.err) == ("", True)
    assert cluster.debug_pods() == []
    process = cluster.start("conntrack", "watch", "--all-nodes")
    cluster.wait_for_debug_pod()
    assert interrupt(process).code == 130
    assert cluster.debug_pods() == []
    process = cluster.start("conntrack", "watch", "--node", node)
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"TIME ")
    process.stdout.close()
    assert process.wait(60) == 1
    assert cluster.debug_pods() == []


def test_the_time_limit_is_said(cluster: Cluster) -> None:
    """--timeout, and not the end of a listing."""
    ran = cluster.netinspect(
        "conntrack", "watch", "--node", cluster.nodes()[0], "--timeout", "4s", "--dport", "1"
    )
    assert ran.code == 124
    assert "reached its time limit" in ran.err


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("-o", "json"), '--output "json" is none of: table, wide, jsonl'),
        (("-o", "name"), '--output "name" is none of: table, wide, jsonl'),
        (("--transport", "logs"), "--transport exec"),
        (("--event", "GONE"), '--event "GONE" is none of: NEW, UPDATE, DESTROY'),
        (("--count", "-1"), "--count -1"),
        (("--for", "soon"), "--for: "),
    ],
)
def test_wrong_wishes_are_refused_before_anything_is_asked(
    cluster: Cluster, flags: tuple[str, ...], text: str
) -> None:
    """With exit code 2."""
    ran = cluster.netinspect("conntrack", "watch", "--node", cluster.nodes()[0], *flags)
    assert (ran.code, ran.out) == (2, "")
    assert text in ran.err
