"""One walk through one chain of iptables: its rules in order, for every source at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec.structs import replace

from netinspect.analyze.iptables.branch import Branch
from netinspect.analyze.iptables.effect import Effect, Verdict, is_harmless, read_effect
from netinspect.analyze.iptables.leaf import End, Leaf, marking_of, merge_leaves, narrow
from netinspect.analyze.iptables.match import RuleMatcher
from netinspect.analyze.iptables.packet import Asked, PacketView
from netinspect.analyze.iptables.residue import Residue
from netinspect.analyze.service_map.packet_mark import UNTOUCHED, Mark, Marking
from netinspect.models.address import Address, parse_address
from netinspect.models.iptables import Rule
from netinspect.models.service_map import RuleRef, SourceKind

_MOST_BRANCHES = 256
"""So many branches a chain may have; beyond, conditions on the source are not judged any more (a firewall's lists)."""
_PARTS_COUNT_IN = "nat"
_LOOPBACK = frozenset(("127.0.0.0/8", "::1/128"))
_MARK = int(Asked.MARK)


class Walker(Protocol):
    """What walks other chains meanwhile."""

    def walk(self, table: str, chain: str, view: PacketView, mark: Mark) -> tuple[Leaf, ...]:
        """Return how packets leave a chain."""

    def ref(self, table: str, rule: Rule) -> RuleRef:
        """Return a rule as what a statement comes from."""

    def is_chain(self, table: str, name: str) -> bool:
        """Whether a target is a chain of a table."""

    def is_entered(self, table: str, name: str) -> bool:
        """Whether the walk is in a chain already."""

    def balance(self, table: str, rules: Sequence[Rule], view: PacketView, mark: Mark) -> tuple[End, ...]:
        """Return where rules that do nothing but choose among endpoints send packets."""


class ChainVisit:
    """One walk through one chain."""

    def __init__(self, walker: Walker, table: str, view: PacketView, mark: Mark, *, has_hosts: bool) -> None:
        self.has_open_hosts = False
        self._walker = walker
        self._table = table
        self._view = view
        self._mark = mark
        self._has_hosts = has_hosts
        self._count = 1

    def run(self, rules: Sequence[Rule], matcher: RuleMatcher) -> tuple[Leaf, ...]:
        """Return the leaves of the chain with these rules, or with more that do not match the packet."""
        branches: Sequence[Branch] = (Branch(),)
        may_balance = self._table == _PARTS_COUNT_IN
        for number, rule in enumerate(rules):
            if _is_idle(rule):
                continue
            if may_balance and (number == len(rules) - 1 or _has_chance(rule)):
                may_balance = False
                if self._balance(branches, rules[number:]):
                    break
            residue = matcher.judge(rule, self._view)
            if residue is None:
                continue
            self._count = len(branches)
            if self._count > 1:
                branches = [after for each in branches for after in self._pass(each, rule, residue)]
            else:
                leaves = self._hand_on(branches[0], rule, residue)
                if leaves:
                    return leaves
                branches = self._pass(branches[0], rule, residue)
            if not _has_share(branches):
                break
        self.has_open_hosts = any(branch.has_open_hosts for branch in branches)
        if len(branches) == 1:
            return (branches[0].finish(),)
        return merge_leaves(branch.finish() for branch in branches)

    def _balance(self, branches: Sequence[Branch], rules: Sequence[Rule]) -> bool:
        """Go through all that is left of a chain at once, if it only chooses among endpoints: for any source alike."""
        if not all(branch.can_settle for branch in branches):
            return False
        ends = self._walker.balance(self._table, rules, self._view, self._mark)
        for branch in branches if ends else ():
            branch.settle(ends)
        return bool(ends)

    def _hand_on(self, branch: Branch, rule: Rule, residue: Residue) -> tuple[Leaf, ...]:
        """Return the leaves of the chain that a first rule leads to, if all packets go there and none comes back.

        It is what the rest of the walk would come to as well, in more steps: most dispatch is of this kind.
        """
        target = rule.target
        if (
            target is None
            or target.is_goto
            or residue.marks
            or not residue.is_plain
            or not branch.is_untouched
        ):
            return ()
        table = self._table
        if not self._walker.is_chain(table, target.name) or self._walker.is_entered(table, target.name):
            return ()
        leaves = self._enter(target.name, branch)
        for leaf in leaves:
            if not leaf.is_settled:
                return ()
        ref = self._walker.ref(table, rule)
        return tuple(replace(leaf, rules=(ref, *leaf.rules)) for leaf in leaves)

    def _pass(self, branch: Branch, rule: Rule, residue: Residue) -> Sequence[Branch]:
        """Return what a branch falls into at a rule that it may match."""
        if not branch.share or (residue.marks and not self._fits_mark(branch, rule, residue)):
            return (branch,)
        if residue.is_plain:
            return self._act(branch, rule, residue)
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
        mark = self._mark_of(branch)
        answers = [(test.negated, mark.test(test.value, test.mask)) for test in residue.marks]
        if any(answer is negated for negated, answer in answers):
            return False
        if any(answer is None for _, answer in answers):
            self._doubt(branch, "mark match", rule)
            return False
        return True

    def _mark_of(self, branch: Branch) -> Mark:
        self._view.asked |= _MARK
        return branch.marking.apply(self._mark)

    def _note_host(self, branch: Branch, rule: Rule, residue: Residue) -> bool:
        """Note a rule of an endpoint's chain that changes the mark of one source (hairpin); False if it is none."""
        host = _host_of(residue)
        if host is None or residue.probability != 1 or residue.recorded:
            return False
        marking = self._marking_of(rule, branch)
        if marking is None:
            return False
        if marking is not UNTOUCHED:
            branch.note_host(host, marking, self._walker.ref(self._table, rule))
        return True

    def _marking_of(self, rule: Rule, branch: Branch) -> Marking | None:
        """Return what a rule does to the mark, if it does nothing else."""
        assert rule.target is not None  # rules without one are idle
        if self._walker.is_chain(self._table, rule.target.name) and not rule.target.is_goto:
            return marking_of(self._enter(rule.target.name, branch))
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
        return branch.enter(leaves, ref, residue.probability, is_goto=rule.target.is_goto)

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
    if rule.target is None or is_harmless(rule.target):
        return True
    return (
        rule.destination is not None
        and rule.destination.text in _LOOPBACK
        and rule.protocol is None
        and rule.target.name in ("DROP", "REJECT")
    )


def _has_chance(rule: Rule) -> bool:
    return any(match.name == "statistic" for match in rule.matches)


def _has_share(branches: Sequence[Branch]) -> bool:
    return any(branch.share for branch in branches)


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
