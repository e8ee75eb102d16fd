"""`ipvsadm -Ln --stats` and `ipvsadm -Ln --rate`, with `--exact` or without -> what went through virtual servers.

Source of the format: ipvsadm 1.31, ipvsadm.c print_title, print_service_entry, print_largenum.
"""

from __future__ import annotations

import re

import msgspec

from netinspect.models.ipvs import RealServerTraffic, Traffic, VirtualServerTraffic
from netinspect.parse.ipvsadm_words import Words, listed_lines

_STATS = "ipvsadm -Ln --stats"
_RATE = "ipvsadm -Ln --rate"
_STATS_TITLES = ("Prot LocalAddress:Port Conns InPkts OutPkts InBytes OutBytes", "-> RemoteAddress:Port")
_RATE_TITLES = ("Prot LocalAddress:Port CPS InPPS OutPPS InBPS OutBPS", "-> RemoteAddress:Port")
_COUNT = re.compile(r"([0-9]{1,20})([KMGT]?)")
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def parse_statistics(stdout: bytes) -> tuple[VirtualServerTraffic, ...]:
    """Read what went through since the counters began.

    Raises:
        ParseError: as `parse_listed`.
    """
    return _read(listed_lines(stdout, _STATS, _STATS_TITLES))


def parse_rates(stdout: bytes) -> tuple[VirtualServerTraffic, ...]:
    """Read what goes through in a second: the kernel's own estimate, renewed every two seconds.

    Raises:
        ParseError: as `parse_listed`.
    """
    return _read(listed_lines(stdout, _RATE, _RATE_TITLES))


def _read(lines: list[Words]) -> tuple[VirtualServerTraffic, ...]:
    servers: list[VirtualServerTraffic] = []
    for words in lines:
        if not words.take_if("->"):
            service = words.take_listed_service()
            servers.append(VirtualServerTraffic(service=service, traffic=_read_traffic(words)))
        elif servers:
            address, port = words.take_endpoint()
            real = RealServerTraffic(address=address, port=port, traffic=_read_traffic(words))
            reals = (*servers[-1].real_servers, real)
            servers[-1] = msgspec.structs.replace(servers[-1], real_servers=reals)
        else:
            raise words.error("a real server without a virtual server above it")
    return tuple(servers)


def _read_traffic(words: Words) -> Traffic:
    counts, rounded = zip(*(_take_count(words) for _ in range(5)), strict=True)
    words.end()
    connections, in_packets, out_packets, in_bytes, out_bytes = counts
    return Traffic(
        connections=connections,
        in_packets=in_packets,
        out_packets=out_packets,
        in_bytes=in_bytes,
        out_bytes=out_bytes,
        is_rounded=any(rounded),
    )


def _take_count(words: Words) -> tuple[int, bool]:
    """Take a number, and say whether it was rounded: `123456K`."""
    match = _COUNT.fullmatch(words.take("a number"))
    if match is None:
        raise words.error("expected a number, perhaps with K, M, G or T")
    return int(match[1]) * _UNITS[match[2]], bool(match[2])
