"""A node between a client and a host that stands for all Services and backends: packets are sent, and seen to arrive.

    client 10.1.0.2, fd00:1::2 --- left0, node, right0 --- beyond: all of 10.2.0.0/16, 10.96.0.0/16, fd00:2::/64, ...

What arrives is read from raw sockets on the node and beyond it, so no reply has to find its way back.
"""

from __future__ import annotations

import itertools
import json
import select
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from netinspect.models.service_map import Hook
from tests.captures.conntrack_lab import inside
from tests.netns.world import Netns, World, wait_for_carrier

CLIENT, BEHIND = {4: "10.1.0.2", 6: "fd00:1::2"}, {4: "10.3.0.2", 6: "fd00:3::2"}
NODE = {4: ("127.0.0.1", "10.1.0.1", "10.3.0.1"), 6: ("::1", "fd00:1::1", "fd00:3::1")}
SERVICES = {4: ("10.2.0.0/16", "10.96.0.0/16"), 6: ("fd00:2::/64", "fd00:96::/64")}
LINK = "left0"
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_PROTOCOLS = {
    "tcp": (socket.IPPROTO_TCP, socket.SOCK_STREAM),
    "udp": (socket.IPPROTO_UDP, socket.SOCK_DGRAM),
}
_SYSCTLS = (
    "ipv4/ip_forward=1 ipv6/conf/all/forwarding=1 ipv4/icmp_ratelimit=0 ipv6/icmp/ratelimit=0 "
    "ipv4/conf/all/rp_filter=0 ipv4/conf/lo/accept_local=1"
)
_NO_WAIT = "ipv6/conf/default/accept_dad=0 ipv6/conf/default/dad_transmits=0"
_SYN, _SYN_ACK = 0x02, 0x12
_PATIENCE_S = 0.3
"""A packet that gets through is there at once; one that is dropped is waited for as long."""


class PacketLab:
    """A node whose rules are to be told from what they do."""

    def __init__(self, world: World) -> None:
        self.node, self._client, self._beyond = world.node, world.new_netns(), world.new_netns()
        self._ports = itertools.count(20000)
        self._wire(world)
        with ExitStack() as opened:
            self._seen = [
                opened.enter_context(_raw_socket(netns, family, protocol))
                for netns in (self.node, self._beyond)
                for family in _FAMILIES
                for protocol in _PROTOCOLS
            ]
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close what sees packets arrive."""
        self._opened.close()

    def load(self, ruleset: str) -> None:
        """Replace the node's rules; the old ones go first, or nat would keep the place that it has among hooks."""
        self.node.enter("nft", "flush", "ruleset")
        enter = ("nsenter", f"--net=/proc/{self.node.pid}/ns/net", "--", "nft", "-f", "-")
        done = subprocess.run(enter, input=ruleset.encode(), capture_output=True)
        if done.returncode:
            raise RuntimeError(done.stderr.decode())

    def link_address(self) -> str:
        """Return the address that the client's link sends to."""
        (link,) = json.loads(self.node.ip(f"-j link show dev {LINK}"))
        return str(link["address"])

    def send(self, hook: Hook, protocol: str, address: str, port: int) -> str:
        """Send one packet, and say where it arrived: `none` is where it was sent to, `A:P` is another place."""
        family = 6 if ":" in address else 4
        for each in self._seen:
            _drain(each)
        kind = _PROTOCOLS[protocol][1]
        sender = self._client if hook is Hook.PREROUTING else self.node
        with inside(sender):
            client = socket.socket(_FAMILIES[family], kind)
        with client:
            client.setblocking(False)
            client.bind(("::" if family == 6 else "0.0.0.0", next(self._ports)))
            refused = _connect(client, protocol, address, port)
            own = client.getsockname()[0]
            return self._wait(client, own, f"{address}:{port}", refused)

    def _wait(self, client: socket.socket, own: str, asked: str, refused: bool) -> str:
        end = time.monotonic() + _PATIENCE_S
        while (left := end - time.monotonic()) > 0:
            ready = select.select([*self._seen, client], [], [], left)[0]
            for each in ready:
                found = _arrived(each) if each is not client else None
                if found is not None:
                    source, target = found
                    return ("none" if target == asked else target) + (" masqueraded" if source != own else "")
            if client in ready:
                refused = refused or _is_refused(client)
                # What was sent and refused at its end arrived there: that is looked at first.
                if refused and len(ready) == 1:
                    break
        return "reject" if refused or _is_refused(client) else "drop"

    def _wire(self, world: World) -> None:
        for netns in (self.node, self._client, self._beyond):
            _set(netns, _NO_WAIT)
        for netns, link, at in ((self._client, LINK, 0), (self._beyond, "right0", 1)):
            world.pair(netns, link)
            far = (CLIENT, BEHIND)[at]
            for family, bits in ((4, 24), (6, 64)):
                nodad = " nodad" if family == 6 else ""
                self.node.ip(f"addr add {NODE[family][at + 1]}/{bits} dev {link}{nodad}")
                netns.ip(f"addr add {far[family]}/{bits} dev eth0{nodad}")
                netns.ip(f"-{family} route add default via {NODE[family][at + 1]}")
            wait_for_carrier(self.node, link)
        self.node.ip("link set lo up")
        for family, networks in SERVICES.items():
            for network in networks:
                self.node.ip(f"-{family} route add {network} via {BEHIND[family]}")
                self._beyond.ip(f"-{family} route add local {network} dev lo")
        _set(self.node, _SYSCTLS)
        _set(self._beyond, _SYSCTLS)


def _set(netns: Netns, sysctls: str) -> None:
    for each in sysctls.split():
        name, _, value = each.partition("=")
        netns.enter("sh", "-c", f"echo {value} > /proc/sys/net/{name}")


@contextmanager
def new_packet_lab(world: World) -> Iterator[PacketLab]:
    """Make a lab of a world's node, and end it."""
    with closing(PacketLab(world)) as lab:
        yield lab


@contextmanager
def _raw_socket(netns: Netns, family: int, protocol: str) -> Iterator[socket.socket]:
    with inside(netns):
        made = socket.socket(_FAMILIES[family], socket.SOCK_RAW, _PROTOCOLS[protocol][0])
    with made:
        made.setblocking(False)
        if family == 6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        yield made


def _connect(client: socket.socket, protocol: str, address: str, port: int) -> bool:
    """Send the first packet of a connection, and return whether it was refused at once."""
    try:
        client.connect((address, port))
        if protocol == "udp":
            client.send(b"hello")
    except BlockingIOError:
        return False
    except PermissionError:  # dropped, or refused, on its way out: that is told by what comes back
        return False
    except OSError:
        return True
    return False


def _is_refused(client: socket.socket) -> bool:
    return client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) not in (0, 1)


def _drain(seen: socket.socket) -> None:
    try:
        while True:
            seen.recv(4096)
    except BlockingIOError:
        return


def _arrived(seen: socket.socket) -> tuple[str, str] | None:
    """Return the source, and where a first packet arrived; None for all other packets."""
    data, extra, _, peer = seen.recvmsg(4096, 256)
    if seen.family == socket.AF_INET:
        target, data = socket.inet_ntop(socket.AF_INET, data[16:20]), data[(data[0] & 15) * 4 :]
    else:
        target = socket.inet_ntop(socket.AF_INET6, extra[0][2][:16])
    is_first = data[8:] == b"hello" if seen.proto == socket.IPPROTO_UDP else data[13] & _SYN_ACK == _SYN
    port = struct.unpack_from("!H", data, 2)[0]
    return (str(peer[0]), f"{target}:{port}") if is_first else None
