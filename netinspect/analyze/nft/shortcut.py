"""Pass by the rules of a long chain that name another destination: what iptables wrote has one rule a destination.

Without it ten thousand such rules would be looked at for each of ten thousand destinations.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence

from netinspect.models.nft import NftChain, NftRule
from netinspect.models.nft_expression import Payload
from netinspect.models.nft_statement import Counter, Match, Xt

_WORTHWHILE = 16
"""In a chain with fewer such rules, each is looked at."""


class Shortcut:
    """A chain's rules by the destination address that they ask for."""

    def __init__(self, addresses: Sequence[str | None]) -> None:
        self._end = len(addresses)
        self._for_all = [at for at, address in enumerate(addresses) if address is None]
        self._for_one: dict[str, list[int]] = defaultdict(list)
        for at, address in enumerate(addresses):
            if address is not None:
                self._for_one[address].append(at)

    def next(self, index: int, address: str) -> int:
        """Return the first rule from one on that may match; the number of all rules where none does."""
        return min(
            _first(self._for_all, index, self._end), _first(self._for_one.get(address, ()), index, self._end)
        )


class Shortcuts:
    """The shortcuts of chains; each is made once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[NftChain, Shortcut | None]] = {}

    def of(self, chain: NftChain) -> Shortcut | None:
        """Return a chain's shortcut; None where it is not worthwhile."""
        if len(chain.rules) < _WORTHWHILE:
            return None
        found = self._known.get(id(chain))
        if found is None:
            found = chain, _build(chain)
            self._known[id(chain)] = found
        return found[1]


def _build(chain: NftChain) -> Shortcut | None:
    addresses = [_address_of(each) for each in chain.rules]
    return Shortcut(addresses) if len(addresses) - addresses.count(None) >= _WORTHWHILE else None


def _address_of(rule: NftRule) -> str | None:
    """Return the one address that a rule matches; None where that cannot be said at a glance."""
    if rule.remainder:
        return None
    for statement in rule.statements:
        if isinstance(statement, Match):
            left, right = statement.left, statement.right
            if (
                isinstance(left, Payload)
                and left.protocol in ("ip", "ip6")
                and left.tunnel is None
                and left.field == "daddr"
                and statement.op == "=="
                and isinstance(right, str)
            ):
                return right
        elif not isinstance(statement, Counter) and not (
            isinstance(statement, Xt) and statement.type == "match"
        ):
            return None
    return None


def _first(numbers: Sequence[int], index: int, end: int) -> int:
    at = bisect_left(numbers, index)
    return numbers[at] if at < len(numbers) else end
