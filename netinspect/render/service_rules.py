"""Rules for Services as a table (a row for each branch) and as a tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import msgspec
from msgspec.structs import replace

from netinspect.models.address import show_endpoint
from netinspect.models.address_owner import show_owner
from netinspect.models.service_map import Destination, Hook, Outcome, RuleRef, SourceCondition, SourceKind
from netinspect.models.service_rules import NamedBackend, NamedBranch, ServiceRules
from netinspect.render.rule_way import show_place, show_way
from netinspect.render.sanitize import sanitize
from netinspect.render.table import Column

_MOST_SHOWN = 3
_WORDS = {
    Outcome.REJECT: "reject",
    Outcome.DROP: "drop",
    Outcome.ACCEPT: "accept",
    Outcome.NO_DESTINATION: "no-destination",
    Outcome.NONE: "nothing is done",
}


class BranchRow(msgspec.Struct, frozen=True):
    """A row: one branch of one destination; the first, or one for sources that no earlier one took."""

    rules: ServiceRules
    branch: NamedBranch
    is_first: bool = True


def rows_of(rules: ServiceRules) -> Iterator[BranchRow]:
    """Yield a row for each branch."""
    return (BranchRow(rules, branch, not index) for index, branch in enumerate(rules.branches))


def name_of(rules: ServiceRules) -> str:
    """Return the name of the Service, or the destination of what has none."""
    return (
        f"service/{rules.service}" if rules.service else f"destination/{show_destination(rules.destination)}"
    )


_BACKENDS, _ALL_BACKENDS = (
    Column[BranchRow]("BACKENDS", lambda row: _backends(row.branch.backends, _MOST_SHOWN)),
    Column[BranchRow]("BACKENDS", lambda row: _backends(row.branch.backends)),
)
COLUMNS: tuple[Column[BranchRow], ...] = (
    Column("NODE", lambda row: row.rules.node),
    Column("SERVICE", lambda row: row.rules.title),
    Column("TYPE", lambda row: row.rules.role.value),
    Column("DESTINATION", lambda row: show_destination(row.rules.destination)),
    Column("HOOKS", lambda row: ",".join(row.rules.hooks)),
    Column("SOURCE", lambda row: _sources(row.branch, is_first=row.is_first)),
    Column("DOES", lambda row: _does(row.branch)),
    _BACKENDS,
    Column("MODE", lambda row: row.rules.mode.value, is_wide=True),
    Column("NAMED-BY", lambda row: row.rules.named_by.value, is_wide=True),
    Column("AFFINITY", lambda row: _affinity(row.branch.backends), is_wide=True),
    Column("PACKETS", lambda row: _packets(row.branch.rules), is_wide=True),
)
WIDE_COLUMNS = tuple(_ALL_BACKENDS if each is _BACKENDS else each for each in COLUMNS)
"""Of `-o wide`: with all backends."""


def show_destination(destination: Destination) -> str:
    """Write a destination: `10.96.0.10:53/udp`, `[fd00::a]:53/udp`, `any-local:30080/tcp`."""
    if destination.address is not None:
        return f"{show_endpoint(destination.address, destination.port)}/{destination.protocol}"
    without = f" except {','.join(destination.except_)}" if destination.except_ else ""
    return f"any-local:{destination.port}/{destination.protocol}{without}"


def show_conditions(conditions: Sequence[SourceCondition]) -> str:
    """Write what a branch asks of the source: `10.244.0.0/16`, `not 10.244.0.0/16 and link cni0`; `""` for any."""
    return " and ".join(_condition(each) for each in conditions)


def render_tree(items: Iterable[ServiceRules], *, is_wide: bool = False) -> str:
    """Write Services, by node, with branches, backends and the rules that say so.

    Args:
        items: in the order in which they are shown; those of one node and family stand together.
        is_wide: whether the text of rules is shown, not only where they are and what they counted.
    """
    lines: list[str] = []
    for (node, family, mode), group in groupby(items, key=lambda each: (each.node, each.family, each.mode)):
        lines += ([""] if lines else []) + [f"node {node}, IPv{family}, {mode.value} mode"]
        for each in group:
            lines += _tree(each, is_wide=is_wide)
    return "".join(f"{sanitize(' '.join(line.splitlines()))}\n" for line in lines)


def _tree(rules: ServiceRules, *, is_wide: bool) -> Iterator[str]:
    role = f"{rules.role.value} " if rules.service else ""
    hooks = " and ".join(rules.hooks)
    yield f"{rules.title or 'no Service is known for'} {role}{show_destination(rules.destination)} at {hooks}"
    earlier: list[NamedBranch] = []
    for index, branch in enumerate(rules.branches):
        stem, rail = ("└─ ", "   ") if index == len(rules.branches) - 1 else ("├─ ", "│  ")
        lines = _branch(branch, earlier, is_wide=is_wide)
        yield f"{stem}{next(lines)}"
        yield from (f"{rail}{line}" for line in lines)
        earlier.append(branch)


def _branch(branch: NamedBranch, earlier: Sequence[NamedBranch], *, is_wide: bool) -> Iterator[str]:
    source = _sources(branch, is_first=not earlier)
    yield f"from {source if branch.when else f'{source} source'}: {_does(branch)}"
    yield from (f"not judged: {each}" for each in branch.undecided)
    yield from _rules(branch.rules, is_wide=is_wide)
    if not branch.backends:
        return
    if any(_bare(branch.backends) == _bare(each.backends) for each in earlier):
        yield f"└─ the same {_count(branch.backends)} as above"
        return
    for index, backend in enumerate(branch.backends):
        stem, rail = ("└─ ", "   ") if index == len(branch.backends) - 1 else ("├─ ", "│  ")
        yield f"{stem}{_backend(backend)}"
        yield from (f"{rail}{line}" for line in _rules(backend.rules, is_wide=is_wide))


def _sources(branch: NamedBranch, *, is_first: bool) -> str:
    return show_conditions(branch.when) or ("any" if is_first else "any other")


def _bare(backends: Iterable[NamedBackend]) -> tuple[NamedBackend, ...]:
    return tuple(replace(each, rules=()) for each in backends)


def _backend(backend: NamedBackend) -> str:
    traits = [
        *([f"weight {backend.weight}"] if backend.weight is not None else []),
        *([backend.forwarding] if backend.forwarding else []),
        *([f"affinity {backend.affinity_s} s"] if backend.affinity_s is not None else []),
        *(["hairpin masqueraded"] if backend.is_hairpin_masqueraded else []),
    ]
    owner = f" {show_owner(backend.owner)}" if backend.owner is not None else ""
    node = f" on {backend.owner.node}" if backend.owner is not None and backend.owner.node else ""
    more = f" ({', '.join(traits)})" if traits else ""
    return f"{_share(backend.share)} {show_endpoint(backend.address, backend.port)}{owner}{node}{more}"


def _rules(rules: Sequence[RuleRef], *, is_wide: bool) -> Iterator[str]:
    """Yield the way through the rules: as one line, or wide a line each with the rule's own text."""
    if is_wide:
        yield from (f"· {_at(rule.hooks)}{show_place(rule)} {rule.text}" for rule in rules)
    elif rules:
        yield f"by {show_way(rules)}"


