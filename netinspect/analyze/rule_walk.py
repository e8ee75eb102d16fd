"""Walk the chains of iptables as a packet would, for every source at once.

A rule that hangs on the source splits the walk; chance parts it; a mark is followed bit by bit. A chain is walked once
for all packets that agree in what its rules ask (`PacketView.asked`): endpoints' chains ask little, so that a node
with tens of thousands of Services is walked in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from netinspect.analyze.packet_mark import Mark, Marking
from netinspect.analyze.rule_branch import Branch
from netinspect.analyze.rule_chain import ChainRules
from netinspect.analyze.rule_effect import Effect, Verdict, read_effect
from netinspect.analyze.rule_leaf import End, Leaf, merge_leaves, narrow
from netinspect.analyze.rule_match import RuleMatcher
from netinspect.analyze.rule_packet import Asked, PacketView
from netinspect.analyze.rule_residue import Residue
from netinspect.models.address import Address, parse_address
from netinspect.models.ipset import IpSet
from netinspect.models.iptables import Chain, Rule, Ruleset
from netinspect.models.service_map import RuleRef, SourceKind

_MOST_BRANCHES = 256
"""So many branches a chain may have; beyond, conditions on the source are not judged any more (a firewall's lists)."""
_MOST_KEPT = 256
_PARTS_COUNT_IN = "nat"
_WIDE = Asked.ADDRESS | Asked.PORT
_START = Mark()
_LOOPBACK = frozenset(("127.0.0.0/8", "::1/128"))


class RuleWalker:
    """Walks the chains of one ruleset."""

    def __init__(self, rules: Ruleset, sets: Mapping[str, IpSet] | None = None) -> None:
        self._ruleset = rules
        self._matcher = RuleMatcher(sets)
        self._chains: dict[tuple[str, str], ChainRules] = {}
        self._asked: dict[tuple[str, str], list[int]] = {}
        self._known: dict[tuple[object, ...], tuple[Leaf, ...]] = {}
        self._passing: dict[tuple[object, ...], tuple[Leaf, ...]] = {}
        self._refs: dict[int, RuleRef] = {}
        self._stack: list[tuple[str, str]] = []

    def walk(self, table: str, chain: str, view: PacketView, mark: Mark = _START) -> tuple[Leaf, ...]:
        """Return how packets leave a chain, for every source.

        Args:
            table: the chain's table.
            chain: its name; one that does not exist is left at once.
            view: the packet. What the chain asked of it is noted there.
            mark: the mark that it comes with.
        """
        place = (table, chain)
        for asked in self._asked.get(place, ()):
            key = (place, view.key(asked, mark))
            leaves = self._known.get(key) or self._passing.get(key)
            if leaves is not None:
                view.asked |= asked
                return leaves
        before, view.asked = view.asked, 0
        leaves = self._run(place, view, mark)
        self._keep(place, view.asked, view, mark, leaves)
        view.asked |= before
        return leaves

    def ref(self, table: str, rule: Rule) -> RuleRef:
        """Return a rule as what a statement comes from."""
        found = self._refs.get(id(rule))
        if found is None:
            where = f"{table} {rule.chain}"
            found = RuleRef(where=where, text=rule.raw, packets=rule.packets, bytes=rule.bytes)
            self._refs[id(rule)] = found
        return found

    def _keep(
        self, place: tuple[str, str], asked: int, view: PacketView, mark: Mark, leaves: tuple[Leaf, ...]
    ) -> None:
        """Keep what a chain does; where it asked for address and port, only as long as that packet is walked."""
        masks = self._asked.setdefault(place, [])
        if asked not in masks:
            masks.append(asked)
        known = self._known
        if asked & _WIDE == _WIDE:
            known = self._passing
            if len(known) > _MOST_KEPT:
                known.clear()
        known[place, view.key(asked, mark)] = leaves

    def _run(self, place: tuple[str, str], view: PacketView, mark: Mark) -> tuple[Leaf, ...]:
        found = self._ruleset.chain(*place)
        if found is None:
            return (Leaf(ends=(End(Verdict.RETURN),)),)
        self._stack.append(place)
        visit = _Visit(self, place[0], view, mark, has_hosts=_has_translation(found))
        leaves = visit.run(self._rules_of(place, found), self._matcher)
        if visit.has_open_hosts:
            visit = _Visit(self, place[0], view, mark, has_hosts=False)
            leaves = visit.run(self._rules_of(place, found), self._matcher)
        self._stack.pop()
        return leaves

    def _rules_of(self, place: tuple[str, str], chain: Chain) -> ChainRules:
        if len(chain.rules) <= 2:
            return ChainRules(chain.rules)  # most chains, and nothing to keep
        if place not in self._chains:
            self._chains[place] = ChainRules(chain.rules)
        return self._chains[place]

    def is_chain(self, table: str, name: str) -> bool:
        """Whether a target is a chain of a table."""
        return self._ruleset.chain(table, name) is not None

    def is_entered(self, table: str, name: str) -> bool:
        """Whether the walk is in a chain already: a loop, which the kernel allows in no ruleset."""
        return (table, name) in self._stack


class _Visit:
    """One walk through one chain."""

    def __init__(
        self, walker: RuleWalker, table: str, view: PacketView, mark: Mark, *, has_hosts: bool
    ) -> None:
        self.has_open_hosts = False
        self._walker = walker
        self._table = table
        self._view = view
        self._mark = mark
        self._has_hosts = has_hosts
        self._count = 1

    def run(self, rules: ChainRules, matcher: RuleMatcher) -> tuple[Leaf, ...]:
        branches = [Branch()]
        for rule in rules.candidates(self._view):
            if _is_idle(rule):
                continue
            residue = matcher.judge(rule, self._view)
            if residue is None:
                continue
            self._count = len(branches)
            branches = [after for each in branches for after in self._pass(each, rule, residue)]
            if not any(branch.share for branch in branches):
                break
        self.has_open_hosts = any(branch.has_open_hosts for branch in branches)
        if len(branches) == 1:
            return (branches[0].finish(),)
        return merge_leaves(branch.finish() for branch in branches)

    def _pass(self, branch: Branch, rule: Rule, residue: Residue) -> Sequence[Branch]:
        """Return what a branch falls into at a rule that it may match."""
        if not branch.share or not self._fits_mark(branch, rule, residue):
            return (branch,)
        reason = self._find_doubt(residue)
        if reason:
            if narrow(branch.conditions, residue.conditions) is not None:
                self._doubt(branch, reason, rule)
            return (branch,)
        if not residue.conditions:
            return self._act(branch, rule, residue)
        if self._has_hosts and self._note_host(branch, rule, residue):
            return (branch,)
        return self._split(branch, rule, residue)

    def _split(self, branch: Branch, rule: Rule, residue: Residue) -> Sequence[Branch]:
        after: list[Branch] = []
        is_changed = False
        for part, holds in branch.split(residue.conditions):
            parts = self._act(part.copy(), rule, residue) if holds else (part,)
            is_changed = is_changed or len(parts) > 1 or not parts[0].is_like(branch)
            after.extend(parts)
        return after if is_changed else (branch,)

    def _find_doubt(self, residue: Residue) -> str:
        reasons = list(residue.undecided)
        is_parted = residue.probability != 1
        if is_parted and self._table != _PARTS_COUNT_IN:
            reasons.append("statistic match")
        if residue.check and (is_parted or residue.conditions):
            reasons.append("recent match")
        if residue.conditions and self._count > _MOST_BRANCHES:
            reasons.append("source, one of too many")
        return "; ".join(reasons)

    def _doubt(self, branch: Branch, reason: str, rule: Rule) -> None:
        branch.doubt(
            f"{reason}: {self._table} {rule.raw.removeprefix('-A ')}", rule.target.name if rule.target else ""
        )

    def _fits_mark(self, branch: Branch, rule: Rule, residue: Residue) -> bool:
        """Whether the tests of the mark hold; where a bit that they look at is not known, that is a doubt."""
        if not residue.marks:
            return True
        mark = self._mark_of(branch)
        answers = [(test.negated, mark.test(test.value, test.mask)) for test in residue.marks]
        if any(answer is negated for negated, answer in answers):
            return False
        if any(answer is None for _, answer in answers):
            self._doubt(branch, "mark match", rule)
            return False
        return True

    def _mark_of(self, branch: Branch) -> Mark:
        self._view.asked |= Asked.MARK
        return branch.marking.apply(self._mark)

    def _note_host(self, branch: Branch, rule: Rule, residue: Residue) -> bool:
        """Note a rule of an endpoint's chain that changes the mark of one source (hairpin); False if it is none."""
        host = _host_of(residue)
        if host is None or residue.probability != 1 or residue.recorded:
            return False
        marking = self._marking_of(rule, branch)
        if marking is None:
            return False
        branch.note_host(host, marking, self._walker.ref(self._table, rule))
        return True

    def _marking_of(self, rule: Rule, branch: Branch) -> Marking | None:
        """Return what a rule does to the mark, if it does nothing else."""
        assert rule.target is not None  # rules without one are idle
        if self._walker.is_chain(self._table, rule.target.name) and not rule.target.is_goto:
            leaves = self._enter(rule.target.name, branch)
            end = leaves[0].end
            if len(leaves) > 1 or end is None or end.verdict is not Verdict.RETURN or leaves[0].doubts:
                return None
            return leaves[0].mark.then(end.mark)
        effect = self._effect_of(rule)
        return effect.marking if effect.verdict is Verdict.NOTHING else None

    def _act(self, branch: Branch, rule: Rule, residue: Residue) -> Sequence[Branch]:
        """Return what a branch falls into at a rule that it matches, whole or in part."""
        target = rule.target
        if target is not None and self._walker.is_chain(self._table, target.name):
            return self._jump(branch, rule, residue)
        if residue.check:
            self._doubt(branch, "recent match", rule)
            return (branch,)
        ref = self._walker.ref(self._table, rule)
        effect = self._effect_of(rule)
        if effect.verdict is Verdict.UNDECIDED:
            self._doubt(branch, effect.text, rule)
        elif effect.verdict is Verdict.NOTHING:
            branch.remark(effect.marking, ref, residue.probability)
        elif effect.verdict is Verdict.TRANSLATE:
            self._translate(branch, rule, residue, effect)
        else:
            branch.leave(effect.verdict, ref, residue.probability)
        return (branch,)

    def _translate(self, branch: Branch, rule: Rule, residue: Residue, effect: Effect) -> None:
        if effect.address is None:  # to another port of where it is going already
            effect = replace(effect, address=self._view.address)
        if effect.address is None:
            self._doubt(branch, "target leaves an address that no rule names", rule)
            return
        ref = self._walker.ref(self._table, rule)
        branch.translate(effect, residue.recorded, ref, residue.probability)

    def _jump(self, branch: Branch, rule: Rule, residue: Residue) -> Sequence[Branch]:
        assert rule.target is not None  # `_act` saw it
        name = rule.target.name
        if self._walker.is_entered(self._table, name):
            self._doubt(branch, f"loop by {name}", rule)
            return (branch,)
        leaves = self._enter(name, branch)
        ref = self._walker.ref(self._table, rule)
        if residue.check:
            branch.remember(residue.check, leaves, ref)
            return (branch,)
        return list(branch.enter(leaves, ref, residue.probability, is_goto=rule.target.is_goto))

    def _enter(self, chain: str, branch: Branch) -> tuple[Leaf, ...]:
        return self._walker.walk(self._table, chain, self._view, branch.marking.apply(self._mark))

    def _effect_of(self, rule: Rule) -> Effect:
        is_own = not self._view.has_link if rule.target and rule.target.name == "REDIRECT" else False
        return read_effect(rule.target, is_own=is_own, family=self._view.packet.family)


def _is_idle(rule: Rule) -> bool:
    """Whether a rule changes nothing for Services: it only counts, or protects the loopback network.

    kubelet and kube-proxy (KUBE-FIREWALL) refuse what others send to loopback addresses, whatever its port; the kernel
    itself does so as well, unless it is told to route such packets.
    """
    if rule.target is None:
        return True
    return (
        rule.destination is not None
        and rule.destination.text in _LOOPBACK
        and rule.protocol is None
        and rule.target.name in ("DROP", "REJECT")
    )


def _has_translation(chain: Chain) -> bool:
    """Whether a chain is one like an endpoint's: a few rules, one of them a translation."""
    rules: Iterable[Rule] = chain.rules if len(chain.rules) <= 8 else ()
    return any(rule.target is not None and rule.target.name == "DNAT" for rule in rules)


def _host_of(residue: Residue) -> Address | None:
    """Return the one source that a rule is for, None where it is for none or many."""
    if len(residue.conditions) != 1:
        return None
    condition = residue.conditions[0]
    if condition.kind is not SourceKind.NETWORK or condition.negated or len(condition.values) != 1:
        return None
    text, _, length = condition.values[0].partition("/")
    address = parse_address(text)
    return address if int(length) == address.max_prefixlen else None
