"""Two snapshots of the real cluster differ in what was done in between, and in nothing else."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.bench import sandbox
from tests.cluster.kit import Cluster, Ran
from tests.cluster.kube_proxies import find_kube_proxies, held, wait_until_synced
from tests.cluster.test_veth import simple_pod

pytestmark = pytest.mark.cluster

NAMESPACE = "diff-test"
NAME = "web"


@pytest.fixture(scope="module")
def own(cluster: Cluster) -> Iterator[str]:
    """Make a namespace with a Deployment of two pods and its Service, whatever else is done on the cluster."""
    cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait")
    labels = {"app": NAME}
    template = simple_pod(cluster, NAME)["spec"]
    del template["nodeName"]
    template["terminationGracePeriodSeconds"] = 0
    meta = {"name": NAME, "namespace": NAMESPACE}
    cluster.kubectl("create", "namespace", NAMESPACE)
    cluster.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": template},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {
                "selector": labels,
                "ipFamilyPolicy": "RequireDualStack",
                "ports": [{"name": "http", "port": 80}],
            },
        },
    )
    yield NAMESPACE
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="module")
def healthy(cluster: Cluster, own: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot with both pods."""
    scale(cluster, 2)
    return take(cluster, tmp_path_factory.mktemp("diff") / "healthy")


def scale(cluster: Cluster, count: int) -> None:
    """Run so many pods, and wait until no rule is of any other."""
    cluster.kubectl("scale", "-n", NAMESPACE, f"deploy/{NAME}", f"--replicas={count}")
    cluster.kubectl("rollout", "status", "-n", NAMESPACE, f"deploy/{NAME}", "--timeout=90s")
    cluster.until(lambda: len(cluster.get("pods", "-n", NAMESPACE, "-l", f"app={NAME}")["items"]) == count)
    wait_until_synced(cluster)


def take(cluster: Cluster, path: Path) -> Path:
    cluster.netinspect("snapshot", "-n", NAMESPACE, "-o", str(path)).ok()
    return path


def diff(cluster: Cluster, *arguments: str | Path, code: int) -> Ran:
    """Compare what is in the tests' own namespace: others may work on the cluster, too."""
    done = cluster.netinspect("diff", *map(str, arguments), "-n", NAMESPACE)
    assert done.code == code, (done.out, done.err)
    return done


def items(ran: Ran) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ran.json["items"]
    return found


def test_nothing_in_between_is_no_difference(cluster: Cluster, healthy: Path, tmp_path: Path) -> None:
    time.sleep(2)  # counters and timers move on
    done = diff(cluster, healthy, take(cluster, tmp_path / "again"), code=0)
    assert done.out == ""
    assert done.err.startswith("No differences\n")


def test_nothing_until_now_is_no_difference(cluster: Cluster, healthy: Path) -> None:
    done = diff(cluster, healthy, code=0)
    assert done.out == ""
    assert "No differences" in done.err


def test_a_pod_less_is_told_with_its_endpoints_and_the_rules_of_both_nodes(
    cluster: Cluster, healthy: Path, tmp_path: Path
) -> None:
    scale(cluster, 1)
    try:
        by_file = items(diff(cluster, healthy, take(cluster, tmp_path / "less"), "-o", "json", code=3))
        by_now = items(diff(cluster, healthy, "now", "-o", "json", code=3))
    finally:
        scale(cluster, 2)
    assert by_file == by_now
    assert [(each["what"], each["change"]) for each in by_file] == [
        ("pod", "removed"),
        *[("endpoint", "removed")] * 2,
        *[("rules", "changed")] * 4,
    ]
    assert {each["name"] for each in by_file[1:]} == {f"{NAMESPACE}/{NAME}:http"}
    rules = by_file[3:]
    assert {(each["node"], each["family"]) for each in rules} == {
        (node, family) for node in cluster.nodes() for family in (4, 6)
    }
    gone = {each["at"].removesuffix("/tcp") for each in by_file[1:3]}
    for each in rules:
        (field,) = (field for field in each["fields"] if field["field"] == "backends")
        (lost,) = {*field["before"].split(", ")} - {*field["after"].split(", ")}
        assert lost in gone


def test_an_element_that_is_gone_from_a_node_is_one_row(cluster: Cluster, own: str, tmp_path: Path) -> None:
    """While kube-proxy is held, which would put it back."""
    pids = find_kube_proxies(cluster)
    scale(cluster, 2)
    box = sandbox.find("node-b")
    assert box is not None
    address = cluster.get("service", "-n", NAMESPACE, NAME)["spec"]["clusterIPs"][0]
    listed = json.loads(box.enter("nft", "-j", "list", "map", "ip", "kube-proxy", "service-ips"))
    assert address in json.dumps(listed)
    element = f"{{ {address} . tcp . 80 }}"
    text = box.enter("nft", "list", "map", "ip", "kube-proxy", "service-ips")
    (target,) = re.findall(rf"{re.escape(address)} \. tcp \. 80 : goto (\S+?),?\s", text)
    with held({"node-b": pids["node-b"]}):
        before = take(cluster, tmp_path / "before")
        box.enter("nft", "delete", "element", "ip", "kube-proxy", "service-ips", element)
        try:
            after = take(cluster, tmp_path / "after")
        finally:
            added = f"{{ {address} . tcp . 80 : goto {target} }}"
            box.enter("nft", "add", "element", "ip", "kube-proxy", "service-ips", added)
    (found,) = items(diff(cluster, before, after, "-o", "json", code=3))
    assert (found["what"], found["change"], found["node"]) == ("rules", "removed", "node-b")
    assert (found["name"], found["at"]) == (f"{NAMESPACE}/{NAME}:http", f"{address}:80/tcp")
    table = diff(cluster, before, after, code=3)
    assert re.search(
        rf"^rules +{NAMESPACE}/{NAME}:http +node-b +removed +{re.escape(address)}:80/tcp: ", table.out, re.M
    )
    assert diff(cluster, before, after, "-o", "name", code=3).out == f"rules/{NAME}:http\n"


def test_now_leaves_no_file_behind(cluster: Cluster, healthy: Path, tmp_path: Path) -> None:
    done = cluster.netinspect("diff", str(healthy), "-n", NAMESPACE, env={"TMPDIR": str(tmp_path)})
    assert done.code in (0, 3), done.err  # a test before may have made another pod
    assert list(tmp_path.iterdir()) == []
    assert {each.name for each in healthy.parent.iterdir()} == {healthy.name}


def test_a_dry_run_for_now_shows_the_pods_of_the_recordings_nodes(cluster: Cluster, healthy: Path) -> None:
    done = cluster.netinspect("diff", str(healthy), "--dry-run").ok()
    assert done.out.count("kind: Pod") == len(cluster.nodes())
