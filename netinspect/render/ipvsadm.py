"""Virtual servers -> what `ipvsadm -R` reads: the text of `ipvsadm -Sn` again.

Source: ipvsadm 1.31, ipvsadm.c print_service_entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netinspect.models.address import show_endpoint
from netinspect.models.ipvs import Forwarding, RealServer, ServiceAddress, Tunnel, VirtualServer

_SWITCHES = {
    Forwarding.MASQ: "-m",
    Forwarding.ROUTE: "-g",
    Forwarding.LOCAL: "-g",  # the kernel finds out by itself that the address is its own
    Forwarding.TUNNEL: "-i",
}
_SERVICES = {"tcp": "-t", "udp": "-u", "sctp": "--sctp-service"}


def render_virtual_servers(servers: Iterable[VirtualServer]) -> str:
    """Write virtual servers, each with its real servers below; empty where there are none."""
    return "".join(f"{line}\n" for each in servers for line in _write_server(each))


def write_service(service: ServiceAddress) -> str:
    """Write what makes a packet one of a virtual server's: `-t 10.96.0.1:443`, `-f 7 -6`."""
    if service.protocol is None or service.address is None:
        mark = service.fwmark or 0
        # The tool prints and reads a number with a sign.
        signed = mark - 2**32 if mark >= 2**31 else mark
        return f"-f {signed} -6" if service.family == 6 else f"-f {signed}"
    return f"{_SERVICES[service.protocol]} {show_endpoint(service.address, service.port)}"


def _write_server(server: VirtualServer) -> Iterator[str]:
    service = write_service(server.service)
    yield " ".join(["-A", service, "-s", server.scheduler, *_list_options(server)])
    for real in server.real_servers:
        yield " ".join(["-a", service, *_list_words(real)])


def _list_options(server: VirtualServer) -> Iterator[str]:
    if server.persistence_s is not None:
        yield f"-p {server.persistence_s}"
    if server.persistence_mask is not None:
        yield f"-M {server.persistence_mask}"
    if server.persistence_engine is not None:
        yield f"--pe {server.persistence_engine}"
    if server.is_one_packet:
        yield "-o"
    if server.scheduler_flags:
        yield f"-b {','.join(server.scheduler_flags)}"


def _list_words(real: RealServer) -> Iterator[str]:
    yield f"-r {show_endpoint(real.address, real.port)}"
    yield _SWITCHES[real.forwarding]
    yield f"-w {real.weight}"
    if real.tunnel is not None:
        yield from _list_tunnel(real.tunnel)


def _list_tunnel(tunnel: Tunnel) -> Iterator[str]:
    yield f"--tun-type {tunnel.type}"
    if tunnel.port is not None:
        yield f"--tun-port {tunnel.port}"
    if tunnel.checksum is not None:
        yield f"--tun-{tunnel.checksum}"
