"""Label and field selectors, as far as tests use them."""

from __future__ import annotations

import re
from typing import Any

from tests.fake.messages import Object

_SET = re.compile(r"^(\S+) (in|notin) \(([^)]*)\)$")


def matches(obj: Object, labels: str, fields: str) -> bool:
    values = obj["metadata"].get("labels") or {}
    return all(_label_matches(values, term) for term in _terms(labels)) and all(
        _field_matches(obj, term) for term in _terms(fields)
    )


def _terms(selector: str) -> list[str]:
    return [term.strip() for term in re.split(r",(?![^(]*\))", selector) if term.strip()]


def _label_matches(labels: dict[str, str], term: str) -> bool:
    if found := _SET.match(term):
        key, operator, listed = found.groups()
        is_in = labels.get(key) in [value.strip() for value in listed.split(",")]
        return is_in if operator == "in" else not is_in
    if "!=" in term:
        key, value = term.split("!=")
        return labels.get(key) != value
    if "=" in term:
        key, value = re.split("==?", term)
        return labels.get(key) == value
    return term.removeprefix("!") not in labels if term.startswith("!") else term in labels


def _field_matches(obj: Object, term: str) -> bool:
    is_negated = "!=" in term
    path, value = term.split("!=") if is_negated else re.split("==?", term)
    current: Any = obj
    for part in path.split("."):
        current = (current or {}).get(part, "")
    return (str(current or "") == value) != is_negated
