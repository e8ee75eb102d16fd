"""The rules of one chain, found by what they name: kube-proxy's dispatch chains have tens of thousands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from netinspect.analyze.iptables.match import read_network
from netinspect.analyze.iptables.packet import PacketView
from netinspect.models.iptables import Rule

MANY = 16
"""So many rules are worth an index."""
_WITH_PORTS = frozenset(("tcp", "udp", "sctp"))
_Key = tuple[int | None, int | None]


class RuleIndex:
    """A chain's rules by address and port of the destination."""

    __slots__ = ("_index", "_others", "_rules")

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules
        self._others: list[int] = []
        self._index: dict[_Key, list[int]] = defaultdict(list)
        for number, rule in enumerate(rules):
            key = named_host(rule), named_port(rule)
            (self._others if key == (None, None) else self._index[key]).append(number)

    def candidates(self, view: PacketView) -> Sequence[Rule]:
        """Return, in order, the rules that a packet may match; the others it certainly does not."""
        if not self._index:
            return self._rules
        number, port = view.number, view.port
        found = self._others.copy()
        for key in ((number, port), (number, None), (None, port)):
            found.extend(self._index.get(key, ()))
        return [self._rules[each] for each in sorted(found)]


def named_host(rule: Rule) -> int | None:
    """Return the one destination address that a rule is for, as a number; None where it is for none or many."""
    value = rule.destination
    if value is None or value.negated:
        return None
    number, mask = read_network(value.text)
    return number if mask == (2**128 - 1 if ":" in value.text else 2**32 - 1) else None


def named_port(rule: Rule) -> int | None:
    """Return the one destination port that a rule is for; None where it is for none or many."""
    for match in rule.matches:
        if match.name in _WITH_PORTS:
            for option in match.options:
                if option.name == "--dport" and not option.negated and option.values[0].isdecimal():
                    return int(option.values[0])
    return None
