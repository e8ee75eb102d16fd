"""Rules of others that meet the same packets as those of the Service dataplane."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netinspect.analyze.dataplane.traces import TABLE, count_servers, is_kubernetes_ipvs
from netinspect.models.dataplane import DataplaneReading, OtherRules
from netinspect.models.fact import Known
from netinspect.models.iptables import Chain, Ruleset
from netinspect.models.nft import NftTable

_OWN_TARGET = "KUBE-"
_HOOKS = ("prerouting", "input", "forward", "output", "postrouting", "ingress", "egress")


def find_others(reading: DataplaneReading, family: int) -> tuple[OtherRules, ...]:
    """Return the base chains of others that have rules or drop what no rule takes, in one family.

    A drop there is final, whatever the Service dataplane says; a translation there may come first.
    """
    return (*_from_nft(reading, family), *_from_iptables(reading, family), *_from_ipvs(reading, family))


def _from_nft(reading: DataplaneReading, family: int) -> Iterator[OtherRules]:
    tables = reading.nft.value.tables if isinstance(reading.nft, Known) else ()
    return list_nft_others(tables, family)


def list_nft_others(tables: Iterable[NftTable], family: int) -> Iterator[OtherRules]:
    """Yield the base chains of nft's tables, but of kube-proxy's, that have rules or drop what no rule takes."""
    families = ("ip" if family == 4 else "ip6", "inet", "netdev", "bridge")
    for table in tables:
        if table.family in families and table.name != TABLE and not table.is_dormant:
            yield from _of_table(table)


def _of_table(table: NftTable) -> Iterator[OtherRules]:
    doubt = " (dormant or not: this nft does not print its flag)" if table.may_be_dormant else ""
    for chain in table.chains.values():
        base = chain.base
        if base is not None and base.hook in _HOOKS and (chain.rules or base.policy == "drop"):
            yield OtherRules(
                place=f"nft table {table.family} {table.name}{doubt}",
                hook=base.hook,
                chain=chain.name,
                priority=base.priority,
                policy=base.policy or "accept",
                rules=len(chain.rules),
            )


def _from_iptables(reading: DataplaneReading, family: int) -> Iterator[OtherRules]:
    for (backend, of_family), save in reading.saves.items():
        if of_family == family and isinstance(save, Known):
            yield from list_iptables_others(save.value, f"iptables-{backend.value}")


def list_iptables_others(ruleset: Ruleset, program: str) -> Iterator[OtherRules]:
    """Yield the base chains of iptables that have rules which are no jumps to Kubernetes' own chains, or drop the rest.

    Args:
        ruleset: of one backend and family.
        program: the backend's name, for the place.
    """
    for table in ruleset.tables.values():
        for chain in table.chains.values():
            rules = _foreign_rules(chain)
            if chain.policy is not None and (rules or chain.policy == "DROP"):
                yield OtherRules(
                    place=f"{program} {table.name}",
                    hook=chain.name.lower(),
                    chain=chain.name,
                    policy=chain.policy.lower(),
                    rules=rules,
                )


def _foreign_rules(chain: Chain) -> int:
    """Count rules that are not jumps to Kubernetes' own chains."""
    return sum(not (rule.target and rule.target.name.startswith(_OWN_TARGET)) for rule in chain.rules)


def _from_ipvs(reading: DataplaneReading, family: int) -> Iterator[OtherRules]:
    counts = reading.virtual_servers
    if isinstance(counts, Known) and isinstance(reading.links, Known) and not is_kubernetes_ipvs(reading):
        servers = count_servers(counts.value, family) + counts.value.marks
        if servers:
            yield OtherRules(place="IPVS", hook="input", chain="virtual servers", rules=servers)
