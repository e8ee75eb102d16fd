"""The tool's own count of what it listed."""

from __future__ import annotations

import pytest

from netinspect.parse.conntrack_shown import parse_entries_shown


@pytest.mark.parametrize(
    ("stderr", "count"),
    [
        (b"conntrack v1.4.7 (conntrack-tools): 9 flow entries have been shown.\n", 9),
        (b"conntrack v1.4.9 (conntrack-tools): 0 flow entries have been shown.", 0),
        (b"a warning\nconntrack v1.4.7 (conntrack-tools): 1048576 flow entries have been shown.\n", 1048576),
        (b"", None),
        (b"conntrack v1.4.7 (conntrack-tools): 9 flow entries have been deleted.\n", None),
        (b"conntrack v1.4.7 (conntrack-tools): 9 flow entries have been shown.\nOperation failed\n", None),
    ],
)
def test_the_count_is_the_last_sentence_on_stderr(stderr: bytes, count: int | None) -> None:
    """Otherwise it is not known."""
    assert parse_entries_shown(stderr) == count
