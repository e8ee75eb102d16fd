"""`--local` on a node of the real cluster: what the live command says of that node, minus what it lists as gaps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cluster.inside import enter_node, netinspect_on_node
from tests.cluster.kit import Cluster, Ran
from tests.cluster.test_conntrack_list import start_in_pod
from tests.cluster.test_veth import simple_pod

pytestmark = pytest.mark.cluster

# What moves while one looks.
_MOVING = {"packets", "bytes", "timeoutS", "raw", "use"}
_LISTS = {"the list of services", "the list of endpointslices", "all pods", "all nodes"}
_TOOLS = {"tool-missing"}


@pytest.fixture(scope="module")
def home(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, and a namespace without what other tests left in theirs: all of its pods are compared."""
    own = Cluster(cluster.kubeconfig, cluster.image, f"{cluster.namespace}-local", cluster.env["PATH"])
    own.kubectl("delete", "namespace", own.namespace, "--ignore-not-found", "--wait")
    own.kubectl("create", "namespace", own.namespace)
    yield own
    own.kubectl("delete", "namespace", own.namespace, "--wait=false")


@pytest.fixture(scope="module", params=[0, 1], ids=["first node", "second node"])
def node(home: Cluster, request: pytest.FixtureRequest) -> str:
    """Each of two nodes: kube-proxy works in another mode on each of the bench's."""
    names = home.nodes()
    if request.param >= len(names) or enter_node(names[request.param]) is None:
        pytest.skip("nodes are not the bench's sandboxes, or the checkout is not seen there")
    name: str = names[request.param]
    return name


@pytest.fixture(scope="module")
def pods(home: Cluster, node: str) -> Iterator[dict[str, str]]:
    """Pods of all kinds on the node: one that holds a connection to another, one on its network, one that has ended."""
    names = {kind: f"{kind}-{node}" for kind in ("client", "server", "hostnet", "done")}
    home.apply(
        simple_pod(home, names["client"], nodeName=node),
        simple_pod(home, names["server"], nodeName=node),
        simple_pod(home, names["hostnet"], nodeName=node, hostNetwork=True),
        simple_pod(home, names["done"], ["true"], nodeName=node, restartPolicy="Never"),
    )
    wait = ("wait", "-n", home.namespace, "--timeout=90s")
    for kind in ("client", "server", "hostnet"):
        home.kubectl(*wait, "--for=condition=Ready", f"pod/{names[kind]}")
    home.kubectl(*wait, "--for=jsonpath={.status.phase}=Succeeded", f"pod/{names['done']}")
    yield names
    home.kubectl("delete", "pod", "-n", home.namespace, "--wait", *names.values())


def still(value: Any) -> Any:
    """Return the value without what moves while one looks."""
    if isinstance(value, dict):
        return {key: still(each) for key, each in value.items() if key not in _MOVING}
    return [still(each) for each in value] if isinstance(value, list) else value


def both(home: Cluster, node: str, *words: str, where: tuple[str, ...] = ()) -> tuple[Any, Any]:
    """Run a command live for a node, and locally on it; return both answers."""
    live = home.netinspect(*words, "--node", node, *where, "-o", "json")
    assert live.code in (0, 4), live.err
    local = netinspect_on_node(node, *words, "--local", *where, "-o", "json")
    assert local.code in (0, 4), local.err
    return still(live.json), still(local.json)


