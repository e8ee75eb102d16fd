"""What kube-proxy's modes have on a node: iptables chains, nft tables, virtual servers, links, sets.

A trace says whether packets come to it. That takes the jumps from the hooks: chains that nothing jumps to do nothing,
however many there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from netinspect.analyze.dataplane.ways import find_emptied, find_missing_hooks
from netinspect.models.dataplane import Dataplane, DataplaneReading, Trace, VirtualServerCounts
from netinspect.models.fact import Known
from netinspect.models.finding import Evidence
from netinspect.models.iptables import Rule, Ruleset, XtablesBackend
from netinspect.models.link import Link
from netinspect.models.nft import NftTable

IPVS_LINK, KUBE_ROUTER_LINK = "kube-ipvs0", "kube-dummy-if"
IPVS_PLACE = "IPVS"
TABLE = "kube-proxy"

# Made by kube-proxy alone; the kubelet has KUBE-FIREWALL, KUBE-KUBELET-CANARY, KUBE-IPTABLES-HINT, and before 1.28
# KUBE-MARK-MASQ, KUBE-MARK-DROP and KUBE-POSTROUTING (kubernetes, kubelet_network_linux.go; proxier.go of each mode).
_OWN_CHAINS = frozenset(
    (
        *("KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-NODEPORTS", "KUBE-NODE-PORT", "KUBE-FORWARD"),
        *("KUBE-PROXY-FIREWALL", "KUBE-PROXY-CANARY", "KUBE-LOAD-BALANCER", "KUBE-IPVS-FILTER"),
        *("KUBE-IPVS-OUT-FILTER", "KUBE-SOURCE-RANGES-FIREWALL"),
    )
)
_SERVICE_TARGETS = ("KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-XLB-")
# pkg/proxy/nftables/proxier.go: a kind, eight characters of a hash, and what it is of. Firewalls need no endpoints.
_SERVICE_CHAIN = re.compile(r"(?:service|external|local)-([A-Z2-7]{8}-.*)", re.DOTALL)
_IPTABLES_WAYS = (
    ("PREROUTING", "KUBE-SERVICES"),
    ("OUTPUT", "KUBE-SERVICES"),
    ("POSTROUTING", "KUBE-POSTROUTING"),
)
_ENDS = frozenset(("ACCEPT", "DROP", "RETURN", "REJECT", "QUEUE", "NFQUEUE"))


def find_traces(reading: DataplaneReading, family: int) -> tuple[Trace, ...]:
    """Return what there is of each mode of kube-proxy in one family, as far as it could be read."""
    return (
        *_iptables_traces(reading, family),
        *_nft_traces(reading, family),
        *_ipvs_traces(reading, family),
        *_ipset_traces(reading, family),
    )


def is_kubernetes_ipvs(reading: DataplaneReading) -> bool:
    """Whether a link shows that IPVS is Kubernetes': other programs use it, too."""
    return any(link.ifname in (IPVS_LINK, KUBE_ROUTER_LINK) for link in _links(reading))


def _iptables_traces(reading: DataplaneReading, family: int) -> Iterator[Trace]:
    for (backend, of_family), save in reading.saves.items():
        if of_family == family and isinstance(save, Known):
            yield from _iptables_trace(save.value, backend, family)


def _iptables_trace(ruleset: Ruleset, backend: XtablesBackend, family: int) -> Iterator[Trace]:
    own = [
        f"{table.name} {name}"
        for table in ruleset.tables.values()
        for name in table.chains
        if name in _OWN_CHAINS
    ]
    nat = ruleset.tables.get("nat")
    is_unreadable = nat is not None and nat.unreadable is not None
    if not own and not is_unreadable:
        return
    source = f"{'iptables' if family == 4 else 'ip6tables'}-{backend.value}-save"
    ways = {way: _find_way(ruleset, *way) for way in _IPTABLES_WAYS}
    services = [rule for rule in _rules(ruleset, "KUBE-SERVICES") if _leads_to_service(rule)]
    # The last part of a chain's name is a hash of the Service's port, whatever the chain is for.
    ports = {rule.target.name.rpartition("-")[2] for rule in services if rule.target}
    raws = [way.raw for way in ways.values() if isinstance(way, Rule)]
    texts = (*raws[:2], f"chains of kube-proxy: {', '.join(own[:4])}", *(rule.raw for rule in services[:1]))
    if is_unreadable and nat is not None:
        texts = (f"table nat: {nat.unreadable}", *texts)
    is_ipvs = _is_of_ipvs(ruleset)
    yield Trace(
        dataplane=Dataplane.IPVS if is_ipvs else Dataplane.IPTABLES,
        place=f"iptables-{backend.value}",
        services=None if is_unreadable or is_ipvs else len(ports),
        is_reached=None if is_unreadable else any(isinstance(ways[way], Rule) for way in _IPTABLES_WAYS[:2]),
        missing=()
        if is_unreadable
        else (
            *(
                f"nat {chain} -> {target}{'' if isinstance(way, Rule) else way}"
                for (chain, target), way in ways.items()
                if not isinstance(way, Rule)
            ),
            *(() if is_ipvs else find_emptied(ruleset)),
        ),
        evidence=tuple(Evidence(source=source, text=text) for text in texts),
    )


