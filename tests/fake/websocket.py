"""The server's side of RFC 6455, with ways to do it wrong."""

from __future__ import annotations

import base64
import hashlib
import select
import ssl
import struct
import threading
from collections.abc import Sequence
from typing import Any

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


_NOT_NOW = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)


class Cut(Exception):  # noqa: N818 - an order, not an error
    """The script said to cut the connection here."""


def encode_frame(payload: bytes, opcode: int = BINARY, *, is_final: bool = True) -> bytes:
    first = (0x80 if is_final else 0) | opcode
    if len(payload) < 126:
        return struct.pack("!BB", first, len(payload)) + payload
    if len(payload) < 65536:
        return struct.pack("!BBH", first, 126, len(payload)) + payload
    return struct.pack("!BBQ", first, 127, len(payload)) + payload


def choose_protocol(offered: str, supported: Sequence[str]) -> str:
    wanted = [name.strip() for name in offered.split(",")]
    return next((name for name in wanted if name in supported), "")


class ServerSocket:
    """One websocket. `cut_after` counts the bytes of frames that are sent before the connection breaks."""

    def __init__(self, exchange: Any, cut_after: int | None) -> None:
        self._exchange = exchange
        self._connection = exchange.connection
        self._left = cut_after
        self._buffer = b""
        self._send_lock = threading.Lock()
        # OpenSSL takes one call at a time, and one thread reads while others write.
        self._tls_lock = threading.Lock()
        self.pings = 0
        self.answers_pings = True

    def accept(self, key: str, protocol: str) -> None:
        digest = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()
        self._exchange.send_response(101)
        self._exchange.send_header("Upgrade", "websocket")
        self._exchange.send_header("Connection", "Upgrade")
        self._exchange.send_header("Sec-WebSocket-Accept", digest)
        self._exchange.send_header("Sec-WebSocket-Protocol", protocol)
        self._exchange.end_headers()
        self._connection.settimeout(0)

    def send(self, payload: bytes, opcode: int = BINARY, *, is_final: bool = True) -> None:
        self.send_raw(encode_frame(payload, opcode, is_final=is_final))

    def send_raw(self, data: bytes) -> None:
        with self._send_lock:
            if self._left is not None and len(data) > self._left:
                self._write(data[: self._left])
                self._left = 0
                raise Cut
            self._write(data)
            if self._left is not None:
                self._left -= len(data)

    def receive(self) -> bytes | None:
        """Return the next data message; None when the client closes or is gone. Answers pings."""
        while True:
            head = self._read(2)
            if head is None:
                return None
            opcode, size = head[0] & 0x0F, head[1] & 0x7F
            if size >= 126:
                form = "!H" if size == 126 else "!Q"
                size = struct.unpack(form, self._read(struct.calcsize(form)) or b"\0\0")[0]
            mask = self._read(4) if head[1] & 0x80 else b"\0\0\0\0"
            payload = self._read(size) if size else b""
            if mask is None or payload is None or opcode == CLOSE:
                return None
            data = _unmask(payload, mask)
            if opcode == PING:
                self.pings += 1
                if self.answers_pings:
                    self.send(data, PONG)
            elif opcode != PONG:
                return data

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                with self._tls_lock:
                    view = view[self._connection.send(view) :]
            except _NOT_NOW:
                self._wait(select.POLLOUT)

    def _read(self, size: int) -> bytes | None:
        while len(self._buffer) < size:
            try:
                data = self._receive_some()
            except (OSError, ValueError):
                return None  # closed, here or there
            if not data:
                return None
            self._buffer += data
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _receive_some(self) -> bytes:
        while True:
            try:
                with self._tls_lock:
                    return bytes(self._connection.recv(65536))
            except _NOT_NOW:
                self._wait(select.POLLIN)

    def _wait(self, what: int) -> None:
        poller = select.poll()
        poller.register(self._connection, what)
        poller.poll(100)


def _unmask(payload: bytes, mask: bytes) -> bytes:
    repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
    value = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return value.to_bytes(len(payload), "big")
