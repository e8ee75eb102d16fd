"""Where the bench keeps its files: everything is outside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

BENCH = Path(__file__).resolve().parent
GO_MODULES = BENCH / "go"
MANIFESTS = BENCH / "manifests"
TEMPLATES = BENCH / "templates"


def cache() -> Path:
    """The folder for what takes minutes to make and is the same for every cluster: programs and images."""
    chosen = os.environ.get("NETINSPECT_BENCH_CACHE")
    if chosen:
        return Path(chosen).absolute()
    user_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return user_cache / "netinspect-bench"


def state() -> Path:
    """The folder of the one cluster that runs now: kubeconfig, keys, logs, and the nodes' writable files."""
    return Path(os.environ.get("NETINSPECT_BENCH_STATE") or "/run/netinspect-bench").absolute()


def kubeconfig() -> Path:
    """The administrator's kubeconfig of the running cluster."""
    return state() / "kubeconfig"


def pki() -> Path:
    """Keys and certificates of the running cluster."""
    return state() / "pki"


def sandbox(name: str) -> Path:
    """The folder of one sandbox (the control plane or a node): its init's log and its writable files."""
    return state() / name
