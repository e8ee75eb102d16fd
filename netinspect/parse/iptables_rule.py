"""One rule of `iptables-save`, word by word.

Source of the order: iptables, iptables/xshared.c save_rule_details and iptables/iptables.c print_rule4: first `-s`,
`-d`, `-i`, `-o`, `-p` and `-f`, then the matches, then the target. A `!` stands before the option that it negates.
Each reader takes words from a place on and returns what it read with the place behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from sys import intern
from typing import NamedTuple

from netinspect.models.iptables import Match, Option, Rule, Target, Value
from netinspect.parse.iptables_options import MATCHES, TARGETS, Forms
from netinspect.parse.iptables_words import Quoted, cut_words, skip_words

# Packets and bytes, both None where the text has none.
Counters = tuple[int | None, int | None]

_NO_OPTIONS: Forms = {}
_HEAD_FIELDS = {
    "-s": "source",
    "-d": "destination",
    "-i": "in_link",
    "-o": "out_link",
    "-p": "protocol",
}


_ADDRESSES = ("source", "destination")


class Head(NamedTuple):
    """What a rule says before its matches."""

    source: Value | None = None
    destination: Value | None = None
    in_link: Value | None = None
    out_link: Value | None = None
    protocol: Value | None = None
    fragment: bool | None = None


def read_rule(chain: str, text: str, counters: Counters, raw: str) -> Rule:
    """Read a rule word by word; `text` is what stands behind its chain.

    Raises:
        WordError: a quote that has no partner.
    """
    words = cut_words(text)
    head, at = read_head(words)
    matches: list[Match] = []
    match, at = read_match(words, at)
    while match is not None:
        matches.append(match)
        match, at = read_match(words, at)
    target, at = read_target(words, at)
    remainder = skip_words(text, at) if at < len(words) else ""
    return build_rule(chain, head, tuple(matches), target, counters, raw, remainder)


def read_head(words: Sequence[str]) -> tuple[Head, int]:
    """Read what stands before the first match."""
    values: dict[str, Value] = {}
    fragment = None
    at, end = 0, len(words)
    while at < end:
        name, negated, behind = _option_at(words, at)
        field = _HEAD_FIELDS.get(name)
        if field in _ADDRESSES and behind < end and not _is_network(words[behind]):
            break
        if field is not None and field not in values and behind < end:
            values[field] = Value(str(words[behind]), negated)
            at = behind + 1
        elif name == "-f" and fragment is None:
            fragment = not negated
            at = behind
        else:
            break
    return Head(**values, fragment=fragment), at


@lru_cache(maxsize=65536)
def _is_network(text: str) -> bool:
    """Whether a text is an address, with a prefix length or a mask where one is behind a slash."""
    host, slash, length = text.partition("/")
    try:
        width = ip_address(host).max_prefixlen
        if not slash:
            return True
        if length.isdecimal() and length.isascii():
            return int(length) <= width
        return ip_address(length).max_prefixlen == width
    except ValueError:
        return False


def read_match(words: Sequence[str], at: int) -> tuple[Match | None, int]:
    """Read a match and those of its options that are known; None where no match that is known begins there."""
    name, negated, behind = _option_at(words, at)
    if name != "-m" or negated or behind >= len(words) or words[behind] not in MATCHES:
        return None, at
    known = intern(str(words[behind]))
    options, at = _read_options(MATCHES[known], words, behind + 1)
    return Match(known, options), at


def read_target(words: Sequence[str], at: int) -> tuple[Target | None, int]:
    """Read a target and those of its options that are known; None where none begins there."""
    flag, negated, behind = _option_at(words, at)
    if flag not in ("-j", "-g") or negated or behind >= len(words):
        return None, at
    name = intern(str(words[behind]))
    forms = TARGETS.get(name, _NO_OPTIONS) if flag == "-j" else _NO_OPTIONS
    options, at = _read_options(forms, words, behind + 1)
    return Target(name, options, flag == "-g"), at


def _read_options(forms: Forms, words: Sequence[str], at: int) -> tuple[tuple[Option, ...], int]:
    options: list[Option] = []
    end = len(words)
    while at < end:
        name, negated, behind = _option_at(words, at)
        form = forms.get(name)
        if form is None:
            break
        first = behind
        behind += _count_values(words, first) if form.optional else form.words
        if behind > end:
            break
        options.append(Option(form.name, tuple(map(str, words[first:behind])), negated))
        at = behind
    return tuple(options), at


def _count_values(words: Sequence[str], at: int) -> int:
    """Count the values of an option that may have one or none."""
    return int(at < len(words) and (isinstance(words[at], Quoted) or words[at][0] not in "-!"))


def _option_at(words: Sequence[str], at: int) -> tuple[str, bool, int]:
    """Return the word that may be an option ("" where none may), whether a `!` negates it, and the place behind."""
    word = words[at] if at < len(words) else ""
    negated = word == "!" and not isinstance(word, Quoted)
    if negated:
        at += 1
        word = words[at] if at < len(words) else ""
    return "" if isinstance(word, Quoted) else word, negated, at + 1


def build_rule(
    chain: str,
    head: Head,
    matches: tuple[Match, ...],
    target: Target | None,
    counters: Counters,
    raw: str,
    remainder: str = "",
) -> Rule:
    """Put a rule together."""
    source, destination, in_link, out_link, protocol, fragment = head
    packets, size = counters
    return Rule(
        chain=chain,
        source=source,
        destination=destination,
        in_link=in_link,
        out_link=out_link,
        protocol=protocol,
        fragment=fragment,
        matches=matches,
        target=target,
        remainder=remainder,
        packets=packets,
        bytes=size,
        raw=raw,
    )
