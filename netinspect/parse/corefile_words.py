"""The words of a Corefile. Source: Caddy v1 as CoreDNS keeps it (coredns/caddy, caddyfile/lexer.go)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from netinspect.errors import ParseError

SOURCE = "Corefile"

# Go's unicode.IsSpace. Python's own set has the four separators 0x1c to 0x1f, too, which are letters here.
_SPACES = "\t\v\f \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_ITEM = re.compile(
    rf"(?P<end>\n)|[{_SPACES}\r]+|#[^\n]*"
    r'|"(?P<quoted>(?:[^"\\]|\\.)*)(?P<closed>"?)'
    rf'|(?P<word>[^{_SPACES}\r\n#"][^{_SPACES}\n#]*)(?:#[^{_SPACES}\n]*)?',
    re.DOTALL,
)
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class Word:
    """A word.

    Attributes:
        text: without its quotes. A quoted brace is a brace all the same: Caddy looks at the text alone.
        line: where it begins, from 1.
        starts_line: nothing stands before it on its line.
    """

    text: str
    line: int
    starts_line: bool


def split_words(text: str) -> list[Word]:
    r"""Cut a Corefile into its words.

    White space parts them, and a carriage return is nothing. A hash begins a comment; inside a word it hides the rest
    of that word only (so does Caddy). A quote opens where a word begins, and may hold line ends; inside it only \" is
    an escape.

    Raises:
        ParseError: a quote has no end.
    """
    words: list[Word] = []
    line, fresh = 1, True
    for item in _ITEM.finditer(text.removeprefix(_BYTE_ORDER_MARK)):
        if item["end"]:
            line, fresh = line + 1, True
        elif item["word"]:
            words.append(Word(item["word"].replace("\r", ""), line, fresh))
            fresh = False
        elif (quoted := item["quoted"]) is not None:
            if not item["closed"]:
                raise ParseError(
                    "a quote has no end", source=SOURCE, line=f"{line}: {item[0]}".partition("\n")[0]
                )
            words.append(Word(_unescape(quoted), line, fresh))
            line, fresh = line + quoted.count("\n"), False
    return words


def _unescape(quoted: str) -> str:
    return re.sub(r"\\(.)", lambda pair: '"' if pair[1] == '"' else pair[0], quoted, flags=re.DOTALL)
