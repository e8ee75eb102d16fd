"""Reads a POSIX shell script as the simple commands that it is made of, for tests of what a script may do.

It knows as much of the grammar (POSIX.1-2017, Shell & Utilities, 2) as the scripts of `netinspect/probes` use:
quotes, here-documents, command and parameter substitutions, groups, subshells, functions, `case`. What it does not
know (backquotes, arrays, `<<-`) is an error, and what it takes for a command that is none shows as an unknown name: a
mistake here makes a test fail, not pass.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_BEFORE_A_COMMAND = frozenset(("if", "then", "else", "elif", "while", "until", "do", "!", "{"))
_ENDS = frozenset(("fi", "done", "esac", "}"))
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_REDIRECTION = re.compile(r"\d*(<<|>>|<&|>&|<|>)")


@dataclass(frozen=True)
class SimpleCommand:
    """A command as written: quotes are removed, expansions are kept as their text.

    Attributes:
        words: the name and its arguments.
        redirections: operator and target, `(">", "/dev/null")`.
    """

    words: tuple[str, ...]
    redirections: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The command's name, "" where there are only redirections."""
        return self.words[0] if self.words else ""


@dataclass
class Script:
    """A script in parts.

    Attributes:
        commands: every simple command, those in substitutions included.
        functions: the names of its functions.
        literals: the texts in single quotes: programs of awk, and scripts for another shell.
    """

    commands: list[SimpleCommand] = field(default_factory=list)
    functions: set[str] = field(default_factory=set)
    literals: list[str] = field(default_factory=list)

    @property
    def names(self) -> set[str]:
        """The names of all commands but the script's own functions; what `exec`, `timeout` and the like run counts."""
        called = (name for each in self.commands for name in called_by(each.words))
        return {name for name in called if name} - self.functions


def called_by(words: tuple[str, ...]) -> Iterator[str]:
    """Yield a command's name and, where it runs another one that its arguments name, that one's, and so on."""
    while words:
        yield words[0]
        words = _operand_of(words)


def _operand_of(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command that a command runs; `set --` keeps one to be run later."""
    name, arguments = words[0], words[1:]
    if name in ("nsenter", "set") and "--" in arguments:
        return arguments[arguments.index("--") + 1 :]
    if name == "timeout":
        return arguments[3:] if arguments[:1] == ("-k",) else arguments[1:]
    if name in ("command", "exec", "unshare"):
        return tuple(itertools.dropwhile(lambda word: word.startswith("-"), arguments))
    return ()


def read_script(text: str) -> Script:
    """Take a script apart."""
    script = Script()
    _Reader(text, script).read_list(until="")
    return script


class _Reader:
    """Walks through the text once; substitutions are read by the same methods, one level down."""

    def __init__(self, text: str, script: Script) -> None:
        self._text = text
        self._at = 0
        self._script = script
        self._here_ends: list[str] = []

    def read_list(self, until: str) -> None:
        """Read commands up to the end of the text, or to an unmatched `until`."""
        words: list[str] = []
        redirections: list[tuple[str, str]] = []
        while self._at < len(self._text):
            rest = self._text[self._at :]
            if match := re.match(r"[ \t]+|\\\n|#[^\n]*", rest):
                self._at += match.end()
            elif rest[0] == ")" and until == ")":
                break
            elif match := re.match(r"\(\)", rest):
                self._script.functions.add(words.pop())
                self._at += match.end()
            elif rest[0] == "(" and not words:
                self._at += 1
                self.read_list(until=")")
            elif rest[0] == ")":  # nothing opened it: what stood before it was the pattern of a `case`
                words.clear()
                self._at += 1
            elif match := re.match(r"&&|\|\||;;|[;&|\n]", rest):
                self._finish(words, redirections)
                self._at += match.end()
                if match.group() == "\n":
                    self._skip_here_documents()
            elif match := _REDIRECTION.match(rest):
                self._at += match.end()
                redirections.append((match.group(1), self._read_target(match.group(1))))
            else:
                self._take(self._read_word(), words)
        self._finish(words, redirections)
        self._at += len(until)

    def _take(self, word: str, words: list[str]) -> None:
        is_first = not words
        if is_first and (word in _BEFORE_A_COMMAND or word in _ENDS or _ASSIGNMENT.match(word)):
            return
        words.append(word)

    def _finish(self, words: list[str], redirections: list[tuple[str, str]]) -> None:
        if words or redirections:
            self._script.commands.append(SimpleCommand(tuple(words), tuple(redirections)))
        words.clear()
        redirections.clear()

    def _read_target(self, operator: str) -> str:
        while self._text[self._at] in " \t":
            self._at += 1
        target = self._read_word()
        if operator == "<<":
            self._here_ends.append(target)
        return target

    def _skip_here_documents(self) -> None:
        for end in self._here_ends:
            stop = self._text.index(f"\n{end}\n", self._at - 1) + 1
            body = _Reader(self._text[self._at : stop], self._script)
            body.read_quoted(until="")
            self._at = stop + len(end)
        self._here_ends.clear()

    def _read_word(self) -> str:
        start, word = self._at, ""
        while self._at < len(self._text) and self._text[self._at] not in " \t\n;&|()<>":
            word += self._read_piece()
        assert self._at > start, f"not understood: {self._text[start : start + 40]!r}"
        return word

    def _read_piece(self) -> str:
        start = self._at
        character = self._text[start]
        assert character != "`", "backquotes are not understood"
        if character == "'":
            end = self._text.index("'", start + 1)
            self._at = end + 1
            self._script.literals.append(self._text[start + 1 : end])
            return self._text[start + 1 : end]
        if character == '"':
            self._at += 1
            return self.read_quoted(until='"')
        if character == "\\":
            self._at += 2
            return self._text[start + 1 : self._at]
        if character == "$":
            return self._read_expansion()
        self._at += 1
        return character

    def read_quoted(self, until: str) -> str:
        """Read text in which only expansions count, up to the closing quote or the end of the text."""
        text = ""
        while self._at < len(self._text) and self._text[self._at] != until:
            assert self._text[self._at] != "`", "backquotes are not understood"
            if self._text[self._at] == "$":
                text += self._read_expansion()
            elif self._text[self._at] == "\\":
                text += self._text[self._at : self._at + 2]
                self._at += 2
            else:
                text += self._text[self._at]
                self._at += 1
        self._at += len(until)
        return text

    def _read_expansion(self) -> str:
        start = self._at
        if self._text.startswith("$((", start):
            self._at = self._text.index("))", start) + 2
        elif self._text.startswith("$(", start):
            self._at += 2
            self.read_list(until=")")
        elif self._text.startswith("${", start):
            self._at = self._text.index("}", start) + 1
        else:
            match = re.compile(r"\$(\w+|[@*#?$!-])?").match(self._text, start)
            assert match is not None
            self._at = match.end()
        return self._text[start : self._at]
