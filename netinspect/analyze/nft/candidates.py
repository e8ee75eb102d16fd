"""Which destinations the rules of nft name: those are asked what happens to packets to them.

Rules are gone through from the base chains, by jumps, gotos and verdict maps, with what they ask of the destination on
the way. A destination is named where its address (or that it is local), its protocol and its port are single values:
in elements, or in comparisons. Rules for whole networks and port ranges name none, but are met by those that others
name. One that is named though rules on the way rule it out does no harm: nothing happens to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from netinspect.analyze.nft.hooks import FORWARD, INPUT, OUTPUT, PREROUTING, base_chains
from netinspect.analyze.nft.layout import TABLE
from netinspect.analyze.nft.lookup import elements_of
from netinspect.analyze.nft.sets import EVERYTHING, is_within, key_parts
from netinspect.analyze.nft.values import is_protocol, protocol_name
from netinspect.models.nft import NftChain, NftTable
from netinspect.models.nft_expression import (
    Element,
    Expression,
    Fib,
    Goto,
    Jump,
    Lookup,
    Payload,
    Prefix,
    Range,
    RawPayload,
    Set,
    SetRef,
    Vmap,
)
from netinspect.models.nft_statement import Dnat, Match, Statement

T = TypeVar("T")
Named = str | int | Prefix | Range

PROTOCOLS = ("tcp", "udp", "sctp")
_DEEPEST = 16
_NAMED = str, int, Prefix, Range
_SPANS = Prefix, Range
_OWN_FAMILY = {"ip": 4, "ip6": 6}


class Candidate(msgspec.Struct, frozen=True):
    """A destination that rules name; address None is any local one."""

    address: str | None
    protocol: str
    port: int


class Asked(msgspec.Struct, frozen=True):
    """What was asked of the destination on the way; None is nothing.

    Attributes:
        addresses: it is one of these, or in one of these networks and ranges.
        is_local: it is one of the node's own.
        protocols: its protocol is one of these.
        ports: its port is one of these, or in one of these ranges.
    """

    addresses: frozenset[Named] | None = None
    is_local: bool = False
    protocols: frozenset[str] | None = None
    ports: frozenset[Named] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left that could be asked for more closely."""
        is_one = self.is_local if self.addresses is None else not _has_spans(self.addresses)
        return is_one and self.ports is not None and not _has_spans(self.ports)

    def candidates(self) -> Iterator[Candidate]:
        """Return the destinations that fit."""
        ports = [each for each in self.ports or () if isinstance(each, int)]
        if not ports:
            return
        addresses: list[str | None] = [each for each in self.addresses or () if isinstance(each, str)]
        if self.is_local and (self.addresses is None or _has_spans(self.addresses)):
            addresses.append(None)
        for address in addresses:
            for protocol in self.protocols or PROTOCOLS:
                if protocol in PROTOCOLS:
                    yield from (Candidate(address, protocol, port) for port in ports)


