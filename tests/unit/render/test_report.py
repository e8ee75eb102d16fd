"""A report in the format that was asked for."""

from __future__ import annotations

import json

import pytest

from netinspect.models.fact import Gap, Reason
from netinspect.models.listing import Owner
from netinspect.models.report import Report
from netinspect.render.output_format import OutputFormat
from netinspect.render.report import render_gap, render_report
from netinspect.render.table import Column

COLUMNS = (
    Column[Owner]("KIND", lambda owner: owner.kind),
    Column[Owner]("NAME", lambda owner: owner.name),
    Column[Owner]("BOTH", lambda owner: f"{owner.kind}/{owner.name}", is_wide=True),
)
REPORT = Report(kind="OwnerList", items=(Owner(kind="Job", name="a"), Owner(kind="Job", name="b")))
EMPTY: Report[Owner] = Report(kind="OwnerList", items=())


def name_of(owner: Owner) -> str:
    return f"job/{owner.name}"


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (OutputFormat.TABLE, [["KIND", "NAME"], ["Job", "a"], ["Job", "b"]]),
        (OutputFormat.WIDE, [["KIND", "NAME", "BOTH"], ["Job", "a", "Job/a"], ["Job", "b", "Job/b"]]),
        (OutputFormat.NAME, [["job/a"], ["job/b"]]),
    ],
)
def test_formats_for_people_have_a_line_an_item(output: OutputFormat, expected: list[list[str]]) -> None:
    """Names have no header: they are made for xargs."""
    text = render_report(REPORT, COLUMNS, name_of, output)
    assert [line.split() for line in text.splitlines()] == expected


def test_json_holds_the_whole_report() -> None:
    """Gaps included, so that a program can tell "none" from "not read"."""
    report: Report[Owner] = Report(
        kind="OwnerList", items=(), gaps=(Gap("node/a", "links", Reason.TIMED_OUT, "10 s"),)
    )
    parsed = json.loads(render_report(report, COLUMNS, name_of, OutputFormat.JSON))
    assert parsed["gaps"] == [{"subject": "node/a", "fact": "links", "reason": "timed-out", "detail": "10 s"}]


@pytest.mark.parametrize("output", [OutputFormat.TABLE, OutputFormat.WIDE, OutputFormat.NAME])
def test_an_empty_table_is_empty_text(output: OutputFormat) -> None:
    """Not even a header: nothing but results goes to stdout."""
    assert render_report(EMPTY, COLUMNS, name_of, output) == ""


def test_an_empty_report_is_whole_json() -> None:
    """A pipe into jq does not break where there is nothing."""
    assert json.loads(render_report(EMPTY, COLUMNS, name_of, OutputFormat.JSON))["items"] == []


def test_headers_can_be_left_out() -> None:
    """As with kubectl --no-headers."""
    text = render_report(REPORT, COLUMNS, name_of, OutputFormat.TABLE, has_headers=False)
    assert [line.split() for line in text.splitlines()] == [["Job", "a"], ["Job", "b"]]


def test_an_item_can_have_several_rows_and_one_name() -> None:
    """A pod with two links is two rows of a table, and one pod."""
    columns = (Column[str]("LETTER", str),)
    text = render_report(REPORT, columns, name_of, OutputFormat.TABLE, rows_of=lambda owner: owner.kind)
    assert text.split() == ["LETTER", *"JobJob"]
    names = render_report(
        REPORT, columns, lambda _: "job/x", OutputFormat.NAME, rows_of=lambda each: each.kind
    )
    assert names == "job/x\n"


def test_a_gap_is_one_safe_line() -> None:
    """What could not be read, whose it is, and why; text of a tool cannot steer the terminal."""
    gap = Gap("pod/demo/web", "links", Reason.TOOL_MISSING, "\x1b[31mip: not found")
    assert render_gap(gap) == "pod/demo/web: links could not be read: \ufffd[31mip: not found (tool-missing)"


def test_a_gap_is_one_line_whatever_a_tool_said() -> None:
    gap = Gap("node/a", "rules", Reason.FAILED, "nft: first\n  second\n")
    assert render_gap(gap) == "node/a: rules could not be read: nft: first second (failed)"
