"""One iptables rule against one packet: it does not match, it matches, or it hangs on what is not known.

What hangs on the source (networks, the link that it came in by) is given back as conditions to split on; the walk
decides those, and tests of the mark. What no one can know from rules (rates, owners, contents) is undecided and named.
Sources: iptables-extensions(8) and the matches' code in the kernel, net/netfilter/xt_*.c.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from functools import lru_cache

from netinspect.analyze.iptables.extensions import MATCHES
from netinspect.analyze.iptables.packet import PacketView
from netinspect.analyze.iptables.residue import Residue
from netinspect.analyze.iptables.sets import SetLookup
from netinspect.analyze.service_map.source_conditions import holds_for_link
from netinspect.models.address import parse_address
from netinspect.models.ipset import IpSet
from netinspect.models.iptables import Match, Rule, Value
from netinspect.models.service_map import SourceCondition, SourceKind

LOOPBACK = "lo"
# Numbers that iptables prints where it knows no name, and second names (/etc/protocols).
_PROTOCOL_NAMES = {
    "1": "icmp",
    "6": "tcp",
    "17": "udp",
    "33": "dccp",
    "50": "esp",
    "51": "ah",
    "58": "icmpv6",
    "132": "sctp",
    "136": "udplite",
    "ipv6-icmp": "icmpv6",
    "icmp6": "icmpv6",
}
_EVERY_PROTOCOL = frozenset(("all", "0", "ip", "ipv6"))


class RuleMatcher:
    """Judges rules. It holds the sets that rules may name."""

    def __init__(self, sets: Mapping[str, IpSet] | None = None) -> None:
        self._sets = SetLookup(sets or {})

    def judge(self, rule: Rule, view: PacketView) -> Residue | None:
        """Return what a rule still asks of a packet, or None where it certainly does not match.

        Args:
            rule: the rule.
            view: the packet; what the rule asks of it is noted there.
        """
        if rule.fragment is True:
            return None  # conntrack has put fragments together before any of these hooks
        if not (_is_protocol(rule.protocol, view) and _is_destination(rule.destination, view)):
            return None
        residue = Residue()
        if not (_ask_links(rule, view, residue) and _ask_source(rule.source, residue)):
            return None
        for match in rule.matches:
            ask = MATCHES.get(match.name, _unknown)
            matches = self._sets.ask(match, view, residue) if ask is None else ask(match, view, residue)
            if not matches:
                return None
        if rule.remainder:
            residue.doubt(f"not understood: {rule.remainder}")
        return residue


def _unknown(match: Match, _: PacketView, residue: Residue) -> bool:
    return residue.doubt(f"{match.name} match")


def _is_protocol(value: Value | None, view: PacketView) -> bool:
    if value is None:
        return True
    name = _PROTOCOL_NAMES.get(value.text, value.text)
    return (name in _EVERY_PROTOCOL or name == view.protocol) != value.negated


def _is_destination(value: Value | None, view: PacketView) -> bool:
    if value is None:
        return True
    number, mask = read_network(value.text)
    at = view.number
    # A local address that no rule names is in no network that a rule names; but all are in a network of all.
    is_inside = at & mask == number if at >= 0 else mask == 0
    return is_inside != value.negated


def _ask_source(value: Value | None, residue: Residue) -> bool:
    if value is None:
        return True
    condition = read_source(value.text, negated=value.negated)
    if condition is None:
        return residue.doubt(f"source {value.text}")
    residue.conditions.append(condition)
    return True


def _ask_links(rule: Rule, view: PacketView, residue: Residue) -> bool:
    if rule.in_link is not None and not _ask_in_link(rule.in_link, view, residue):
        return False
    return rule.out_link is None or _ask_out_link(rule.out_link, view, residue)


def _ask_in_link(value: Value, view: PacketView, residue: Residue) -> bool:
    if value.text == "+":
        return not value.negated
    if view.is_back:
        return holds_for_link(link_condition(value.text, negated=value.negated), LOOPBACK)
    # By the loopback link come the node's own packets only, and those are seen at OUTPUT.
    if not view.has_link or value.text == LOOPBACK:
        return value.negated
    residue.conditions.append(link_condition(value.text, negated=value.negated))
    return True


def _ask_out_link(value: Value, view: PacketView, residue: Residue) -> bool:
    """The kernel sends by the loopback link what is for itself, and nothing else; the rest is for its routes to say."""
    if value.text == "+":
        return not value.negated
    if view.is_local:
        return holds_for_link(link_condition(value.text, negated=value.negated), LOOPBACK)
    if value.text == LOOPBACK:
        return value.negated
    sign = "! " if value.negated else ""
    return residue.doubt(f"out link {sign}{value.text}")


@lru_cache(maxsize=4096)
def link_condition(name: str, *, negated: bool) -> SourceCondition:
    """Return the condition that a packet came in by a link."""
    return SourceCondition(kind=SourceKind.LINK, values=(name,), negated=negated)


@lru_cache(maxsize=65536)
def read_network(text: str) -> tuple[int, int]:
    """Return a network's number and its mask, which may have holes: `10.0.0.0/8`, `10.0.0.0/255.0.255.0`, `fd00::1`.

    Raises:
        ValueError: it is no network.
    """
    address, _, length = text.partition("/")
    parsed = ipaddress.ip_address(address)
    every = (1 << parsed.max_prefixlen) - 1
    if not length:
        mask = every
    elif length.isdecimal():
        mask = every ^ (every >> int(length))
    else:
        mask = int(ipaddress.ip_address(length))
    return int(parsed) & mask, mask


@lru_cache(maxsize=65536)
def read_source(text: str, *, negated: bool) -> SourceCondition | None:
    """Return the condition that a source is in a network; None where its mask has holes: that is no network."""
    host, _, length_text = text.partition("/")
    if length_text == ("128" if ":" in text else "32"):  # an endpoint's: most rules with a source
        value = f"{parse_address(host)}/{length_text}"
        return SourceCondition(kind=SourceKind.NETWORK, values=(value,), negated=negated)
    number, mask = read_network(text)
    width = 128 if ":" in text else 32
    length = mask.bit_count()
    every = (1 << width) - 1
    if mask != every ^ (every >> length):
        return None
    address = ipaddress.IPv6Address(number) if width == 128 else ipaddress.IPv4Address(number)
    return SourceCondition(kind=SourceKind.NETWORK, values=(f"{address}/{length}",), negated=negated)
