"""What is missing on kube-proxy's own way from a hook to the rules of Services, behind the jump from the hook."""

from __future__ import annotations

from collections.abc import Iterator

from netinspect.models.iptables import Ruleset
from netinspect.models.nft import NftTable
from netinspect.models.nft_expression import Goto, Jump, Vmap
from netinspect.models.nft_statement import Masquerade

NO_SERVICES = "nat KUBE-SERVICES -> KUBE-SVC-*"
"""Nothing is wrong with it where the API has no Service of the family."""

_EXTERNAL, _NODE_PORTS = "KUBE-EXTERNAL-SERVICES", "KUBE-NODEPORTS"
_HOOKS = (("prerouting", Vmap), ("output", Vmap), ("postrouting", Masquerade))
"""What a way from each hook of nat comes to: the map of ClusterIPs; the rule that masquerades."""


def find_emptied(ruleset: Ruleset) -> Iterator[str]:
    """Yield which of kube-proxy's chains in iptables mode do not go on to where they always do.

    A Service without endpoints has its rules in the filter table: only where there are none either, there are none.
    """
    if ruleset.chain("nat", "KUBE-SERVICES") is not None:
        services = _targets(ruleset, "nat", "KUBE-SERVICES")
        refused = [*_targets(ruleset, "filter", "KUBE-SERVICES"), *_targets(ruleset, "filter", _EXTERNAL)]
        if not {*services} - {_NODE_PORTS} and not refused:
            yield NO_SERVICES
        if _targets(ruleset, "nat", _NODE_PORTS) and _NODE_PORTS not in services:
            yield f"nat KUBE-SERVICES -> {_NODE_PORTS}"
    for chain, target in (("KUBE-MARK-MASQ", "MARK"), ("KUBE-POSTROUTING", "MASQUERADE")):
        found = ruleset.chain("nat", chain)
        if found is not None and target not in _targets(ruleset, "nat", chain):
            yield f"nat {chain} -> {target}"


def find_missing_hooks(table: NftTable) -> Iterator[str]:
    """Yield from which hooks of nat no way in kube-proxy's table leads to what Services need there."""
    for hook, wanted in _HOOKS:
        bases = [
            chain.name
            for chain in table.chains.values()
            if chain.base is not None and (chain.base.type, chain.base.hook) == ("nat", hook) and chain.rules
        ]
        if table.is_dormant or not bases:
            yield f"hook {hook}"
        elif not any(_comes_to(table, base, wanted) for base in bases):
            yield f"hook {hook} (chain {bases[0]} leads to no {'map' if wanted is Vmap else 'masquerade'})"


def _targets(ruleset: Ruleset, table: str, chain: str) -> tuple[str, ...]:
    found = ruleset.chain(table, chain)
    return tuple(rule.target.name for rule in found.rules if rule.target) if found is not None else ()


def _comes_to(table: NftTable, begin: str, wanted: type[Vmap | Masquerade]) -> bool:
    """Whether a statement of that kind stands in a chain, or in one that it jumps to."""
    waiting, seen = [begin], {begin}
    while waiting:
        chain = table.chains.get(waiting.pop())
        for rule in chain.rules if chain is not None else ():
            for statement in rule.statements:
                if isinstance(statement, wanted):
                    return True
                if isinstance(statement, Jump | Goto) and statement.target not in seen:
                    seen.add(statement.target)
                    waiting.append(statement.target)
    return False
