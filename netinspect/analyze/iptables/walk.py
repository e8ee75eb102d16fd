"""Walk the chains of iptables as a packet would, for every source at once.

A rule that hangs on the source splits the walk; chance parts it; a mark is followed bit by bit. A chain is walked once
for all packets that agree in what its rules ask (`PacketView.asked`), so that a node with tens of thousands of Services
is walked in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from msgspec.structs import replace

from netinspect.analyze.iptables.chain import MANY, RuleIndex
from netinspect.analyze.iptables.effect import Verdict
from netinspect.analyze.iptables.endpoint import EndpointChain, read_balancing_part, read_endpoint_chain
from netinspect.analyze.iptables.leaf import End, Leaf, marking_of
from netinspect.analyze.iptables.match import RuleMatcher
from netinspect.analyze.iptables.packet import Asked, PacketView
from netinspect.analyze.iptables.visit import ChainVisit
from netinspect.analyze.service_map.packet_mark import UNTOUCHED, Mark, Marking
from netinspect.models.ipset import IpSet
from netinspect.models.iptables import Chain, Rule, Ruleset
from netinspect.models.service_map import RuleRef

_MOST_KEPT = 4096
_WIDE = int(Asked.ADDRESS | Asked.PORT)
_START = Mark()
_UNCHANGED = (Leaf(ends=(End(Verdict.RETURN),)),)
_PROTOCOL = int(Asked.PROTOCOL)
_Place = tuple[str, str]
K = TypeVar("K")
V = TypeVar("V")


class RuleWalker:
    """Walks the chains of one ruleset."""

    def __init__(self, rules: Ruleset, sets: Mapping[str, IpSet] | None = None) -> None:
        self._tables = {name: table.chains for name, table in rules.tables.items()}
        self._matcher = RuleMatcher(sets)
        self._indexes: dict[_Place, RuleIndex] = {}
        self._endpoints: dict[tuple[_Place, str], tuple[Leaf, ...]] = {}
        self._markings: dict[_Place, Marking | None] = {}
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
        endpoint = self._walk_endpoint(place, found, view, mark)
        if endpoint:
            return endpoint
        before, view.asked = view.asked, 0
        leaves = self._run(place, found, view, mark)
        self._keep(place, view, mark, leaves)
        view.asked |= before
        return leaves

    def ref(self, table: str, rule: Rule) -> RuleRef:
        """Return a rule as what a statement comes from."""
        found = self._refs.get(id(rule))
        if found is None:
            found = _refer(f"{table} {rule.chain}", rule)
            _keep_some(self._refs, id(rule), found)
        return found

    def is_chain(self, table: str, name: str) -> bool:
        """Whether a target is a chain of a table."""
        return name in self._tables[table]

    def is_entered(self, table: str, name: str) -> bool:
        """Whether the walk is in a chain already: a loop, which the kernel allows in no ruleset."""
        return (table, name) in self._stack

    def balance(self, table: str, rules: Sequence[Rule], view: PacketView, mark: Mark) -> tuple[End, ...]:
        """Return where rules send packets that do nothing but choose among endpoints, as kube-proxy writes them.

        Nothing where a rule or a chain has any other form, or where not all packets are taken.
        """
        ends: list[End] = []
        share = 1.0
        where = f"{table} {rules[0].chain}"
        chains = self._tables[table]
        for rule in rules:
            part = read_balancing_part(rule)
            chain = chains.get(rule.target.name) if rule.target else None
            if part is None or chain is None:
                return ()
            leaves = self._walk_endpoint((table, chain.name), chain, view, mark)
            if not leaves:
                return ()
            end = leaves[0].ends[0]
            taken = share if part == 1 else share * part
            ends.append(replace(end, share=taken, rules=(_refer(where, rule), *end.rules), is_chosen=True))
            if part == 1:
                return tuple(ends)
            share -= taken
        return ()

    def _keep(self, place: _Place, view: PacketView, mark: Mark, leaves: tuple[Leaf, ...]) -> None:
        """Keep what a chain does; where it asked for address and port, only as long as that packet is walked."""
        asked = view.asked
        masks = self._asked.setdefault(place, [])
        if asked not in masks:
            masks.append(asked)
        key = place, view.key(asked, mark) if asked else None
        if asked & _WIDE == _WIDE:
            _keep_some(self._passing, key, leaves)
        else:
            self._known[key] = leaves

    def _run(self, place: _Place, found: Chain, view: PacketView, mark: Mark) -> tuple[Leaf, ...]:
        self._stack.append(place)
        visit = ChainVisit(self, place[0], view, mark, has_hosts=_has_translation(found))
        leaves = visit.run(self._rules_of(place, found, view), self._matcher)
        if visit.has_open_hosts:
            visit = ChainVisit(self, place[0], view, mark, has_hosts=False)
            leaves = visit.run(self._rules_of(place, found, view), self._matcher)
        self._stack.pop()
        return leaves

    def _walk_endpoint(self, place: _Place, found: Chain, view: PacketView, mark: Mark) -> tuple[Leaf, ...]:
        """Return what an endpoint's chain does; nothing where it is none, or not for packets of this protocol.

        They are most of all chains: what they do is not kept for long.
        """
        key = place, view.packet.protocol
        leaves = self._endpoints.get(key)
        if leaves is None:
            chain = read_endpoint_chain(found.rules)
            if chain is None or chain.protocol != view.packet.protocol:
                return ()
            leaves = self._find_endpoint(place[0], chain, view, mark)
            _keep_some(self._endpoints, key, leaves)
        view.asked |= _PROTOCOL
        return leaves

    def _find_endpoint(
        self, table: str, chain: EndpointChain, view: PacketView, mark: Mark
    ) -> tuple[Leaf, ...]:
        marking = self._fixed_marking(table, chain.marking, view, mark)
        if marking is None:
            return ()
        where = f"{table} {chain.marking.chain}"
        end = End(
            verdict=Verdict.TRANSLATE,
            address=chain.effect.address,
            port=chain.effect.port,
            recorded=chain.recorded,
            hosts=((chain.host, marking),) if marking is not UNTOUCHED else (),
            rules=(_refer(where, chain.marking), _refer(where, chain.translation)),
        )
        return (Leaf(ends=(end,)),)

    def _fixed_marking(self, table: str, rule: Rule, view: PacketView, mark: Mark) -> Marking | None:
        """Return what the chain that a rule jumps to does to the mark of any packet; None if it may do more."""
        assert rule.target is not None  # it was read as one that marks
        place = (table, rule.target.name)
        if place not in self._markings:
            before, view.asked = view.asked, 0
            marking = marking_of(self.walk(*place, view, mark)) if self.is_chain(*place) else None
            self._markings[place] = None if view.asked else marking
            view.asked = before
        return self._markings[place]

    def _rules_of(self, place: _Place, chain: Chain, view: PacketView) -> Sequence[Rule]:
        if len(chain.rules) < MANY:
            return chain.rules
        if place not in self._indexes:
            self._indexes[place] = RuleIndex(chain.rules)
        return self._indexes[place].candidates(view)


def _refer(where: str, rule: Rule) -> RuleRef:
    return RuleRef(where=where, text=rule.raw, packets=rule.packets, bytes=rule.bytes)


def _keep_some(into: dict[K, V], key: K, value: V) -> None:
    """Keep what is likely to be asked for again soon."""
    if len(into) > _MOST_KEPT:
        into.clear()
    into[key] = value


def _has_translation(chain: Chain) -> bool:
    """Whether a chain is one like an endpoint's: it ends with a translation."""
    target = chain.rules[-1].target if chain.rules else None
    return target is not None and target.name == "DNAT"
