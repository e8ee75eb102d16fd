"""Which chains are listed by table, name and family, and what is said of those that no node has."""

from __future__ import annotations

import pytest

from netinspect.analyze.rules.chains import ChainWish, check_wanted_chains, list_wanted_chains
from netinspect.errors import TargetError
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.models.nft import NftChain, NftRuleset, NftTable
from netinspect.models.rules_reading import RulesReading
from netinspect.probes.rules import SAVES
from tests.unit.analyze.rules_build import ruleset

NFT_V4, NFT_V6, LEGACY_V4, LEGACY_V6 = SAVES
RULES = ruleset(
    nat=["PREROUTING -j KUBE-SERVICES", "KUBE-SERVICES -j RETURN"], filter=["KUBE-FORWARD -j ACCEPT"]
)
IPTABLES = RulesReading(
    node="node-a",
    saves={
        NFT_V4: Known(RULES),
        NFT_V6: Known(ruleset(nat=["KUBE-SERVICES -j RETURN"])),
        LEGACY_V4: Unavailable(Reason.FAILED, "no"),
    },
)


def table(family: str, name: str, *chains: str) -> NftTable:
    return NftTable(family=family, name=name, chains={each: NftChain(name=each) for each in chains})


NFT = RulesReading(
    node="node-b",
    nft=Known(
        NftRuleset(
            tables=(
                table("ip", "kube-proxy", "services", "old"),
                table("ip6", "kube-proxy", "services"),
                table("inet", "own", "input"),
                table("arp", "own", "in"),
                table("bridge", "own", "forward"),
            )
        )
    ),
)


@pytest.mark.parametrize(
    ("reading", "wish", "expected"),
    [
        (IPTABLES, ChainWish(chains=("KUBE-SERVICES",)), ["ip nat KUBE-SERVICES", "ip6 nat KUBE-SERVICES"]),
        (IPTABLES, ChainWish(chains=("KUBE-SERVICES",), families=(6,)), ["ip6 nat KUBE-SERVICES"]),
        (IPTABLES, ChainWish(tables=("nat",), chains=("KUBE-FORWARD",)), []),
        (NFT, ChainWish(chains=("services",), families=(4,)), ["ip kube-proxy services"]),
        (NFT, ChainWish(tables=("ip6 kube-proxy",)), ["ip6 kube-proxy services"]),
        (
            NFT,
            ChainWish(tables=("own",), families=(4,)),
            ["inet own input", "arp own in", "bridge own forward"],
        ),
        (NFT, ChainWish(tables=("own",), families=(6,)), ["inet own input", "bridge own forward"]),
    ],
)
def test_chains_are_listed_by_table_name_and_family(
    reading: RulesReading, wish: ChainWish, expected: list[str]
) -> None:
    found = list_wanted_chains(reading, wish)
    assert [f"{each.family} {each.table} {each.chain}" for each in found] == expected


@pytest.mark.parametrize(
    "wish",
    [
        ChainWish(),
        ChainWish(tables=("nat", "filter"), chains=("KUBE-FORWARD", "KUBE-SERVICES")),
        ChainWish(tables=("kube-proxy", "ip6 kube-proxy")),
        ChainWish(chains=("services",), families=(6,)),
        ChainWish(tables=("own",), chains=("in", "forward")),
    ],
)
def test_what_some_node_has_is_not_missing(wish: ChainWish) -> None:
    check_wanted_chains((IPTABLES, NFT), wish)


@pytest.mark.parametrize(
    ("wish", "said", "hint"),
    [
        (ChainWish(tables=("natt",)), 'table "natt"', ""),
        (ChainWish(tables=("NAT",)), 'table "NAT"', 'there is "nat"'),
        (ChainWish(tables=("nat",), chains=("NOSUCH",)), 'chain "NOSUCH" in table nat', ""),
        (ChainWish(tables=("nat", "raw"), chains=("X",)), 'table "raw"', ""),
        (ChainWish(tables=("nat", "filter"), chains=("X",)), 'chain "X" in table nat or filter', ""),
        (ChainWish(tables=("nat",), chains=("KUBE-FORWARD",)), 'chain "KUBE-FORWARD" in table nat', ""),
        (ChainWish(chains=("kube-services",)), 'chain "kube-services"', 'there is "KUBE-SERVICES"'),
        (ChainWish(tables=("filter",), families=(6,)), 'table "filter" for IPv6', ""),
        (
            ChainWish(chains=("KUBE-FORWARD",), families=(6,)),
            'chain "KUBE-FORWARD" for IPv6',
            "",
        ),
    ],
)
def test_what_no_node_has_is_named(wish: ChainWish, said: str, hint: str) -> None:
    with pytest.raises(TargetError) as error:
        check_wanted_chains((IPTABLES,), wish)
    assert error.value.message == f"no node that was asked has a {said}"
    assert error.value.hint == hint


def test_nft_is_not_asked_for_tables_of_iptables() -> None:
    with pytest.raises(TargetError, match='table "ip nat"') as error:
        check_wanted_chains((NFT,), ChainWish(tables=("ip nat",)))
    assert error.value.hint == "tables that iptables wrote are shown by kubectl netinspect iptables"
    with pytest.raises(TargetError, match='table "ip6 own"') as error:
        check_wanted_chains((NFT,), ChainWish(tables=("ip6 own",)))
    assert error.value.hint == ""
