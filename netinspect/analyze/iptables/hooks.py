"""The way of a packet through the tables of iptables at each hook, and what happens to its source at the end.

The order of tables is the kernel's (`enum nf_ip_hook_priorities`): raw, mangle, nat, filter. What nat translates is
followed no further: filter rules on it are no part of a service map. What it does not translate goes on to INPUT or
FORWARD, by its destination; the node's own packets to itself do so as well, by `lo`, when they have left OUTPUT.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from netinspect.analyze.iptables.effect import Verdict
from netinspect.analyze.iptables.leaf import End, Leaf, merge_leaves, put_behind
from netinspect.analyze.iptables.packet import Packet, PacketView
from netinspect.analyze.iptables.walk import RuleWalker
from netinspect.analyze.service_map.packet_mark import Mark, Marking
from netinspect.models.ipset import IpSet
from netinspect.models.iptables import Ruleset
from netinspect.models.service_map import Hook

NO_MARK = Mark()
_START = Leaf(ends=(End(Verdict.RETURN),))
_GOES_ON = frozenset((Verdict.RETURN, Verdict.ACCEPT))
_IN = (("raw", "PREROUTING"), ("mangle", "PREROUTING"), ("nat", "PREROUTING"))
_TO_ITSELF = (*_IN, ("mangle", "INPUT"), ("filter", "INPUT"))
_THROUGH = (*_IN, ("mangle", "FORWARD"), ("filter", "FORWARD"))
_OUT = (("raw", "OUTPUT"), ("mangle", "OUTPUT"), ("nat", "OUTPUT"), ("filter", "OUTPUT"))
_WAYS = {
    (Hook.PREROUTING, True): _TO_ITSELF,
    (Hook.PREROUTING, False): _THROUGH,
    (Hook.INPUT, True): _TO_ITSELF,
    (Hook.INPUT, False): _THROUGH,
    (Hook.OUTPUT, True): _OUT,
    (Hook.OUTPUT, False): _OUT,
}
"""The chains that a packet passes, by its hook and whether it is for the node itself."""
_BACK = (("raw", "PREROUTING"), ("mangle", "PREROUTING"), ("mangle", "INPUT"), ("filter", "INPUT"))
"""Those that the node's own packets to itself pass then. They still are of a new connection; nat is done with them."""


class HookWalker:
    """Walks the hooks of one ruleset."""

    def __init__(self, rules: Ruleset, sets: Mapping[str, IpSet] | None = None) -> None:
        self.rules = RuleWalker(rules, sets)
        self._filled = frozenset(
            (table.name, chain.name)
            for table in rules.tables.values()
            for chain in table.chains.values()
            if chain.rules
        )

    def walk(self, packet: Packet) -> tuple[Leaf, ...]:
        """Return what happens to a packet, for every source: translated, refused, or let through (ACCEPT, RETURN).

        At INPUT a packet comes in as at PREROUTING, and what no rule accepts is RETURN.
        """
        view = PacketView(packet)
        leaves: tuple[Leaf, ...] = (_START,)
        for place in self._on(_WAYS[packet.hook, packet.is_local]):
            leaves = self._pass(leaves, *place, view)
        if packet.hook is Hook.OUTPUT and packet.is_local:
            view = PacketView(replace(packet, is_back=True))
            for place in self._on(_BACK):
                leaves = self._pass(leaves, *place, view)
        return leaves

    def leave(self, view: PacketView, mark: Mark) -> tuple[Leaf, ...]:
        """Return what nat POSTROUTING does to a packet with a mark: whether its source is rewritten (MASQUERADE)."""
        return self.rules.walk("nat", "POSTROUTING", view, mark)

    def _on(self, way: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Return the chains of a way that do something."""
        return (place for place in way if place in self._filled)

    def _pass(self, leaves: tuple[Leaf, ...], table: str, chain: str, view: PacketView) -> tuple[Leaf, ...]:
        after: list[Leaf] = []
        for leaf in map(_join_open_ends, leaves):
            end = leaf.end
            if end is None or end.verdict not in _GOES_ON:
                after.append(leaf)
                continue
            if leaf is _START:
                after.extend(self.rules.walk(table, chain, view, NO_MARK))
                continue
            mark = leaf.mark.then(end.mark).apply(NO_MARK)
            behind = (put_behind(leaf, each) for each in self.rules.walk(table, chain, view, mark))
            after.extend(each for each in behind if each is not None)
        return merge_leaves(after) if len(after) > len(leaves) else tuple(after)


def _join_open_ends(leaf: Leaf) -> Leaf:
    """Let what was parted and then went nowhere go on as one; of its mark is known what all parts agree in."""
    if len(leaf.ends) < 2 or not all(end.verdict in _GOES_ON for end in leaf.ends):
        return leaf
    mark: Marking = leaf.ends[0].mark
    for end in leaf.ends[1:]:
        mark = mark.join(end.mark)
    return replace(leaf, ends=(End(Verdict.RETURN, mark=mark),))
