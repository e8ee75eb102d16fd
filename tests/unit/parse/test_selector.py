"""Selectors as the API server reads them."""

from __future__ import annotations

import pytest

from netinspect.errors import ParseError
from netinspect.parse.selector import (
    Operator,
    Requirement,
    matches_fields,
    matches_labels,
    parse_field_selector,
    parse_label_selector,
)

LABELS = {"app": "web", "tier": "front", "n": "5", "empty": "", "word": "five"}


@pytest.mark.parametrize(
    ("text", "is_met"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app = web", True),
        ("app=api", False),
        ("app!=api", True),
        ("app!=web", False),
        ("none!=web", True),
        ("none=web", False),
        ("app", True),
        ("none", False),
        ("!app", False),
        ("!none", True),
        ("! none", True),
        ("app in (web,api)", True),
        ("app in (api)", False),
        ("app notin (api, x)", True),
        ("app notin (web)", False),
        ("none notin (web)", True),
        ("none in (web)", False),
        ("empty=", True),
        ("empty=,app=web", True),
        ("app=", False),
        ("empty in (a,)", True),
        ("empty in (,a)", True),
        ("n>4", True),
        ("n>5", False),
        ("n<6", True),
        ("n<5", False),
        ("none<5", False),
        ("word<9", False),
        ("app=web,tier in (front),!none,n>1", True),
        ("app=web,tier in (back)", False),
        ("kubernetes.io/name notin (x)", True),
    ],
)
def test_labels_are_selected(text: str, is_met: bool) -> None:
    """apimachinery, labels.Parse and Requirement.Matches."""
    assert matches_labels(parse_label_selector(text), LABELS) is is_met


def test_a_selector_is_read_into_its_requirements() -> None:
    """In their order."""
    assert parse_label_selector("a=b,c in (d,e),!f") == (
        Requirement("a", Operator.IN, ("b",)),
        Requirement("c", Operator.IN, ("d", "e")),
        Requirement("f", Operator.MISSING),
    )


@pytest.mark.parametrize(
    "text",
    [
        "=a",
        "a=b,",
        ",a",
        "a b",
        "a in",
        "a in b",
        "a in ()",
        "a in (b",
        "a in (b c)",
        "a>x",
        "!",
        "a=(",
        "a=b=c",
        "a!b",
    ],
)
def test_what_is_no_selector_is_refused(text: str) -> None:
    """The API server refuses it as well."""
    with pytest.raises(ParseError):
        parse_label_selector(text)


POD = {
    "metadata": {"name": "web-1", "namespace": "demo"},
    "spec": {"nodeName": "node-a", "hostNetwork": True},
    "status": {"phase": "Running", "podIP": None},
}


@pytest.mark.parametrize(
    ("text", "is_met"),
    [
        ("", True),
        ("metadata.name=web-1", True),
        ("metadata.name==web-2", False),
        ("metadata.namespace!=demo", False),
        ("spec.nodeName=node-a,status.phase=Running", True),
        ("spec.nodeName=node-a,status.phase!=Running", False),
        ("spec.nodeName=", False),
        ("status.podIP=", True),
        ("status.podIP=10.0.0.1", False),
        ("spec.nothing.more=", True),
        ("spec.hostNetwork=true", True),
        (r"metadata.name=web\,1", False),
        ("metadata.name=web-1,", True),
    ],
)
def test_fields_are_selected(text: str, is_met: bool) -> None:
    """apimachinery, fields.ParseSelector; a field that is not there is empty."""
    assert matches_fields(parse_field_selector(text), POD) is is_met


def test_signs_in_values_are_escaped() -> None:
    """Addresses of IPv6 have none of them."""
    (term,) = parse_field_selector(r"a=b\,c\=d\\e")
    assert term.values == (r"b,c=d\e",)
    assert parse_field_selector("status.podIP=fd00::1")[0].values == ("fd00::1",)


@pytest.mark.parametrize("text", ["a", "a,b=c", "a=b\\"])
def test_what_is_no_field_selector_is_refused(text: str) -> None:
    """The API server refuses it as well."""
    with pytest.raises(ParseError):
        parse_field_selector(text)
