"""When the cluster is ready: what its objects say, and what packets say."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.cluster.bench.kubectl import items, kubectl
from tests.cluster.bench.shell import BenchError
from tests.cluster.bench.topology import CLUSTER_DOMAIN, DNS_V4, DNS_V6, NODES

Object = dict[str, Any]

WEB = "web.demo.svc"
# (namespace, app or k8s-app label, number of pods) of everything that has to be ready.
READY_PODS = (
    ("kube-system", "kube-dns", 2),
    ("demo", "web", 4),
    ("demo", "tools", 2),
    ("demo", "hostnet", 1),
    ("demo", "pair", 1),
)
STATIC_POD = "static-web-node-a"


def missing_objects() -> list[str]:
    """What the API's objects still lack, in words; empty when all is as it should be."""
    found = items("nodes,pods")
    nodes = [each for each in found if each["kind"] == "Node"]
    pods = [each for each in found if each["kind"] == "Pod"]
    return [*_missing_nodes(nodes), *_missing_pods(pods)]


def missing_paths() -> list[str]:
    """What cannot be reached from the tools pods, in words; asks once from every node."""
    in_demo = [each for each in items("pods") if each["metadata"]["namespace"] == "demo"]
    pods = [each for each in in_demo if _condition(each, "Ready")]
    tools = [pod for pod in pods if _app(pod) == "tools"]
    targets = [pod for pod in pods if _app(pod) == "web"]
    with ThreadPoolExecutor() as pool:
        answers = pool.map(lambda pod: _unreachable(pod, targets), tools)
    return [line for lines in answers for line in lines]


def _missing_nodes(nodes: list[Object]) -> Iterator[str]:
    ready = {node["metadata"]["name"] for node in nodes if _condition(node, "Ready")}
    for node in NODES:
        if node.name not in ready:
            yield f"{node.name} is not Ready"


def _missing_pods(pods: list[Object]) -> Iterator[str]:
    for namespace, app, wanted in READY_PODS:
        same = [pod for pod in pods if pod["metadata"]["namespace"] == namespace and _app(pod) == app]
        ready = sum(_condition(pod, "Ready") for pod in same)
        if ready < wanted:
            yield f"{namespace}/{app}: {ready} of {wanted} pods ready"
    by_name = {pod["metadata"]["name"]: pod for pod in pods if pod["metadata"]["namespace"] == "demo"}
    if STATIC_POD not in by_name or not _condition(by_name[STATIC_POD], "Ready"):
        yield f"demo/{STATIC_POD} is not ready"
    if by_name.get("done", {}).get("status", {}).get("phase") != "Succeeded":
        yield "demo/done has not completed"
    if not _restarts(by_name.get("crash", {})):
        yield "demo/crash has not crashed twice"


def _condition(thing: Object, kind: str) -> bool:
    conditions = thing.get("status", {}).get("conditions", [])
    return any(each["type"] == kind and each["status"] == "True" for each in conditions)


def _restarts(pod: Object) -> int:
    return sum(each["restartCount"] for each in pod.get("status", {}).get("containerStatuses", []))


def _app(pod: Object) -> str | None:
    labels: dict[str, str] = pod["metadata"].get("labels", {})
    return labels.get("app") or labels.get("k8s-app")


def _unreachable(tools: Object, targets: list[Object]) -> list[str]:
    """Ask everything from one tools pod; the script prints a line for what did not answer."""
    name, node = tools["metadata"]["name"], tools["spec"]["nodeName"]
    script = "\n".join(_questions(targets))
    try:
        said = kubectl("exec", "--namespace=demo", name, "--", "sh", "-c", script, timeout=60)
    except BenchError as failure:
        return [f"{node}: {failure}"]
    return [f"{node}: no answer from {line}" for line in said.splitlines()]


def _questions(targets: list[Object]) -> Iterator[str]:
    """Shell lines: each web pod and the web Service by both families, and cluster DNS by both of its addresses."""
    urls = [f"http://{_bracketed(each['ip'])}:8080" for pod in targets for each in pod["status"]["podIPs"]]
    for url in urls:
        yield f"curl -sS --max-time 2 -o /dev/null {url} || echo {url}"
    host = f"{WEB}.{CLUSTER_DOMAIN}"
    for family in ("-4", "-6"):
        yield f"curl {family} -sS --max-time 2 -o /dev/null http://{host} || echo {family} http://{host}"
    for server in (DNS_V4, DNS_V6):
        for record in ("A", "AAAA"):
            query = f"dig +time=1 +tries=1 +short @{server} {record} {host}"
            # dig ends with 0 when it is told that there is no such name: an address is what counts.
            yield f"{query} | grep -Eq '^[0-9a-f.:]+$' || echo {server} {record} {host}"


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
