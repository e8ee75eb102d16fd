"""Durations on the command line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.parse.duration import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0", 0),
        ("90s", 90),
        ("1m30s", 90),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("1.s", 1),
        ("250ms", 0.25),
        ("1us", 1e-6),
        ("1µs", 1e-6),
        ("1ns", 1e-9),
        ("1h1m1s1ms", 3661.001),
        ("1m1m", 120),
        ("2562047h", 2562047 * 3600),
    ],
)
def test_reads_gos_durations_and_plain_seconds(text: str, seconds: float) -> None:
    """As kubectl's --request-timeout takes them."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "s",
            "m5",
            "5 m",
            "5m ",
            " 5m",
            "-5s",
            "+5s",
            "1.5",
            "1d",
            "1M",
            "five",
            "5s5",
            "1..5s",
            "5m\n",
        ),
        *("∞s", "²", "1_0s", "2562048h", "9" * 400, "9" * 400 + "s"),
    ],
)
def test_refuses_what_is_none(text: str) -> None:
    """Also what no clock could count to: the text is shown, with how to write one."""
    with pytest.raises(ValueError, match="write 30s, 5m or 1h30m") as caught:
        parse_duration(text)
    assert f'"{text}"' in str(caught.value)


@given(st.integers(0, 2000), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_parts_add_up(hours: int, minutes: int, seconds: int, milliseconds: int) -> None:
    """Whatever parts there are."""
    text = f"{hours}h{minutes}m{seconds}s{milliseconds}ms"
    assert parse_duration(text) == pytest.approx(hours * 3600 + minutes * 60 + seconds + milliseconds / 1000)


@given(st.text("0123456789.hmsunµ -+²٣", max_size=12) | st.text())
def test_arbitrary_text_raises_nothing_else(text: str) -> None:
    """A duration that a clock can count, or a ValueError in our words."""
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        assert str(error).startswith("invalid duration")  # noqa: PT017 - one of two ways out
    else:
        assert 0 <= seconds < 1e10
