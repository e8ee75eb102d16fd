"""Matches of iptables by name: what each says of the first packet of a connection.

Source: iptables-extensions(8) and net/netfilter/xt_*.c. Each function returns False where the packet certainly does not
match; what it cannot know it leaves to the residue. A match that is not here is undecided.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping

from netinspect.analyze.iptables.packet import PacketView
from netinspect.analyze.iptables.residue import MarkTest, RecentCheck, Residue
from netinspect.analyze.service_map.packet_mark import read_value_and_mask
from netinspect.models.iptables import Match, Option
from netinspect.models.service_map import SourceCondition, SourceKind

MatchFunction = Callable[[Match, PacketView, Residue], bool]

_LAST_PORT = 65535
_FULL_MASKS = frozenset(("255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))


def _always(_: Match, __: PacketView, ___: Residue) -> bool:
    return True


def _ask_ports(match: Match, view: PacketView, residue: Residue) -> bool:
    """`tcp`, `udp`, `sctp`, `dccp`, `udplite`; they match their own protocol only, which `-p` before them says."""
    for option in match.options:
        if option.name == "--dport":
            if _is_port(option.values[0], view.port) == option.negated:
                return False
        elif option.name == "--tcp-flags":
            if _is_first_segment(option) == option.negated:
                return False
        elif option.name == "--syn":
            if option.negated:
                return False
        elif option.name != "--sport" or not _is_every_port(option):
            residue.doubt(_show(match, option))
    return True


def _ask_multiport(match: Match, view: PacketView, residue: Residue) -> bool:
    for option in match.options:
        is_inside = option.name != "--sports" and any(
            _is_port(each, view.port) for each in option.values[0].split(",")
        )
        if option.name == "--dports":
            if is_inside == option.negated:
                return False
        elif is_inside:  # --ports, by its destination already
            if option.negated:
                return False
        else:
            residue.doubt(_show(match, option))
    return True


def _is_port(text: str, port: int) -> bool:
    low, colon, high = text.partition(":")
    if not colon:
        return int(low) == port
    return int(low or 0) <= port <= int(high or _LAST_PORT)


def _is_every_port(option: Option) -> bool:
    return option.values[0] == f"0:{_LAST_PORT}" and not option.negated


def _is_first_segment(option: Option) -> bool:
    """Whether `--tcp-flags MASK COMPARED` fits a segment that opens a connection: SYN alone of the six flags."""
    mask, compared = (set(each.split(",")) for each in option.values)
    looked_at = {"SYN"} if mask & {"SYN", "ALL"} else set()
    return looked_at == compared - {"NONE"}


def _ask_states(match: Match, view: PacketView, residue: Residue) -> bool:
    """`conntrack` and `state`: the packet is NEW; DNAT is true of it once it is translated."""
    return all(_ask_state(match, option, view, residue) for option in match.options)


def _ask_state(match: Match, option: Option, view: PacketView, residue: Residue) -> bool:
    name, value = option.name, option.values[0] if option.values else ""
    if name in ("--ctstate", "--state"):
        states = value.split(",")
        is_so = "NEW" in states or ("DNAT" in states and view.is_translated)
    elif name == "--ctdir":
        is_so = value == "ORIGINAL"
    elif name == "--ctstatus":
        is_so = value == "NONE"  # no reply, no confirmation and no assurance yet
    elif name == "--ctorigdstport" and not view.is_translated:
        is_so = _is_port(value, view.port)
    elif name == "--ctorigdst" and not view.is_translated:
        is_so = view.address is not None and view.address in ipaddress.ip_network(value, strict=False)
    else:
        return residue.doubt(_show(match, option))
    return is_so != option.negated


def _ask_mark(match: Match, _: PacketView, residue: Residue) -> bool:
    for option in match.options:
        value, mask = read_value_and_mask(option.values[0])
        residue.marks.append(MarkTest(value, mask, option.negated))
    return True


def _ask_types(match: Match, view: PacketView, residue: Residue) -> bool:
    if any(option.name.startswith("--limit-iface") for option in match.options):
        return residue.doubt("addrtype match with limit-iface")
    return all(_ask_type(match, option, view, residue) for option in match.options)


def _ask_type(match: Match, option: Option, view: PacketView, residue: Residue) -> bool:
    types = set(option.values[0].split(","))
    if option.name == "--dst-type":
        is_so = _is_of_type(types, view)
    elif "LOCAL" in types and not view.has_link:
        is_so = True
    elif types == {"LOCAL"} or not view.has_link:
        is_so = False
    else:
        is_so = None
    return residue.doubt(_show(match, option)) if is_so is None else is_so != option.negated


def _is_of_type(types: set[str], view: PacketView) -> bool | None:
    if view.is_local or types == {"LOCAL"}:
        return "LOCAL" in types and view.is_local
    address = view.address
    if address is not None and address.is_multicast:
        return "MULTICAST" in types
    if types <= {"LOCAL", "MULTICAST"}:
        return False
    return None  # the node's routes decide whether it is UNICAST, BROADCAST, BLACKHOLE ...


def _ask_range(match: Match, view: PacketView, residue: Residue) -> bool:
    for option in match.options:
        low, _, high = option.values[0].partition("-")
        first, last = ipaddress.ip_address(low), ipaddress.ip_address(high or low)
        if option.name == "--dst-range":
            if (int(first) <= view.number <= int(last)) == option.negated:
                return False
        else:
            values = tuple(str(each) for each in ipaddress.summarize_address_range(first, last))
            residue.conditions.append(
                SourceCondition(kind=SourceKind.NETWORK, values=tuple(sorted(values)), negated=option.negated)
            )
    return True


def _ask_bridge(match: Match, view: PacketView, residue: Residue) -> bool:
    """`physdev`: what the node itself sends came in by no port of a bridge."""
    for option in match.options:
        if view.has_link or option.name not in ("--physdev-is-in", "--physdev-in"):
            residue.doubt(_show(match, option))
        elif not option.negated:
            return False
    return True


def _ask_chance(match: Match, _: PacketView, residue: Residue) -> bool:
    for option in match.options:
        if option.name == "--probability":
            part = float(option.values[0])
        elif option.name == "--every":  # each rule counts for itself: over time exactly one packet of n
            part = 1 / int(option.values[0])
        else:
            continue
        residue.probability *= 1 - part if option.negated else part
        return True
    return residue.doubt("statistic match")


def _ask_memory(match: Match, _: PacketView, residue: Residue) -> bool:
    """`recent`: kube-proxy's session affinity. A list of sources, full addresses, looked at and written."""
    names = {option.name: option for option in match.options}
    mask = names.get("--mask")
    if "--rdest" in names or (mask is not None and mask.values[0] not in _FULL_MASKS):
        return residue.doubt("recent match that is not by the whole source address")
    name = names["--name"].values[0] if "--name" in names else "DEFAULT"
    if "--set" in names and not names["--set"].negated:
        residue.recorded.append(name)
        return True
    check, seconds = names.get("--rcheck") or names.get("--update"), names.get("--seconds")
    if check is None or check.negated or seconds is None or {"--hitcount", "--rttl"} & names.keys():
        return residue.doubt("recent match")
    residue.check = RecentCheck(name, int(seconds.values[0]))
    return True


def _ask_owner(match: Match, view: PacketView, residue: Residue) -> bool:
    """`owner`: only what the node itself sends has a socket here."""
    if view.has_link:
        return all(option.negated for option in match.options)
    return residue.doubt("owner match")


def _show(match: Match, option: Option) -> str:
    sign = "! " if option.negated else ""
    return " ".join((f"{match.name} match", f"{sign}{option.name}", *option.values))


MATCHES: Mapping[str, MatchFunction | None] = {
    "addrtype": _ask_types,
    "comment": _always,
    "conntrack": _ask_states,
    "dccp": _ask_ports,
    "iprange": _ask_range,
    "mark": _ask_mark,
    "multiport": _ask_multiport,
    "nfacct": _always,  # it only counts
    "owner": _ask_owner,
    "physdev": _ask_bridge,
    "recent": _ask_memory,
    "sctp": _ask_ports,
    "set": None,  # see rule_sets: it needs the sets
    "state": _ask_states,
    "statistic": _ask_chance,
    "tcp": _ask_ports,
    "udp": _ask_ports,
    "udplite": _ask_ports,
}
"""What asks a packet, by the match's name; None for what asks sets."""
