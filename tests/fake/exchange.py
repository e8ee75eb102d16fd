"""One request and its answer on a connection: HTTP/1.1 by `http.server`, TLS by `ssl`, and ways to do it wrong."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fake.messages import Refused, Request, Response

if TYPE_CHECKING:
    from tests.fake.api import FakeApi


class Server(ThreadingHTTPServer):
    """Threads per connection; the TLS handshake happens in the thread, so that one client cannot hold the others."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, api: FakeApi, context: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.api = api
        self.context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.context is not None:
            request.settimeout(10)
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except OSError:
                request.close()
                return
            request.settimeout(None)
        try:
            super().finish_request(request, client_address)
        except (OSError, ValueError):
            pass  # the client, or a fault, closed the connection
        finally:
            request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.api.note_error()


class Exchange(BaseHTTPRequestHandler):
    """Handles requests, and is what faults act on."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def handle_any(self) -> None:
        request = self._read_request()
        api = self.server.api
        api.requests.append(request)
        fault = api.faults.take(request)
        if fault is not None:
            fault(self, request)
        else:
            api.serve(self, request)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

    def handle(self, request: Request | None = None) -> Any:
        """Without a request: http.server's loop. With one: carry it out and return the answer."""
        if request is None:
            return super().handle()
        try:
            return self.server.api.answer(request)
        except Refused as refused:
            return refused.response

    def reply(self, response: Response, *, keep: int | None = None, pause_s: float = 0) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        body = response.body if keep is None else response.body[:keep]
        if pause_s:
            for index in range(len(body)):
                self.wfile.write(body[index : index + 1])
                self.sleep(pause_s)
        else:
            self.wfile.write(body)
        if keep is not None:
            self.hang_up()

    def begin_chunks(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, data: bytes) -> None:
        if data:
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def end_chunks(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def reset(self) -> None:
        """Close with RST in place of FIN."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.hang_up()

    def hang_up(self) -> None:
        self.close_connection = True
        # A thread that still reads would keep the socket alive; and so would http.server's files. Its number stays
        # taken until they are done: OpenSSL would write into whatever connection had got it meanwhile.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.connection, socket.SHUT_RD)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, self.connection.fileno(), inheritable=False)
        os.close(null)

    def sleep(self, seconds: float) -> None:
        """Wait, but not longer than the server lives."""
        self.server.api.stopping.wait(seconds)
        if self.server.api.stopping.is_set():
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep quiet."""

    def _read_request(self) -> Request:
        url = urlsplit(self.path)
        size = int(self.headers.get("Content-Length") or 0)
        headers = [(name.lower(), value) for name, value in self.headers.items()]
        return Request(
            method=self.command,
            path=unquote(url.path),
            query=parse_qs(url.query, keep_blank_values=True),
            headers=headers,
            body=self.rfile.read(size) if size else b"",
            user=self.server.api.authenticate(headers, _common_name(self.connection)),
        )


def _common_name(connection: Any) -> str:
    """Return the CN of the client's certificate; `subject` is a tuple of names, each a tuple of pairs."""
    certificate: dict[str, Any] = {}
    if isinstance(connection, ssl.SSLSocket):
        certificate = connection.getpeercert() or {}
    pairs = dict(pair for name in certificate.get("subject", ()) for pair in name)
    return str(pairs.get("commonName", ""))
