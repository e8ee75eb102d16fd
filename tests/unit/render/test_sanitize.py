"""Text from nodes and objects does not steer the terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.render.sanitize import sanitize


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\x1b[2J", id="escape sequence"),
        pytest.param("\x9b2J", id="8-bit escape sequence"),
        pytest.param("\r", id="carriage return"),
        pytest.param("\x08", id="backspace"),
        pytest.param("\x7f", id="delete"),
        pytest.param("\u202e", id="right-to-left override"),
        pytest.param("\u2066", id="isolate"),
        pytest.param("\x00", id="null"),
    ],
)
def test_what_steers_a_terminal_becomes_a_replacement_character(text: str) -> None:
    """One for one, so that it is seen that something was there."""
    assert sanitize(f"a{text}b") == f"a\ufffd{text[1:]}b"


_OVERRIDES = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@given(st.text())
def test_a_terminal_is_never_steered_and_the_rest_is_kept(text: str) -> None:
    """No control character but newline and tab is left, no override, and no character is lost or added."""
    clean = sanitize(text)
    assert len(clean) == len(text)
    assert all(unicodedata.category(each) != "Cc" or each in "\n\t" for each in clean)
    assert not _OVERRIDES & {unicodedata.bidirectional(each) for each in clean}
    assert sanitize(clean) == clean
