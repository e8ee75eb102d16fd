"""A key of a server block, or a zone that a plugin is given -> the zones that it means.

Source: CoreDNS, plugin/normalize.go (`SplitHostPort`), plugin/pkg/parse/transport.go, plugin/pkg/cidr/cidr.go.
"""

from __future__ import annotations

import ipaddress
import re

from netinspect.models.corefile import CorefileZone

_SCHEME = re.compile(r"(dns|tls|quic|grpc|https3|https|unix)://(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\{\$[^}]+\}|\{%.+?%\}", re.DOTALL)
_PORT = re.compile(rf"(.*):([+-]?[0-9]+|{_VARIABLE.pattern})", re.DOTALL)
_PREFIX = re.compile(r"[0-9A-Fa-f.:]+/[0-9]{1,3}")
_LONGEST_NAME = 255
_LONGEST_LABEL = 63


def parse_zones(text: str) -> tuple[CorefileZone, ...]:
    """Read a key: `.:53`, `dns://example.org`, `10.0.0.0/8`.

    A prefix is the reverse zone of its addresses; one that ends within a label is several. None at all: CoreDNS takes
    no such key.
    """
    parts = _SCHEME.fullmatch(text)
    scheme, rest = (parts[1], parts[2]) if parts is not None else ("dns", text)
    ported = _PORT.fullmatch(rest)
    host, port = (ported[1], ported[2]) if ported is not None else (rest, "")
    if _VARIABLE.search(host):
        return (CorefileZone(text=text, scheme=scheme, zone=host, port=port),)
    names = _names(host)
    return tuple(CorefileZone(text=text, scheme=scheme, zone=name, port=port) for name in names)


def has_variable(zone: str) -> bool:
    """Whether a name holds `{$VARIABLE}` or `{%VARIABLE%}`, whose value only the server knows."""
    return _VARIABLE.search(zone) is not None


def _names(host: str) -> tuple[str, ...]:
    if host.endswith(":") or len(host) > _LONGEST_NAME:
        return ()
    if _PREFIX.fullmatch(host):
        return _reverse_names(host)
    labels = host.removesuffix(".").split(".")
    if host not in ("", ".") and not all(0 < len(label) <= _LONGEST_LABEL for label in labels):
        return ()
    return (host.lower().removesuffix(".") + ".",)


def _reverse_names(prefix: str) -> tuple[str, ...]:
    try:
        network = ipaddress.ip_network(prefix, strict=False)
    except ValueError:
        return (prefix.lower() + ".",)
    if ":" in prefix and prefix[0] in ":0":
        return ()
    bits = 8 if network.version == 4 else 4
    length = -(-network.prefixlen // bits) * bits
    labels = length // bits
    # What is left of an address's own name has as many labels as the prefix has, and those of the reverse tree.
    return tuple(
        ".".join(part.network_address.reverse_pointer.split(".")[-labels - 2 :]) + "."
        for part in network.subnets(new_prefix=length)
    )