class Collector:
    """Gathers candidates of one family."""

    def __init__(self, family: int) -> None:
        self._family = family
        self.found: set[Candidate] = set()
        self._seen: set[tuple[int, Asked]] = set()

    def add_tables(self, tables: Sequence[NftTable]) -> None:
        """Gather from all base chains that translate, and from those that filter beside them in the same table."""
        for table in tables:
            bases = {hook: base_chains([table], hook) for hook in (PREROUTING, OUTPUT, INPUT, FORWARD)}
            is_meant = table.name == TABLE or any(
                each.type == "nat" for some in bases.values() for each in some
            )
            for hook, some in bases.items():
                for base in some if is_meant else ():
                    self._chain(table, base.chain, Asked(is_local=hook == INPUT), 0)

    def _chain(self, table: NftTable, chain: NftChain, asked: Asked, depth: int) -> None:
        if (id(chain), asked) in self._seen or depth > _DEEPEST:
            return
        self._seen.add((id(chain), asked))
        for rule in chain.rules:
            self._statements(table, rule.statements, asked, depth)

    def _statements(self, table: NftTable, statements: Sequence[Statement], asked: Asked, depth: int) -> None:
        for statement in statements:
            if isinstance(statement, Match):
                narrowed = self._narrowed(table, statement, asked)
                if narrowed is None:
                    return
                asked = narrowed
            elif isinstance(statement, Vmap):
                self._lookup(table, statement, asked, depth)
            elif isinstance(statement, Dnat) and isinstance(statement.addr, Lookup):
                self._lookup(table, statement.addr, asked, depth)
            elif isinstance(statement, Jump | Goto):
                self._go(table, statement.target, asked, depth)
        self.found.update(asked.candidates())

    def _go(self, table: NftTable, target: str, asked: Asked, depth: int) -> None:
        chain = table.chains.get(target)
        if chain is not None and not asked.is_whole:
            self._chain(table, chain, asked, depth + 1)

    def _lookup(self, table: NftTable, lookup: Lookup, asked: Asked, depth: int) -> None:
        elements = elements_of(table, lookup.data) or ()
        fields = tuple(map(self._field, key_parts(lookup.key)))
        if not any(fields):
            elements = tuple(each for each in elements if isinstance(each.data, Jump | Goto))
        for element in elements:
            narrowed = _by_element(fields, element, asked)
            if narrowed is None:
                continue
            self.found.update(narrowed.candidates())
            if isinstance(element.data, Jump | Goto):
                self._go(table, element.data.target, narrowed, depth)

    def _narrowed(self, table: NftTable, match: Match, asked: Asked) -> Asked | None:
        """Return what is asked after a comparison; None where it cannot hold for this family."""
        fields = tuple(map(self._field, key_parts(match.left)))
        if match.op not in ("==", "in"):
            return asked
        if isinstance(match.left, Fib):
            is_local = (
                match.left.flags == ("daddr",) and match.left.result == "type" and match.right == "local"
            )
            return replace(asked, is_local=asked.is_local or is_local)
        if not any(fields):
            return asked
        if isinstance(match.right, Set | SetRef):
            return self._in_set(table, match, fields, asked)
        return _by_values(fields, [(match.right,)], asked)

    def _in_set(self, table: NftTable, match: Match, fields: Sequence[str], asked: Asked) -> Asked | None:
        elements = elements_of(table, match.right)
        if elements is None:
            return asked
        if len(fields) == 1:
            return _by_values(fields, [key_parts(each.key) for each in elements], asked)
        for element in elements:
            narrowed = _by_element(fields, element, asked)
            if narrowed is not None:
                self.found.update(narrowed.candidates())
        return asked

    def _field(self, expression: Expression) -> str:
        """Return which field of the destination an expression is; empty for all else."""
        if is_protocol(expression):
            return "protocol"
        if isinstance(expression, RawPayload):
            return "th port" if (expression.base, expression.offset, expression.len) == ("th", 16, 16) else ""
        if not isinstance(expression, Payload) or expression.tunnel is not None:
            return ""
        if expression.field == "daddr":
            return "address" if _OWN_FAMILY.get(expression.protocol) == self._family else "other"
        return f"{expression.protocol} port" if expression.field == "dport" else ""


def _by_element(fields: Sequence[str], element: Element, asked: Asked) -> Asked | None:
    if element.key == EVERYTHING:
        return asked
    return _by_values(fields, [key_parts(element.key)], asked)


def _by_values(fields: Sequence[str], keys: Sequence[Sequence[Expression]], asked: Asked) -> Asked | None:
    """Narrow what is asked by one or more keys; None where that leaves nothing."""
    for at, field in enumerate(fields):
        values = {key[at] for key in keys if at < len(key)}
        narrowed = _by_field(field, frozenset(values), asked)
        if narrowed is None:
            return None
        asked = narrowed
    return asked


def _by_field(field: str, values: frozenset[Expression], asked: Asked) -> Asked | None:
    if field == "other":
        return None
    if field == "protocol":
        names = frozenset(each for each in map(protocol_name, values) if isinstance(each, str))
        is_known = len(names) == len(values) and EVERYTHING not in names
        return replace(asked, protocols=_meet(asked.protocols, names)) if is_known else asked
    if field.endswith("port") and (protocol := field.split()[0]) in PROTOCOLS:
        asked = replace(asked, protocols=_meet(asked.protocols, frozenset({protocol})))
    named = frozenset(each for each in values if isinstance(each, _NAMED))
    if not field or len(named) < len(values) or EVERYTHING in named:
        return asked
    if field == "address":
        return replace(asked, addresses=_meet(asked.addresses, named))
    return replace(asked, ports=_meet(asked.ports, named))


def _meet(left: frozenset[T] | None, right: frozenset[T]) -> frozenset[T]:
    """Return what is in both; of networks and ranges those of the later one, which may be too much."""
    if left is None:
        return right
    found = left & right
    some, others = _spans_of(left), _spans_of(right)
    if others:
        found |= {each for each in left if any(is_within(each, span) for span in others)}
    if some:
        found |= {each for each in right if each in others or any(is_within(each, span) for span in some)}
    return found


def _spans_of(values: Iterable[object]) -> list[Prefix | Range]:
    return [each for each in values if isinstance(each, _SPANS)]


def _has_spans(values: Iterable[object]) -> bool:
    return any(isinstance(each, _SPANS) for each in values)
