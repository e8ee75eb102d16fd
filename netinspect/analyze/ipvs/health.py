"""Health-check node ports in IPVS mode: ports that filter INPUT lets in because a set names them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netinspect.analyze.iptables.effect import Verdict
from netinspect.analyze.iptables.packet import Packet, PacketView
from netinspect.analyze.iptables.walk import RuleWalker
from netinspect.models.ipset import IpSet
from netinspect.models.iptables import Rule, Ruleset, Table
from netinspect.models.service_map import Branch, Destination, Hook, MapEntry, Outcome

_PROTOCOLS = ("sctp", "tcp", "udp")


def read_health_checks(
    walker: RuleWalker, family: int, rules: Ruleset, sets: Mapping[str, IpSet]
) -> Iterator[MapEntry]:
    """Yield an entry for each port that a rule with a set of ports accepts, for any local address.

    The set is a bitmap of ports: it is not asked of which protocol.
    """
    accepting = list(_accepting(rules))
    texts = {rule.raw for rule in accepting}
    for port in sorted({port for rule in accepting for port in _ports(rule, sets)}):
        for protocol in _PROTOCOLS:
            packet = Packet(
                hook=Hook.INPUT, family=family, protocol=protocol, address=None, port=port, is_local=True
            )
            branches = tuple(_accepted(walker, packet, texts))
            if branches:
                destination = Destination(address=None, protocol=protocol, port=port)
                yield MapEntry(hook=Hook.INPUT, destination=destination, branches=branches)


def _accepted(walker: RuleWalker, packet: Packet, texts: set[str]) -> Iterator[Branch]:
    """Yield a branch for each leaf of filter INPUT, none if no leaf is accepted by one of these rules."""
    leaves = walker.walk("filter", "INPUT", PacketView(packet))
    outcomes = {Verdict.DROP: Outcome.DROP, Verdict.REJECT: Outcome.REJECT, Verdict.ACCEPT: Outcome.ACCEPT}
    if not any(rule.text in texts for leaf in leaves for rule in leaf.rules):
        return
    for leaf in leaves:
        verdict = leaf.end.verdict if leaf.end else Verdict.RETURN
        yield Branch(
            when=leaf.when,
            outcome=outcomes.get(verdict, Outcome.NONE),
            rules=leaf.rules,
            undecided=tuple(doubt.text for doubt in leaf.doubts),
        )


def _accepting(rules: Ruleset) -> Iterator[Rule]:
    for chain in rules.tables.get("filter", Table(name="filter")).chains.values():
        for rule in chain.rules:
            if rule.target is not None and rule.target.name == "ACCEPT" and rule.match("set"):
                yield rule


def _ports(rule: Rule, sets: Mapping[str, IpSet]) -> Iterator[int]:
    """Yield the ports of the sets that a rule looks up the destination port in."""
    for match in rule.matches:
        for option in match.options if match.name == "set" else ():
            name, flags = (*option.values, "", "")[:2]
            found = sets.get(name) if option.name == "--match-set" and flags == "dst" else None
            for member in found.members if found and found.type == "bitmap:port" else ():
                low, _, high = member.parts[0].partition("-")
                yield from range(int(low), int(high or low) + 1)
