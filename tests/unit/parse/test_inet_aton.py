"""The old ways to write an IPv4 address, against the C library's own inet_aton."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netinspect.parse.inet_aton import parse_inet_aton


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("::1", None),
        ("2001:db8::1", None),
        ("10.96.0.10", "10.96.0.10"),
        ("10.1", "10.0.0.1"),
        ("10.1.2", "10.1.0.2"),
        ("1", "0.0.0.1"),
        ("010.0.0.1", "8.0.0.1"),
        ("0x7F.1", "127.0.0.1"),
        ("4294967295", "255.255.255.255"),
        ("4294967296", None),
        ("1.2.3.256", None),
        ("256.1", None),
        ("1.2.3.4.5", None),
        ("08", None),
        ("0x", None),
        ("1.", None),
        (".1", None),
        ("", None),
        ("1 ", None),
        ("-1", None),
        ("1.16777216", None),
        ("1.16777215", "1.255.255.255"),
        ("\u0661", None),
    ],
)
def test_reads_what_libcs_read(text: str, expected: str | None) -> None:
    """One to four numbers in three bases, the last of which fills the rest."""
    found = parse_inet_aton(text)
    assert found == (None if expected is None else ipaddress.IPv4Address(expected))


@settings(deadline=None)
@given(st.text("0123456789abxX.", max_size=20))
def test_agrees_with_the_c_library(text: str) -> None:
    """Whatever inet_aton takes is taken, with the same address."""
    try:
        expected = socket.inet_aton(text)
    except OSError:
        assert parse_inet_aton(text) is None
    else:
        found = parse_inet_aton(text)
        assert found is not None
        assert found.packed == expected
