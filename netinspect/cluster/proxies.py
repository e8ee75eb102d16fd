"""Which proxy stands between us and the API server: one answer, for REST and for websockets.

Source of the rules: client-go (`proxy-url` of the cluster wins and knows no exceptions) and Go's
golang.org/x/net/http/httpproxy, which kubectl uses for the environment.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import SplitResult, unquote, urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


def resolve_proxy(server: str, proxy_url: str, environ: Mapping[str, str]) -> str:
    """Return the URL of the proxy to use for `server`, or "" for none."""
    if proxy_url:
        return _with_scheme(proxy_url)
    url = urlsplit(server)
    name = f"{url.scheme}_PROXY"
    proxy = environ.get(name.upper()) or environ.get(name.lower()) or ""
    no_proxy = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    if not proxy or _is_local(url.hostname or "") or is_bypassed(url, no_proxy):
        return ""
    return _with_scheme(proxy)


def proxy_credentials(proxy: str) -> str:
    """Return `user:password` of a proxy's URL, or ""."""
    url = urlsplit(proxy)
    if url.username is None:
        return ""
    return f"{unquote(url.username)}:{unquote(url.password or '')}"


def is_bypassed(url: SplitResult, no_proxy: str) -> bool:
    """Whether NO_PROXY excepts the server: by `*`, address, CIDR, domain or `.domain`, some with a port."""
    return any(_matches(url, entry.strip().lower()) for entry in no_proxy.split(",") if entry.strip())


def _matches(url: SplitResult, entry: str) -> bool:
    host = (url.hostname or "").lower()
    if entry == "*":
        return True
    if "/" in entry:
        return _is_in_network(host, entry)
    name, port = _split_port(entry)
    if port and port != (url.port or _DEFAULT_PORTS.get(url.scheme)):
        return False
    if name.startswith("*."):
        name = name[1:]
    if name.startswith("."):
        return host.endswith(name)
    return host == name or host.endswith(f".{name}")


def _split_port(entry: str) -> tuple[str, int]:
    if entry.startswith("["):
        name, _, port = entry[1:].partition("]")
        return name, int(port[1:]) if port[1:].isdigit() else 0
    name, _, port = entry.rpartition(":")
    if name and ":" not in name and port.isdigit():
        return name, int(port)
    return entry, 0


def _is_in_network(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _with_scheme(proxy: str) -> str:
    return proxy if "://" in proxy else f"http://{proxy}"
