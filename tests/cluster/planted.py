"""Secrets planted in the cluster, which no recording that the tests make may hold."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

from tests.cluster.kit import Cluster

SECRET = "hunter2-planted-in-the-cluster"
NAME = "planted"
_GZIP = b"\x1f\x8b"


def plant(cluster: Cluster) -> None:
    """Run a pod that has the secret in every place that a pod has for one."""
    cluster.apply(_pod(cluster))


def find_leaks(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the recordings under a folder, and those of them that hold the secret."""
    recordings = [path for path in folder.rglob("*") if path.is_file() and _is_recording(path)]
    return recordings, [path for path in recordings if SECRET.encode() in gzip.decompress(path.read_bytes())]


def _is_recording(path: Path) -> bool:
    data = path.read_bytes()
    if not data.startswith(_GZIP):
        return False
    try:
        return b"manifest.json" in gzip.decompress(data)
    except (OSError, EOFError):
        return False


def _pod(cluster: Cluster) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": NAME,
            "namespace": cluster.namespace,
            "annotations": {"note": f"Authorization: Bearer {SECRET}"},
        },
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "imagePullSecrets": [{"name": SECRET}],
            "containers": [
                {
                    "name": "app",
                    "image": cluster.image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", "sleep 86400 & wait", SECRET],
                    "env": [{"name": "PASSWORD", "value": SECRET}],
                    "readinessProbe": {"exec": {"command": ["false", SECRET]}, "periodSeconds": 30},
                }
            ],
        },
    }
