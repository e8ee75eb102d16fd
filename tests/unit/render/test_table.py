"""Tables as kubectl prints them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netinspect.render.table import Column, render_table

COLUMNS: tuple[Column[tuple[str, str]], ...] = (
    Column("ADDRESS", lambda item: item[0]),
    Column("NAME", lambda item: item[1]),
    Column("BOTH", lambda item: "".join(item), is_wide=True),
)
CELLS = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


def test_columns_are_aligned_and_lines_end_where_their_text_ends() -> None:
    """Two lines can be compared at a glance, and copied without blanks."""
    text = render_table(COLUMNS, [("fd00:10:244:1::4", "web"), ("10.0.0.7", "a-longer-name")])
    header, *lines = text.splitlines()
    assert header.split() == ["ADDRESS", "NAME"]
    assert [line.index(name) for line, name in zip(lines, ["web", "a-longer"], strict=True)] == [
        header.index("NAME")
    ] * 2
    assert text == "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def test_wide_columns_are_shown_when_asked_for() -> None:
    """Headers and cells alike."""
    text = render_table(COLUMNS, [("fd00::7", "web")], is_wide=True)
    assert [line.split()[-1] for line in text.splitlines()] == ["BOTH", "fd00::7web"]


def test_an_empty_cell_is_shown_as_kubectl_shows_it() -> None:
    """So that columns can be counted."""
    assert render_table(COLUMNS, [("", "web")], has_headers=False).split() == ["<none>", "web"]


def test_what_looks_like_a_number_is_printed_as_it_came() -> None:
    """An ifindex is a name, and 1e5 may be the start of a MAC address."""
    cells = [("007", "1e5"), ("12:e3", "0x10")]
    assert render_table(COLUMNS, cells, has_headers=False).split() == ["007", "1e5", "12:e3", "0x10"]


def test_a_cell_stays_in_its_line_and_steers_no_terminal() -> None:
    """A name from a node can hold anything."""
    text = render_table(COLUMNS, [("a\nb\tc", "\x1b[31mred")], has_headers=False)
    assert text.splitlines() == [text.rstrip("\n")]
    assert "\x1b" not in text
    assert text.startswith("a b c")


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8))
def test_every_item_is_one_line_with_all_its_cells(items: list[tuple[str, str]]) -> None:
    """Nothing is cut, wrapped or merged."""
    lines = render_table(COLUMNS, items).splitlines()
    assert [tuple(line.split()) for line in lines[1:]] == items
