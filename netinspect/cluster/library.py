"""The one place that imports the Kubernetes client, and that knows what the import costs.

The client is imported when the first request is due and never before. Two things of it are not loaded then:

- `kubernetes/__init__.py` imports subpackages that we do not use (`stream`, `dynamic`, `watch`, ...). The standard
  library's `importlib.util.LazyLoader` leaves them unloaded until somebody asks for an attribute of theirs.
- `kubernetes.config.kube_config` imports `requests_oauthlib` (and with it `requests` and `oauthlib`) for one class: the
  session that refreshes an OIDC token. There `LazyLoader` does not help, as `from requests_oauthlib import
  OAuth2Session` asks for an attribute at once. While the client is imported, a module stands in for it that hands out
  the class as a function: called, it imports the real one.

`python -m bench.startup` shows the import with and without.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Any

_DEFERRED = "requests_oauthlib"
_UNUSED = frozenset(
    f"kubernetes.{name}" for name in ("dynamic", "informer", "leaderelection", "stream", "utils", "watch")
)


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
    with lazy_subpackages(), deferred_oauth():
        import kubernetes
        from kubernetes.client import ApiClient, Configuration
        from kubernetes.config import ConfigException, kube_config

    return Library(kubernetes.__version__, ApiClient, Configuration, kube_config, ConfigException)


class _LazyFinder:
    """Finds the subpackages that are not to be loaded yet, and leaves everything else to the others."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the ordinary spec with a lazy loader; None for other modules (importlib.abc.MetaPathFinder)."""
        if name not in _UNUSED:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def lazy_subpackages() -> Iterator[None]:
    """Leave the subpackages that we do not use unloaded while the block imports the client."""
    finder = _LazyFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@contextmanager
def deferred_oauth() -> Iterator[None]:
    """Let a module stand in for `requests_oauthlib` while the block imports; where it is loaded, use it."""
    if _DEFERRED in sys.modules:
        yield
        return
    stand_in = ModuleType(_DEFERRED)
    stand_in.__getattr__ = _defer  # type: ignore[method-assign]
    sys.modules[_DEFERRED] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(_DEFERRED) is stand_in:
            del sys.modules[_DEFERRED]


def _defer(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)  # the import system asks for __path__, __spec__ and the like

    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(_DEFERRED), name)(*args, **kwargs)

    return call
