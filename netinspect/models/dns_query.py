"""A question to be put, before there is an answer."""

from __future__ import annotations

import msgspec

from netinspect.models.address import Address
from netinspect.models.dns import DnsProtocol


class DnsQuery(msgspec.Struct, frozen=True):
    """One question to one server.

    Attributes:
        server: whom to ask.
        name: what for: fully qualified, whether it ends with the root's dot or not (no search list is applied).
        type: the record type: `A`, `AAAA`, ...
        protocol: by UDP or TCP.
        port: at which port.
    """

    server: Address
    name: str
    type: str
    protocol: DnsProtocol = DnsProtocol.UDP
    port: int = 53
