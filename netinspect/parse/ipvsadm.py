"""`ipvsadm -Sn` and `ipvsadm -Ln` -> virtual servers. Always with `-n`: without it each address is asked of the DNS.

Source of the format: ipvsadm 1.31, ipvsadm.c print_service_entry, print_title. A listing begins with three lines of
titles, also where nothing follows; `-S` prints nothing where there is nothing. Neither has an end mark: that the last
line has its line feed is all that can be checked. Blanks at the end of a line are the tool's own.
"""

from __future__ import annotations

from typing import Any

import msgspec

from netinspect.models.ipvs import Forwarding, RealServer, Tunnel, VirtualServer
from netinspect.parse.ipvsadm_words import Words, listed_lines, whole_lines

_SAVE = "ipvsadm -Sn"
_LIST = "ipvsadm -Ln"
_TITLES = (
    "Prot LocalAddress:Port Scheduler Flags",
    "-> RemoteAddress:Port Forward Weight ActiveConn InActConn",
)
_SERVICES = {"-t": "tcp", "-u": "udp", "--sctp-service": "sctp", "-f": None}
_SWITCHES = {"-m": Forwarding.MASQ, "-g": Forwarding.ROUTE, "-i": Forwarding.TUNNEL}
_NAMES = {
    "Masq": Forwarding.MASQ,
    "Route": Forwarding.ROUTE,
    "Tunnel": Forwarding.TUNNEL,
    "Local": Forwarding.LOCAL,
}
_TUNNELS = ("ipip", "gue", "gre")
_CHECKSUMS = ("--tun-nocsum", "--tun-csum", "--tun-remcsum")


def parse_saved(stdout: bytes) -> tuple[VirtualServer, ...]:
    """Read `ipvsadm -Sn`, in the order printed. No output at all is the tool's way to save nothing.

    Raises:
        ParseError: a line is none that the tool prints, a real server does not stand below its virtual server, or
            the last line lacks its line feed and so perhaps its end.
    """
    servers: list[VirtualServer] = []
    for words in whole_lines(stdout, _SAVE):
        command = words.take("-A or -a")
        if command == "-A":
            servers.append(_read_saved_virtual(words))
        elif command == "-a":
            _append(servers, _read_saved_real(words, servers), words)
        else:
            raise words.error("expected -A or -a")
    return tuple(servers)


def parse_listed(stdout: bytes) -> tuple[VirtualServer, ...]:
    """Read `ipvsadm -Ln`, in the order printed: with connections, and with LOCAL told from ROUTE; without tunnels.

    Raises:
        ParseError: there are no titles (also an empty listing has them) or those of another listing (`--stats`), a
            line is none that the tool prints, or the last one lacks its line feed.
    """
    servers: list[VirtualServer] = []
    for words in listed_lines(stdout, _LIST, _TITLES):
        if words.take_if("->"):
            _append(servers, _read_listed_real(words), words)
        else:
            servers.append(_read_listed_virtual(words))
    return tuple(servers)


def _append(servers: list[VirtualServer], real: RealServer, words: Words) -> None:
    """Put a real server below the virtual server that was read last."""
    words.end()
    if not servers:
        raise words.error("a real server without a virtual server above it")
    last = servers[-1]
    servers[-1] = msgspec.structs.replace(last, real_servers=(*last.real_servers, real))


def _read_saved_virtual(words: Words) -> VirtualServer:
    service = words.take_service(_take_service_option(words), "-6")
    values: dict[str, Any] = {}
    while words.next:
        option = words.take("an option")
        field = _VIRTUAL_OPTIONS.get(option)
        if field is None or field in values:
            raise words.error("an option that is not known here, or was there before")
        values[field] = _take_value(words, field)
    if "scheduler" not in values:
        raise words.error("a virtual server without -s")
    return VirtualServer(service=service, raw=words.line, **values)


_VIRTUAL_OPTIONS = {
    "-s": "scheduler",
    "-p": "persistence_s",
    "-M": "persistence_mask",
    "--pe": "persistence_engine",
    "-o": "is_one_packet",
    "-b": "scheduler_flags",
}


def _take_value(words: Words, field: str) -> object:
    if field == "is_one_packet":
        return True
    if field == "persistence_s":
        return words.take_number("seconds")
    text = words.take("a value")
    return tuple(text.split(",")) if field == "scheduler_flags" else text


def _take_service_option(words: Words) -> str | None:
    option = words.take("-t, -u, --sctp-service or -f")
    if option not in _SERVICES:
        raise words.error("expected -t, -u, --sctp-service or -f")
    return _SERVICES[option]


def _read_saved_real(words: Words, servers: list[VirtualServer]) -> RealServer:
    service = words.take_service(_take_service_option(words), "-6")
    if not servers or servers[-1].service != service:
        raise words.error("a real server that does not stand below its virtual server")
    _take_word(words, "-r")
    address, port = words.take_endpoint()
    switch = words.take("-m, -g or -i")
    if switch not in _SWITCHES:
        raise words.error("expected -m, -g or -i")
    _take_word(words, "-w")
    return RealServer(
        address=address,
        port=port,
        forwarding=_SWITCHES[switch],
        weight=words.take_number("a weight"),
        tunnel=_read_tunnel(words),
        raw=words.line,
    )


def _take_word(words: Words, word: str) -> None:
    if words.take(word) != word:
        raise words.error(f"expected {word}")


def _read_tunnel(words: Words) -> Tunnel | None:
    """Read `--tun-type TYPE [--tun-port PORT] [--tun-csum]`, if it is there."""
    if not words.take_if("--tun-type"):
        return None
    kind = words.take("a tunnel's type")
    if kind not in _TUNNELS:
        raise words.error("expected ipip, gue or gre")
    port = words.take_number("a port") if words.take_if("--tun-port") else None
    found = next((each for each in _CHECKSUMS if words.take_if(each)), None)
    return Tunnel(type=kind, port=port, checksum=found.removeprefix("--tun-") if found else None)


def _read_listed_virtual(words: Words) -> VirtualServer:
    """Read `TCP  10.96.0.1:80 rr (FLAGS) persistent 10800 mask 255.255.255.0 pe sip ops`: all but two are optional."""
    service = words.take_listed_service()
    scheduler = words.take("a scheduler")
    values: dict[str, Any] = {}
    if words.next.startswith("("):
        values["scheduler_flags"] = tuple(words.take("flags").strip("()").split(","))
    if words.take_if("persistent"):
        values["persistence_s"] = words.take_number("seconds")
        if words.take_if("mask"):
            values["persistence_mask"] = words.take("a mask")
        if words.take_if("pe"):
            values["persistence_engine"] = words.take("a name")
    values["is_one_packet"] = words.take_if("ops")
    words.end()
    return VirtualServer(service=service, scheduler=scheduler, raw=words.line, **values)


def _read_listed_real(words: Words) -> RealServer:
    address, port = words.take_endpoint()
    name = words.take("Masq, Route, Tunnel or Local")
    if name not in _NAMES:
        raise words.error("expected Masq, Route, Tunnel or Local")
    return RealServer(
        address=address,
        port=port,
        forwarding=_NAMES[name],
        weight=words.take_number("a weight"),
        active_connections=words.take_number("a number of connections"),
        inactive_connections=words.take_number("a number of connections"),
        raw=words.line,
    )
