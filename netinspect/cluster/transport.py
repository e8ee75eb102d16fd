"""The connections to one API server under one set of credentials: urllib3's pool, as `ApiClient` builds it.

Only this module, credentials.py and handshake.py touch the libraries' own objects.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from netinspect.cluster.headers import Header
from netinspect.cluster.library import Library
from netinspect.cluster.proxies import proxy_credentials
from netinspect.cluster.sockets import open_tcp
from netinspect.errors import ClusterError

CONNECT_S = 10.0
"""How long one connection may take to come about, TLS not counted."""

_POOL_SIZE = 64
"""Connections kept for use again: one a worker thread, and then some."""

# What the library takes from files; all of it is in our SSLContext already.
_FILE_KEYS = ("cert_file", "key_file", "ca_certs", "ca_cert_data", "cert_reqs")


class _Connection(HTTPConnection):
    def _new_conn(self) -> Any:
        return open_tcp(self._dns_host, self.port, CONNECT_S)


class _TlsConnection(HTTPSConnection):
    def _new_conn(self) -> Any:
        return open_tcp(self._dns_host, self.port, CONNECT_S)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def build_pool(library: Library, configuration: Any, context: ssl.SSLContext, proxy: str) -> Any:
    """Return the urllib3 pool of a new `ApiClient`, changed to our TLS context, our sockets and our proxy."""
    is_socks = proxy.startswith("socks")
    configuration.proxy = None if is_socks else proxy or None
    configuration.no_proxy = ""  # the exceptions were looked at when the proxy was resolved
    configuration.proxy_headers = _proxy_headers(proxy)
    configuration.connection_pool_maxsize = _POOL_SIZE
    for key in ("cert_file", "key_file", "ssl_ca_cert"):
        setattr(configuration, key, None)
    if context.verify_mode == ssl.CERT_NONE:
        # Asked for by the user; urllib3 would say so on stderr with every request, kubectl does not.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    pool = library.api_client(configuration).rest_client.pool_manager
    if is_socks:
        pool = _socks_pool(proxy, pool.connection_pool_kw)
    else:
        pool.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
    for key in _FILE_KEYS:
        pool.connection_pool_kw.pop(key, None)
    pool.connection_pool_kw["ssl_context"] = context
    return pool


def send_request(
    pool: Any, method: str, url: str, headers: Iterable[Header], body: bytes | None, read_s: float
) -> Any:
    """Send one request and return urllib3's response, its body unread; retries and redirects are left to us."""
    return pool.urlopen(
        method,
        url,
        body=body,
        headers=_header_dict(headers),
        timeout=urllib3.Timeout(connect=CONNECT_S, read=read_s),
        retries=False,
        redirect=False,
        preload_content=False,
    )


def open_socket(pool: Any, server: str) -> Any:
    """Open a connection as the pool does (proxy, TLS, server name) and hand out its socket, for a websocket."""
    host_pool = pool.connection_from_url(server)
    connection = host_pool._new_conn()
    connection.timeout = CONNECT_S
    try:
        if getattr(host_pool, "proxy", None) is not None and server.startswith("https"):
            host_pool._prepare_proxy(connection)
        else:
            connection.connect()
    except BaseException:
        connection.close()
        raise
    sock, connection.sock = connection.sock, None
    return sock


def _header_dict(headers: Iterable[Header]) -> urllib3.HTTPHeaderDict:
    """A plain dict would lose all but one Impersonate-Group."""
    result = urllib3.HTTPHeaderDict()
    for name, value in headers:
        # http.client writes Latin-1; Go reads bytes and takes them for UTF-8.
        result.add(name, value.encode().decode("latin-1"))
    return result


def _proxy_headers(proxy: str) -> Any:
    credentials = proxy_credentials(proxy)
    return urllib3.make_headers(proxy_basic_auth=credentials) if credentials else None


def _socks_pool(proxy: str, pool_arguments: dict[str, Any]) -> Any:
    try:
        from urllib3.contrib.socks import SOCKSProxyManager
    except ImportError as error:
        raise ClusterError(
            f"error: the proxy {proxy.split('@')[-1]} needs the Python package PySocks"
        ) from error
    arguments = {key: value for key, value in pool_arguments.items() if not key.startswith("_")}
    return SOCKSProxyManager(proxy, **arguments)