def _at(hooks: Sequence[Hook]) -> str:
    return f"at {' and '.join(hooks)}: " if hooks else ""


def _condition(condition: SourceCondition) -> str:
    values = ",".join(condition.values)
    what = f"link {values}" if condition.kind is SourceKind.LINK else values
    return f"not {what}" if condition.negated else what


def _does(branch: NamedBranch) -> str:
    lost = f", {_share(branch.lost)} lost" if branch.lost else ""
    masquerade = ", masqueraded" if branch.masquerade else ""
    count = len(branch.undecided)
    undecided = f", {count} rule{'' if count == 1 else 's'} not judged" if count else ""
    what = _count(branch.backends) if branch.outcome is Outcome.BACKENDS else _WORDS[branch.outcome]
    return f"{what}{masquerade}{lost}{undecided}"


def _count(backends: Sequence[NamedBackend]) -> str:
    return f"{len(backends)} backend{'' if len(backends) == 1 else 's'}"


def _backends(backends: Sequence[NamedBackend], most: int | None = None) -> str:
    shown = ",".join(
        f"{show_endpoint(each.address, each.port)}({_share(each.share)})" for each in backends[:most]
    )
    more = 0 if most is None else len(backends) - most
    return f"{shown} + {more} more" if more > 0 else shown


def _share(share: float) -> str:
    """Write a part of the whole as per cent, with one digit behind the point where it has one."""
    return f"{share:.1%}".replace(".0%", "%")


def _affinity(backends: Iterable[NamedBackend]) -> str:
    times = sorted({each.affinity_s for each in backends if each.affinity_s is not None})
    return ",".join(f"{each}s" for each in times)


def _packets(rules: Sequence[RuleRef]) -> str:
    """Return what the last rule of the branch counted: the one that chooses it."""
    counted = [each.packets for each in rules if each.packets is not None]
    return str(counted[-1]) if counted else ""
