"""Rules of nft that do nothing to a packet's way but leave a trace: marks for single hosts, and session affinity.

They are traits of what a branch does, not branches: a pod that reaches itself through its Service is masqueraded
(hairpin), and a client that came before goes where it went (affinity sets). Their forms: pkg/proxy/nftables/proxier.go.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from netinspect.analyze.nft.answers import change
from netinspect.analyze.nft.packet import Packet, State
from netinspect.models.nft import NftChain, NftRule, NftTable
from netinspect.models.nft_expression import (
    Accept,
    Drop,
    Goto,
    Jump,
    Meta,
    Payload,
    Return,
    SetRef,
    Vmap,
)
from netinspect.models.nft_statement import (
    Counter,
    Dnat,
    Log,
    Mangle,
    Match,
    Reject,
    SetUpdate,
    Statement,
)
from netinspect.models.service_map import SourceCondition, SourceKind

_DEEPEST = 16
_MARK = Meta("mark")
_STOPS = Accept, Drop, Return, Goto, Reject, Vmap
_HOST = {4: "/32", 6: "/128"}


class Marking:
    """Recognises such rules; what it found of chains is kept."""

    def __init__(self) -> None:
        self._updated: dict[int, tuple[NftChain, frozenset[str]]] = {}

    def affinity(self, statement: Statement, rule: NftRule, table: NftTable) -> tuple[str, str] | None:
        """Return the affinity set that a statement looks for the source in, and the chain that a hit leads to."""
        if not isinstance(statement, Match) or not isinstance(statement.right, SetRef):
            return None
        if statement.op != "==" or not _is_source(statement):
            return None
        last = rule.statements[-1]
        target = table.chains.get(last.target) if isinstance(last, Jump | Goto) else None
        if target is None or statement.right.name not in self._updates(target):
            return None
        return statement.right.name, target.name

    def host_marks(
        self, asked: SourceCondition, rule: NftRule, at: int, table: NftTable, packet: Packet, state: State
    ) -> State | None:
        """Return the state with the marks that a rule sets for single hosts; None for every other rule."""
        hosts = hosts_of(asked, packet.family)
        mangles = _marks_only(table, rule.statements[at:]) if hosts else None
        if not mangles:
            return None
        before = dict(state.host_marks)
        marks = {host: _marked(mangles, table, packet, state, before.get(host, state.mark)) for host in hosts}
        return replace(state, host_marks=tuple(sorted({**before, **marks}.items())))

    def _updates(self, chain: NftChain) -> frozenset[str]:
        if id(chain) not in self._updated:
            statements = [each for rule in chain.rules for each in rule.statements]
            found = frozenset(each.set for each in statements if isinstance(each, SetUpdate))
            # What leads elsewhere than to an endpoint is no affinity: a list of who is banned.
            is_endpoint = bool(statements) and isinstance(statements[-1], Dnat)
            is_way = is_endpoint and not any(isinstance(each, _STOPS) for each in statements)
            self._updated[id(chain)] = chain, found if is_way else frozenset()
        return self._updated[id(chain)][1]


def _is_source(match: Match) -> bool:
    return isinstance(match.left, Payload) and match.left.field == "saddr"


def hosts_of(asked: SourceCondition, family: int) -> list[str]:
    """Return the hosts that a condition names, where it names nothing else."""
    suffix = _HOST[family]
    if asked.kind is not SourceKind.NETWORK or asked.negated:
        return []
    hosts = [each.removesuffix(suffix) for each in asked.values if each.endswith(suffix)]
    return hosts if len(hosts) == len(asked.values) else []


def _marked(
    mangles: Sequence[Mangle], table: NftTable, packet: Packet, state: State, mark: int | None
) -> int | None:
    alone = replace(state, mark=mark, host_marks=())
    for each in mangles:
        alone = change(each, "", table, packet, alone) or alone
    return alone.mark


def _marks_only(table: NftTable, statements: Sequence[Statement], depth: int = 0) -> list[Mangle] | None:
    """Return what statements set, where setting is all that they, and the chains that they jump to, do."""
    found: list[Mangle] = []
    for statement in statements:
        if isinstance(statement, Mangle) and statement.key == _MARK:
            found.append(statement)
        elif isinstance(statement, Jump):
            inner = _chain_marks(table, statement.target, depth)
            if inner is None:
                return None
            found += inner
        elif not isinstance(statement, Counter | Log):
            return None
    return found


def _chain_marks(table: NftTable, name: str, depth: int) -> list[Mangle] | None:
    chain = table.chains.get(name)
    if chain is None or depth >= _DEEPEST:
        return None
    found: list[Mangle] = []
    for rule in chain.rules:
        inner = None if rule.remainder else _marks_only(table, rule.statements, depth + 1)
        if inner is None:
            return None
        found += inner
    return found
