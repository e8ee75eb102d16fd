"""Which release of kube-proxy wrote the nft rules, by how they are built.

Sources: pkg/proxy/nftables/proxier.go of Kubernetes 1.29.0, 1.30.0, 1.31.0, 1.32.0, 1.33.0, 1.33.5, 1.34.3, 1.35.0 and
1.36.2 (`nftablesBaseChains`, the names of maps and chains).
"""

from __future__ import annotations

from netinspect.models.nft import NftTable

TABLE = "kube-proxy"
NONE = "nftables, no rules of kube-proxy"

_BASES = (
    "filter-input",
    "filter-forward",
    "filter-output",
    "nat-prerouting",
    "nat-output",
    "nat-postrouting",
)
_CHAINS = ("services", "masquerading", "reject-chain", "firewall-check")
_MAPS = ("service-ips", "service-nodeports", "nodeport-ips", "no-endpoint-services", "no-endpoint-nodeports")
_COMMON = frozenset((*_BASES, *_CHAINS, *_MAPS))
_CHECKS = frozenset(
    [
        "service-endpoints-check",
        "nodeport-endpoints-check",
        "cluster-ips-check",
        "cluster-ips",
        "firewall-ips",
    ]
)
_PRE_DNAT = _COMMON | _CHECKS | {"filter-prerouting-pre-dnat", "filter-output-pre-dnat"}
_LAYOUTS = {
    "1.29": _COMMON
    | {
        "endpoints-check",
        "firewall",
        "firewall-allow",
        "firewall-allow-check",
        "mark-for-masquerade",
        "forward",
    },
    "1.30 to 1.33": _COMMON
    | _CHECKS
    | {"filter-prerouting", "filter-output-post-dnat", "mark-for-masquerade"},
    "1.34 to 1.35": _PRE_DNAT | {"mark-for-masquerade"},
    "1.36": _PRE_DNAT | {"hairpin-connections"},
}
_OPTIONAL = frozenset(("nodeport-ips",))
"""Not there where node ports are taken at every address."""
_OF_SERVICES = ("service-", "local-", "external-", "firewall-", "endpoint-", "affinity-")


def name_layout(table: NftTable | None) -> str:
    """Say which releases write a table like this one, and what of it is not known."""
    if table is None:
        return NONE
    names = frozenset(_own_names(table))
    for release, known in _LAYOUTS.items():
        if known - _OPTIONAL <= names <= known:
            return f"nftables, kube-proxy {release}"
    release, known = max(_LAYOUTS.items(), key=lambda each: (len(names & each[1]), each[0]))
    surplus, missing = sorted(names - known), sorted(known - names - _OPTIONAL)
    if surplus:
        unknown = f"not known: {', '.join(surplus)}"
        return f"nftables, newer than any known kube-proxy (nearest is {release}; {unknown})"
    return f"nftables, kube-proxy {release}, incomplete (missing: {', '.join(missing)})"


def _own_names(table: NftTable) -> set[str]:
    """Return the names of chains, sets and maps, those of single Services and endpoints aside."""
    return {
        name for name in (*table.chains, *table.sets) if not ("/" in name and name.startswith(_OF_SERVICES))
    }
