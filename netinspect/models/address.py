"""IP addresses: `ipaddress` objects behind one type that msgspec can encode, decode and describe.

msgspec knows no address type of its own and allows one custom type in a union, so `Address` is, at run
time, one abstract class that both `ipaddress` classes are registered with; to the type checker it is their union.
"""

from __future__ import annotations

import ipaddress
from abc import ABC
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
else:

    class Address(ABC):  # noqa: B024 - exists to be registered with
        """An IPv4 or IPv6 address; instances are `ipaddress` objects."""

    Address.register(ipaddress.IPv4Address)
    Address.register(ipaddress.IPv6Address)


@lru_cache(maxsize=65536)
def parse_address(text: str) -> Address:
    """Read an address of either family. Cached: building one costs microseconds, and tables repeat them.

    Raises:
        ValueError: the text is no address.
    """
    return ipaddress.ip_address(text)


def address_key(address: Address) -> tuple[int, int]:
    """Return a sort key under which IPv4 stands before IPv6 and each family is in numeric order."""
    return address.version, int(address)


def show_endpoint(address: Address, port: int | None) -> str:
    """Write address and port as programs take them: `10.0.0.1:80`, `[fd00::1]:80`, and the address alone."""
    if port is None:
        return str(address)
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
