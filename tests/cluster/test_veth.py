"""`veth` against witnesses that share no code with it: packet counters, kubectl, and links moved by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.kit import Cluster, Ran, pods_with_own_netns

pytestmark = pytest.mark.cluster


def host_links(ran: Ran) -> dict[tuple[str, str], str]:
    """Return the host link that `veth -o json` names, by namespace and pod."""
    found = {}
    for item in ran.ok().json["items"]:
        for link in item.get("links", []):
            if "hostLink" in link:
                assert link["confidence"] == "confirmed", link
                found[item["namespace"], item["name"]] = link["hostLink"]["ifname"]
    return found


def test_every_pod_of_every_node_is_joined_to_the_link_whose_counter_its_ping_moves(cluster: Cluster) -> None:
    """The named host link is the one that sends the node's pings of that pod, for each pod of each node."""
    named = host_links(cluster.netinspect("veth", "--all-nodes", "-o", "json"))
    pods = pods_with_own_netns(cluster.get("pods", "-A")["items"])
    assert len(pods) >= 4
    for pod in pods:
        key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        witness = cluster.link_that_moves(pod["spec"]["nodeName"], pod["status"]["podIP"])
        assert named[key] == witness, key


def test_pods_whose_eth0_have_one_ifindex_are_told_apart(cluster: Cluster) -> None:
    """Two pods of a node with the same ifindex inside have different host links."""
    items = cluster.netinspect("veth", "--all-nodes", "-o", "json").ok().json["items"]
    by_index: dict[tuple[str, int], list[str]] = {}
    for item in items:
        for link in item.get("links", []):
            key = (item["node"], link["podLink"]["ifindex"])
            by_index.setdefault(key, []).append(link["hostLink"]["ifname"])
    shared = [names for names in by_index.values() if len(names) > 1]
    assert shared, "no two pods share an ifindex: the test shows nothing"
    assert all(len(set(names)) == len(names) for names in shared)


def test_both_families_are_shown(cluster: Cluster) -> None:
    """The addresses of a pod's link hold all of status.podIPs."""
    for item in cluster.netinspect("veth", "-A", "-o", "json").ok().json["items"]:
        if "links" not in item:
            continue
        pod = cluster.get("pod", "-n", item["namespace"], item["name"])
        local = {each["local"] for link in item["links"] for each in link["podLink"]["addresses"]}
        assert {each["ip"] for each in pod["status"]["podIPs"]} <= local


def test_hostnetwork_and_completed_pods_are_answered_without_a_debug_pod(cluster: Cluster) -> None:
    """A pod without a netns of its own is told what is true of it, at no cost."""
    cluster.apply(
        simple_pod(cluster, "hostnet", hostNetwork=True),
        simple_pod(cluster, "done", command=["true"], restartPolicy="Never"),
    )
    wait = ("wait", "-n", cluster.namespace, "--timeout=60s")
    cluster.kubectl(*wait, "--for=jsonpath={.status.phase}=Succeeded", "pod/done")
    cluster.kubectl(*wait, "--for=condition=Ready", "pod/hostnet")
    # An image that cannot be pulled proves that no debug pod was tried.
    ran = cluster.netinspect(
        "veth", "hostnet", "done", "-n", cluster.namespace, "--image", "netinspect.test/none:0", "-o", "json"
    )
    attachments = {item["name"]: item["attachment"] for item in ran.ok().json["items"]}
    assert attachments == {"hostnet": "host-network", "done": "completed"}


def test_a_crash_looping_pod_has_its_link(cluster: Cluster) -> None:
    """Between two starts only the sandbox lives; it is enough."""
    cluster.apply(simple_pod(cluster, "crash", command=["false"]))
    cluster.until(lambda: cluster.get("pod", "crash", "-n", cluster.namespace)["status"].get("podIP"))
    (item,) = cluster.netinspect("veth", "crash", "-n", cluster.namespace, "-o", "json").ok().json["items"]
    assert item["links"][0]["confidence"] == "confirmed"


