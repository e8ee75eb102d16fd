"""Label and field selectors, as the API server reads them (apimachinery pkg/labels, pkg/fields).

For lists that are narrowed here rather than by the API server: those of a recording.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from netinspect.errors import ParseError

_LABEL_SOURCE, _FIELD_SOURCE = "label selector", "field selector"
_TOKEN = re.compile(r"\s*(==|!=|[=!<>(),]|[^\s=!<>(),]+)")
_TERM_END = re.compile(r"((?:[^\\,]|\\.)*)(?:,|\Z)", re.DOTALL)
_COMPARISON = re.compile(r"((?:[^\\=!]|\\.|!(?!=))*)(==|!=|=)(.*)", re.DOTALL)


class Operator(StrEnum):
    """What a requirement asks of a value."""

    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    MISSING = "!"
    ABOVE = ">"
    BELOW = "<"


class Requirement(msgspec.Struct, frozen=True):
    """One condition; a selector holds where all of its conditions do.

    Attributes:
        key: of a label; of a field its path ("spec.nodeName").
        operator: what is asked.
        values: what is compared with.
    """

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def is_met(self, value: str | None) -> bool:
        """Whether a value meets it; None where there is none."""
        if self.operator is Operator.IN:
            return value in self.values
        if self.operator is Operator.NOT_IN:
            return value not in self.values
        if self.operator in (Operator.EXISTS, Operator.MISSING):
            return (value is not None) is (self.operator is Operator.EXISTS)
        if value is None or not _is_integer(value):
            return False
        limit = int(self.values[0])
        return int(value) > limit if self.operator is Operator.ABOVE else int(value) < limit


def parse_label_selector(text: str) -> tuple[Requirement, ...]:
    """Read `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1`; "" selects everything.

    Raises:
        ParseError: it is no such selector.
    """
    tokens = _Tokens(text)
    found: list[Requirement] = []
    while tokens.next:
        found.append(_read_requirement(tokens))
        if tokens.next and (tokens.take() != "," or not tokens.next):
            raise tokens.error("expected ',' and a requirement, or the end")
    return tuple(found)


def parse_field_selector(text: str) -> tuple[Requirement, ...]:
    r"""Read `a.b=c,d!=e`; a backslash takes `,`, `=` and itself out of their meaning. "" selects everything.

    Raises:
        ParseError: it is no such selector.
    """
    found: list[Requirement] = []
    for term in _split_terms(text):
        match = _COMPARISON.fullmatch(term)
        if match is None:
            raise ParseError("expected FIELD=VALUE or FIELD!=VALUE", source=_FIELD_SOURCE, line=term)
        operator = Operator.NOT_IN if match[2] == "!=" else Operator.IN
        found.append(Requirement(match[1], operator, (re.sub(r"\\(.)", r"\1", match[3]),)))
    return tuple(found)


def matches_labels(selector: Sequence[Requirement], labels: Mapping[str, str]) -> bool:
    """Whether an object with these labels is selected."""
    return all(each.is_met(labels.get(each.key)) for each in selector)


def matches_fields(selector: Sequence[Requirement], fields: Mapping[str, Any]) -> bool:
    """Whether an object is selected. A field that it lacks is empty.

    Args:
        selector: of fields, named by their place in the object.
        fields: the object's JSON.
    """
    return all(each.is_met(_find(fields, each.key)) for each in selector)


class _Tokens:
    """The words and signs of a label selector, one ahead."""

    def __init__(self, text: str) -> None:
        self._text = text.strip()
        self._place = 0
        self.next = ""
        self.take()

    def take(self) -> str:
        """Return the next token, and go on; "" at the end."""
        taken = self.next
        match = _TOKEN.match(self._text, self._place)
        self.next = match[1] if match else ""
        self._place = match.end() if match else self._place
        return taken

    def error(self, message: str) -> ParseError:
        return ParseError(message, source=_LABEL_SOURCE, line=self._text)


def _read_requirement(tokens: _Tokens) -> Requirement:
    if tokens.next == "!":
        tokens.take()
        return Requirement(_read_word(tokens), Operator.MISSING)
    key = _read_word(tokens)
    if tokens.next in ("", ","):
        return Requirement(key, Operator.EXISTS)
    operator = tokens.take()
    if operator in ("in", "notin"):
        return Requirement(key, Operator(operator), tuple(_read_set(tokens)))
    value = "" if tokens.next in ("", ",") else _read_word(tokens)
    if operator in ("=", "==", "!="):
        return Requirement(key, Operator.NOT_IN if operator == "!=" else Operator.IN, (value,))
    if operator in ("<", ">") and _is_integer(value):
        return Requirement(key, Operator(operator), (value,))
    raise tokens.error(f"expected a comparison after {key!r}")


def _read_set(tokens: _Tokens) -> Iterator[str]:
    """Read `(a,b)`. A value may be empty: `(a,)` has two."""
    if tokens.take() != "(":
        raise tokens.error("expected '('")
    if tokens.next == ")":
        raise tokens.error("a set of values is empty")
    while True:
        yield "" if tokens.next in (",", ")") else _read_word(tokens)
        end = tokens.take()
        if end == ")":
            return
        if end != ",":
            raise tokens.error("expected ',' or ')'")


def _read_word(tokens: _Tokens) -> str:
    word = tokens.take()
    if not word or word in ("==", "!=") or word in "=!<>(),":
        raise tokens.error("expected a name or a value")
    return word


def _split_terms(text: str) -> Iterator[str]:
    place = 0
    while place < len(text):
        match = _TERM_END.match(text, place)
        if match is None:  # a backslash stands at the end
            raise ParseError("a backslash before nothing", source=_FIELD_SOURCE, line=text)
        if match[1]:
            yield match[1]
        place = max(match.end(), place + 1)


def _find(fields: Mapping[str, Any], path: str) -> str:
    value: Any = fields
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _is_integer(text: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]+", text) is not None
