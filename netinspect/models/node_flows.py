"""A node's connection tracking table, as far as it was asked for."""

from __future__ import annotations

import msgspec

from netinspect.models.conntrack import Flow
from netinspect.models.fact import Fact, Gap, Known, Reason
from netinspect.models.link import Link


class UnreadLines(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of a listing that are no flows as we know them.

    Attributes:
        family: `IPv4` or `IPv6`.
        count: how many.
        first: what is wrong with the first of them, with the line.
    """

    family: str
    count: int
    first: str


class FlowListing(msgspec.Struct, frozen=True, kw_only=True):
    """The flows of both families, as one listing found them.

    Attributes:
        ipv4: the IPv4 flows that were wanted.
        ipv6: the IPv6 flows that were wanted.
        start_s: when the listing began, in seconds since the node's boot.
        entries: entries of both families that the tool met, wanted or not; None where it did not say.
        unread: by family, lines that could not be read although others could.
    """

    ipv4: Fact[tuple[Flow, ...]]
    ipv6: Fact[tuple[Flow, ...]]
    start_s: float = 0.0
    entries: int | None = None
    unread: tuple[UnreadLines, ...] = ()

    @property
    def flows(self) -> tuple[Flow, ...]:
        """All that are known, IPv4 first; what is missing is in `gaps`."""
        return tuple(
            flow for fact in (self.ipv4, self.ipv6) if isinstance(fact, Known) for flow in fact.value
        )

    def gaps(self, node: str) -> tuple[Gap, ...]:
        """Return a gap for each family that could not be read, or not to the last line."""
        facts = (("IPv4", self.ipv4), ("IPv6", self.ipv6))
        missing = (
            Gap(f"node/{node}", f"the {name} flows", fact.reason, fact.detail)
            for name, fact in facts
            if not isinstance(fact, Known)
        )
        unread = (
            Gap(
                f"node/{node}",
                f"{_lines(each.count)} of the {each.family} flows",
                Reason.UNPARSABLE,
                each.first,
            )
            for each in self.unread
        )
        return (*missing, *unread)


def _lines(count: int) -> str:
    return f"{count} line" if count == 1 else f"{count} lines"


class NodeFlows(msgspec.Struct, frozen=True, kw_only=True):
    """What one trip brought of a node's table.

    Attributes:
        node: its name.
        links: the links of its own netns, whose addresses are the node's.
        listings: one a sample, in the order taken.
        is_whole: whether the answer had its end mark.
    """

    node: str
    links: Fact[tuple[Link, ...]]
    listings: tuple[FlowListing, ...]
    is_whole: bool = True
