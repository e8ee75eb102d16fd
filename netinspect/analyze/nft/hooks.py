"""Which base chains of a ruleset a packet meets, in which order.

nat chains of one hook are entered by conntrack at one place among the others, whatever their own priority: that only
orders them among themselves (net/netfilter/nf_nat_core.c, `nf_nat_register_fn`). Of chains of the same priority the
one that was added last comes first (net/netfilter/core.c, `nf_hook_entries_grow`). nft prints tables, and the chains of
each, in the order in which they were added; that a chain was added to an older table later cannot be seen. The place of
nat is added with its first chain, at whichever hook.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from netinspect.models.fact import Gap, Reason
from netinspect.models.nft import NftChain, NftRuleset, NftTable
from netinspect.models.nft_expression import Fib, Goto, Jump, Meta, Node

PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING = "prerouting", "input", "forward", "output", "postrouting"

_FAMILIES = {4: ("ip", "inet"), 6: ("ip6", "inet")}
_BESIDE = {"netdev": "links", "bridge": "bridges"}
"""Families whose rules meet packets beside the hooks that are walked."""
_TYPES = ("filter", "nat", "route")
_HOOKS = (PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING)
_MOST_NAMED = 20
_CONNTRACK_PRIORITY = -200
_NAT_PRIORITY = {PREROUTING: -100, OUTPUT: -100, INPUT: 100, POSTROUTING: 100}


class BaseChain(msgspec.Struct, frozen=True):
    """A chain that packets enter from a hook.

    Attributes:
        table: its table.
        chain: it.
        type: `filter`, `nat` or `route`.
        priority: its place among others.
        link: the link by which packets come to it, where that is known.
    """

    table: NftTable
    chain: NftChain
    type: str
    priority: int
    link: str = ""

    @property
    def is_early(self) -> bool:
        """Whether conntrack sees packets after it; what comes in by a link that is known was seen at OUTPUT."""
        is_entry = self.chain.base is not None and self.chain.base.hook in (PREROUTING, OUTPUT)
        return is_entry and not self.link and self.type != "nat" and self.priority < _CONNTRACK_PRIORITY

    @property
    def drops(self) -> bool:
        """Whether what comes to its end is dropped."""
        return self.chain.base is not None and self.chain.base.policy == "drop"


def tables_of(ruleset: NftRuleset, family: int) -> tuple[NftTable, ...]:
    """Return the tables that packets of a family meet."""
    return tuple(each for each in ruleset.tables if each.family in _FAMILIES[family] and not each.is_dormant)


def base_chains(tables: Sequence[NftTable], hook: str) -> tuple[BaseChain, ...]:
    """Return the base chains of a hook as a packet meets them."""
    found = [
        BaseChain(table, chain, chain.base.type, chain.base.priority or 0)
        for table in tables
        for chain in table.chains.values()
        if chain.base is not None and chain.base.type in _TYPES
    ]
    nat = next((at for at, each in enumerate(found) if each.type == "nat"), 0)
    placed = [
        (_place(each, hook), -nat if each.type == "nat" else -at, each.priority, -at, each)
        for at, each in enumerate(found)
        if each.chain.base is not None and each.chain.base.hook == hook
    ]
    placed.sort(key=lambda each: each[:4])
    return tuple(each[-1] for each in placed)


def hook_gaps(ruleset: NftRuleset, tables: Sequence[NftTable], node: str) -> Iterator[Gap]:
    """Name what may meet packets and is not walked: base chains of unknown hooks or types, and unknown parts."""
    for table in tables:
        if table.may_be_dormant:
            why = "this nft does not print its flag, and no packet comes to a table that is dormant"
            yield _gap(node, f"{table.family} {table.name}", why)
        for chain in table.chains.values():
            reason = _unread(chain)
            if reason:
                yield _gap(node, f"{table.family} {table.name} {chain.name}", reason)
        if table.remainder:
            yield _gap(node, f"{table.family} {table.name}", table.remainder)
    for table in ruleset.tables:
        kind = _BESIDE.get(table.family)
        if kind and not table.is_dormant and any(map(_may_act, table.chains.values())):
            yield _gap(node, f"{table.family} {table.name}", f"rules of {kind} are not walked")
    for unknown in ruleset.unknown:
        yield _gap(node, "ruleset", unknown.json)


def doubt_gaps(texts: Iterable[str], node: str) -> Iterator[Gap]:
    """Name rules that could not be judged, and are in no entry."""
    for text in islice(texts, _MOST_NAMED):
        yield Gap(subject=f"node/{node}", fact="rule of nft", reason=Reason.UNPARSABLE, detail=text)


def asks_origin(table: NftTable) -> bool:
    """Whether rules that a table's packets may meet in POSTROUTING ask whether the node itself sent them."""
    waiting = [each.chain.name for each in base_chains([table], POSTROUTING)]
    seen: set[str] = set()
    while waiting:
        chain = table.chains.get(waiting.pop())
        if chain is None or chain.name in seen:
            continue
        seen.add(chain.name)
        for node in (node for rule in chain.rules for part in rule.statements for node in nodes_in(part)):
            if isinstance(node, Fib) or (isinstance(node, Meta) and node.key.startswith("iif")):
                return True
            if isinstance(node, Jump | Goto):
                waiting.append(node.target)
    return False


def nodes_in(part: object) -> Iterator[object]:
    """Return a statement or expression, and all that it is made of."""
    yield part
    parts = part if isinstance(part, tuple) else ()
    if isinstance(part, Node):
        parts = tuple(getattr(part, field) for field in part.__struct_fields__)
    for each in parts:
        yield from nodes_in(each)


def _place(base: BaseChain, hook: str) -> int:
    return _NAT_PRIORITY.get(hook, base.priority) if base.type == "nat" else base.priority


def _unread(chain: NftChain) -> str:
    if chain.is_regular:
        return ""
    if chain.remainder:
        return f"unknown keys: {chain.remainder}"
    assert chain.base is not None
    if chain.base.hook not in _HOOKS:
        return f"hook {chain.base.hook or 'none'} is not walked"
    if chain.base.type not in _TYPES:
        return f"base chains of type {chain.base.type or 'none'} are not known"
    return "" if chain.base.priority is not None else "its priority is not known"


def _may_act(chain: NftChain) -> bool:
    drops = chain.base is not None and chain.base.policy == "drop"
    return not chain.is_regular and (bool(chain.rules) or drops)


def _gap(node: str, where: str, detail: str) -> Gap:
    return Gap(
        subject=f"node/{node}",
        fact=f"what nft's {where} does to packets",
        reason=Reason.UNPARSABLE,
        detail=detail,
    )
