"""Fill the conntrack table of one namespace up to the machine's limit, which is counted for each namespace alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.netns.world import Netns, run

LIMIT = Path("/proc/sys/net/netfilter/nf_conntrack_max")
_RULES = "table inet full {\n chain any {\n type filter hook output priority 0\n ct state new accept\n }\n}\n"
_SEND = """
import socket, sys
with socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM) as one:
    try:
        one.sendto(b"x", (sys.argv[1], 9))
    except PermissionError:
        print("dropped")
"""


def fill_table(netns: Netns) -> None:
    """Put entries into the table until it holds as many as it may; none of them makes room for another."""
    netns.ip("link set lo up")
    enter = ("nsenter", f"--net=/proc/{netns.pid}/ns/net", "--")
    # A netns tracks only where a rule asks for it.
    subprocess.run([*enter, "nft", "-f", "-"], input=_RULES.encode(), check=True)
    missing = int(LIMIT.read_text()) - int(netns.enter("conntrack", "-C"))
    lines = "\n".join(_flows(missing)) + "\n"
    subprocess.run([*enter, "conntrack", "-R", "-"], input=lines.encode(), check=True, capture_output=True)


def _flows(count: int) -> Iterator[str]:
    """Entries in the tool's own save format. The kernel evicts flows early only if they are not ASSURED."""
    for number in range(count):
        host = f"172.{16 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
        yield (
            f"-A -t 3600 -u SEEN_REPLY,ASSURED -s {host} -d 10.255.0.1 -r 10.255.0.1 -q {host} "
            "-p udp --sport 1000 --dport 53 --reply-port-src 53 --reply-port-dst 1000"
        )


def send_one(netns: Netns, address: str) -> bool:
    """Send a datagram to a port of `lo` where nobody listens; whether it got past the table."""
    script = run("nsenter", f"--net=/proc/{netns.pid}/ns/net", "--", sys.executable, "-c", _SEND, address)
    return not script
