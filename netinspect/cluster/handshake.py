"""From a connected socket to a websocket: websocket-client's handshake, and a refusal's own words.

websocket-client reads the handshake's answer byte by byte and no further, so the socket stands exactly at the
first frame afterwards.
"""

from __future__ import annotations

import contextlib
import io
import socket
from collections.abc import Iterable
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import websocket

from netinspect.cluster.errors import refusal
from netinspect.cluster.headers import Header
from netinspect.cluster.transport import open_socket
from netinspect.errors import ClusterError

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")

_MAX_BODY = 1 << 20


def open_websocket(pool: Any, url: str, headers: Iterable[Header], timeout_s: float) -> tuple[Any, str]:
    """Return the connected socket and the agreed subprotocol.

    Raises:
        RequestRefused: the server answered with an HTTP error.
        ClusterError: it speaks none of our protocols.
    """
    parts = urlsplit(url)
    sock = open_socket(pool, f"{parts.scheme}://{parts.netloc}")
    try:
        sock.settimeout(timeout_s)
        return sock, _shake_hands(sock, url, headers)
    except BaseException:
        sock.close()
        raise


def _shake_hands(sock: Any, url: str, headers: Iterable[Header]) -> str:
    connection: Any = websocket.WebSocket()
    try:
        connection.connect(
            "ws" + url.removeprefix("http"),
            socket=_KeptOpen(sock),
            header=[f"{name}: {value}" for name, value in headers],
            subprotocols=list(PROTOCOLS),
            suppress_origin=True,
            redirect_limit=0,
        )
    except websocket.WebSocketBadStatusException as error:
        raise refusal(error.status_code, _refusal_body(error, sock), error.resp_headers) from error
    except websocket.WebSocketConnectionClosedException as error:
        raise ConnectionResetError("closed during the websocket handshake") from error
    except websocket.WebSocketTimeoutException as error:
        raise TimeoutError from error
    except websocket.WebSocketException as error:
        raise ClusterError(f"Unable to connect to the server: no websocket for exec ({error})") from error
    return str(connection.subprotocol)


class _KeptOpen:
    """A socket that stays open when websocket-client closes it: the body of a refusal is still in it."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def close(self) -> None:
        """Leave the socket to its owner."""


def _refusal_body(error: Any, sock: Any) -> bytes:
    """websocket-client reads a body of known length only, and leaves a chunked one in the socket."""
    if error.resp_body is not None:
        return bytes(error.resp_body)
    if "chunked" not in str((error.resp_headers or {}).get("transfer-encoding", "")).lower():
        return b""
    with contextlib.suppress(OSError, HTTPException):
        response = HTTPResponse(_Replayed(b"HTTP/1.1 400 -\r\nTransfer-Encoding: chunked\r\n\r\n", sock))  # type: ignore[arg-type]
        response.begin()
        return response.read(_MAX_BODY)
    return b""


class _Replayed:
    """A socket whose headers were read already: they come once more, then the rest."""

    def __init__(self, head: bytes, sock: socket.socket) -> None:
        self._head = head
        self._sock = sock

    def makefile(self, mode: str) -> io.BufferedReader:
        """As `socket.makefile`, for http.client."""
        return io.BufferedReader(_Joined(self._head, self._sock.makefile(mode, buffering=0)))  # type: ignore[call-overload]


class _Joined(io.RawIOBase):
    def __init__(self, head: bytes, rest: Any) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._head:
            size = min(len(buffer), len(self._head))
            buffer[:size], self._head = self._head[:size], self._head[size:]
            return size
        count: int | None = self._rest.readinto(buffer)
        return count