def without_debug_pods(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out the pods of live commands: they have processes for a moment longer than the API has them."""
    return [each for each in items if not each["name"].startswith("netinspect-")]


def gaps_of(answer: Any) -> set[tuple[str, str]]:
    """What is missing, and the class of the obstacle."""
    return {(gap["fact"], gap["reason"]) for gap in answer["gaps"]}


def more_gaps(live: Any, local: Any) -> set[str]:
    """Return the facts that the local answer lacks and the live one has not; a tool that the host lacks is left out."""
    return {fact for fact, reason in gaps_of(local) - gaps_of(live) if reason not in _TOOLS}


def forget(value: Any, node: str) -> Any:
    """Return a live answer as one who knows only the node's own pods would give it: other owners are unknown."""
    if isinstance(value, list):
        return [forget(each, node) for each in value]
    if not isinstance(value, dict):
        return value
    if (
        "kind" in value
        and value["kind"] in ("pod", "external", "service", "gone")
        and value.get("node") != node
    ):
        return {"kind": "unknown"}
    return {key: "unknown" if key == "role" else forget(each, node) for key, each in value.items()}


@pytest.mark.parametrize("command", ["veth", "netns"])
def test_pods_and_their_netns(home: Cluster, node: str, pods: dict[str, str], command: str) -> None:
    """The same answer, without the pod that has ended: a note names it."""
    live, local = both(home, node, command, where=("-n", home.namespace))
    assert {each["name"] for each in local["items"]} >= {pods["client"], pods["server"], pods["hostnet"]}
    assert without_debug_pods(local["items"]) == [
        each for each in live["items"] if each["name"] != pods["done"]
    ]
    assert (live["gaps"], local["gaps"]) == ([], [])
    shown = netinspect_on_node(node, command, "--local", "-n", home.namespace).ok()
    assert "only their logs are left on this host" in shown.err
    assert f"read locally as root on {node}" in shown.err


def test_a_pod_by_its_name_its_address_and_its_link(home: Cluster, node: str, pods: dict[str, str]) -> None:
    """Each leads to the same link as it does live."""
    where = ("-n", home.namespace, pods["client"])
    live = home.netinspect("veth", *where, "-o", "json").ok().json["items"]
    assert netinspect_on_node(node, "veth", *where, "--local", "-o", "json").ok().json["items"] == live
    (link,) = live[0]["links"]
    for address in home.get("pod", *where)["status"]["podIPs"]:
        by_address = netinspect_on_node(node, "veth", "--local", "--ip", address["ip"], "-o", "json").ok()
        assert by_address.json["items"] == live
    ifname = link["hostLink"]["ifname"]
    owner = netinspect_on_node(node, "veth", "--local", "--link", ifname, "--node", node, "-o", "json").ok()
    assert (
        owner.json["items"]
        == home.netinspect("veth", "--link", ifname, "--node", node, "-o", "json").json["items"]
    )


def test_pods_as_the_api_lists_them(home: Cluster, node: str, pods: dict[str, str]) -> None:
    """Names, UIDs' owners aside: what is on this host and has not ended, with the addresses that the API gives."""
    local = netinspect_on_node(node, "pods", "--local", "-n", home.namespace, "-o", "json")
    assert local.code == 4
    listed = home.netinspect("pods", "--node", node, "-n", home.namespace, "-o", "json").ok().json["items"]
    keys = ("namespace", "name", "node", "podIPs", "hostNetwork", "hostIP")
    expected = [{key: each.get(key) for key in keys} for each in listed if each["name"] != pods["done"]]
    found = without_debug_pods(local.json["items"])
    assert [{key: each.get(key) for key in keys} for each in found] == expected
    assert [gap["reason"] for gap in local.json["gaps"]] == ["no-api"]


@pytest.mark.parametrize("command", ["rules", "iptables", "nftables"])
def test_rules_are_the_same_with_fewer_names(home: Cluster, node: str, command: str) -> None:
    """Every entry, branch and backend; only the types of Services and pods of other nodes are unknown."""

    def differ() -> str:
        live, local = both(home, node, command)
        assert more_gaps(live, local) == _LISTS
        # Entries are in the order of their Services' types, where these are known.
        wanted, found = (
            sorted(json.dumps(forget(each, node)) for each in answer["items"]) for answer in (live, local)
        )
        return "\n".join(sorted({*wanted} ^ {*found}))

    settle(differ)


def test_backends_on_the_node_keep_their_names(home: Cluster, node: str) -> None:
    """Of a Service with pods on both nodes, those of this host are named without the API."""
    rules = netinspect_on_node(node, "rules", "web", "-n", "demo", "--local", "-o", "json")
    assert rules.code == 4
    found = json.dumps(rules.json)
    here = [
        pod["metadata"]["name"]
        for pod in home.get("pods", "-n", "demo", "-l", "app=web")["items"]
        if pod["spec"]["nodeName"] == node
    ]
    assert here
    assert all(name in found for name in here)


@pytest.mark.parametrize("words", [("iptables", "--table", "nat"), ("nftables", "--chain", "services")])
def test_chains_are_the_same(home: Cluster, node: str, words: tuple[str, ...]) -> None:
    """Rules need no names: nothing is missing. A node without such chains says so in both ways."""

    def differ() -> str:
        live = home.netinspect(*words, "--node", node, "-o", "json")
        local = netinspect_on_node(node, *words, "--local", "-o", "json")
        assert local.code == live.code
        if live.code == 1:
            return "" if local.err == live.err else f"{local.err}{live.err}"
        return "" if still(local.json["items"]) == still(live.json["items"]) else "other chains"

    settle(differ)


def test_the_dataplane_is_the_same(home: Cluster, node: str) -> None:
    """In both families; that Services and agents are not known is listed."""
    live, local = both(home, node, "dataplane")
    kept = ("node", "family", "dataplane", "isReadable", "confidence", "kubeProxyMode")
    assert [{key: each.get(key) for key in kept} for each in local["items"]] == [
        {key: each.get(key) for key in kept} for each in live["items"]
    ]
    assert more_gaps(live, local) == {"network agents on the node", "Services"}


def test_flows_of_a_pod(home: Cluster, node: str, pods: dict[str, str]) -> None:
    """The connections that it holds, with both tuples, and its own name."""
    service = home.kubectl("get", "service", "web", "-n", "demo", "-o", "json", check=False)
    if service.code:
        pytest.skip("no Service demo/web: this is not the test bench")
    targets = [f"/dev/tcp/{address}/80" for address in service.json["spec"]["clusterIPs"]]
    process = start_in_pod(home, pods["client"], *targets)
    where = ("-n", home.namespace, "--proto", "tcp", "--dport", "80", "--state", "ESTABLISHED")
    try:

        def differ() -> str:
            live = home.netinspect("conntrack", "list", pods["client"], *where, "-o", "json").ok().json
            local = netinspect_on_node(
                node, "conntrack", "list", pods["client"], "--local", *where, "-o", "json"
            )
            assert local.code == 4
            assert {gap["fact"] for gap in local.json["gaps"]} == _LISTS - {"the list of endpointslices"}
            flows = [still(each["flow"]) for each in local.json["items"]]
            assert {each["source"]["name"] for each in local.json["items"]} <= {pods["client"]}
            wanted = [still(each["flow"]) for each in live["items"]]
            return "" if len(flows) == len(targets) and flows == wanted else f"{flows}\n{wanted}"

        settle(differ)
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_the_table_and_its_limit(home: Cluster, node: str) -> None:
    """Who fills it, and how full it is: the numbers that do not move are the same."""
    live, local = both(home, node, "conntrack", "limit", where=("--for", "1s"))
    for key in ("node", "max", "buckets"):
        assert local["items"][0][key] == live["items"][0][key]
    assert more_gaps(live, local) == set()
    top, own = both(home, node, "conntrack", "top")
    assert more_gaps(top, own) == _LISTS - {"the list of endpointslices"}
    assert own["items"][0]["node"] == node


def test_another_node_is_not_to_be_had(home: Cluster, node: str) -> None:
    """Neither by its name nor as one of all."""
    other = next(name for name in home.nodes() if name != node)
    ran = netinspect_on_node(node, "rules", "--local", "--node", other)
    assert (ran.code, ran.out) == (1, "")
    assert f'node "{other}" is not this host, which is {node}' in ran.err
    assert netinspect_on_node(node, "rules", "--local", "--all-nodes").code == 2


def test_what_needs_the_api_says_so(node: str) -> None:
    """An error, not an empty answer."""
    for words in (("services",), ("dns",), ("veth", "deploy/web", "-n", "demo"), ("veth", "-l", "app=web")):
        ran: Ran = netinspect_on_node(node, *words, "--local")
        assert (ran.code, ran.out) == (1, ""), words
        assert "API server only" in ran.err, words


def settle(differ: Callable[[], str], attempts: int = 5) -> None:
    """Try until two readings of what others change meanwhile agree."""
    for _ in range(attempts):
        difference = differ()
        if not difference:
            return
    raise AssertionError(difference)
