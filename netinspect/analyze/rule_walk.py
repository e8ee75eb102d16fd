"""Walk the chains of iptables as a packet would, for every source at once.

A rule that hangs on the source splits the walk; chance parts it; a mark is followed bit by bit. A chain is walked once
for all packets that agree in what its rules ask (`PacketView.asked`), so that a node with tens of thousands of Services
is walked in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping

from netinspect.analyze.packet_mark import UNTOUCHED, Mark
from netinspect.analyze.rule_chain import ChainRules
from netinspect.analyze.rule_effect import Verdict
from netinspect.analyze.rule_endpoint import EndpointChain, read_endpoint_chain
from netinspect.analyze.rule_leaf import End, Leaf, marking_of
from netinspect.analyze.rule_match import RuleMatcher
from netinspect.analyze.rule_packet import Asked, PacketView
from netinspect.analyze.rule_visit import ChainVisit
from netinspect.models.ipset import IpSet
from netinspect.models.iptables import Chain, Rule, Ruleset
from netinspect.models.service_map import RuleRef

_MOST_KEPT = 256
_WIDE = int(Asked.ADDRESS | Asked.PORT)
_START = Mark()
_UNCHANGED = (Leaf(ends=(End(Verdict.RETURN),)),)
_Place = tuple[str, str]


class RuleWalker:
    """Walks the chains of one ruleset."""

    def __init__(self, rules: Ruleset, sets: Mapping[str, IpSet] | None = None) -> None:
        self._tables = {name: table.chains for name, table in rules.tables.items()}
        self._matcher = RuleMatcher(sets)
        self._chains: dict[_Place, ChainRules] = {}
        self._asked: dict[_Place, list[int]] = {}
        self._known: dict[tuple[object, ...], tuple[Leaf, ...]] = {}
        self._passing: dict[tuple[object, ...], tuple[Leaf, ...]] = {}
        self._refs: dict[int, RuleRef] = {}
        self._stack: list[_Place] = []

    def walk(self, table: str, chain: str, view: PacketView, mark: Mark = _START) -> tuple[Leaf, ...]:
        """Return how packets leave a chain, for every source.

        Args:
            table: the chain's table.
            chain: its name; one that does not exist is left at once.
            view: the packet. What the chain asked of it is noted there.
            mark: the mark that it comes with.
        """
        found = self._tables.get(table, {}).get(chain)
        if found is None:
            return _UNCHANGED
        place = (table, chain)
        for asked in self._asked.get(place, ()):
            key = (place, view.key(asked, mark) if asked else None)
            leaves = self._known.get(key) or self._passing.get(key)
            if leaves is not None:
                view.asked |= asked
                return leaves
        before, view.asked = view.asked, 0
        leaves = self._run(place, found, view, mark)
        self._keep(place, view, mark, leaves)
        view.asked |= before
        return leaves

    def ref(self, table: str, rule: Rule) -> RuleRef:
        """Return a rule as what a statement comes from."""
        found = self._refs.get(id(rule))
        if found is None:
            found = _refer(table, rule)
            self._refs[id(rule)] = found
        return found

    def is_chain(self, table: str, name: str) -> bool:
        """Whether a target is a chain of a table."""
        return name in self._tables[table]

    def is_entered(self, table: str, name: str) -> bool:
        """Whether the walk is in a chain already: a loop, which the kernel allows in no ruleset."""
        return (table, name) in self._stack

    def _keep(self, place: _Place, view: PacketView, mark: Mark, leaves: tuple[Leaf, ...]) -> None:
        """Keep what a chain does; where it asked for address and port, only as long as that packet is walked."""
        asked = view.asked
        masks = self._asked.setdefault(place, [])
        if asked not in masks:
            masks.append(asked)
        known = self._known
        if asked & _WIDE == _WIDE:
            known = self._passing
            if len(known) > _MOST_KEPT:
                known.clear()
        known[place, view.key(asked, mark) if asked else None] = leaves

    def _run(self, place: _Place, found: Chain, view: PacketView, mark: Mark) -> tuple[Leaf, ...]:
        endpoint = read_endpoint_chain(found.rules)
        if endpoint is not None:
            leaf = self._find_endpoint(place[0], endpoint, view, mark)
            if leaf is not None:
                return (leaf,)
        self._stack.append(place)
        visit = ChainVisit(self, place[0], view, mark, has_hosts=_has_translation(found))
        leaves = visit.run(self._rules_of(place, found), self._matcher)
        if visit.has_open_hosts:
            visit = ChainVisit(self, place[0], view, mark, has_hosts=False)
            leaves = visit.run(self._rules_of(place, found), self._matcher)
        self._stack.pop()
        return leaves

    def _find_endpoint(self, table: str, chain: EndpointChain, view: PacketView, mark: Mark) -> Leaf | None:
        """Return what an endpoint's chain does to packets of its protocol, the same as a walk would find."""
        target = chain.marking.target
        assert target is not None  # it was read as one that marks
        if view.protocol != chain.protocol or not self.is_chain(table, target.name):
            return None
        marking = marking_of(self.walk(table, target.name, view, mark))
        if marking is None:
            return None
        end = End(
            verdict=Verdict.TRANSLATE,
            address=chain.effect.address,
            port=chain.effect.port,
            recorded=chain.recorded,
            hosts=((chain.host, marking),) if marking is not UNTOUCHED else (),
            rules=(_refer(table, chain.marking), _refer(table, chain.translation)),
        )
        return Leaf(ends=(end,))

    def _rules_of(self, place: _Place, chain: Chain) -> ChainRules:
        if place not in self._chains:
            self._chains[place] = ChainRules(chain.rules)
        return self._chains[place]


def _refer(table: str, rule: Rule) -> RuleRef:
    return RuleRef(where=f"{table} {rule.chain}", text=rule.raw, packets=rule.packets, bytes=rule.bytes)


def _has_translation(chain: Chain) -> bool:
    """Whether a chain is one like an endpoint's: it ends with a translation."""
    target = chain.rules[-1].target if chain.rules else None
    return target is not None and target.name == "DNAT"