def _find_way(ruleset: Ruleset, chain: str, target: str) -> Rule | str:
    """Return the rule of a base chain in nat that sends every packet to a chain, or why there is none."""
    conditional = ""
    for rule in _rules(ruleset, chain):
        name = rule.target.name if rule.target else ""
        if name == target and _is_unconditional(rule):
            return rule
        if name == target:
            conditional = " (only under a condition)"
        elif name in _ENDS and _is_unconditional(rule):
            return f" (behind: {rule.raw})"
    return conditional


def _rules(ruleset: Ruleset, chain: str) -> tuple[Rule, ...]:
    found = ruleset.chain("nat", chain)
    return found.rules if found else ()


def _is_unconditional(rule: Rule) -> bool:
    conditions = (rule.source, rule.destination, rule.protocol, rule.in_link, rule.out_link, rule.fragment)
    return (
        not rule.remainder
        and all(each is None for each in conditions)
        and all(match.name == "comment" for match in rule.matches)
    )


def _leads_to_service(rule: Rule) -> bool:
    return rule.target is not None and rule.target.name.startswith(_SERVICE_TARGETS)


def _is_of_ipvs(ruleset: Ruleset) -> bool:
    """In IPVS mode sets stand in place of rules for single Services (kubernetes, pkg/proxy/ipvs)."""
    return ruleset.chain("filter", "KUBE-IPVS-FILTER") is not None or any(
        match.name == "set" for rule in _rules(ruleset, "KUBE-SERVICES") for match in rule.matches
    )


def _nft_traces(reading: DataplaneReading, family: int) -> Iterator[Trace]:
    if not isinstance(reading.nft, Known):
        return
    table = reading.nft.value.table("ip" if family == 4 else "ip6", TABLE)
    if table is None:
        return
    missing = tuple(find_missing_hooks(table))
    # Which of them a map leads to is not asked here: the elements of maps are most of a large ruleset.
    ports = {found[1] for name in table.chains if (found := _SERVICE_CHAIN.fullmatch(name))}
    text = (
        f"table {table.family} {table.name}: {len(table.chains)} chains, for {len(ports)} ports of Services"
    )
    yield Trace(
        dataplane=Dataplane.NFTABLES,
        place=f"nft table {table.family} {table.name}",
        services=len(ports),
        is_reached=None
        if table.may_be_dormant
        else not {"prerouting", "output"} <= {way.split(" ")[1] for way in missing},
        missing=missing,
        evidence=(Evidence(source="nft -j list table", text=text), *_base_chains(table)),
    )


def _base_chains(table: NftTable) -> Iterator[Evidence]:
    shown = [
        f"chain {chain.name}: type nat hook {chain.base.hook} priority {chain.base.priority}"
        for chain in table.chains.values()
        if chain.base is not None and chain.base.type == "nat"
    ]
    if table.is_dormant:
        shown.append("flags dormant: no packet comes to the table")
    elif table.may_be_dormant:
        shown.append(
            "it has a flag that this nft does not print: no packet comes to the table if that is dormant"
        )
    if shown:
        yield Evidence(source="nft -j list table", text="; ".join(shown))


def _ipvs_traces(reading: DataplaneReading, family: int) -> Iterator[Trace]:
    counts = reading.virtual_servers
    if not is_kubernetes_ipvs(reading):
        return
    servers = count_servers(counts.value, family) if isinstance(counts, Known) else None
    link = next(each for each in _links(reading) if each.ifname in (IPVS_LINK, KUBE_ROUTER_LINK))
    addresses = [each for each in link.addresses if each.local.version == family and each.scope != "link"]
    evidence = [Evidence(source="ip addr show", text=_link_text(link, family, len(addresses)))]
    if isinstance(counts, Known):
        text = f"{counts.value.ipv4} virtual servers of IPv4, {counts.value.ipv6} of IPv6"
        evidence.append(Evidence(source="/proc/net/ip_vs", text=text))
    yield Trace(
        dataplane=Dataplane.IPVS,
        place=IPVS_PLACE if servers else f"link {link.ifname}",
        services=servers,
        is_reached=None if servers is None else bool(servers and addresses),
        missing=(f"addresses of Services on {link.ifname}",) if servers and not addresses else (),
        evidence=tuple(evidence),
    )


def count_servers(counts: VirtualServerCounts, family: int) -> int:
    """Return how many virtual servers have an address of a family."""
    return counts.ipv4 if family == 4 else counts.ipv6


def _link_text(link: Link, family: int, addresses: int) -> str:
    return f"link {link.ifname} with {addresses} addresses of IPv{family}"


def _ipset_traces(reading: DataplaneReading, family: int) -> Iterator[Trace]:
    names = reading.ipsets.value if isinstance(reading.ipsets, Known) else ()
    # Sets of the two families differ in their names (kubernetes, pkg/proxy/ipvs/ipset.go): KUBE-6-CLUSTER-IP.
    own = [name for name in names if name.startswith("KUBE-") and name.startswith("KUBE-6-") == (family == 6)]
    if own:
        text = f"{len(own)} sets of kube-proxy: {', '.join(own[:4])}"
        yield Trace(
            dataplane=Dataplane.IPVS,
            place="ipset",
            evidence=(Evidence(source="ipset list -n", text=text),),
        )


def _links(reading: DataplaneReading) -> tuple[Link, ...]:
    return reading.links.value if isinstance(reading.links, Known) else ()
