"""Write what happens at each local address of a node as entries: one for any of them where that says it.

A node port is taken at every local address but those that are excluded by name (`ip daddr != 127.0.0.0/8`), or at
single ones (`@nodeport-ips`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from netinspect.analyze.nft.candidates import Candidate
from netinspect.analyze.nft.sets import is_within
from netinspect.models.address import parse_address
from netinspect.models.nft_expression import Prefix
from netinspect.models.service_map import Branch, Destination, Outcome

_LOOPBACK = ("127.0.0.0/8", "::1/128")


class Outcomes(msgspec.Struct, frozen=True):
    """What happens at some local addresses.

    Attributes:
        addresses: at these; none where no local address is known.
        branches: what.
        service: whose Service the rules say it is.
        excepted: networks that rules on the way excluded by name.
    """

    addresses: tuple[str, ...]
    branches: tuple[Branch, ...]
    service: str
    excepted: frozenset[str]

    @property
    def is_nothing(self) -> bool:
        """Whether nothing happens."""
        return all(each.outcome is Outcome.NONE for each in self.branches)


def entries_for_any(
    candidate: Candidate, found: Sequence[Outcomes]
) -> Iterator[tuple[Destination, tuple[tuple[Branch, ...], str]]]:
    """Return the destinations, with what happens to packets to them."""
    rest = [each for each in found if not each.is_nothing]
    if not rest:
        return
    main = max(rest, key=lambda each: len(each.addresses))
    others = [each for each in found if each is not main]
    excepted = {
        network
        for network in main.excepted
        if not _holds_any(network, main.addresses)
        and (network in _LOOPBACK or any(_holds_any(network, each.addresses) for each in others))
    }
    for other in others:
        for address in other.addresses:
            if not other.is_nothing:
                yield _at(candidate, address), (other.branches, other.service)
            elif not any(_holds(network, address) for network in excepted):
                excepted.add(f"{address}/{parse_address(address).max_prefixlen}")
    to = Destination(
        address=None, protocol=candidate.protocol, port=candidate.port, except_=tuple(sorted(excepted))
    )
    yield to, (main.branches, main.service)


def _at(candidate: Candidate, address: str) -> Destination:
    return Destination(address=parse_address(address), protocol=candidate.protocol, port=candidate.port)


def _holds_any(network: str, addresses: Sequence[str]) -> bool:
    return any(_holds(network, each) for each in addresses)


def _holds(network: str, address: str) -> bool:
    first, _, length = network.partition("/")
    return (":" in first) == (":" in address) and is_within(address, Prefix(first, int(length)))
