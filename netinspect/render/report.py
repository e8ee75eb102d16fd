"""A report in the format that was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from netinspect.models.fact import Gap
from netinspect.models.report import Report
from netinspect.render.output_format import OutputFormat
from netinspect.render.sanitize import sanitize
from netinspect.render.structured import render_json, render_yaml
from netinspect.render.table import Column, render_table

T = TypeVar("T")


def render_report(
    report: Report[T],
    columns: Sequence[Column[Any]],
    name_of: Callable[[T], str],
    output: OutputFormat,
    *,
    rows_of: Callable[[T], Iterable[Any]] | None = None,
    has_headers: bool = True,
) -> str:
    """Return the report's text. An empty table is empty text: nothing but results goes to stdout.

    Args:
        report: the answer.
        columns: what a row of the table shows.
        name_of: an item's resource name.
        output: the format.
        rows_of: the rows that an item has in the table; None is one row, the item itself.
        has_headers: whether tables have a header line.
    """
    if output is OutputFormat.JSON:
        return render_json(report)
    if output is OutputFormat.YAML:
        return render_yaml(report)
    if output is OutputFormat.NAME:
        names = dict.fromkeys(name_of(item) for item in report.items)
        return "".join(f"{sanitize(name)}\n" for name in names)
    if not report.items:
        return ""
    rows = report.items if rows_of is None else [row for item in report.items for row in rows_of(item)]
    return render_table(columns, rows, is_wide=output is OutputFormat.WIDE, has_headers=has_headers)


def render_gap(gap: Gap) -> str:
    """Write a missing fact as one line for stderr."""
    detail = " ".join(gap.detail.split())
    return sanitize(f"{gap.subject}: {gap.fact} could not be read: {detail} ({gap.reason.value})")
