"""`conntrack list` against flows that are made here, and against the node's own `conntrack` as a witness.

The bench's demo/web is what is spoken to: TCP and UDP, both families, through kube-proxy in iptables mode on one node
and in nftables mode on the other.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.cluster.kit import Cluster
from tests.cluster.test_veth import simple_pod

pytestmark = pytest.mark.cluster

# Keeps its descriptors open, and sends by the UDP ones again and again, until its stdin ends.
_CLIENT = """
n=3
for target do
  eval "exec $n<>$target"
  n=$((n + 1))
done
while sleep 1; do
  n=3
  for target do
    case $target in /dev/udp/*) echo again >&$n ;; esac
    n=$((n + 1))
  done
done 2>/dev/null &
echo ready
cat >/dev/null
kill $!
"""


@pytest.fixture(scope="module")
def web(cluster: Cluster) -> dict[str, Any]:
    """The Service demo/web."""
    ran = cluster.kubectl("get", "service", "web", "-n", "demo", "-o", "json", check=False)
    if ran.code:
        pytest.skip("no Service demo/web: this is not the test bench")
    service: dict[str, Any] = ran.json
    return service


@pytest.fixture(scope="module")
def clients(cluster: Cluster, web: dict[str, Any]) -> Iterator[dict[str, str]]:
    """A pod on each node that holds flows to demo/web open, by node: through its ClusterIPs and its node port."""
    names = {node: f"client-{node}" for node in cluster.nodes()}
    cluster.apply(*(simple_pod(cluster, name, nodeName=node) for node, name in names.items()))
    running = []
    for node, name in names.items():
        wait_for(cluster, name)
        hosts = [*web["spec"]["clusterIPs"]]
        targets = [f"/dev/{protocol}/{host}/80" for host in hosts for protocol in ("tcp", "udp")]
        targets += [f"/dev/tcp/{address}/30080" for address in node_addresses(cluster, node)]
        running.append(start_in_pod(cluster, name, *targets))
    yield names
    for process in running:
        process.terminate()
        process.wait(timeout=20)


def wait_for(cluster: Cluster, name: str) -> None:
    cluster.kubectl("wait", "-n", cluster.namespace, "--for=condition=Ready", f"pod/{name}", "--timeout=90s")


def start_in_pod(cluster: Cluster, name: str, *targets: str) -> subprocess.Popen[bytes]:
    """Hold flows open from a pod until the process is ended."""
    process = subprocess.Popen(
        [
            "kubectl",
            "exec",
            "-i",
            "-n",
            cluster.namespace,
            name,
            "--",
            "bash",
            "-c",
            _CLIENT,
            "client",
            *targets,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=cluster.env,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def node_addresses(cluster: Cluster, node: str) -> list[str]:
    """The node's addresses, one a family."""
    status = cluster.get("node", node)["status"]
    return [each["address"] for each in status["addresses"] if each["type"] == "InternalIP"]


def addresses(cluster: Cluster, name: str, namespace: str = "") -> set[str]:
    status = cluster.get("pod", name, "-n", namespace or cluster.namespace)["status"]
    return {each["ip"] for each in status["podIPs"]}


def listed(cluster: Cluster, *arguments: str) -> list[dict[str, Any]]:
    ran = cluster.netinspect("conntrack", "list", *arguments, "-o", "json").ok()
    items: list[dict[str, Any]] = ran.json["items"]
    return items


def reaching(items: list[dict[str, Any]], address: str, protocol: str, port: int) -> list[dict[str, Any]]:
    """The flows to an address, by their original tuple."""
    return [
        each
        for each in items
        if (each["flow"]["original"]["dst"], each["flow"]["protocol"], each["flow"]["original"].get("dport"))
        == (address, protocol, port)
    ]


def test_flows_through_a_service_are_listed_with_both_names(
    cluster: Cluster, web: dict[str, Any], clients: dict[str, str]
) -> None:
    """In both modes of kube-proxy, both families, TCP and UDP: the pod, the Service's port, the pod behind it."""
    backends = {
        each["ip"]: pod["metadata"]["name"]
        for pod in cluster.get("pods", "-n", "demo", "-l", "app=web")["items"]
        for each in pod["status"]["podIPs"]
    }
    wanted = [(address, protocol) for address in web["spec"]["clusterIPs"] for protocol in ("tcp", "udp")]

    def items_of(name: str) -> list[dict[str, Any]] | None:
        """The client is Ready a moment before it has sent."""
        found = listed(cluster, name, "-n", cluster.namespace)
        return found if all(reaching(found, *each, 80) for each in wanted) else None

    for node, name in clients.items():
        items = cluster.until(partial(items_of, name))
        assert {each["node"] for each in items} == {node}
        for address in web["spec"]["clusterIPs"]:
            for protocol, port_name in (("tcp", "http"), ("udp", "echo")):
                (found,) = reaching(items, address, protocol, 80)
                assert (found["source"]["kind"], found["source"]["name"]) == ("pod", name)
                assert found["destination"]["kind"] == "service"
                assert (found["destination"]["name"], found["destination"]["portName"]) == ("web", port_name)
                assert found["backend"]["kind"] == "pod"
                assert found["backend"]["name"] == backends[found["flow"]["reply"]["src"]]
                assert f"-> service demo/web:{port_name} " in found["words"]
                assert f"-> pod demo/{found['backend']['name']} " in found["words"]


def test_what_is_listed_is_what_the_nodes_own_tool_lists(cluster: Cluster, clients: dict[str, str]) -> None:
    """Entry by entry, by the kernel's ids; and only the pod's."""
    for node, name in clients.items():
        own = addresses(cluster, name)
        items = listed(cluster, name, "-n", cluster.namespace)
        witness = set()
        for family in ("ipv4", "ipv6"):
            lines = cluster.on_node(node, "conntrack", "-L", "-f", family, "-o", "id").splitlines()
            witness |= {
                line.rpartition("id=")[2] for line in lines if any(f"={each} " in line for each in own)
            }
        assert len(witness) >= 6
        assert {str(each["flow"]["id"]) for each in items} == witness


def test_a_node_port_shows_the_source_that_the_backend_sees(
    cluster: Cluster, clients: dict[str, str]
) -> None:
    """It is masqueraded: the backend sees an address of the node."""
    for node, name in clients.items():
        items = listed(cluster, name, "-n", cluster.namespace, "--dport", "30080", "-p", "tcp")
        hosts = node_addresses(cluster, node)
        assert len(hosts) == 2
        for address in hosts:
            (found,) = reaching(items, address, "tcp", 30080)
            assert found["destination"]["name"] == "web-node"
            assert found["destination"]["detail"] == "nodePort 30080"
            assert found["backend"]["kind"] == "pod"
            assert (found["replyTo"]["kind"], found["replyTo"]["name"]) == ("node", node)
            assert f"source seen as node {node} " in found["words"]
        table = (
            cluster.netinspect("conntrack", "list", name, "-n", cluster.namespace, "--dport", "30080")
            .ok()
            .out
        )
        assert f"(source seen as node {node})" in table


def test_a_pod_that_reaches_itself_through_its_service_is_named_at_both_ends(cluster: Cluster) -> None:
    """Hairpin, on each node and in each family: masqueraded, or it would answer itself directly."""
    for node in cluster.nodes():
        name = f"mirror-{node}"
        cluster.apply(simple_pod(cluster, name, nodeName=node))
        spec = {
            "selector": {"app": name},
            "ipFamilyPolicy": "RequireDualStack",
            "ports": [{"name": "self", "port": 5353, "protocol": "UDP"}],
        }
        meta = {"name": name, "namespace": cluster.namespace}
        cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
        wait_for(cluster, name)
        own = addresses(cluster, name)
        for host in cluster.get("service", name, "-n", cluster.namespace)["spec"]["clusterIPs"]:

            def send_and_find(name: str = name, host: str = host, own: set[str] = own) -> Any:
                command = f"echo x >/dev/udp/{host}/5353"
                cluster.kubectl(
                    "exec", "-n", cluster.namespace, name, "--", "bash", "-c", command, check=False
                )
                items = listed(cluster, name, "-n", cluster.namespace)
                # Until kube-proxy has the rules there is no translation.
                return [
                    each for each in reaching(items, host, "udp", 5353) if each["flow"]["reply"]["src"] in own
                ]

            found = cluster.until(send_and_find, timeout_s=60)[0]
            assert found["source"]["name"] == found["backend"]["name"] == name
            assert found["destination"]["name"] == name
            assert (found["replyTo"]["kind"], found["replyTo"]["name"]) == ("node", node)


def test_an_address_that_begins_like_another_is_another(cluster: Cluster) -> None:
    """10.244.1.30 is not 10.244.1.3: neither pod is given the other's flows."""
    node = cluster.nodes()[0]
    short, long = pods_with_alike_addresses(cluster, node)
    for _, _, address in (short, long):
        cluster.on_node(node, "ping", "-c", "1", address)
    for (namespace, name, address), (_, _, other) in ((short, long), (long, short)):
        items = listed(cluster, name, "-n", namespace)
        places = [
            {each["flow"][direction][end] for direction in ("original", "reply") for end in ("src", "dst")}
            for each in items
        ]
        assert any(address in each for each in places)
        assert not any(other in each for each in places)
        bare = listed(cluster, "--node", node, "--dst", address, "--proto", "icmp")
        assert {each["flow"]["original"]["dst"] for each in bare} == {address}


def pods_with_alike_addresses(
    cluster: Cluster, node: str
) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    """Namespace, name and IPv4 address of two pods of a node, of which one's address begins with the other's."""
    made = 0
    while made <= 100:
        items = cluster.get("pods", "-A", "--field-selector", f"spec.nodeName={node},status.phase=Running")[
            "items"
        ]
        found = [
            (pod["metadata"]["namespace"], pod["metadata"]["name"], pod["status"]["podIP"])
            for pod in items
            if pod["status"].get("podIP") and not pod["spec"].get("hostNetwork")
        ]
        for short in found:
            for long in found:
                if long[2] != short[2] and long[2].startswith(short[2]):
                    return short, long
        # The node gives addresses in turn: some pods later there is one.
        names = [f"filler-{made + number}" for number in range(10)]
        cluster.apply(*(simple_pod(cluster, name, nodeName=node) for name in names))
        for name in names:
            wait_for(cluster, name)
        made += len(names)
    raise AssertionError("no two addresses are alike")


def test_a_whole_node_is_listed_and_filtered(
    cluster: Cluster, web: dict[str, Any], clients: dict[str, str]
) -> None:
    """By the Service's address on one node, and on all nodes: the flows of the pods there."""
    vip = web["spec"]["clusterIPs"][1]
    for node, name in clients.items():
        items = listed(cluster, "--node", node, "--dst", vip, "--proto", "udp", "--dport", "80")
        assert name in {each["source"].get("name") for each in items}
        assert {(each["node"], each["flow"]["original"]["dst"]) for each in items} == {(node, vip)}
    everywhere = listed(cluster, "--all-nodes", "--dst", vip, "--state", "established")
    assert set(clients.values()) <= {each["source"].get("name") for each in everywhere}
    assert {each["flow"]["state"] for each in everywhere} == {"ESTABLISHED"}


def test_a_flow_appears_and_is_counted(cluster: Cluster, clients: dict[str, str]) -> None:
    """The summary on stderr tells how many flows of how many entries."""
    node, name = next(iter(clients.items()))
    ran = cluster.netinspect("conntrack", "list", name, "-n", cluster.namespace).ok()
    (line,) = [each for each in ran.err.splitlines() if each.startswith(f"node {node}: ")]
    shown, entries = (int(word) for word in line.split() if word.isdigit())
    assert shown == len(listed(cluster, name, "-n", cluster.namespace))
    assert entries >= shown
    assert "own netns" in ran.err


def test_pods_without_flows_of_their_own_are_refused_without_a_debug_pod(cluster: Cluster) -> None:
    """hostNetwork, completed, unknown; and a node that is not there. An image that nobody can pull proves it."""
    node = cluster.nodes()[0]
    cluster.apply(
        simple_pod(cluster, "shares", hostNetwork=True),
        simple_pod(cluster, "ended", command=["true"], restartPolicy="Never"),
    )
    wait_for(cluster, "shares")
    cluster.kubectl(
        *("wait", "-n", cluster.namespace, "--timeout=60s"),
        "--for=jsonpath={.status.phase}=Succeeded",
        "pod/ended",
    )
    for arguments, message in (
        (("shares",), f"--node {node}"),
        (("ended",), "has ended (Succeeded)"),
        (("nope",), 'Error from server (NotFound): pods "nope" not found'),
        (("--node", "nope"), 'Error from server (NotFound): nodes "nope" not found'),
    ):
        ran = cluster.netinspect(
            *("conntrack", "list", *arguments, "-n", cluster.namespace, "--image", "netinspect.test/none:0")
        )
        assert (ran.code, ran.out) == (1, "")
        assert message in ran.err


def test_a_nodes_address_is_not_named_for_its_hostnetwork_pods(cluster: Cluster) -> None:
    """The node's own flows are the node's."""
    node = cluster.nodes()[0]
    own = node_addresses(cluster, node)
    cluster.on_node(node, "ping", "-c", "1", node_addresses(cluster, cluster.nodes()[1])[1])
    items = listed(cluster, "--node", node, "--proto", "icmpv6")
    sources = [each["source"] for each in items if each["flow"]["original"]["src"] in own]
    assert sources
    assert {(each["kind"], each["name"]) for each in sources} == {("node", node)}


def test_missing_rights_are_told_and_names_are_unknown(cluster: Cluster, clients: dict[str, str]) -> None:
    """Who may not list beyond a namespace gets the flows, and gaps in place of names."""
    who = f"system:serviceaccount:{cluster.namespace}:narrow"
    node, name = next(iter(clients.items()))
    grant(cluster)
    try:
        ran = cluster.until(lambda: answer_as(cluster, who, name), timeout_s=20)
    finally:
        cluster.kubectl("delete", "clusterrole,clusterrolebinding", f"{cluster.namespace}-narrow")
    assert ran.code == 4
    for resource in ("pods", "services", "nodes"):
        assert f"gap: cluster: the list of {resource} could not be read" in ran.err
    kinds = {each[end]["kind"] for each in ran.json["items"] for end in ("source", "destination", "backend")}
    assert len(ran.json["items"]) >= 6
    assert "unknown" in kinds
    assert "external" not in kinds
    assert {each["node"] for each in ran.json["items"]} == {node}


def answer_as(cluster: Cluster, who: str, name: str) -> Any:
    """Ask as somebody else; None until the rights have come through."""
    ran = cluster.netinspect("conntrack", "list", name, "-n", cluster.namespace, "--as", who, "-o", "json")
    time.sleep(0.5)
    return ran if ran.code == 4 else None


def grant(cluster: Cluster) -> None:
    """Let the account start debug pods in the namespace, and see nodes one by one: no list beyond the namespace."""
    rules = {
        "Role": [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "create", "delete"]},
            {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]},
        ],
        "ClusterRole": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}],
    }
    subject = {"kind": "ServiceAccount", "name": "narrow", "namespace": cluster.namespace}
    for kind, granted in rules.items():
        meta = {"name": f"{cluster.namespace}-narrow"}
        if kind == "Role":
            meta["namespace"] = cluster.namespace
        api = "rbac.authorization.k8s.io"
        cluster.apply(
            {"apiVersion": f"{api}/v1", "kind": kind, "metadata": meta, "rules": granted},
            {
                "apiVersion": f"{api}/v1",
                "kind": f"{kind}Binding",
                "metadata": meta,
                "roleRef": {"apiGroup": api, "kind": kind, "name": meta["name"]},
                "subjects": [subject],
            },
        )
