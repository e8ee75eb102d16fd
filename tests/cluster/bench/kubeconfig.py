"""Kubeconfig files, with keys and certificates inside so that each file is all its reader needs."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

from tests.cluster.bench import pki
from tests.cluster.bench.pki import Certificate

NAME = "netinspect-bench"


def write(path: Path, server: str, holder: Certificate) -> None:
    """Write a kubeconfig for the holder of a certificate (as JSON, which is YAML too)."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": NAME, "cluster": {"server": server, "certificate-authority-data": _authority()}},
        ],
        "users": [
            {
                "name": holder.user,
                "user": {
                    "client-certificate-data": _base64(pki.certificate_file(holder.file)),
                    "client-key-data": _base64(pki.key_file(holder.file)),
                },
            },
        ],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": holder.user}}],
        "current-context": NAME,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(config, file, indent=2)


def _authority() -> str:
    return _base64(pki.certificate_file(pki.AUTHORITY))


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
