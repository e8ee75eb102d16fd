"""Make one of what happens to one destination at several hooks, where it is the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from netinspect.analyze.service_map.source_regions import branch_in, cut_sources
from netinspect.models.service_map import Branch, Hook, MapEntry, Outcome, RuleRef

_Walk = tuple[Hook, Sequence[RuleRef]]
_REST = Branch(outcome=Outcome.NONE)


def group_same(entries: Sequence[MapEntry]) -> list[list[MapEntry]]:
    """Group the entries of one destination: those where the same happens to packets stand together."""
    groups: dict[tuple[Branch, ...], list[MapEntry]] = {}
    for entry in sorted(entries, key=lambda each: tuple(Hook).index(each.hook)):
        groups.setdefault(tuple(_without_rules(each) for each in entry.branches), []).append(entry)
    return list(groups.values())


def join_branches(entries: Sequence[MapEntry], family: int) -> tuple[Branch, ...]:
    """Return the branches of entries that differ in their rules only, each rule once, in the order of the walk.

    A rule that is met at some of the hooks only says at which. Where no branch takes some sources, a last one says
    that nothing is done.
    """
    branches = tuple(entries[0].branches) if len(entries) == 1 else _join(entries)
    has_link = any(entry.hook is not Hook.OUTPUT for entry in entries)
    if not branches or not branches[-1].when:
        return branches
    regions = cut_sources(branches, family, has_link=has_link)
    return branches if all(branch_in(each, branches) for each in regions) else (*branches, _REST)


def _without_rules(branch: Branch) -> Branch:
    return replace(branch, rules=(), backends=tuple(replace(each, rules=()) for each in branch.backends))


def _join(entries: Sequence[MapEntry]) -> tuple[Branch, ...]:
    hooks = [entry.hook for entry in entries]
    return tuple(
        replace(
            same[0],
            rules=_interleave([*zip(hooks, (each.rules for each in same), strict=True)]),
            backends=tuple(
                replace(
                    backends[0],
                    rules=_interleave([*zip(hooks, (each.rules for each in backends), strict=True)]),
                )
                for backends in zip(*(each.backends for each in same), strict=True)
            ),
        )
        for same in zip(*(entry.branches for entry in entries), strict=True)
    )


def _interleave(walks: Sequence[_Walk]) -> tuple[RuleRef, ...]:
    """Join walks that meet: each rule once, what only one has before the rule at which it meets the others."""
    first = walks[0][1]
    if all(walk == first for _, walk in walks[1:]):
        return tuple(dict.fromkeys(first))
    hooks: dict[RuleRef, list[Hook]] = {}
    joined: list[RuleRef] = []
    for hook, walk in walks:
        waiting: list[RuleRef] = []
        for rule in dict.fromkeys(walk):
            hooks.setdefault(rule, []).append(hook)
            if rule not in joined:
                waiting.append(rule)
                continue
            place = joined.index(rule)
            joined[place:place] = waiting
            waiting = []
        joined += waiting
    return tuple(_say_hooks(rule, hooks[rule], len(walks)) for rule in joined)


def _say_hooks(rule: RuleRef, hooks: Iterable[Hook], count: int) -> RuleRef:
    where = tuple(dict.fromkeys(hooks))
    return rule if len(where) == count else replace(rule, hooks=where)
