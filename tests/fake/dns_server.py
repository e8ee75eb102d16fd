"""A name server that says what a table tells it to, by UDP and TCP, and remembers what it was asked.

It speaks RFC 1035 without compression, so that every byte of an answer is one that a test has chosen.
"""

from __future__ import annotations

import ipaddress
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

TYPES = {
    "A": 1,
    "NS": 2,
    "CNAME": 5,
    "SOA": 6,
    "PTR": 12,
    "TXT": 16,
    "AAAA": 28,
    "SRV": 33,
    "OPT": 41,
    "ANY": 255,
}
NAMES = {number: name for name, number in TYPES.items()}
RCODES = {"NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5, "NOTAUTH": 9}
QR, AA, TC, RD, RA, AD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020


@dataclass(frozen=True)
class Record:
    """A record: its type, its data as in a zone file, its TTL, and its owner where that is not the name asked for."""

    type: str
    data: str
    ttl: int = 30
    owner: str = ""

    def encode(self, asked: bytes) -> bytes:
        owner = encode_name(self.owner) if self.owner else asked
        data = encode_data(self.type, self.data)
        number = TYPES.get(self.type) or int(self.type.removeprefix("TYPE"))
        return owner + struct.pack(">HHIH", number, 1, self.ttl, len(data)) + data


@dataclass(frozen=True)
class Reply:
    """What to answer.

    Attributes:
        rcode: by name, or as a number.
        flags: besides QR and the RD of the question.
        opt: an OPT record's options, each (code, data); None leaves OPT out.
        delay_s: answer so much later.
        change_id: what is added to the question's id.
        question: answer another question, (name, type); "" leaves it out.
        raw: send these bytes after the id, whatever the other fields say.
        silent: answer nothing; by TCP, close the connection.
        reset: the same, but by TCP with a reset.
    """

    rcode: str | int = "NOERROR"
    answer: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    flags: int = AA
    opt: tuple[tuple[int, bytes], ...] | None = None
    delay_s: float = 0.0
    change_id: int = 0
    question: tuple[str, str] | str | None = None
    raw: bytes | None = None
    silent: bool = False
    reset: bool = False


SOA = Record(
    "SOA", "ns.dns.cluster.local. hostmaster.cluster.local. 7 7200 1800 86400 30", owner="cluster.local."
)
NXDOMAIN = Reply("NXDOMAIN", authority=(SOA,))
NODATA = Reply(authority=(SOA,))
SERVFAIL = Reply("SERVFAIL", flags=RA)
REFUSED = Reply("REFUSED", flags=0)
SILENCE = Reply(silent=True)

Table = Mapping[tuple[str, str], Reply]


@dataclass(frozen=True)
class Asked:
    """A question as it came in, and when (time.monotonic)."""

    protocol: str
    name: str
    type: str
    at: float = 0.0


@dataclass
class DnsServer:
    """A running server: where it listens, and what it was asked."""

    address: str
    port: int
    table: Table
    default: Reply
    asked: list[Asked] = field(default_factory=list)

    def answer(self, query: bytes, protocol: str) -> Reply:
        """Note a question and return the table's reply; what is no question gets none."""
        try:
            name, number = decode_question(query)
        except IndexError:
            self.asked.append(Asked(protocol, "?", "?", time.monotonic()))
            return SILENCE
        kind = NAMES.get(number, f"TYPE{number}")
        self.asked.append(Asked(protocol, name, kind, time.monotonic()))
        wanted = ((name.lower(), key) for key in (f"{kind}/{protocol}", kind, "*"))
        return next((self.table[key] for key in wanted if key in self.table), self.default)


def encode_name(text: str) -> bytes:
    labels = [label.encode("latin-1") for label in text.rstrip(".").split(".") if label]
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def encode_data(kind: str, text: str) -> bytes:
    if kind == "A":
        return ipaddress.IPv4Address(text).packed
    if kind == "AAAA":
        return ipaddress.IPv6Address(text).packed
    if kind in ("CNAME", "NS", "PTR"):
        return encode_name(text)
    if kind == "SRV":
        priority, weight, port, target = text.split()
        return struct.pack(">HHH", int(priority), int(weight), int(port)) + encode_name(target)
    if kind == "TXT":
        parts = [part.encode("latin-1") for part in text.split("|")]
        return b"".join(bytes((len(part),)) + part for part in parts)
    if kind == "SOA":
        mname, rname, *numbers = text.split()
        return encode_name(mname) + encode_name(rname) + struct.pack(">5I", *map(int, numbers))
    return bytes.fromhex(text)


def decode_question(message: bytes) -> tuple[str, int]:
    """Return the name asked for, with the root's dot, and the type's number."""
    at, labels = 12, []
    while message[at]:
        labels.append(message[at + 1 : at + 1 + message[at]].decode("latin-1"))
        at += 1 + message[at]
    return ".".join(labels) + ".", int.from_bytes(message[at + 1 : at + 3])


def encode_reply(reply: Reply, query: bytes) -> bytes:
    """Return the message that answers a query."""
    number = (int.from_bytes(query[:2]) + reply.change_id) & 0xFFFF
    if reply.raw is not None:
        return struct.pack(">H", number) + reply.raw
    asked = query[12 : query.index(b"\0", 12) + 1]
    question = asked + query[12 + len(asked) : 16 + len(asked)]
    if isinstance(reply.question, tuple):
        question = encode_name(reply.question[0]) + struct.pack(">HH", TYPES[reply.question[1]], 1)
    elif reply.question == "":
        question = b""
    rcode = reply.rcode if isinstance(reply.rcode, int) else RCODES[reply.rcode]
    flags = QR | (int.from_bytes(query[2:4]) & (RD | 0x7800)) | reply.flags | rcode & 15
    sections = (reply.answer, reply.authority, reply.additional)
    counts = [len(section) for section in sections]
    body = b"".join(record.encode(asked) for section in sections for record in section)
    if reply.opt is not None:
        options = b"".join(struct.pack(">HH", code, len(data)) + data for code, data in reply.opt)
        body += b"\0" + struct.pack(">HHIH", TYPES["OPT"], 1232, (rcode >> 4) << 24, len(options)) + options
        counts[2] += 1
    return struct.pack(">6H", number, flags, 1 if question else 0, *counts) + question + body


@contextmanager
def serve_dns(
    table: Table,
    *,
    default: Reply = NXDOMAIN,
    address: str = "127.0.0.1",
    port: int = 0,
    tcp: bool = True,
) -> Iterator[DnsServer]:
    """Serve until the block ends.

    Args:
        table: what to answer to (name in lower case with the root's dot, type). The type may be "A/udp" or "A/tcp",
            for one protocol only, or "*".
        default: what to answer to all else.
        address: where to listen.
        port: at which port; 0 takes one that both protocols have free.
        tcp: whether to listen by TCP, too.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    udp, stream = _bind(family, address, port, tcp=tcp)
    server = DnsServer(address, udp.getsockname()[1], table, default)
    stop = threading.Event()
    threads = [threading.Thread(target=_serve_udp, args=(server, udp, stop))]
    if stream is not None:
        threads.append(threading.Thread(target=_serve_tcp, args=(server, stream, stop)))
    for thread in threads:
        thread.start()
    try:
        yield server
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        udp.close()
        if stream is not None:
            stream.close()


def _bind(family: int, address: str, port: int, *, tcp: bool) -> tuple[socket.socket, socket.socket | None]:
    for _ in range(20):
        udp = socket.socket(family, socket.SOCK_DGRAM)
        udp.bind((address, port))
        if not tcp:
            return udp, None
        stream = socket.socket(family, socket.SOCK_STREAM)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            stream.bind((address, udp.getsockname()[1]))
        except OSError:
            udp.close()
            stream.close()
            continue
        stream.listen()
        return udp, stream
    raise OSError("no port is free for both protocols")


def _serve_udp(server: DnsServer, udp: socket.socket, stop: threading.Event) -> None:
    while not stop.is_set():
        if not select.select([udp], [], [], 0.05)[0]:
            continue
        query, peer = udp.recvfrom(65535)
        reply = server.answer(query, "udp")
        time.sleep(reply.delay_s)
        if not (reply.silent or reply.reset):
            udp.sendto(encode_reply(reply, query), peer)


def _serve_tcp(server: DnsServer, stream: socket.socket, stop: threading.Event) -> None:
    while not stop.is_set():
        if not select.select([stream], [], [], 0.05)[0]:
            continue
        connection, _ = stream.accept()
        with connection:
            connection.settimeout(2)
            _converse(server, connection)


def _converse(server: DnsServer, connection: socket.socket) -> None:
    """Answer what comes on one connection: resolvers put A and AAAA on the same."""
    while True:
        try:
            length = _read(connection, 2)
            query = _read(connection, int.from_bytes(length)) if length else b""
        except TimeoutError:
            return
        if not query:
            return
        reply = server.answer(query, "tcp")
        time.sleep(reply.delay_s)
        if reply.reset:
            # Closed with nothing to linger for: a reset, and no end of file.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if reply.silent or reply.reset:
            return
        message = encode_reply(reply, query)
        connection.sendall(len(message).to_bytes(2) + message)


def _read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            return b""
        data += part
    return data
