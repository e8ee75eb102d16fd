"""CoreDNS's Corefile -> server blocks and their plugins.

Source: Caddy v1 as CoreDNS keeps it (coredns/caddy, caddyfile/parse.go). What Caddy would refuse but can be read all
the same is read, and stands in the remainder.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from netinspect.errors import ParseError
from netinspect.models.corefile import (
    Corefile,
    CorefileDirective,
    CorefileServer,
    CorefileSnippet,
    CorefileZone,
)
from netinspect.parse.corefile_words import SOURCE, Word, split_words
from netinspect.parse.corefile_zones import parse_zones

_DEEPEST = 30
"""Blocks in blocks. No plugin of CoreDNS has more than two."""
_MOST_IMPORTS = 10_000
"""Caddy's own bound (parse.go, maxSnippetExpansions): snippets may import each other in a circle."""
_MOST_IMPORTED_WORDS = 200_000


def parse_corefile(text: str) -> Corefile:
    """Read a Corefile.

    Raises:
        ParseError: a brace or a quote has no end, or too much is nested or imported.
    """
    reading = _Reading(deque(split_words(text)))
    while reading.words:
        _read_block(reading)
    return Corefile(
        servers=tuple(reading.servers),
        snippets=tuple(reading.snippets),
        imports=tuple(dict.fromkeys(reading.imports)),
        remainder=tuple(reading.remainder),
    )


@dataclass
class _Reading:
    """What is still to be read, and what was."""

    words: deque[Word]
    expands: bool = True
    servers: list[CorefileServer] = field(default_factory=list)
    snippets: list[CorefileSnippet] = field(default_factory=list)
    bodies: dict[str, list[Word]] = field(default_factory=dict)
    imports: list[str] = field(default_factory=list)
    imported: int = 0
    imported_words: int = 0
    remainder: list[str] = field(default_factory=list)

    def is_next(self, *texts: str) -> bool:
        return bool(self.words) and self.words[0].text in texts

    def rest_of_line(self) -> list[str]:
        """Take the words up to a brace or to the next line."""
        taken: list[str] = []
        while self.words and not self.words[0].starts_line and not self.is_next("{", "}"):
            taken.append(self.words.popleft().text)
        return taken

    def put_aside(self, line: int, *words: str) -> None:
        self.remainder.append(f"{line}: {' '.join(words)}")


def _read_block(reading: _Reading) -> None:
    """Read a server block or a snippet with what stands before its brace."""
    line = reading.words[0].line
    keys = _keys(reading)
    if not keys and not reading.words:
        return
    is_open = reading.is_next("{")
    if is_open:
        reading.words.popleft()
    if len(keys) == 1 and keys[0].startswith("(") and keys[0].endswith(")"):
        _read_snippet(reading, keys[0], line, is_open=is_open)
        return
    zones = tuple(zone for key in keys for zone in _zones(reading, key, line))
    plugins = _lines(reading, line, is_open=is_open, depth=1)
    if keys:
        reading.servers.append(CorefileServer(zones=zones, plugins=plugins, line=line))
    else:
        reading.put_aside(line, "{")


def _keys(reading: _Reading) -> list[str]:
    """Take the keys: those of one line, and of the next if a comma ends it."""
    keys: list[str] = []
    goes_on, line = True, 0
    while reading.words and not reading.is_next("{") and (goes_on or not reading.words[0].starts_line):
        word = reading.words.popleft()
        if word.text == "}":
            raise ParseError(
                "a closing brace without its opening one", source=SOURCE, line=f"{word.line}: }}"
            )
        if word.text == "import" and word.starts_line:
            _import(reading, word)
            continue
        goes_on, line = word.text.endswith(","), word.line
        keys.append(word.text.removesuffix(","))
    if keys and goes_on:
        reading.put_aside(line, f"{keys[-1]},")
    return [key for key in keys if key]


def _zones(reading: _Reading, key: str, line: int) -> tuple[CorefileZone, ...]:
    zones = parse_zones(key)
    if not zones:
        reading.put_aside(line, key)
    return zones


