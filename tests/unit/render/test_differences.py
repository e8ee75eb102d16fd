"""How a difference is written: in a row of the table, and as a resource name."""

from __future__ import annotations

import pytest

from netinspect.models.difference import Change, Difference, FieldChange, Subject
from netinspect.models.service_map import Hook
from netinspect.render.differences import COLUMNS, name_of, show_detail, show_name
from netinspect.render.table import render_table

MANY = ", ".join(f"10.0.0.{number}:80" for number in range(1, 12))
LESS = ", ".join(f"10.0.0.{number}:80" for number in range(2, 12))


def difference(*fields: FieldChange, change: Change = Change.CHANGED, **others: object) -> Difference:
    values = {"what": Subject.RULES, "name": "demo/web:http", "namespace": "demo", "node": "node-a", **others}
    return Difference(change=change, fields=fields, **values)  # type: ignore[arg-type]


def field(before: str = "", after: str = "", **others: str) -> FieldChange:
    return FieldChange(field="backends", before=before, after=after, **others)


@pytest.mark.parametrize(
    ("given", "detail"),
    [
        (
            difference(field("10.0.0.1:80, 10.0.0.2:80", "10.0.0.1:80")),
            "backends 10.0.0.1:80, 10.0.0.2:80 -> 10.0.0.1:80",
        ),
        (difference(field("", "x")), "backends none -> x"),
        (
            difference(field("x", ""), change=Change.REMOVED, at="10.0.0.9:80/tcp"),
            "10.0.0.9:80/tcp: backends x",
        ),
        (difference(field("", "x"), change=Change.ADDED), "backends x"),
        (difference(field("x", "y", source="fd00::1")), "backends (from fd00::1) x -> y"),
        (difference(field("x", "y"), at="a", hooks=(Hook.OUTPUT,)), "a at output: backends x -> y"),
        (difference(field("x", "y"), at="a", hooks=(Hook.PREROUTING, Hook.OUTPUT)), "a: backends x -> y"),
        (difference(field(MANY, LESS)), "backends 11 -> 10 (-10.0.0.1:80)"),
        (difference(field(LESS, MANY)), "backends 10 -> 11 (+10.0.0.1:80)"),
        (
            difference(field("", MANY), change=Change.ADDED),
            f"backends {', '.join(MANY.split(', ')[:8])} and 3 more",
        ),
    ],
)
def test_detail(given: Difference, detail: str) -> None:
    assert show_detail(given) == detail


def test_wide_shows_the_whole_of_both_sides() -> None:
    assert show_detail(difference(field(MANY, LESS)), is_wide=True) == f"backends {MANY} -> {LESS}"
    added = difference(field("", MANY), change=Change.ADDED)
    assert show_detail(added, is_wide=True) == f"backends {MANY}"


@pytest.mark.parametrize(
    ("given", "name", "shown"),
    [
        (difference(), "rules/web:http", "demo/web:http"),
        (difference(what=Subject.POD, name="demo/web-1"), "pod/web-1", "demo/web-1"),
        (difference(name="10.0.0.1:80/tcp", namespace=""), "rules/10.0.0.1:80/tcp", "10.0.0.1:80/tcp"),
        (difference(what=Subject.NODE, name="node-a", namespace=""), "node/node-a", "node-a"),
        (difference(what=Subject.CONNTRACK, name="node-a", namespace=""), "node/node-a", "node-a"),
        (
            difference(what=Subject.LINK, name="eth0", pod="demo/web-1"),
            "pod/web-1/eth0",
            "pod demo/web-1 eth0",
        ),
        (difference(what=Subject.LINK, name="cni0", namespace=""), "node/node-a/cni0", "cni0"),
        (
            difference(what=Subject.DATAPLANE, name="nftables", namespace="", family=6),
            "node/node-a/IPv6/nftables",
            "nftables",
        ),
    ],
)
def test_names(given: Difference, name: str, shown: str) -> None:
    assert (name_of(given), show_name(given)) == (name, shown)


def test_the_table() -> None:
    text = render_table(COLUMNS, [difference(field("x", "y"), at="a")])
    assert [line.split() for line in text.splitlines()] == [
        ["WHAT", "NAME", "NODE", "CHANGE", "DETAIL"],
        ["rules", "demo/web:http", "node-a", "changed", "a:", "backends", "x", "->", "y"],
    ]
