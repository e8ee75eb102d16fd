"""`/proc/PID/net/fib_trie` and `/proc/PID/net/if_inet6` -> the addresses of the process's netns.

For a look at many netns without entering any. Loopback and link-local addresses are left out: they lead to no pod.
"""

from __future__ import annotations

import ipaddress
import re

from netinspect.errors import ParseError
from netinspect.models.address import Address, parse_address

_TRIE_SOURCE, _INET6_SOURCE = "/proc/PID/net/fib_trie", "/proc/PID/net/if_inet6"
_LEAF = re.compile(r"\s*\|-- ([0-9.]+)")
_LOCAL = re.compile(r"\s*/32 host LOCAL\b.*")
_INET6 = re.compile(r"([0-9a-f]{32}) [0-9a-f]+ [0-9a-f]+ [0-9a-f]+ [0-9a-f]+ +\S+")


def parse_fib_trie(text: str) -> tuple[Address, ...]:
    """Read the routes of IPv4 (kernel, net/ipv4/fib_trie.c fib_trie_seq_show): a local address is a /32 of type LOCAL.

    A table is printed once for each of its names, so each address is taken once.

    Raises:
        ParseError: an address is none.
    """
    found: dict[Address, None] = {}
    leaf = ""
    for line in text.splitlines():
        match = _LEAF.fullmatch(line)
        if match is not None:
            leaf = match[1]
        elif leaf and _LOCAL.fullmatch(line):
            found[_read(leaf, _TRIE_SOURCE, line)] = None
    return tuple(address for address in found if not (address.is_loopback or address.is_link_local))


def parse_if_inet6(text: str) -> tuple[Address, ...]:
    """Read the addresses of IPv6 (kernel, net/ipv6/addrconf.c if6_seq_show).

    Raises:
        ParseError: a line has another form.
    """
    found: dict[Address, None] = {}
    for line in text.splitlines():
        match = _INET6.fullmatch(line)
        if match is None:
            raise ParseError("a line that is no address of a link", source=_INET6_SOURCE, line=line)
        found[parse_address(str(ipaddress.IPv6Address(int(match[1], 16))))] = None
    return tuple(address for address in found if not (address.is_loopback or address.is_link_local))


def _read(text: str, source: str, line: str) -> Address:
    try:
        return parse_address(text)
    except ValueError as error:
        raise ParseError(str(error), source=source, line=line) from error