def test_a_peer_that_was_moved_into_another_pod_is_not_in_the_nodes_netns(cluster: Cluster) -> None:
    """The moved peer's number collides with another pod's host link, which must not be named."""
    cluster.apply(simple_pod(cluster, "victim"), simple_pod(cluster, "holder"))
    for name in ("victim", "holder"):
        cluster.kubectl(
            "wait", "-n", cluster.namespace, "--for=condition=Ready", f"pod/{name}", "--timeout=60s"
        )
    nodes = {
        cluster.get("pod", each, "-n", cluster.namespace)["spec"]["nodeName"] for each in ("victim", "holder")
    }
    assert len(nodes) == 1, "both are bound to one node"
    node = nodes.pop()
    before = host_links(cluster.netinspect("veth", "victim", "holder", "-n", cluster.namespace, "-o", "json"))
    link = before[cluster.namespace, "victim"]
    pid = netns_pid(cluster, "holder")
    index = cluster.on_node(node, "cat", f"/sys/class/net/{link}/ifindex").strip()
    cluster.on_node(node, "ip", "link", "set", link, "netns", pid)
    # Another link of the node takes the number that the pod's end still names.
    cluster.on_node(
        node, "ip", "link", "add", "collide", "index", index, "type", "veth", "peer", "name", "collide-p"
    )
    try:
        ran = cluster.netinspect("veth", "victim", "-n", cluster.namespace, "-o", "json").ok()
        (match,) = ran.json["items"][0]["links"]
        assert match["attachment"] == "peer-elsewhere"
        assert "hostLink" not in match
        assert match["peerHolder"]["pid"]
        table = cluster.netinspect("veth", "victim", "-n", cluster.namespace).ok()
        assert "not in the node's netns" in table.out + table.err
    finally:
        cluster.on_node(node, "ip", "link", "del", "collide")


def test_back_from_a_link_and_from_an_address(cluster: Cluster) -> None:
    """`--link` and `--ip` lead to the pod that `veth` came from, in both families."""
    pod = pods_with_own_netns(cluster.get("pods", "-A")["items"])[0]
    meta, node = pod["metadata"], pod["spec"]["nodeName"]
    link = host_links(cluster.netinspect("veth", meta["name"], "-n", meta["namespace"], "-o", "json"))
    (ifname,) = link.values()
    owner = cluster.netinspect("veth", "--link", ifname, "--node", node, "-o", "json").ok().json["items"][0]
    assert [each["name"] for each in owner["pods"]] == [meta["name"]]
    for address in pod["status"]["podIPs"]:
        ran = cluster.netinspect("veth", "--ip", address["ip"], "-o", "json").ok()
        assert [item["name"] for item in ran.json["items"]] == [meta["name"]]


@pytest.mark.parametrize("target", ["deploy/{name}", "svc/{name}", "deployment {name}", "-l app={name}"])
def test_targets_are_taken_as_kubectl_takes_them(cluster: Cluster, target: str) -> None:
    """A Deployment, a Service and a selector lead to the same pods."""
    name = deployment(cluster)
    ran = cluster.netinspect("veth", "-n", cluster.namespace, *target.format(name=name).split(), "-o", "name")
    wanted = cluster.kubectl("get", "pods", "-n", cluster.namespace, "-l", f"app={name}", "-o", "name").out
    assert sorted(ran.ok().out.split()) == sorted(wanted.split())


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("veth", "no-such-pod"), 1, 'Error from server (NotFound): pods "no-such-pod" not found'),
        (("veth", "deploy/none"), 1, 'deployments.apps "none" not found'),
        (("veth", "--node", "no-such-node"), 1, 'nodes "no-such-node" not found'),
        (("veth",), 2, "no target is named"),
        (("veth", "--ip", "192.0.2.1"), 1, "no running pod has the address 192.0.2.1"),
        (("veth", "x", "-o", "bogus"), 2, "--output"),
    ],
)
def test_what_leads_nowhere_is_said_in_kubectls_words(
    cluster: Cluster, arguments: tuple[str, ...], code: int, text: str
) -> None:
    """Errors go to stderr with their exit code, and nothing to stdout."""
    ran = cluster.netinspect(*arguments)
    assert (ran.code, ran.out) == (code, "")
    assert text in ran.err


def netns_pid(cluster: Cluster, name: str) -> str:
    """Return a PID in a pod's netns, from `netns`."""
    (item,) = cluster.netinspect("netns", name, "-n", cluster.namespace, "-o", "json").ok().json["items"]
    return str(item["netns"]["processes"][0]["pid"])


def simple_pod(cluster: Cluster, name: str, command: list[str] | None = None, **spec: Any) -> dict[str, Any]:
    """Return a pod of the node-tools image on the first node that does nothing in particular."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": cluster.namespace, "labels": {"app": name}},
        "spec": {
            "nodeName": cluster.nodes()[0],
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": cluster.image, "command": command or ["sleep", "3600"]}],
            **spec,
        },
    }


def deployment(cluster: Cluster, name: str = "spread") -> str:
    """Make a Deployment of two pods and a Service for it; return their name."""
    labels = {"app": name}
    template = simple_pod(cluster, name)["spec"]
    del template["nodeName"]
    spec = {
        "replicas": 2,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": template},
    }
    meta = {"name": name, "namespace": cluster.namespace}
    cluster.apply(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"selector": labels, "ports": [{"port": 80}]},
        },
    )
    cluster.kubectl("rollout", "status", "-n", cluster.namespace, f"deploy/{name}", "--timeout=90s")
    return name
