"""Ask the running cluster, through the kubectl that was built for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cluster.bench import golang, paths
from tests.cluster.bench.shell import run


def program() -> Path:
    return golang.kubernetes_bin() / "kubectl"


def kubectl(*arguments: str, stdin: str | None = None, timeout: float = 30.0) -> str:
    """Run kubectl as the cluster's administrator."""
    # The cache of what the API offers goes away with the cluster, whose port another one may get.
    files = [f"--kubeconfig={paths.kubeconfig()}", f"--cache-dir={paths.state() / 'kubectl-cache'}"]
    return run([program(), *files, *arguments], stdin=stdin, timeout=timeout)


def items(kinds: str, timeout: float = 10.0) -> list[dict[str, Any]]:
    """All objects of some kinds, of all namespaces."""
    listed = json.loads(kubectl("get", kinds, "--all-namespaces", "--output=json", timeout=timeout))
    found: list[dict[str, Any]] = listed["items"]
    return found
