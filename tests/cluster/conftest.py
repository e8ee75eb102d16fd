"""Fixtures of the tests against a real cluster.

The cluster is `$KUBECONFIG`'s, or else the test bench's (`make cluster-up`). The debug image is
`$NETINSPECT_TEST_IMAGE`, or else the bench's own. A test that needs what a cluster does not have is skipped with its
reason printed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import planted
from tests.cluster.bench import paths
from tests.cluster.kit import BENCH_IMAGE, Cluster

# Another name lets two runs share a cluster.
NAMESPACE = os.environ.get("NETINSPECT_TEST_NAMESPACE", "netinspect-test")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Give the cluster, with a namespace of the tests' own and a pod on each node to look from."""
    kit = cluster_from_environment(NAMESPACE)
    if kit is None:
        pytest.skip("no cluster: set KUBECONFIG, or run `make cluster-up`", allow_module_level=True)
    kit.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait")
    kit.kubectl("create", "namespace", NAMESPACE)
    kit.start_observers()
    planted.plant(kit)
    yield kit
    kit.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="session", autouse=True)
def _no_secret_recorded(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """At the end no recording that any test made holds what was planted."""
    yield
    _, leaking = planted.find_leaks(tmp_path_factory.getbasetemp())
    assert leaking == []


@pytest.fixture(autouse=True)
def _no_debug_pod_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test no debug pod is left: whatever the test did, that is promised."""
    kit: Cluster = request.getfixturevalue("cluster")
    yield
    left = kit.debug_pods()
    for namespace, name in left:
        kit.kubectl("delete", "pod", "--now", "-n", namespace, name)
    assert left == []


def cluster_from_environment(namespace: str) -> Cluster | None:
    """Return the cluster that is meant, or None where there is none."""
    kubeconfig = os.environ.get("KUBECONFIG") or _bench_kubeconfig()
    if kubeconfig is None:
        return None
    image = os.environ.get("NETINSPECT_TEST_IMAGE", BENCH_IMAGE)
    return Cluster(kubeconfig, image, namespace, _path())


def _bench_kubeconfig() -> str | None:
    path = paths.kubeconfig()
    return str(path) if path.exists() else None


def _path() -> str:
    """Put the bench's kubectl (where there is none) and the installed plugin on PATH."""
    places = [str(Path(sys.executable).parent)]
    if shutil.which("kubectl") is None:
        bench = [sys.executable, "-m", "tests.cluster.bench", "bin"]
        places.append(subprocess.run(bench, capture_output=True, text=True, check=True).stdout.strip())
    return os.pathsep.join([*places, os.environ["PATH"]])
