"""Sockets whose every wait is under the command's deadline (deadline.py), and how they are opened.

urllib3, http.client and websocket-client know one time limit: for a single read. A server that sends a byte every
ten seconds never meets it, and another thread cannot end the wait. So the door's sockets wake every `POLL_S`
inside the call, look at the deadline, and wait on; the libraries above see an ordinary blocking socket.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, TypeVar

from netinspect.cluster.deadline import POLL_S, check_current

T = TypeVar("T")

# client-go's dialer: net.Dialer{KeepAlive: 30s}; here a dead peer is noticed after 15 + 3 * 5 s.
_KEEPALIVE = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))


class ConnectTimeout(TimeoutError):  # noqa: N818 - as the exception that it specialises
    """No TCP connection came about in time."""


class _Patient(socket.socket):
    """Keeps the kernel's time limit at one slice, and counts the caller's own limit itself.

    The limit is not changed around each operation: that would cost system calls on every read.
    """

    _limit_s: float | None = None

    def settimeout(self, value: float | None) -> None:
        """Set the caller's limit for one operation, in seconds."""
        self._limit_s = value
        super().settimeout(POLL_S if value is None else min(value, POLL_S))

    def gettimeout(self) -> float | None:
        return self._limit_s

    def recv(self, *args: Any) -> bytes:
        return self._patiently(super().recv, *args)

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        return self._patiently(super().recv_into, *args, **kwargs)

    def send(self, *args: Any) -> int:
        return self._patiently(super().send, *args)

    def sendall(self, data: Any, flags: int = 0) -> None:
        # The C implementation would forget how much it had sent when a slice ends.
        view = memoryview(data).cast("B")
        while view:
            view = view[self.send(view, flags) :]

    def _patiently(self, operation: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        limit_s = self._limit_s
        if limit_s == 0:
            return operation(*args, **kwargs)
        start = time.monotonic()
        while True:
            check_current()
            try:
                return operation(*args, **kwargs)
            except TimeoutError as error:
                # With an errno it is the kernel's own verdict: keepalive found the peer dead.
                is_over = limit_s is not None and time.monotonic() - start >= limit_s
                if is_over or error.errno is not None:
                    raise


class PatientSocket(_Patient):
    """A TCP socket."""


class PatientSSLSocket(_Patient, ssl.SSLSocket):
    """A TLS socket; made by `SSLContext.wrap_socket` where the context's `sslsocket_class` is this class.

    OpenSSL takes an interrupted handshake, read or write up again when it is called again.
    """

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands, slice by slice."""
        self._patiently(super().do_handshake, block)


def open_tcp(host: str, port: int, timeout_s: float) -> PatientSocket:
    """Connect to the first address of `host` that answers, within `timeout_s` in all.

    Each address gets an even share of what time is left, so that a dead IPv6 route does not use it up.

    Raises:
        OSError: the last address's reason (`socket.gaierror` where there is no address).
    """
    end = time.monotonic() + timeout_s
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = OSError(errno.EADDRNOTAVAIL, "no address")
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        share_s = (end - time.monotonic()) / (len(addresses) - index)
        sock = PatientSocket(family, kind, protocol)
        try:
            _connect(sock, address, time.monotonic() + max(share_s, 0.1))
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            _set_options(sock)
            sock.settimeout(timeout_s)
            return sock
    raise failure


def _connect(sock: socket.socket, address: Any, end: float) -> None:
    sock.settimeout(0)
    code = sock.connect_ex(address)
    poller = select.poll()
    poller.register(sock, select.POLLOUT)
    while code in (errno.EINPROGRESS, errno.EALREADY):
        check_current()
        left = end - time.monotonic()
        if left <= 0:
            raise ConnectTimeout
        if poller.poll(min(left, POLL_S) * 1000):
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def _set_options(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):  # macOS has no TCP_KEEPIDLE
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
