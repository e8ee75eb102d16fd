"""Whose Service kube-proxy's nft chains and elements say they are.

Chains are named `service-HASH-ns/svc/tcp/port` (also local-, external-, firewall-); elements without endpoints have a
comment `ns/svc:port`. Source: pkg/proxy/nftables/proxier.go (`servicePortChainNameBase`).
"""

from __future__ import annotations

import re
from functools import lru_cache

_CHAIN = re.compile(
    r"(?:service|local|external|firewall)-[A-Z2-7]{8}-([^/]+)/([^/]+)/(?:tcp|udp|sctp)/([^/]*)"
)
_COMMENT = re.compile(r"[a-z0-9-]+/[a-z0-9.-]+(?::[a-z0-9-]+)?")
_CUT = "..."
"""What a name ends with that was longer than nft allows."""


@lru_cache(maxsize=65536)
def service_in_chain(name: str) -> str:
    """Return `ns/svc:port` as a chain's name says it; empty where it does not, or was cut."""
    found = _CHAIN.fullmatch(name)
    if found is None or name.endswith(_CUT):
        return ""
    namespace, service, port = found.groups()
    return f"{namespace}/{service}:{port}" if port else f"{namespace}/{service}"


def service_in_comment(comment: str) -> str:
    """Return an element's comment where it is a Service's name; else empty."""
    return comment if _COMMENT.fullmatch(comment) else ""
