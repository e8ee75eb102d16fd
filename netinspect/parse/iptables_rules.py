"""Very many rules of `iptables-save`, fast: what rules have in common is read once.

A rule is a chain, a head, matches and a target, and what each of them says depends on no other. So a line is cut where
the next one seems to begin, and each piece is looked up among those that were read before. If a piece cannot be read to
its end by itself, the cut was wrong (a comment may hold ` -m `) or there is something unknown, and the rule is
read word by word. A test compares both ways.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from netinspect.models.iptables import Match, Rule, Target
from netinspect.parse.iptables_rule import build_rule, read_head, read_match, read_rule, read_target
from netinspect.parse.iptables_words import Word, WordError, cut_words

T = TypeVar("T")

_FRONT = re.compile(r"(?:\[([0-9]{1,20}):([0-9]{1,20})\] )?-A ([^ \"]+)(?= |\Z)")
# So many pieces of a kind are kept; a bound on memory, not on what can be read.
_KEPT = 200_000


class RuleReader:
    """Reads rules, and keeps the pieces of those that it has read."""

    def __init__(self) -> None:
        self._heads = _Pieces(read_head)
        self._matches = _Pieces(lambda words: read_match(words, 0))
        self._targets = _Pieces(lambda words: read_target(words, 0))

    def read(self, line: str) -> Rule | None:
        """Read a rule; None if the line is no `-A CHAIN ...`.

        Raises:
            WordError: a quote that has no partner.
        """
        front = _FRONT.match(line)
        if front is None:
            return None
        packets, size, chain = front.groups()
        counters = (None, None) if packets is None else (int(packets), int(size))
        start = front.end()
        raw = line if packets is None else line[front.start(3) - len("-A ") :]
        return self._read_pieces(chain, line[start:], counters, raw) or read_rule(
            chain, raw, start - len(line) + len(raw), *counters
        )

    def _read_pieces(
        self, chain: str, text: str, counters: tuple[int | None, int | None], raw: str
    ) -> Rule | None:
        before, jump, target_text = text.rpartition(" -j ")
        target: Target | None = None
        if not jump:
            before = text
        elif (target := self._targets.get("-j " + target_text)) is None:
            return None
        head_text, *match_texts = before.split(" -m ")
        head = self._heads.get(head_text)
        if head is None:
            return None
        matches: list[Match] = []
        for each in match_texts:
            match = self._matches.get("-m " + each)
            if match is None:
                return None
            matches.append(match)
        return build_rule(chain, head, tuple(matches), target, counters, raw)


class _Pieces(Generic[T]):
    """Pieces of one kind by their text."""

    def __init__(self, read: Callable[[Sequence[Word]], tuple[T | None, int]]) -> None:
        self._read = read
        self._known: dict[str, T | None] = {}

    def get(self, text: str) -> T | None:
        """Return a piece, or None if it cannot be read to its end."""
        if text in self._known:
            return self._known[text]
        if len(self._known) >= _KEPT:
            self._known.clear()
        found = self._known[text] = self._read_whole(text)
        return found

    def _read_whole(self, text: str) -> T | None:
        try:
            words = cut_words(text)
        except WordError:
            return None
        found, at = self._read(words)
        return found if at == len(words) else None
