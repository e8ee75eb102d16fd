"""Tables much as kubectl prints them: upper-case headers, columns kept apart by blanks, no lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from netinspect.render.sanitize import sanitize

T = TypeVar("T")

EMPTY = "<none>"
"""What kubectl prints where there is no value."""


@dataclass(frozen=True)
class Column(Generic[T]):
    """A column of a table.

    Attributes:
        header: its header, in upper case.
        cell: gives an item's text; an empty one is shown as `<none>`.
        is_wide: whether it is shown by `-o wide` only.
    """

    header: str
    cell: Callable[[T], str]
    is_wide: bool = False


def render_table(
    columns: Sequence[Column[T]], items: Iterable[T], *, is_wide: bool = False, has_headers: bool = True
) -> str:
    """Lay items out as a table; each line ends with a newline and has no trailing blanks."""
    from tabulate import tabulate  # late: 80 ms that no other output needs

    shown = [column for column in columns if is_wide or not column.is_wide]
    rows = [[_one_line(column.cell(item)) for column in shown] for item in items]
    headers = [column.header for column in shown] if has_headers else ()
    # disable_numparse: an ifindex is a name, and a MAC such as 12:e3 no number. Plain joins by two blanks.
    text = tabulate(rows, headers=headers, tablefmt="plain", disable_numparse=True)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def _one_line(text: str) -> str:
    # Whatever str.splitlines() takes for the end of a line would cut the row in two.
    return " ".join(sanitize(text).replace("\t", " ").splitlines()) or EMPTY