def _read_snippet(reading: _Reading, key: str, line: int, *, is_open: bool) -> None:
    if not is_open:
        reading.put_aside(line, key)
        return
    name = key[1:-1]
    body = _body(reading, line)
    if name in reading.bodies:
        reading.put_aside(line, key)
        return
    reading.bodies[name] = body
    inner = _Reading(deque(body), expands=False)
    lines = _lines(inner, line, is_open=False, depth=1)
    reading.remainder += inner.remainder
    reading.snippets.append(CorefileSnippet(name=name, lines=lines, line=line))


def _body(reading: _Reading, line: int) -> list[Word]:
    """Take what stands between the braces, as words: they are read where they are imported."""
    body: list[Word] = []
    depth = 1
    while reading.words:
        word = reading.words.popleft()
        depth += (word.text == "{") - (word.text == "}")
        if depth == 0:
            return body
        # Lines go backwards where a body is put in: to Caddy its first word does not begin one.
        body.append(word if body else Word(word.text, word.line, starts_line=False))
    raise _unclosed(line)


def _lines(reading: _Reading, line: int, *, is_open: bool, depth: int) -> tuple[CorefileDirective, ...]:
    """Read lines up to the closing brace, or to the end where none was opened."""
    if depth > _DEEPEST:
        raise ParseError(f"blocks in blocks, more than {_DEEPEST} deep", source=SOURCE, line=f"{line}: {{")
    found: list[CorefileDirective] = []
    while reading.words:
        word = reading.words.popleft()
        if word.text == "}":
            if not is_open:
                raise ParseError(
                    "a closing brace without its opening one", source=SOURCE, line=f"{word.line}: }}"
                )
            if found and not word.starts_line:
                reading.put_aside(word.line, "}")
            return tuple(found)
        if word.text == "import" and reading.expands and (depth == 1 or word.starts_line):
            _import(reading, word)
            continue
        directive = _directive(reading, word, depth)
        if directive is not None:
            found.append(directive)
    if is_open:
        raise _unclosed(line)
    return tuple(found)


def _directive(reading: _Reading, first: Word, depth: int) -> CorefileDirective | None:
    """Read a line and its block; None where a block has no name."""
    if first.text == "{":
        reading.put_aside(first.line, "{")
        _lines(reading, first.line, is_open=True, depth=depth + 1)
        return None
    arguments = reading.rest_of_line()
    block: tuple[CorefileDirective, ...] = ()
    if reading.is_next("{"):
        opening = reading.words.popleft()
        block = _lines(reading, opening.line, is_open=True, depth=depth + 1)
        _put_aside_rest(reading, first.line)
    return CorefileDirective(name=first.text, arguments=tuple(arguments), block=block, line=first.line)


def _put_aside_rest(reading: _Reading, line: int) -> None:
    """What follows a closing brace on its line belongs to the directive for Caddy, and means nothing to a plugin."""
    line = reading.words[0].line if reading.words else line
    rest = reading.rest_of_line()
    if rest:
        reading.put_aside(line, *rest)


def _import(reading: _Reading, word: Word) -> None:
    """Put the words of a snippet in the place of its import; note a file, which is not here."""
    arguments = reading.rest_of_line()
    if len(arguments) != 1 or not arguments[0]:
        reading.put_aside(word.line, "import", *arguments)
        return
    name = arguments[0]
    if name not in reading.bodies:
        reading.imports.append(name)
        return
    body = reading.bodies[name]
    reading.imported += 1
    reading.imported_words += len(body)
    if reading.imported > _MOST_IMPORTS or reading.imported_words > _MOST_IMPORTED_WORDS:
        raise ParseError(
            "snippets import too much, or each other", source=SOURCE, line=f"{word.line}: import {name}"
        )
    reading.words.extendleft(reversed(body))


def _unclosed(line: int) -> ParseError:
    return ParseError("a block has no closing brace", source=SOURCE, line=f"{line}: {{")
