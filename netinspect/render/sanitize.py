"""The one boundary at which text from nodes, events and annotations is made safe for a terminal.

What goes: C0 and C1 control characters (ESC and with it every escape sequence, CR, backspace), DEL, and the
bidirectional overrides that make text read otherwise than it is (CVE-2021-42574). Each becomes U+FFFD.
JSON and YAML escape by themselves and are not touched.
"""

from __future__ import annotations

import re

_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def sanitize(text: str) -> str:
    """Return `text` without characters that steer a terminal; newline and tab stay."""
    return _UNSAFE.sub("\ufffd", text)
