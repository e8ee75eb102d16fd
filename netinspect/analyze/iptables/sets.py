"""`-m set`: whether a packet's destination, and which sources, are in an ipset.

Source: ipset(8), iptables-extensions(8). Members are looked up by what they say of the destination; what they say of
the source becomes a condition.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping

import msgspec

from netinspect.analyze.iptables.packet import PacketView
from netinspect.analyze.iptables.residue import Residue
from netinspect.models.ipset import IpSet, SetMember
from netinspect.models.iptables import Match, Option
from netinspect.models.service_map import SourceCondition, SourceKind

_ADDRESSES = frozenset(("ip", "net"))
_HARMLESS = frozenset(("--match-set", "--return-nomatch", "--update-counters", "--update-subcounters"))
_LONGEST_LIST = 8


class _Part(msgspec.Struct, frozen=True):
    """One dimension of a member: a range of addresses or of ports; of a protocol where one is named."""

    low: int
    high: int
    protocol: str = ""

    def holds(self, number: int, protocol: str) -> bool:
        return self.low <= number <= self.high and self.protocol in ("", protocol)


class _Entry(msgspec.Struct, frozen=True):
    """A member in the light of a rule: what it says of the destination, and of the source."""

    destination: tuple[_Part, ...]
    sources: tuple[str, ...]


class _Table(msgspec.Struct, frozen=True):
    """A set in the light of a rule's flags.

    Attributes:
        exact: members that name one address or port in each dimension of the destination, by those.
        wide: all others.
        has_source: whether a dimension is the source's.
        asks: which dimensions are the destination's: `ip` or `port`.
    """

    exact: dict[tuple[object, ...], list[_Entry]]
    wide: list[_Entry]
    has_source: bool
    asks: tuple[str, ...]


class SetLookup:
    """Asks the sets of one node."""

    def __init__(self, sets: Mapping[str, IpSet]) -> None:
        self._sets = sets
        self._tables: dict[tuple[str, str], _Table | None] = {}

    def ask(self, match: Match, view: PacketView, residue: Residue) -> bool:
        """Ask one `set` match, as the functions of `rule_extensions` do."""
        for option in match.options:
            if option.name not in _HARMLESS:
                return residue.doubt(f"set match {option.name}")
        options = [option for option in match.options if option.name == "--match-set"]
        return all(self._ask(option, view, residue) for option in options)

    def _ask(self, option: Option, view: PacketView, residue: Residue) -> bool:
        name, flags = option.values
        tables = self._find(name, flags)
        if tables is None:
            sign = "! " if option.negated else ""
            return residue.doubt(f"set match {sign}{name} {flags}")
        sources: list[str] = []
        for table in tables:
            found = list(_members(table, view))
            if found and not table.has_source:
                return not option.negated
            sources.extend(source for entry in found for source in entry.sources)
        if not sources:
            return option.negated
        values = tuple(sorted(set(sources)))
        residue.conditions.append(
            SourceCondition(kind=SourceKind.NETWORK, values=values, negated=option.negated)
        )
        return True

    def _find(self, name: str, flags: str) -> list[_Table] | None:
        found = self._sets.get(name)
        if found is None:
            return None
        names = [each.parts[0] for each in found.members] if found.type == "list:set" else [name]
        if len(names) > _LONGEST_LIST:
            return None
        tables = [self._table(each, flags) for each in names]
        return None if None in tables else [each for each in tables if each is not None]

    def _table(self, name: str, flags: str) -> _Table | None:
        if (name, flags) not in self._tables:
            found = self._sets.get(name)
            self._tables[name, flags] = _build(found, flags.split(",")) if found else None
        return self._tables[name, flags]


def _build(found: IpSet, flags: list[str]) -> _Table | None:
    dimensions = found.dimensions
    if len(flags) < len(dimensions) or any(
        each not in _ADDRESSES and (each, flag) != ("port", "dst")
        for each, flag in zip(dimensions, flags, strict=False)
    ):
        return None  # a source's port, links, marks and hardware addresses are not known
    pairs = tuple(zip(dimensions, flags, strict=False))
    asks = tuple("port" if each == "port" else "ip" for each, flag in pairs if flag == "dst")
    table = _Table({}, [], any(flag == "src" for _, flag in pairs), asks)
    for member in found.members:
        if member.is_exception:
            return None
        entry = _read(member, pairs)
        if entry is None:
            return None
        key = _exact_key(entry)
        if key is None:
            table.wide.append(entry)
        else:
            table.exact.setdefault(key, []).append(entry)
    return table


def _read(member: SetMember, pairs: Iterable[tuple[str, str]]) -> _Entry | None:
    destination: list[_Part] = []
    sources: tuple[str, ...] = ()
    for text, (dimension, flag) in zip(member.parts, pairs, strict=True):
        if dimension == "port":
            part = _read_port(text)
            if part is None:
                return None
            destination.append(part)
        elif flag == "dst":
            destination.append(_read_addresses(text))
        elif sources:
            return None  # two networks that both have to hold
        else:
            sources = tuple(str(each) for each in _networks(text))
    return _Entry(tuple(destination), sources)


def _exact_key(entry: _Entry) -> tuple[object, ...] | None:
    parts = entry.destination
    if any(part.low != part.high for part in parts):
        return None
    return tuple((part.low, part.protocol) for part in parts)


def _members(table: _Table, view: PacketView) -> Iterable[_Entry]:
    seen = [(view.port if each == "port" else view.number) for each in table.asks]
    protocol = view.protocol if "port" in table.asks else ""
    for kind in dict.fromkeys((protocol, "")):
        key = tuple(
            (number, kind if each == "port" else "") for number, each in zip(seen, table.asks, strict=True)
        )
        yield from table.exact.get(key, ())
    for entry in table.wide:
        if all(part.holds(at, protocol) for part, at in zip(entry.destination, seen, strict=True)):
            yield entry


def _read_port(text: str) -> _Part | None:
    """Read `tcp:80`, `80`, `8000-8010`; None where it is something else (ICMP types)."""
    protocol, colon, ports = text.rpartition(":")
    low, _, high = ports.partition("-")
    if not low.isdecimal() or (high and not high.isdecimal()):
        return None
    return _Part(int(low), int(high or low), protocol if colon else "")


def _read_addresses(text: str) -> _Part:
    networks = list(_networks(text))
    return _Part(int(networks[0].network_address), int(networks[-1].broadcast_address))


def _networks(text: str) -> Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    low, dash, high = text.partition("-")
    if not dash:
        return [ipaddress.ip_network(text, strict=False)]
    first, last = ipaddress.ip_address(low), ipaddress.ip_address(high)
    return list(ipaddress.summarize_address_range(first, last))
