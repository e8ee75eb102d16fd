"""The one place that imports the Kubernetes client.

It costs hundreds of milliseconds, so it is imported when the first request is due and never before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True)
class Library:
    """What the door uses of the `kubernetes` package."""

    version: str
    api_client: Any
    configuration: Any
    kube_config: Any
    config_exception: Any


@cache
def load_library() -> Library:
    """Import the client and hand out the five things that we use."""
    import kubernetes
    from kubernetes.client import ApiClient, Configuration
    from kubernetes.config import ConfigException, kube_config

    return Library(kubernetes.__version__, ApiClient, Configuration, kube_config, ConfigException)
