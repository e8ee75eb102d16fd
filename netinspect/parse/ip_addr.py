"""`ip -j -d addr show` (also with `-s`) -> links with their addresses.

Source of the format: iproute2, ip/ipaddress.c print_linkinfo and print_addrinfo. A netns has at least `lo`, so
no output at all is never "no links": it is a failed command.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, field

from netinspect.errors import ParseError
from netinspect.models.address import parse_address
from netinspect.models.codec import json_decoder
from netinspect.models.link import Link, LinkAddress
from netinspect.parse.tool_output import decode_output, decode_part, excerpt

_SOURCE = "ip -j -d addr show"
_IP_FAMILIES = frozenset({"inet", "inet6"})
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5,}[0-9a-f]{2}")

_Index = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class _Address(msgspec.Struct):
    """One element of `addr_info`."""

    family: str
    local: str
    prefixlen: Annotated[int, Meta(ge=0, le=128)]
    scope: str = ""


class _LinkInfo(msgspec.Struct):
    """`linkinfo`: printed with `-d` only, and not for hardware."""

    info_kind: str | None = None
    info_data: dict[str, Any] | None = None
    info_slave_kind: str | None = None


class _Link(msgspec.Struct):
    """One element of the array."""

    ifindex: _Index
    ifname: Annotated[str, Meta(min_length=1)]
    flags: tuple[str, ...]
    mtu: Annotated[int, Meta(ge=0)]
    operstate: str = "UNKNOWN"
    link_type: str = "ether"
    address: str | None = None
    master: str | None = None
    # `"link": null` stands at tunnels without a lower link.
    link: str | None = None
    link_index: _Index | None = None
    link_netnsid: int | None = None
    linkinfo: _LinkInfo = field(default_factory=_LinkInfo)
    parentdev: str | None = None
    addr_info: tuple[msgspec.Raw, ...] = ()


# Elements are decoded one by one: `{}` is skipped, and an error can quote the element it is about.
_ARRAY = json_decoder(list[msgspec.Raw])
_LINK = json_decoder(_Link)
_ADDRESS = json_decoder(_Address)


def parse_ip_addr(stdout: bytes) -> tuple[Link, ...]:
    """Read the links of one netns, in the order printed.

    Elements that `ip` filtered out are printed as `{}`; these are skipped. Addresses of other families than
    inet and inet6 are left out.

    Raises:
        ParseError: the output is empty, not JSON, cut, or has another shape.
    """
    elements = decode_output(_ARRAY, stdout, _SOURCE)
    return tuple(_parse_link(element) for element in elements if not _is_empty(element))


def _parse_link(element: msgspec.Raw) -> Link:
    raw = decode_part(_LINK, element, _SOURCE)
    mode = (raw.linkinfo.info_data or {}).get("mode")
    return Link(
        ifindex=raw.ifindex,
        ifname=raw.ifname,
        link_index=raw.link_index,
        link_netnsid=raw.link_netnsid,
        link_name=raw.link,
        kind=raw.linkinfo.info_kind,
        mode=mode if isinstance(mode, str) else None,
        slave_kind=raw.linkinfo.info_slave_kind,
        master=raw.master,
        # ipip, sit and gre links print their tunnel's address in this place.
        mac=raw.address if raw.address and _MAC.fullmatch(raw.address) else None,
        mtu=raw.mtu,
        operstate=raw.operstate,
        link_type=raw.link_type,
        flags=raw.flags,
        addresses=_parse_addresses(raw.addr_info),
        parentdev=raw.parentdev,
    )


def _parse_addresses(elements: tuple[msgspec.Raw, ...]) -> tuple[LinkAddress, ...]:
    parsed = (_parse_address(element) for element in elements if not _is_empty(element))
    return tuple(address for address in parsed if address is not None)


def _parse_address(element: msgspec.Raw) -> LinkAddress | None:
    raw = decode_part(_ADDRESS, element, _SOURCE)
    if raw.family not in _IP_FAMILIES:
        return None
    try:
        local = parse_address(raw.local)
    except ValueError as error:
        raise ParseError(str(error), source=_SOURCE, line=excerpt(element)) from error
    return LinkAddress(local, raw.prefixlen, raw.scope)


def _is_empty(element: msgspec.Raw) -> bool:
    return b"".join(bytes(element).split()) == b"{}"
