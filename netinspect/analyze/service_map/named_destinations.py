"""Which destinations the rules of iptables name, as far as a walk from the hooks gets there.

What no rule names has no entry in a service map. In filter only kube-proxy's own chains are read for names: they hold
the Services without endpoints. Firewalls name many more, and these are no Services.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from netinspect.analyze.iptables.chain import named_host, named_port
from netinspect.models.address import parse_address
from netinspect.models.ipset import IpSet
from netinspect.models.iptables import Match, Rule, Ruleset

_PROTOCOLS: Mapping[str, str] = {
    **{each: each for each in ("tcp", "udp", "sctp")},
    "6": "tcp",
    "17": "udp",
    "132": "sctp",
}
_FILTER_CHAINS = frozenset(
    ("KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-NODEPORTS", "KUBE-NODE-PORT", "KUBE-PROXY-FIREWALL")
)
_SERVICE = re.compile(r"[a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9.-]*(?::[a-z0-9-]+)?(?= |$)")


class NamedDestination(msgspec.Struct, frozen=True, gc=False):
    """A destination that a rule names.

    Attributes:
        number: its address as a number; None where it is any local one.
        protocol: `tcp`, `udp` or `sctp`.
        port: its port.
    """

    number: int | None
    protocol: str
    port: int


class NamedDestinations(msgspec.Struct, frozen=True):
    """All destinations that rules name; each with the Service as the rule's comment says it, or `""`.

    Attributes:
        translated: in nat.
        refused: in filter, by kube-proxy.
        accepted: likewise, but let in (health-check node ports).
        ranges: rules of nat that name ranges of ports: what they lead to has no entries.
    """

    translated: dict[NamedDestination, str]
    refused: dict[NamedDestination, str]
    accepted: dict[NamedDestination, str]
    ranges: tuple[str, ...] = ()


class _Context(msgspec.Struct, frozen=True):
    """What the rules on the way to a chain have named already."""

    number: int | None = None
    protocol: str | None = None
    ports: tuple[int, ...] = ()


def find_named_destinations(rules: Ruleset, sets: Mapping[str, IpSet]) -> NamedDestinations:
    """Return what the rules name that a packet can meet.

    Args:
        rules: of one family.
        sets: that rules may name; their members count as named.
    """
    found = NamedDestinations({}, {}, {})
    ranges: list[str] = []
    for rule, context in _Search(rules, "nat").run("PREROUTING", "OUTPUT"):
        names = _names(rule, context, sets)
        for each in names:
            found.translated.setdefault(each, service_of(rule))
        if not names and _has_range(rule):
            ranges.append(rule.raw)
    for rule, context in _Search(rules, "filter").run("INPUT", "FORWARD", "OUTPUT"):
        if rule.chain in _FILTER_CHAINS:
            _note_filter(found, rule, _names(rule, context, sets))
    return msgspec.structs.replace(found, ranges=tuple(dict.fromkeys(ranges)))


def service_of(rule: Rule) -> str:
    """Return the Service that a rule's comment names, as `namespace/name:port`; `""` where it names none."""
    found = _SERVICE.match(rule.comment)
    return found[0] if found else ""


def _note_filter(found: NamedDestinations, rule: Rule, names: Iterable[NamedDestination]) -> None:
    if rule.target is None or rule.target.name == "RETURN":
        return
    into = found.accepted if rule.target.name == "ACCEPT" else found.refused
    for each in names:
        into.setdefault(each, service_of(rule))


class _Search:
    """Goes through every chain of a table that is reached, once for each context."""

    def __init__(self, rules: Ruleset, table: str) -> None:
        self._rules = rules
        self._table = table
        self._seen: set[tuple[str, _Context]] = set()

    def run(self, *chains: str) -> Iterator[tuple[Rule, _Context]]:
        """Yield the rules that do something, from some chains on, each with all that is named there."""
        for chain in chains:
            yield from self._run(chain, _Context())

    def _run(self, chain: str, context: _Context) -> Iterator[tuple[Rule, _Context]]:
        found = self._rules.chain(self._table, chain)
        if found is None or (chain, context) in self._seen:
            return
        self._seen.add((chain, context))
        for rule in found.rules:
            if rule.target is None:
                continue
            inside = _narrow(context, rule)
            yield rule, inside
            # What is named whole names nothing more in the chains that follow.
            if not (inside.protocol and inside.ports):
                yield from self._run(rule.target.name, inside)


def _narrow(context: _Context, rule: Rule) -> _Context:
    number = named_host(rule)
    protocol = None
    if rule.protocol is not None and not rule.protocol.negated:
        protocol = _PROTOCOLS.get(rule.protocol.text)
    ports = _ports_of(rule)
    if number is None and protocol is None and not ports:
        return context
    return _Context(
        context.number if number is None else number, protocol or context.protocol, ports or context.ports
    )


def _ports_of(rule: Rule) -> tuple[int, ...]:
    port = named_port(rule)
    if port is not None:
        return (port,)
    match = rule.match("multiport")
    option = (match.get("--dports") or match.get("--ports")) if match else None
    if option is None or option.negated:
        return ()
    return tuple(int(each) for each in option.values[0].split(",") if each.isdecimal())


def _has_range(rule: Rule) -> bool:
    """Whether a rule translates a range of ports."""
    if rule.target is None or rule.target.name not in ("DNAT", "REDIRECT"):
        return False
    options = (option for match in rule.matches for option in match.options)
    return any(option.name in ("--dport", "--dports") and ":" in option.values[0] for option in options)


def _names(rule: Rule, context: _Context, sets: Mapping[str, IpSet]) -> tuple[NamedDestination, ...]:
    match = rule.match("set")
    if match is not None:
        return tuple(_names_in_set(match, context, sets))
    if context.protocol is None:
        return ()
    return tuple(NamedDestination(context.number, context.protocol, port) for port in context.ports)


def _names_in_set(match: Match, context: _Context, sets: Mapping[str, IpSet]) -> Iterator[NamedDestination]:
    """Yield the members of sets by address and port, or by port; others name no destination."""
    option = match.get("--match-set")
    if option is None or option.negated or option.values[0] not in sets:
        return
    found = sets[option.values[0]]
    flags = option.values[1].split(",")
    dimensions = [each for each, flag in zip(found.dimensions, flags, strict=False) if flag == "dst"]
    if dimensions not in (["ip", "port"], ["port"]):
        return
    for member in found.members:
        parts = [part for part, flag in zip(member.parts, flags, strict=False) if flag == "dst"]
        yield from _name_of_member(parts, context)


def _name_of_member(parts: list[str], context: _Context) -> Iterator[NamedDestination]:
    protocol, _, port = parts[-1].rpartition(":")
    named = protocol or context.protocol or ""
    if named not in _PROTOCOLS or not port.isdecimal():
        return
    number = context.number
    if len(parts) == 2:
        number = _number_of(parts[0])
        if number is None:
            return
    yield NamedDestination(number, named, int(port))


def _number_of(text: str) -> int | None:
    try:
        return int(parse_address(text))
    except ValueError:
        return None
