"""Addresses and networks as kube-proxy reads them out of API objects, which the API lets pass in odd forms.

Source: k8s.io/utils/net ParseIPSloppy and ParseCIDRSloppy: leading zeros of decimal numbers do not count, and a
network may be written with an address inside it.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network

from netinspect.models.address import Address, parse_address

_ZEROS = re.compile(r"(?<![0-9a-fA-F:.])0+(?=[0-9])|(?<=\.)0+(?=[0-9])")


def parse_sloppy(text: str) -> Address:
    """Read an address: `010.244.2.9` is 10.244.2.9.

    Raises:
        ValueError: it is no address even so.
    """
    return parse_address(_without_zeros(text))


def parse_network_sloppy(text: str) -> IPv4Network | IPv6Network:
    """Read a network: ` 10.244.2.9/24` is 10.244.2.0/24.

    Raises:
        ValueError: it is no network even so.
    """
    address, slash, length = text.strip().partition("/")
    if not slash:
        raise ValueError(f"{text!r} is no network: it has no prefix length")
    return ip_network(f"{_without_zeros(address)}/{length}", strict=False)


def _without_zeros(text: str) -> str:
    return _ZEROS.sub("", text) if "." in text else text
