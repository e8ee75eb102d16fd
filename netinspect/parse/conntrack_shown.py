"""How many entries `conntrack -L` says that it has shown: a sentence on stderr behind the listing.

Source: conntrack-tools, src/conntrack.c main: `%s v%s (conntrack-tools): %d flow entries have been shown.`
"""

from __future__ import annotations

import re

_SHOWN = re.compile(rb"\(conntrack-tools\): ([0-9]{1,10}) flow entries have been shown\.\s*\Z")


def parse_entries_shown(stderr: bytes) -> int | None:
    """Return the number; None where the sentence is not the last word on stderr."""
    match = _SHOWN.search(stderr)
    return None if match is None else int(match.group(1))
