"""Credentials: what `kubernetes.config` makes of the user entry, held so that no private key stays on disk.

The library writes `client-key-data` and the keys of exec plugins to temporary files and removes them in an `atexit`
handler, which no signal runs. Here the kubeconfig's key is given to it as a file in memory (memfd, Linux), which not
even SIGKILL leaves behind. What it still writes goes to a private folder, the TLS context is built at once, and
the folder is gone before the first request leaves.
"""

from __future__ import annotations

import base64
import copy
import logging
import os
import shutil
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from netinspect.cluster.kubeconfig import ResolvedContext
from netinspect.cluster.library import Library, load_library
from netinspect.cluster.sockets import PatientSSLSocket
from netinspect.cluster.transport import build_pool
from netinspect.errors import ClusterError, NetinspectError

_TOKEN_FILE_S = 60.0
"""client-go reads a token file again after a minute: the kubelet replaces it while we run."""

_EXPIRY_SKEW = timedelta(seconds=10)


@dataclass(eq=False)
class Session:
    """One set of credentials at work: the pool that speaks TLS with them, and the token that goes with it.

    Attributes:
        pool: urllib3's pool.
        configuration: the library's; its refresh hook is called each time the token is asked for.
        expires: when a certificate of an exec plugin ends.
        stale_at: in seconds of `time.monotonic()`, when a token file is to be read again.
    """

    pool: Any
    configuration: Any
    expires: datetime | None = None
    stale_at: float | None = None

    def authorization(self) -> str:
        """Return the Authorization header's value, refreshed by the library where it is due; "" for none."""
        setting = self.configuration.auth_settings().get("BearerToken") or {}
        return str(setting.get("value") or "").strip()

    def is_due(self) -> bool:
        """Whether the credentials must be loaded again before the next request."""
        if self.stale_at is not None and time.monotonic() >= self.stale_at:
            return True
        return self.expires is not None and datetime.now(UTC) + _EXPIRY_SKEW >= self.expires


class Credentials:
    """Loads a session when the first request is due, and again when it has run out. Safe for threads."""

    def __init__(self, context: ResolvedContext, proxy: str) -> None:
        self._context = context
        self._proxy = proxy
        # The library writes refreshed tokens into the dict that it was given; they must outlive a reload.
        self._document = copy.deepcopy(_document(context))
        self._session: Session | None = None
        self._lock = threading.Lock()

    def current(self) -> tuple[Session, str]:
        """Return the session and its Authorization header.

        Raises:
            ClusterError: there are no usable credentials.
        """
        with self._lock, self._explained():
            if self._session is None or self._session.is_due():
                self._load()
            assert self._session is not None
            return self._session, self._session.authorization()

    def renew(self, refused: Session) -> None:
        """Load the credentials again after a 401; where another thread did so meanwhile, nothing is to be done."""
        with self._lock, self._explained():
            if self._session is refused:
                self._load()

    def close(self) -> None:
        """Close the idle connections."""
        if self._session is not None:
            self._session.pool.clear()

    def _load(self) -> None:
        library = load_library()
        configuration = library.configuration()
        document = self._document
        with (
            _private_folder(library) as folder,
            _key_in_memory(document["users"][0]["user"]),
            _captured_log() as complaints,
        ):
            loader = library.kube_config.KubeConfigLoader(
                config_dict=document,
                active_context=document["current-context"],
                config_base_path="",
                temp_file_path=folder,
            )
            loader.load_and_set(configuration)
            if complaints and ("exec" in self._context.user or "auth-provider" in self._context.user):
                raise self._no_credentials(complaints[-1])
            context = build_ssl_context(configuration)
        pool = build_pool(library, configuration, context, self._proxy)
        self.close()
        self._session = Session(pool, configuration, self._plugin_expiry(loader), self._stale_at())

    def _plugin_expiry(self, loader: Any) -> datetime | None:
        """The library refreshes tokens by itself, but not the certificates of an exec plugin."""
        expiry = getattr(loader, "expiry", None)
        has_token = getattr(loader, "token", None) is not None
        return expiry if isinstance(expiry, datetime) and not has_token else None

    def _stale_at(self) -> float | None:
        user = self._context.user
        reads_file = "tokenFile" in user and "token" not in user
        return time.monotonic() + _TOKEN_FILE_S if reads_file else None

    def _no_credentials(self, complaint: str) -> ClusterError:
        plugin = self._context.user.get("exec") or {}
        hint = str(plugin.get("installHint") or "").strip()
        return ClusterError(f"Unable to connect to the server: getting credentials: {complaint}", hint)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn whatever the library raises into one error that names the user entry."""
        try:
            yield
        except NetinspectError:
            raise
        except Exception as error:
            name = self._context.user_name or "the command line"
            raise ClusterError(
                f"error: the credentials of {name} cannot be used: {_describe(error)}"
            ) from error


def build_ssl_context(configuration: Any) -> ssl.SSLContext:
    """Build the TLS context for REST and websockets from the files that the library's configuration names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = PatientSSLSocket
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif configuration.ssl_ca_cert:
        context.load_verify_locations(cafile=configuration.ssl_ca_cert)
    else:
        _load_system_roots(context)
    if configuration.cert_file:
        # The password is asked for on the terminal unless one is given.
        context.load_cert_chain(configuration.cert_file, configuration.key_file, password="")
    return context


def _load_system_roots(context: ssl.SSLContext) -> None:
    context.load_default_certs()
    if not context.cert_store_stats()["x509_ca"]:
        import certifi  # comes with kubernetes; for Pythons that know no system store

        context.load_verify_locations(cafile=certifi.where())


def _document(context: ResolvedContext) -> dict[str, Any]:
    """The resolved context as a kubeconfig of one entry each, for the library to read."""
    name = context.name or "netinspect"
    return {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": "cluster", "user": "user"}}],
        "clusters": [{"name": "cluster", "cluster": dict(context.cluster)}],
        "users": [{"name": "user", "user": dict(context.user)}],
    }


@contextmanager
def _private_folder(library: Library) -> Iterator[str]:
    """Give the library a folder of mode 0700 for its key files; take it away, and the library's memory of it."""
    folder = tempfile.mkdtemp(prefix="netinspect-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        files = library.kube_config._temp_files
        for content in [key for key, path in files.items() if path.startswith(folder)]:
            del files[content]


@contextmanager
def _key_in_memory(user: dict[str, Any]) -> Iterator[None]:
    """Show the library `client-key-data` as a file that has no place on any disk; without memfd, leave it as it is."""
    data = user.get("client-key-data")
    if not data or not hasattr(os, "memfd_create"):
        yield
        return
    descriptor = os.memfd_create("client-key")
    try:
        os.write(descriptor, base64.b64decode(data))
        del user["client-key-data"]
        user["client-key"] = f"/proc/self/fd/{descriptor}"
        yield
    finally:
        user["client-key-data"] = data
        user.pop("client-key", None)
        os.close(descriptor)


@contextmanager
def _captured_log() -> Iterator[list[str]]:
    """Collect what the library logs: a plugin that fails is not raised, but logged to the root logger."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    root = logging.getLogger()
    others, root.handlers = root.handlers, [handler]
    try:
        yield lines
    finally:
        root.handlers = others


def _describe(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", None) or str(error)
        return f"tls: {reason.replace('_', ' ').lower()}"
    return str(error).strip() or type(error).__name__
