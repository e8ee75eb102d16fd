"""One rule of `iptables-save`, word by word.

Source of the order: iptables, iptables/xshared.c save_rule_details and iptables/iptables.c print_rule4: first `-s`,
`-d`, `-i`, `-o`, `-p` and `-f`, then the matches, then the target. A `!` stands before the option that it negates.
Each reader takes words from a place on and returns what it read with the place behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from netinspect.models.iptables import Match, Option, Rule, Target, Value
from netinspect.parse.iptables_options import MATCHES, TARGETS, Forms, OptionForm
from netinspect.parse.iptables_words import Word, cut_words

_NO_OPTIONS: Forms = {}
_HEAD_FIELDS = {
    "-s": "source",
    "-d": "destination",
    "-i": "in_link",
    "-o": "out_link",
    "-p": "protocol",
}


class Head(NamedTuple):
    """What a rule says before its matches."""

    source: Value | None = None
    destination: Value | None = None
    in_link: Value | None = None
    out_link: Value | None = None
    protocol: Value | None = None
    fragment: bool | None = None


def read_rule(chain: str, raw: str, start: int, packets: int | None = None, size: int | None = None) -> Rule:
    """Read a rule without its counters; `start` is the place behind its chain.

    Raises:
        WordError: a quote that has no partner.
    """
    words = cut_words(raw, start)
    head, at = read_head(words)
    matches: list[Match] = []
    match, at = read_match(words, at)
    while match is not None:
        matches.append(match)
        match, at = read_match(words, at)
    target, at = read_target(words, at)
    return build_rule(
        chain,
        head,
        tuple(matches),
        target,
        remainder=raw[words[at].start :] if at < len(words) else "",
        counters=(packets, size),
        raw=raw,
    )


def read_head(words: Sequence[Word]) -> tuple[Head, int]:
    """Read what stands before the first match."""
    values: dict[str, Value] = {}
    fragment = None
    at = 0
    while True:
        negated, index = _skip_negation(words, at)
        name = _bare(words, index)
        if name == "-f" and fragment is None:
            fragment = not negated
            at = index + 1
        elif name in _HEAD_FIELDS and _HEAD_FIELDS[name] not in values and index + 1 < len(words):
            values[_HEAD_FIELDS[name]] = Value(words[index + 1].text, negated)
            at = index + 2
        else:
            return Head(**values, fragment=fragment), at


def read_match(words: Sequence[Word], at: int) -> tuple[Match | None, int]:
    """Read a match and those of its options that are known; None where no match that is known begins there."""
    if _bare(words, at) != "-m" or at + 1 >= len(words) or words[at + 1].text not in MATCHES:
        return None, at
    name = words[at + 1].text
    options, at = _read_options(MATCHES[name], words, at + 2)
    return Match(name, options), at


def read_target(words: Sequence[Word], at: int) -> tuple[Target | None, int]:
    """Read a target and those of its options that are known; None where none begins there."""
    flag = _bare(words, at)
    if flag not in ("-j", "-g") or at + 1 >= len(words):
        return None, at
    name = words[at + 1].text
    forms = TARGETS.get(name, _NO_OPTIONS) if flag == "-j" else _NO_OPTIONS
    options, at = _read_options(forms, words, at + 2)
    return Target(name, options, flag == "-g"), at


def _read_options(forms: Forms, words: Sequence[Word], at: int) -> tuple[tuple[Option, ...], int]:
    options: list[Option] = []
    while True:
        negated, index = _skip_negation(words, at)
        form = forms.get(_bare(words, index) or "")
        if form is None:
            return tuple(options), at
        index += 1
        behind = index + _count_values(form, words, index)
        if behind > len(words):
            return tuple(options), at
        options.append(Option(form.name, tuple(word.text for word in words[index:behind]), negated))
        at = behind


def _count_values(form: OptionForm, words: Sequence[Word], at: int) -> int:
    if not form.optional:
        return form.words
    return int(at < len(words) and (words[at].quoted or words[at].text[0] not in "-!"))


def _skip_negation(words: Sequence[Word], at: int) -> tuple[bool, int]:
    negated = _bare(words, at) == "!"
    return negated, at + negated


def _bare(words: Sequence[Word], at: int) -> str | None:
    """Return the word there if it may be an option: it is there and stands in no quotes."""
    return words[at].text if at < len(words) and not words[at].quoted else None


def build_rule(
    chain: str,
    head: Head,
    matches: tuple[Match, ...],
    target: Target | None,
    counters: tuple[int | None, int | None],
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
