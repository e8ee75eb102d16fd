"""Words of a rule as `iptables-save` prints them: cut, quote and unquote.

Source: iptables, libxtables/xtables.c xtables_save_string. A string of letters, digits, `_` and `-` alone is printed
bare; any other in double quotes, where `"`, a backslash and `'` get a backslash before them. Nothing else is escaped:
a quoted string may hold line feeds. Other values (addresses, ports, names of sets) are printed bare whatever they hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_QUOTED = r'"[^"\\]*(?:\\.[^"\\]*)*"'
# A quote begins a string only where a word begins, and ends it only where the word ends.
_WORD = re.compile(rf'({_QUOTED})(?![^ ])|[^ "][^ ]*', re.DOTALL)
_CLOSED = re.compile(_QUOTED, re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_TO_ESCAPE = re.compile(r"""(["\\'])""")


class Quoted(str):
    """A word that stood in quotes, without them: a value, never an option or a `!`."""

    __slots__ = ()


class WordError(ValueError):
    """A quoted string that has no end, or does not end its word.

    Attributes:
        column: where it begins.
    """

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.column = column


def cut_words(text: str) -> list[str]:
    """Cut a text into words; those that stood in quotes are of a type of their own.

    Raises:
        WordError: a quote that has no partner.
    """
    if '"' not in text:
        words = text.lstrip(" ").split(" ")
        return [word for word in words if word] if "" in words else words
    return [Quoted(unquote(match[1])) if match[1] else match[0] for match in _find_words(text)]


def skip_words(text: str, count: int) -> str:
    """Return what stands behind so many words, from the next word on."""
    for index, match in enumerate(_find_words(text)):
        if index == count:
            return text[match.start() :]
    return ""


def _find_words(text: str) -> Iterator[re.Match[str]]:
    position, end = 0, len(text)
    while position < end:
        if text[position] == " ":
            position += 1
            continue
        match = _WORD.match(text, position)
        if match is None:
            raise WordError("a quoted string that does not end with its word", position)
        yield match
        position = match.end()


def find_rule_end(text: str, start: int, end: int) -> int:
    """Return where a rule ends that begins at `start` and whose first line ends at `end`: strings may hold line feeds.

    Raises:
        WordError: a string has no end; the column counts from the start of the text.
    """
    position = start
    while position < end:
        position = text.find('"', position, end)
        if position < 0:
            break
        if text[position - 1] != " ":
            position += 1
            continue
        closed = _CLOSED.match(text, position)
        if closed is None:
            raise WordError("a quoted string that has no end", position)
        position = closed.end()
        if position > end:
            end = text.find("\n", position)
            if end < 0:
                raise WordError("the output ends within a line", position)
    return end


def unquote(text: str) -> str:
    """Return what a quoted string, with its quotes, says."""
    inner = text[1:-1]
    return _ESCAPED.sub(r"\1", inner) if "\\" in inner else inner


def quote(text: str) -> str:
    """Print a string as the tool does: bare where it can be."""
    return text if _BARE.fullmatch(text) else always_quote(text)


def always_quote(text: str) -> str:
    """Print a string in quotes."""
    return '"' + _TO_ESCAPE.sub(r"\\\1", text) + '"'
