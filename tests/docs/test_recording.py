"""docs/recording.md names every key that a recording's JSON can have, and the limits that the reader keeps."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from netinspect.archive import layout, unpack
from netinspect.models.recording import RecordedError

PAGE = Path(__file__).parents[2].joinpath("docs", "recording.md").read_text("utf-8")
SHAPES = (
    layout.Manifest,
    layout.MemberEntry,
    layout.RequestEntry,
    layout.TripEntry,
    layout.ResultEntry,
    RecordedError,
)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_every_key_is_told(shape: type[msgspec.Struct]) -> None:
    keys = [field.encode_name for field in msgspec.structs.fields(shape)]
    assert keys
    assert [key for key in keys if f"`{key}`" not in PAGE] == []


def test_format_version_and_limits_are_those_of_the_code() -> None:
    assert f"`{layout.FORMAT}`" in PAGE
    assert f"version {layout.VERSION}." in PAGE
    assert f"{unpack.MAX_MEMBERS:,} members" in PAGE
    sizes = [f"{each >> 30} GiB" for each in (unpack.MAX_MEMBER_BYTES, unpack.MAX_TOTAL_BYTES)]
    assert f"{sizes[0]} in one or {sizes[1]} in all" in " ".join(PAGE.split())
