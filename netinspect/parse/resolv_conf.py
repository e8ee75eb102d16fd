"""resolv.conf(5) -> name servers, search list and options.

Source of the format: glibc, resolv/res_init.c (`res_vinit_1`, `res_setoptions`); musl, src/network/resolvconf.c. A
keyword counts only at the very start of a line, and `#` or `;` begins a comment only there. What a resolver does not
know it passes over without a word; here it is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from netinspect.errors import ParseError
from netinspect.models.address import Address, parse_address
from netinspect.models.resolver import ResolvConf
from netinspect.parse.inet_aton import parse_inet_aton

MAXNS = 3
"""How many name servers a resolver asks (glibc, resolv.h; musl, lookup.h)."""

_SOURCE = "resolv.conf"
_MAX_BYTES = 1 << 20
# musl reads lines into 256 bytes, line end and NUL included, and skips longer ones whole (resolvconf.c, since 1.1.13).
_MUSL_LINE = 254

# What has no value (resolv.conf(5); those of the BSDs last).
_FLAGS = frozenset(
    (
        *(
            "debug",
            "edns0",
            "inet6",
            "ip6-bytestring",
            "ip6-dotint",
            "no-aaaa",
            "no-check-names",
            "no-ip6-dotint",
        ),
        *("no-reload", "no-tld-query", "no_tld_query", "rotate", "single-request", "single-request-reopen"),
        *("strict-error", "trust-ad", "use-vc", "insecure1", "insecure2"),
    )
)
# Both libcs read a number as far as it goes (atoi, strtoul).
_NUMBER = re.compile(r"(ndots|timeout|attempts):([0-9]+)(.*)", re.DOTALL)
_MOST_DIGITS = 9


@dataclass
class _Reading:
    nameservers: list[Address] = field(default_factory=list)
    search: tuple[str, ...] = ()
    musl_search: tuple[str, ...] = ()
    options: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    sortlist: list[str] = field(default_factory=list)
    remainder: list[str] = field(default_factory=list)


def parse_resolv_conf(text: bytes) -> ResolvConf:
    """Read a resolv.conf. Resolvers pass over what they do not understand; it is kept in `remainder`.

    Raises:
        ParseError: this is no text file (it holds NUL bytes), or it is over 1 MiB.
    """
    if b"\0" in text or len(text) > _MAX_BYTES:
        raise ParseError("no text, or over 1 MiB", source=_SOURCE)
    reading = _Reading()
    for line in text.split(b"\n"):
        _read_line(reading, line)
    return ResolvConf(
        nameservers=tuple(reading.nameservers[:MAXNS]),
        ignored_nameservers=tuple(reading.nameservers[MAXNS:]),
        search=reading.search,
        musl_search=reading.musl_search,
        options=tuple(reading.options),
        ndots=reading.numbers.get("ndots"),
        timeout_s=reading.numbers.get("timeout"),
        attempts=reading.numbers.get("attempts"),
        sortlist=tuple(reading.sortlist),
        remainder=tuple(reading.remainder),
    )


def _read_line(reading: _Reading, raw: bytes) -> None:
    line = raw.decode("utf-8", "backslashreplace")
    if not line.strip() or line[0] in "#;":
        return
    keyword, rest = _cut(line)
    words = tuple(re.findall(r"[^ \t]+", rest))
    if keyword in ("search", "domain"):
        _read_search(reading, keyword, words, is_long=len(raw) > _MUSL_LINE)
    elif keyword == "nameserver" and words:
        _read_nameserver(reading, line, words[0])
    elif keyword == "options":
        for word in words:
            _read_option(reading, word)
    elif keyword == "sortlist":
        reading.sortlist += words
    else:
        reading.remainder.append(line)


def _cut(line: str) -> tuple[str, str]:
    """Split off the keyword; "" where the line begins with a blank, which keeps resolvers from knowing it."""
    match = re.match(r"[^ \t]*", line)
    keyword = match[0] if match is not None else ""
    return keyword.rstrip("\r\v\f"), line[len(keyword) :]


def _read_search(reading: _Reading, keyword: str, words: tuple[str, ...], *, is_long: bool) -> None:
    if words:
        reading.search = words if keyword == "search" else words[:1]
    if not is_long:
        reading.musl_search = tuple(" ".join(words).split())


def _read_nameserver(reading: _Reading, line: str, word: str) -> None:
    try:
        reading.nameservers.append(parse_inet_aton(word) or parse_address(word))
    except ValueError:
        reading.remainder.append(line)


def _read_option(reading: _Reading, word: str) -> None:
    reading.options.append(word)
    number = _NUMBER.fullmatch(word)
    if number is not None:
        # Any number so long is over every cap.
        reading.numbers[number[1]] = int(number[2].lstrip("0")[:_MOST_DIGITS] or "0")
    is_known = number[3] == "" if number is not None else word.removeprefix("-") in _FLAGS
    if not is_known:
        reading.remainder.append(f"options {word}")
