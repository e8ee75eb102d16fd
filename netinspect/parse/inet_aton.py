"""inet_aton(3): the old ways to write an IPv4 address, which libcs still take and `ipaddress` does not."""

from __future__ import annotations

import ipaddress
import re

_PART = re.compile(r"0[xX][0-9a-fA-F]{1,16}|[0-9]{1,16}")


def parse_inet_aton(text: str) -> ipaddress.IPv4Address | None:
    """Read one to four numbers, decimal, octal (0...) or hexadecimal (0x...), the last of which fills the rest.

    `10.1` is 10.0.0.1, `010.0.0.1` is 8.0.0.1. None where the text is no address.
    """
    parts = [_number(part) for part in text.split(".")]
    if len(parts) > 4:
        return None
    *leading, last = parts
    if last is None or last >= 256 ** (5 - len(parts)):
        return None
    value = 0
    for part in leading:
        if part is None or part > 255:
            return None
        value = value * 256 + part
    return ipaddress.IPv4Address(value * 256 ** (5 - len(parts)) + last)


def _number(text: str) -> int | None:
    if not _PART.fullmatch(text):
        return None
    if text.lower().startswith("0x"):
        return int(text, 16)
    try:
        return int(text, 8 if text.startswith("0") else 10)
    except ValueError:
        return None
