"""kube-proxy's endpoint chains and the rules that choose among them, read by their form: they are most of all rules.

What has exactly this form is read without a walk, and means the same::

    -A KUBE-SVC-X -m comment --comment "..." -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-X
    -A KUBE-SVC-X -m comment --comment "..." -j KUBE-SEP-Y
    -A KUBE-SEP-X -s 10.99.0.1/32 -m comment --comment "..." -j KUBE-MARK-MASQ
    -A KUBE-SEP-X -p tcp -m comment --comment "..." -m recent --set --name ... -m tcp -j DNAT --to-destination ...

Anything else is walked.
"""

from __future__ import annotations

import msgspec

from netinspect.analyze.iptables.effect import Effect, Verdict, read_effect
from netinspect.models.address import Address, parse_address
from netinspect.models.iptables import Match, Rule

_PLAIN = frozenset(("comment", "tcp", "udp", "sctp"))
_RECORDING = frozenset(("--set", "--name", "--mask", "--rsource"))
_FULL_MASKS = frozenset(("255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))


class EndpointChain(msgspec.Struct, frozen=True, gc=False):
    """A chain of that form.

    Attributes:
        host: the source whose packets are marked.
        marking: the rule that says so; it jumps to a chain.
        translation: the rule that translates.
        effect: what that does.
        protocol: whose packets it is for.
        recorded: the list of `recent` that it puts sources on.
    """

    host: Address
    marking: Rule
    translation: Rule
    effect: Effect
    protocol: str
    recorded: tuple[str, ...] = ()


def read_endpoint_chain(rules: tuple[Rule, ...]) -> EndpointChain | None:
    """Return what a chain's rules say, or None where they have any other form."""
    if len(rules) != 2:
        return None
    marking, translation = rules
    target = translation.target
    if target is None or target.name != "DNAT" or marking.target is None or marking.target.is_goto:
        return None
    host = _host_of(marking)
    protocol = translation.protocol
    if host is None or protocol is None or protocol.negated or not _is_bare(translation):
        return None
    if translation.source is not None:
        return None
    effect = read_effect(target, is_own=False, family=host.version)
    recorded = _recorded(translation.matches)
    if effect.verdict is not Verdict.TRANSLATE or effect.address is None or recorded is None:
        return None
    return EndpointChain(host, marking, translation, effect, protocol.text, recorded)


def read_balancing_part(rule: Rule) -> float | None:
    """Return the part of packets that a balancing rule takes, 1 for all; None for a rule of any other form."""
    if rule.source is not None or rule.protocol is not None or not _is_bare(rule):
        return None
    if rule.target is None or rule.target.is_goto:
        return None
    part = 1.0
    for match in rule.matches:
        if match.name == "comment":
            continue
        chance = match.get("--probability")
        if match.name != "statistic" or chance is None or chance.negated or part != 1:
            return None
        part = float(chance.values[0])
    return part


def _host_of(rule: Rule) -> Address | None:
    source = rule.source
    if source is None or source.negated or rule.protocol is not None or not _is_bare(rule):
        return None
    if any(match.name != "comment" for match in rule.matches):
        return None
    text, _, length = source.text.partition("/")
    if length != ("128" if ":" in text else "32"):
        return None
    return parse_address(text)


def _is_bare(rule: Rule) -> bool:
    """Whether a rule asks nothing but source, protocol and matches."""
    return (
        rule.destination is None
        and rule.in_link is None
        and rule.out_link is None
        and rule.fragment is None
        and not rule.remainder
    )


def _recorded(matches: tuple[Match, ...]) -> tuple[str, ...] | None:
    """Return the lists that sources are put on; None where a match asks anything."""
    recorded: tuple[str, ...] = ()
    for match in matches:
        if match.name == "recent":
            name = _recorded_by(match)
            if name is None:
                return None
            recorded = (*recorded, name)
        elif match.name not in _PLAIN or (match.options and match.name != "comment"):
            return None
    return recorded


def _recorded_by(match: Match) -> str | None:
    options = {option.name: option for option in match.options}
    if not options.keys() <= _RECORDING or any(option.negated for option in match.options):
        return None
    mask, name = options.get("--mask"), options.get("--name")
    if "--set" not in options or name is None or (mask is not None and mask.values[0] not in _FULL_MASKS):
        return None
    return name.values[0]
