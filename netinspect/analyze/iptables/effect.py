"""What iptables' targets do to a packet that a rule matches.

Source: iptables-extensions(8), and net/netfilter/xt_*.c for what a target returns (a verdict, or that the next rule is
asked).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

import msgspec

from netinspect.analyze.service_map.packet_mark import (
    UNTOUCHED,
    Marking,
    forget,
    read_value_and_mask,
    set_mark,
    set_xmark,
)
from netinspect.models.address import Address, parse_address
from netinspect.models.iptables import Option, Target

_ALL = 0xFFFFFFFF


class Verdict(StrEnum):
    """How a packet leaves a chain, or what a rule does to it."""

    NOTHING = "nothing"
    """The next rule is asked."""
    UNDECIDED = "undecided"
    """It cannot be said what the target does."""
    RETURN = "return"
    """It goes on behind the rule that led here; at a hook, by the policy."""
    ACCEPT = "accept"
    """This table is done with it."""
    DROP = "drop"
    REJECT = "reject"
    TRANSLATE = "translate"
    """DNAT: it goes to another destination, and this table is done with it."""
    MASQUERADE = "masquerade"
    """Its source is rewritten (MASQUERADE, SNAT), and this table is done with it."""
    UNTRACK = "untrack"
    """No connection is tracked for it: nat is never asked."""


class Effect(msgspec.Struct, frozen=True, gc=False):
    """What a target does.

    Attributes:
        verdict: what happens to the packet.
        marking: what happens to its mark.
        address: where it is translated to; None leaves the address (or it is none that anyone could know).
        port: likewise.
        text: why it is undecided.
    """

    verdict: Verdict
    marking: Marking = UNTOUCHED
    address: Address | None = None
    port: int | None = None
    text: str = ""


_NOTHING = Effect(Verdict.NOTHING)
_FIXED: Mapping[str, Effect] = {
    "ACCEPT": Effect(Verdict.ACCEPT),
    "DROP": Effect(Verdict.DROP),
    "MASQUERADE": Effect(Verdict.MASQUERADE),
    "NOTRACK": Effect(Verdict.UNTRACK),
    "REJECT": Effect(Verdict.REJECT),
    "RETURN": Effect(Verdict.RETURN),
    "SNAT": Effect(Verdict.MASQUERADE),
}
# They count, log, copy, or change what no rule of a Service asks for.
_HARMLESS = frozenset(
    (
        *(
            "AUDIT",
            "CHECKSUM",
            "CLASSIFY",
            "CONNSECMARK",
            "DSCP",
            "ECN",
            "HL",
            "IDLETIMER",
            "LED",
            "LOG",
            "NFLOG",
        ),
        *("RATEEST", "SECMARK", "SET", "TCPMSS", "TCPOPTSTRIP", "TEE", "TOS", "TRACE", "TTL", "ULOG"),
    )
)


def is_harmless(target: Target | None) -> bool:
    """Whether a target does nothing that a walk through rules could see; a rule without one only counts."""
    return target is None or target.name in _HARMLESS


def read_effect(target: Target | None, *, is_own: bool, family: int) -> Effect:
    """Return what a target that is no chain does.

    Args:
        target: of a rule; None only counts.
        is_own: whether the packet is the node's own (REDIRECT then leads to its loopback address).
        family: 4 or 6.
    """
    if target is None:
        return _NOTHING
    fixed = _FIXED.get(target.name)
    if fixed is not None:
        return fixed
    if target.name == "DNAT":
        return _translate(target)
    if target.name == "REDIRECT":
        return _redirect(target, is_own=is_own, family=family)
    read = _MARKS.get(target.name)
    if read is not None:
        return read(target)
    if target.name in _HARMLESS:
        return _NOTHING
    return Effect(Verdict.UNDECIDED, text=f"target {target.name}")


def _translate(target: Target) -> Effect:
    option = target.get("--to-destination")
    text = option.values[0] if option else ""
    try:
        address, port = _split_destination(text)
    except ValueError:
        return Effect(Verdict.UNDECIDED, text=f"target DNAT to {text or 'nowhere'}")
    return Effect(Verdict.TRANSLATE, address=address, port=port)


def _split_destination(text: str) -> tuple[Address | None, int | None]:
    """Split `10.0.0.1:80`, `[fd00::1]:80`, `fd00::1`, `:80`. A range is none that could be named.

    Raises:
        ValueError: it is a range, or nothing of the kind.
    """
    if text.startswith("["):
        inside, _, port = text[1:].partition("]")
        return parse_address(inside), int(port.removeprefix(":")) if port else None
    if text.count(":") > 1:
        return parse_address(text), None
    host, colon, port = text.partition(":")
    return parse_address(host) if host else None, int(port) if colon else None


def _redirect(target: Target, *, is_own: bool, family: int) -> Effect:
    option = target.get("--to-ports")
    text = option.values[0] if option else ""
    if not is_own or not (text.isdecimal() or not text):
        return Effect(Verdict.UNDECIDED, text=f"target REDIRECT to an address of the link {text}".rstrip())
    loopback = parse_address("::1" if family == 6 else "127.0.0.1")
    return Effect(Verdict.TRANSLATE, address=loopback, port=int(text) if text else None)


def _mark(target: Target) -> Effect:
    marking = UNTOUCHED
    for option in target.options:
        read = _MARK_OPTIONS.get(option.name)
        if read is None:
            return Effect(Verdict.UNDECIDED, text=f"target MARK {option.name}")
        marking = marking.then(read(*read_value_and_mask(option.values[0])))
    return Effect(Verdict.NOTHING, marking)


_MARK_OPTIONS: Mapping[str, Callable[[int, int], Marking]] = {
    "--set-xmark": set_xmark,
    "--set-mark": set_mark,
    "--or-mark": lambda value, _: set_xmark(value, value),
    "--and-mark": lambda value, _: set_xmark(0, ~value & _ALL),
    "--xor-mark": lambda value, _: set_xmark(value, 0),
}


def _connection_mark(target: Target) -> Effect:
    """The connection's mark is not followed: what comes from it is not known, what goes into it does not matter."""
    if target.get("--restore-mark") is None:
        return _NOTHING
    mask = target.get("--nfmask") or target.get("--mask")
    return Effect(Verdict.NOTHING, forget(_read_mask(mask)))


def _read_mask(option: Option | None) -> int:
    return int(option.values[0], 0) if option else _ALL


def _track(target: Target) -> Effect:
    return Effect(Verdict.UNTRACK) if target.get("--notrack") else _NOTHING


_MARKS: Mapping[str, Callable[[Target], Effect]] = {"CONNMARK": _connection_mark, "CT": _track, "MARK": _mark}
