"""Which of a node's addresses its iptables rules tell apart; all others are alike to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from netinspect.analyze.iptables.match import read_network
from netinspect.models.address import Address, address_key, parse_address
from netinspect.models.iptables import Match, Rule, Ruleset

_TABLES = ("raw", "mangle", "nat", "filter")
_BY_ADDRESS = frozenset(("set", "iprange"))
_EVERYWHERE = frozenset(("0.0.0.0/0", "::/0"))


class LocalClasses(msgspec.Struct, frozen=True):
    """A node's addresses of one family.

    Attributes:
        addresses: all; a loopback address is among them always.
        numbers: the same as numbers.
        special: those that a rule may tell from others, as numbers.
    """

    addresses: tuple[Address, ...]
    numbers: frozenset[int]
    special: tuple[int, ...]


def find_local_classes(family: int, rules: Ruleset, local_addresses: Sequence[Address]) -> LocalClasses:
    """Return which local addresses rules may treat in a way of their own.

    Args:
        family: 4 or 6.
        rules: of that family.
        local_addresses: of any family.
    """
    loopback = parse_address("::1" if family == 6 else "127.0.0.1")
    addresses = {each for each in local_addresses if each.version == family} | {loopback}
    numbers = frozenset(map(int, addresses))
    named, is_hidden = _read_rules(rules, {str(each) for each in addresses})
    networks = [read_network(each) for each in sorted(named)]
    special = [
        each
        for each in sorted(addresses, key=address_key)
        if is_hidden or any(int(each) & mask == number for number, mask in networks)
    ]
    return LocalClasses(
        addresses=tuple(sorted(addresses, key=address_key)),
        numbers=numbers,
        special=tuple(map(int, special)),
    )


def _read_rules(rules: Ruleset, local: set[str]) -> tuple[set[str], bool]:
    """Return the networks of destinations that rules name, and whether some look at addresses in another way.

    Of single addresses only the node's own are kept: there may be tens of thousands.
    """
    named: set[str] = set()
    is_hidden = False
    for rule in _rules(rules):
        value = rule.destination
        if value is not None and value.text not in named and value.text not in _EVERYWHERE:
            address, _, length = value.text.partition("/")
            if length not in ("", "32", "128") or address in local or (length == "32" and ":" in address):
                named.add(value.text)
        is_hidden = is_hidden or any(map(_looks_at_address, rule.matches))
    return named, is_hidden


def _rules(rules: Ruleset) -> Iterator[Rule]:
    for name in _TABLES:
        table = rules.tables.get(name)
        for chain in table.chains.values() if table else ():
            yield from chain.rules


def _looks_at_address(match: Match) -> bool:
    return match.name in _BY_ADDRESS or (match.name == "conntrack" and match.get("--ctorigdst") is not None)
