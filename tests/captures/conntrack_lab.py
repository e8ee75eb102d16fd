"""The world of the conntrack captures: a node, two pods on its bridge, one behind another link, Services in nft."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.netns.world import Netns, World, wait_for_carrier

CLIENT, NEIGHBOUR, SERVER = ("10.244.1.5", "10.244.1.50", "10.244.2.9")
CLIENT6, NEIGHBOUR6, SERVER6 = ("fd00:10:244:1::5", "fd00:10:244:1::50", "fd00:10:244:2::9")

# As kube-proxy would: Services, a node port that is masqueraded, a pod that reaches itself through its Service.
_RULES = """
table inet lab {
  ct helper ftp-21 {
    type "ftp" protocol tcp
  }
  chain raw {
    type filter hook prerouting priority raw
    udp dport 7007 ct zone set 7
    udp sport 7007 ct zone set 7
    udp dport 7009 ct original zone set 9
    udp dport 7011 ct reply zone set 11
    tcp dport 8081 tcp flags & (syn | ack) == ack drop
  }
  chain track {
    type filter hook prerouting priority mangle
    tcp dport 21 ct helper set "ftp-21"
    tcp dport 9090 ct mark set 0x63
    ct state new,established accept
  }
  chain destinations {
    type nat hook prerouting priority dstnat
    ip daddr 10.96.0.20 tcp dport 80 dnat ip to 10.244.2.9:8080
    ip6 daddr fd00:10:96::20 tcp dport 80 dnat ip6 to [fd00:10:244:2::9]:8080
    ip daddr 10.96.0.10 udp dport 53 dnat ip to 10.244.2.9:5353
    ip6 daddr fd00:10:96::10 udp dport 53 dnat ip6 to [fd00:10:244:2::9]:5353
    ip daddr 10.96.0.21 tcp dport 80 meta mark set 0x4000 ct mark set 0x4000 dnat ip to 10.244.1.5:8080
    ip6 daddr fd00:10:96::21 tcp dport 80 meta mark set 0x4000 ct mark set 0x4000 dnat ip6 to [fd00:10:244:1::5]:8080
    ip daddr 10.244.1.1 tcp dport 30080 meta mark set 0x4000 ct mark set 0x4000 dnat ip to 10.244.2.9:8080
    ip6 daddr fd00:10:244:1::1 tcp dport 30080 meta mark set 0x4000 ct mark set 0x4000 \\
      dnat ip6 to [fd00:10:244:2::9]:8080
  }
  chain sources {
    type nat hook postrouting priority srcnat
    meta mark 0x4000 masquerade random
  }
}
"""
_CLONE_NEWNET = 0x40000000
# Sockets that have to stay open until the table is listed.
_OPEN: list[socket.socket] = []


def close_sockets() -> None:
    """Close all that the functions here left open."""
    while _OPEN:
        _OPEN.pop().close()


@contextmanager
def inside(netns: Netns) -> Iterator[None]:
    """Make the sockets that are made in this block belong to a netns; they stay in it."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as own, open(f"/proc/{netns.pid}/ns/net") as other:
        if libc.setns(other.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            if libc.setns(own.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")


class Lab:
    """The node, its pods on a bridge, and a pod that stands for another node's."""

    def __init__(self, world: World) -> None:
        self.node = world.node
        self.client, self.neighbour, self.server = (world.new_netns() for _ in range(3))
        for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding", "netfilter/nf_conntrack_acct"):
            self.sysctl(name, 1)
        world.pair(self.client, "veth5", address=f"{CLIENT}/24")
        world.pair(self.neighbour, "veth50", address=f"{NEIGHBOUR}/24")
        world.pair(self.server, "veth9", address=f"{SERVER}/24")
        world.bridge("cni0", "veth5", "veth50")
        # As CNI plugins do: what comes from a pod may go back to it.
        world.node.ip("link set veth5 type bridge_slave hairpin on")
        for link, place in (("cni0", 1), ("veth9", 2)):
            world.node.ip(f"addr add 10.244.{place}.1/24 dev {link}")
            world.node.ip(f"addr add fd00:10:244:{place}::1/64 dev {link} nodad")
        for pod, address in ((self.client, CLIENT6), (self.neighbour, NEIGHBOUR6), (self.server, SERVER6)):
            number = address.split(":")[3]
            pod.ip(f"addr add {address}/64 dev eth0 nodad")
            pod.ip(f"route add default via 10.244.{number}.1")
            pod.ip(f"-6 route add default via fd00:10:244:{number}::1")
            wait_for_carrier(pod, "eth0")
        self.load(_RULES)

    def sysctl(self, name: str, value: int) -> None:
        self.node.enter("sh", "-c", f"echo {value} >/proc/sys/net/{name}")

    def load(self, rules: str) -> None:
        self.node.enter("sh", "-c", 'printf %s "$1" | nft -f -', "sh", rules)

    def shell(self, command: str) -> bytes:
        return self.node.enter("sh", "-c", command)

    def insert(self, line: str) -> None:
        """Put an entry into the table by hand."""
        self.node.enter("conntrack", "-I", *line.split())


def family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def listen(netns: Netns, port: int) -> socket.socket:
    """Listen on a TCP port of both families."""
    with inside(netns):
        server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    server.settimeout(5)
    _OPEN.append(server)
    return server


def connect(netns: Netns, address: str, port: int, source: int) -> socket.socket:
    """Begin a connection from a port, and say whatever comes of it by the socket."""
    with inside(netns):
        made = socket.socket(family_of(address), socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("::" if ":" in address else "0.0.0.0", source))
    made.settimeout(0.3)
    with contextlib.suppress(OSError):
        made.connect((address, port))
    made.settimeout(5)
    _OPEN.append(made)
    return made


def talk(client: socket.socket, server: socket.socket) -> socket.socket:
    """Accept a connection and say a few words in both directions."""
    accepted, _ = server.accept()
    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    accepted.recv(100)
    accepted.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
    client.recv(100)
    _OPEN.append(accepted)
    return accepted


def ask(
    client: Netns, server: Netns, address: str, ports: tuple[int, int], source: int, times: int = 1
) -> None:
    """Send datagrams to a port, and answer at another (the same one where nothing is translated)."""
    there = "::" if ":" in address else "0.0.0.0"
    with inside(client):
        asking = socket.socket(family_of(address), socket.SOCK_DGRAM)
    with inside(server):
        answering = socket.socket(family_of(address), socket.SOCK_DGRAM)
    with asking, answering:
        asking.bind((there, source))
        answering.bind((there, ports[1]))
        answering.settimeout(5)
        for _ in range(times):
            asking.sendto(b"question", (address, ports[0]))
            _, sender = answering.recvfrom(100)
            answering.sendto(b"answer", sender)


def send_raw(netns: Netns, address: str, protocol: int, payload: bytes) -> None:
    """Send one packet of an IP protocol."""
    with inside(netns), socket.socket(family_of(address), socket.SOCK_RAW, protocol) as raw:
        raw.sendto(payload, (address, 0))


@contextmanager
def events(lab: Lab, command: str) -> Iterator[list[bytes]]:
    """Listen while the block runs; the list then holds all that was printed."""
    output: list[bytes] = []
    process = subprocess.Popen(
        ["nsenter", f"--net=/proc/{lab.node.pid}/ns/net", "--", *command.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(0.5)
    try:
        yield output
        time.sleep(0.5)
    finally:
        process.send_signal(signal.SIGINT)
        output.append(process.communicate()[0])


def let_expire(lab: Lab) -> None:
    """Wait for the short timeouts of `capture_events`; the kernel ends what it finds expired as the table is listed."""
    time.sleep(2.2)
    lab.shell("conntrack -L")
