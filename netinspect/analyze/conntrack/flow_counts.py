"""Count the entries of a listing by pod, Service, peer, state and protocol while it streams in, in constant memory.

A table can have millions of rows, so nothing is done to one of them alone: a block of rows is taken apart into columns,
and these are named, compared and counted as wholes (`map`, `compress` and `Counter` run at C's speed). Pods and
Services are those that the API has, so their counts are exact. Of all other keys there can be any number: they go into
counters that keep the most frequent ones and know what the others may have had.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from itertools import compress
from operator import and_, eq, itemgetter, ne, or_
from typing import TypeAlias

from netinspect.analyze.address_book import AddressBook
from netinspect.analyze.conntrack.bounded_counter import BoundedCounter
from netinspect.analyze.conntrack.flow_row_filter import Memo, RowFilter
from netinspect.models.address import Address, parse_address
from netinspect.models.address_owner import OwnerKind
from netinspect.models.bounded_counts import BoundedCounts
from netinspect.models.flow_counts import FlowTally, Kind, ObjectName, RoleCount, Talk
from netinspect.models.flow_filter import FlowFilter
from netinspect.models.flow_row import Column, FlowRow

Party: TypeAlias = int | bytes
"""Whose an address is: a pod's number; NO_POD; or the address, in its canonical spelling, of one that is nobody's."""

_Talk: TypeAlias = tuple[Party, bytes, bytes]
"""A pod's number, and the address and port that it asks for."""

NO_POD = -1
"""Stands for every address of a node or Service."""

KEPT = 8192
"""Peers, and places that pods speak with, that are kept at least; no count is wrong by more than all by this."""

_KINDS_KEPT = 1024
_MAX_PENDING = 16384

_SRC, _DST = itemgetter(Column.SRC), itemgetter(Column.DST)
_REPLY_SRC, _REPLY_DST = itemgetter(Column.REPLY_SRC), itemgetter(Column.REPLY_DST)
_PLACE = itemgetter(Column.DST, Column.PROTOCOL, Column.DPORT)
_KIND = itemgetter(Column.IPV4, Column.PROTOCOL, Column.PROTOCOL_NUMBER, Column.STATE, Column.UNREPLIED)
_STATE = itemgetter(Column.PROTOCOL, Column.STATE, Column.UNREPLIED)
_DPORT = itemgetter(Column.DPORT)
_NONE = RoleCount(0, 0, 0)

_WAITING = frozenset(((b"tcp", b"SYN_SENT", b"UNREPLIED"),))
# CLOSE comes after a connection, and after a refusal too.
_ESTABLISHED = frozenset(
    (b"tcp", state, unreplied)
    for state in (b"ESTABLISHED", b"FIN_WAIT", b"CLOSE_WAIT", b"LAST_ACK", b"TIME_WAIT")
    for unreplied in (b"", b"UNREPLIED")
)


class FlowCounter:
    """Counts the rows of one listing."""

    def __init__(self, names: FlowNames, wanted: FlowFilter | None = None, *, kept: int = KEPT) -> None:
        """Begin to count.

        Args:
            names: names for addresses.
            wanted: which rows count; None for all.
            kept: how many peers, and how many places that pods speak with, are kept at least.
        """
        self._filter = RowFilter(wanted) if wanted else None
        self._names = names
        self._entries = 0
        self._counted = 0
        self._parties = _PartyCounter(kept)
        self._services: Counter[ObjectName | None] = Counter()
        self._kinds = BoundedCounter[Kind](_KINDS_KEPT)
        self._waiting = BoundedCounter[_Talk](kept)
        self._established = BoundedCounter[_Talk](kept)

    def take(self, rows: list[FlowRow]) -> None:
        """Count some rows."""
        self._entries += len(rows)
        if self._filter is not None:
            rows = self._filter.select(rows)
        self._counted += len(rows)
        whose = self._names.whose.__getitem__
        clients = list(map(whose, map(_SRC, rows)))
        servers = list(map(whose, map(_DST, rows)))
        self._parties.add(
            clients,
            servers,
            backends=list(map(whose, map(_REPLY_SRC, rows))),
            seen_as=list(map(whose, map(_REPLY_DST, rows))),
        )
        self._services.update(map(self._names.service_at.__getitem__, map(_PLACE, rows)))
        self._kinds.add({_build_kind(*kind): count for kind, count in Counter(map(_KIND, rows)).items()})
        self._add_talks(rows, clients)

    def tally(self) -> FlowTally:
        """Return what was counted so far."""
        pods, peers = self._parties.counts()
        waiting = self._waiting.counts()
        return FlowTally(
            entries=self._entries,
            counted=self._counted,
            pods={self._names.pods[pod]: count for pod, count in pods.items()},
            services={name: count for name, count in self._services.items() if name is not None},
            peers=peers,
            kinds=self._kinds.counts(),
            waiting=self._name_talks(waiting, waiting.most.keys()),
            established=self._name_talks(self._established.counts(), waiting.most.keys()),
        )

    def _add_talks(self, rows: list[FlowRow], clients: list[Party]) -> None:
        """Count the TCP connections of pods that wait for the first answer, and those that had one."""
        of_pods = list(map(self._names.numbers.__contains__, clients))
        states = list(map(_STATE, rows))
        spelled = self._names.spelled.__getitem__
        for wanted, counter in ((_WAITING, self._waiting), (_ESTABLISHED, self._established)):
            chosen = list(map(and_, of_pods, map(wanted.__contains__, states)))
            talks = list(compress(rows, chosen))
            places = map(spelled, map(_DST, talks)), map(_DPORT, talks)
            counter.add(Counter(zip(compress(clients, chosen), *places, strict=True)))

    def _name_talks(self, counts: BoundedCounts[_Talk], wanted: Collection[_Talk]) -> BoundedCounts[Talk]:
        """Put names in the place of numbers, in the counts of some talks."""

        def name(numbers: dict[_Talk, int]) -> dict[Talk, int]:
            return {
                Talk(self._names.pods[client], dst, dport): numbers[client, dst, dport]
                for client, dst, dport in wanted
                if isinstance(client, int) and (client, dst, dport) in numbers
            }

        return BoundedCounts(most=name(counts.most), missed=name(counts.missed), folded=counts.folded)


