"""Rules that meet packets to Services and are in no service map: another dataplane's, and those of other programs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from netinspect.analyze.dataplane.others import list_iptables_others, list_nft_others
from netinspect.analyze.rules.service_maps import ReadMap
from netinspect.models.dataplane import OtherRules
from netinspect.models.fact import Known
from netinspect.models.rules_reading import RulesReading

_HOOKS = ("prerouting", "output")
"""Where translation happens, and what comes before it. What is dropped behind it is not a matter of service maps."""

_MOST_NAMED = 4
_NFT = "nft"


def describe_unwalked(
    reading: RulesReading, chosen: Collection[ReadMap], maps: Collection[ReadMap], families: Iterable[int]
) -> Iterator[str]:
    """Say which rules the maps of a node leave out, though packets meet them at the same hooks.

    A map is read from one framework: from nft without what iptables wrote, from one backend of iptables without the
    other and without nft. Within it rules are walked, of nft with policies, of iptables without.

    Args:
        reading: of the node.
        chosen: the maps that are shown.
        maps: all that could be read.
        families: those that are meant.
    """
    for family in families:
        own = {each.tool for each in chosen if each.service_map.family == family}
        if not own:
            continue
        where = f"node {reading.node}, IPv{family}"
        rivals = [
            each.tool
            for each in maps
            if each.service_map.family == family and each.tool not in own and each.service_map.entries
        ]
        for tool in rivals:
            yield f"{where}: {tool} has rules for Services, too; see kubectl netinspect dataplane --node {reading.node}"
        others = [_show(each) for each in _list_others(reading, own, family) if each.hook in _HOOKS]
        if others:
            more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
            yield f"{where}: not looked through, though packets meet them, too: {', '.join(others[:_MOST_NAMED])}{more}"


def _list_others(reading: RulesReading, own: Collection[str], family: int) -> Iterator[OtherRules]:
    for kind, fact in reading.saves.items():
        if kind.family == family and isinstance(fact, Known):
            found = list_iptables_others(fact.value, f"iptables-{kind.backend}")
            # The virtual servers' map is read with the rules of the backend that has kube-proxy's.
            is_walked = kind.tool in own or (
                "ipvsadm" in own and fact.value.chain("nat", "KUBE-SERVICES") is not None
            )
            yield from _dropping(found) if is_walked else found
    if isinstance(reading.nft, Known) and _NFT not in own:
        yield from list_nft_others(reading.nft.value.tables, family)


def _dropping(others: Iterable[OtherRules]) -> Iterator[OtherRules]:
    return (each for each in others if each.policy == "drop")


def _show(other: OtherRules) -> str:
    rules = f"{other.rules} rule{'' if other.rules == 1 else 's'}"
    policy = ", policy drop" if other.policy == "drop" else ""
    name = other.chain if other.chain.lower() == other.hook else f"{other.chain} at {other.hook}"
    return f"{other.place} {name} ({rules}{policy})"
