"""Files of processes, framed by their lengths."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.errors import ParseError
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.parse.resolv_confs import parse_resolv_confs

TWO = b"file 12 19\nnameserver fd00::53\nnone 13\nfile 14 3\na\nb\ndone 3\n"


def test_each_file_is_read_and_a_process_without_one_left_out() -> None:
    """A file may hold lines that look like the frame."""
    first, second = parse_resolv_confs(TWO)
    assert (first.pid, second.pid, second.text) == (12, 14, "a\nb")
    assert isinstance(first.conf, Known)
    assert [str(each) for each in first.conf.value.nameservers] == ["fd00::53"]
    (framed,) = parse_resolv_confs(b"file 1 6\ndone 1\ndone 1\n")
    assert framed.text == "done 1"


def test_a_file_that_is_no_text_is_unavailable_and_the_others_stay() -> None:
    """It is the pod's, and may hold anything."""
    (file,) = parse_resolv_confs(b"file 1 3\na\0b\ndone 1\n")
    assert isinstance(file.conf, Unavailable)
    assert file.conf.reason is Reason.UNPARSABLE


@pytest.mark.parametrize("end", range(len(TWO)))
def test_what_was_cut_is_an_error(end: int) -> None:
    """At whatever byte: never fewer files."""
    with pytest.raises(ParseError):
        parse_resolv_confs(TWO[:end])


BROKEN = [b"done 1\n", b"file 1 1\nab\ndone 1\n", b"file x 1\na\ndone 1\n", b"none 1\ndone 2\n"]


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_frame_is_an_error(text: bytes) -> None:
    """With what was found in its place."""
    with pytest.raises(ParseError):
        parse_resolv_confs(text)


@given(st.binary())
def test_arbitrary_bytes_raise_nothing_else(data: bytes) -> None:
    """Only ParseError."""
    with suppress(ParseError):
        parse_resolv_confs(data)