class _PartyCounter:
    """Counts entries by whose they are: once for each party, however many of the four addresses are that party's."""

    def __init__(self, kept: int) -> None:
        self._asking: Counter[Party] = Counter()
        self._asked: Counter[Party] = Counter()
        self._both: dict[Party, int] = {}
        self._pods: dict[int, RoleCount] = {}
        self._peers = BoundedCounter[bytes](kept)

    def add(
        self, clients: list[Party], servers: list[Party], *, backends: list[Party], seen_as: list[Party]
    ) -> None:
        """Count some entries, by the parties of their addresses.

        Args:
            clients: original sources.
            servers: original destinations.
            backends: sources of replies.
            seen_as: destinations of replies.
        """
        self._asking.update(clients)
        self._asking.update(compress(seen_as, map(ne, seen_as, clients)))
        self._asked.update(servers)
        self._asked.update(compress(backends, map(ne, backends, servers)))
        by_client = map(or_, map(eq, clients, servers), map(eq, clients, backends))
        by_other = map(or_, map(eq, seen_as, servers), map(eq, seen_as, backends))
        parties = zip(clients, seen_as, servers, backends, strict=True)
        for client, other, server, backend in compress(parties, map(or_, by_client, by_other)):
            for party in {client, other} & {server, backend}:
                self._both[party] = self._both.get(party, 0) + 1
        if len(self._asking) + len(self._asked) > _MAX_PENDING:
            self._settle()

    def counts(self) -> tuple[dict[int, RoleCount], BoundedCounts[bytes]]:
        """Return what was counted so far: pods by number, and peers."""
        self._settle()
        return dict(self._pods), self._peers.counts()

    def _settle(self) -> None:
        """Part pods, of which all are kept, from peers."""
        peers: dict[bytes, int] = {}
        for party in self._asking.keys() | self._asked.keys():
            asking, asked = self._asking.get(party, 0), self._asked.get(party, 0)
            entries = asking + asked - self._both.get(party, 0)
            if isinstance(party, bytes):
                peers[party] = entries
            elif party != NO_POD:
                before = self._pods.get(party, _NONE)
                self._pods[party] = RoleCount(
                    before.entries + entries, before.as_client + asking, before.as_backend + asked
                )
        self._peers.add(peers)
        self._asking.clear()
        self._asked.clear()
        self._both.clear()


def _build_kind(ipv4: bytes, protocol: bytes, number: bytes, state: bytes, unreplied: bytes) -> Kind:
    return Kind(4 if ipv4 else 6, protocol, number, state, unreplied)


class FlowNames:
    """Names for the texts of a listing, looked up in a book.

    Attributes:
        pods: names of pods, by number.
        numbers: the numbers.
        spelled: by address, its canonical spelling.
        whose: by address, the number of its pod, or NO_POD for what is a node's or a Service's, or the address in its
            canonical spelling where the book does not know it.
        service_at: by address, protocol and port, the Service that takes packets there: not at a port that is none of
            its ports, and not without a port.
    """

    def __init__(self, book: AddressBook) -> None:
        self._book = book
        numbers: dict[ObjectName, int] = {}
        own = (address for known in (book.services, book.nodes) for address in known)
        self._known = {_canonical(address): NO_POD for address in own}
        for address, owner in book.pods.items():
            self._known[_canonical(address)] = numbers.setdefault((owner.namespace, owner.name), len(numbers))
        self.pods = tuple(numbers)
        self.numbers = frozenset(numbers.values())
        self.spelled = Memo(_spell)
        self.whose = Memo(self._find)
        self.service_at = Memo(self._find_service)

    def _find(self, text: bytes) -> Party:
        canonical = _spell(text)
        known = self._known.get(canonical)
        if known is not None:
            return known
        return NO_POD if canonical == b"::1" or canonical.startswith(b"127.") else canonical

    def _find_service(self, place: tuple[bytes, bytes, bytes]) -> ObjectName | None:
        address, protocol, port = place
        if isinstance(self.whose[address], bytes):
            return None
        if not port:
            return None
        asked = parse_address(address.decode()), protocol.decode(), int(port)
        # The book names a Service for its bare address, too; but there it takes no packets.
        if asked not in self._book.ports and self._book.owner(asked[0]).kind is OwnerKind.SERVICE:
            return None
        owner = self._book.destination(*asked)
        return (owner.namespace, owner.name) if owner.kind is OwnerKind.SERVICE else None


def _spell(text: bytes) -> bytes:
    """Return an address in its canonical spelling."""
    # ipaddress takes one spelling of an IPv4 address only, and many of an IPv6 one.
    return _canonical(parse_address(text.decode())) if b":" in text else text


def _canonical(address: Address) -> bytes:
    return str(address).encode()
