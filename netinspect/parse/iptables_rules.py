"""Very many rules of `iptables-save`, fast: what rules have in common is read once and kept once.

A rule is a chain, a head, matches and a target, and what each of them says depends on no other. So a line is cut where
the next one seems to begin, and each piece is looked up among those that were read before. If a piece cannot be read to
its end by itself, the cut was wrong (a comment may hold ` -m `) or there is something unknown, and the rule is
read word by word. A test compares both ways.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from netinspect.models.iptables import Match, Rule, Target
from netinspect.parse.iptables_rule import (
    Counters,
    Head,
    build_rule,
    read_head,
    read_match,
    read_rule,
    read_target,
)
from netinspect.parse.iptables_words import WordError, cut_words

T = TypeVar("T")

_COUNTERS = re.compile(r"\[([0-9]{1,20}):([0-9]{1,20})\] ")
# How many pieces of a kind are kept: bounds on memory, not on what can be read. Comments come back in other chains,
# most addresses do not.
_FEW, _MANY = 20_000, 200_000


class RuleReader:
    """Reads the rules of one table, and keeps the pieces of those that it has read."""

    def __init__(self, chains: Mapping[str, str]) -> None:
        """Take the names of the table's chains, each mapped to itself: it is kept once, however many rules name it."""
        self._chains = chains
        self._counters = _Pieces(_FEW, _read_counters)
        self._heads = _Pieces(_FEW, _read_head)
        self._match = _Pieces(_MANY, _read_match)
        self._matches = _Pieces(_MANY, self._read_matches)
        self._targets = _Pieces(_FEW, self._read_target)

    def read(self, line: str) -> Rule | None:
        """Read a rule; None if the line is no `-A CHAIN ...`, or its chain none of the table's.

        Raises:
            WordError: a quote that has no partner.
        """
        front, append, rest = line.partition("-A ")
        name = rest.partition(" ")[0]
        chain = self._chains.get(name)
        counters = self._counters[front]
        if chain is None or counters is None:
            return None
        text = rest[len(name) :]
        raw = append + rest
        rule = self._read_pieces(chain, text, counters, raw)
        if rule is not None:
            return rule
        try:
            return read_rule(chain, text, counters, raw)
        except WordError as error:
            raise WordError(str(error), len(line) - len(text) + error.column) from error

    def _read_pieces(self, chain: str, text: str, counters: Counters, raw: str) -> Rule | None:
        before, jump, target_text = text.rpartition(" -j ")
        target: Target | None = None
        if not jump:
            before = text
        elif (target := self._targets[target_text]) is None:
            return None
        head_text, mark, matches_text = before.partition(" -m ")
        head = self._heads[head_text]
        matches = self._matches[matches_text] if mark else ()
        if head is None or matches is None:
            return None
        return build_rule(chain, head, matches, target, counters, raw)

    def _read_matches(self, text: str) -> tuple[Match, ...] | None:
        matches: list[Match] = []
        for each in text.split(" -m "):
            match = self._match[each]
            if match is None:
                return None
            matches.append(match)
        return tuple(matches)

    def _read_target(self, text: str) -> Target | None:
        chain = self._chains.get(text)
        return _read_target(text) if chain is None else Target(chain)


class _Pieces(dict[str, T | None]):
    """Pieces of one kind by their text, each read when it is first asked for; None if it cannot be read to its end."""

    def __init__(self, limit: int, read: Callable[[str], T | None]) -> None:
        super().__init__()
        self._limit = limit
        self._read = read

    def __missing__(self, text: str) -> T | None:
        """Read a piece."""
        if len(self) >= self._limit:
            self.clear()
        found = self[text] = self._read(text)
        return found


def _read_counters(text: str) -> Counters | None:
    match = _COUNTERS.fullmatch(text)
    if match is None:
        return None if text else (None, None)
    return int(match[1]), int(match[2])


def _read_head(text: str) -> Head | None:
    return _read_whole(text, read_head)


def _read_match(text: str) -> Match | None:
    return _read_whole(f"-m {text}", lambda words: read_match(words, 0))


def _read_target(text: str) -> Target | None:
    return _read_whole(f"-j {text}", lambda words: read_target(words, 0))


def _read_whole(text: str, read: Callable[[Sequence[str]], tuple[T | None, int]]) -> T | None:
    try:
        words = cut_words(text)
    except WordError:
        return None
    found, at = read(words)
    return found if at == len(words) else None
