"""Sets and accounting objects that rules name, made by netlink: the test machine need not have ipset and nfacct.

Source: linux/netfilter/nfnetlink.h, ipset/ip_set.h, nfnetlink_acct.h.
"""

from __future__ import annotations

import socket
import struct

from tests.captures.conntrack_lab import inside
from tests.netns.world import Netns

_NETFILTER = 12
_ACCT_NEW, _SET_CREATE = 7 << 8, 6 << 8 | 2
_REQUEST_ACK_CREATE = 1 | 4 | 0x400
_NESTED = 0x8000


def make_accounting(netns: Netns, name: str) -> None:
    """Make an object of nfacct."""
    _ask(netns, _ACCT_NEW, 0, _attribute(1, name.encode() + b"\0"))


def make_set(netns: Netns, name: str, family: int) -> None:
    """Make a set `hash:net`."""
    attributes = (
        (1, b"\6"),
        (2, name.encode() + b"\0"),
        (3, b"hash:net\0"),
        (4, b"\0"),
        (5, bytes([{4: socket.AF_INET, 6: socket.AF_INET6}[family]])),
        (7 | _NESTED, b""),
    )
    _ask(netns, _SET_CREATE, 0, b"".join(_attribute(*each) for each in attributes))


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _ask(netns: Netns, message: int, family: int, attributes: bytes) -> None:
    body = struct.pack("=BBH", family, 0, 0) + attributes
    header = struct.pack("=IHHII", 16 + len(body), message, _REQUEST_ACK_CREATE, 1, 0)
    with inside(netns), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as door:
        door.settimeout(5)
        door.send(header + body)
        (code,) = struct.unpack_from("=i", door.recv(4096), 16)
    if code:
        raise OSError(-code, f"netlink message {message:#x}")
