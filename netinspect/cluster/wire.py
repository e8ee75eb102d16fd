"""A connected socket that one thread may read while another writes.

OpenSSL's connection object takes one call at a time, and CPython lets go of the interpreter lock inside it. So the
socket does not block, each call is made under a lock and returns at once, and the waiting is done outside
of the lock, on the descriptor.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading


class Wire:
    """Non-blocking reads and writes; `None` says "not now: wait". Closing is safe from any thread."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(0)
        self._sock = sock
        self._fd = sock.fileno()
        self._lock = threading.Lock()
        self._is_closed = False

    def receive_into(self, view: memoryview) -> int | None:
        """Read what is there, up to the size of `view`; 0 is the end of the stream.

        More than one TLS record is taken where there is more: waiting once for each would cost as much as reading.
        """
        with self._lock:
            if self._is_closed:
                return 0
            size = 0
            try:
                while size < len(view):
                    count = self._sock.recv_into(view[size:])
                    if count == 0:
                        break
                    size += count
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                return size or None
            except OSError:
                # What came before the break is still good; the next call meets the break again.
                if not size:
                    raise
            return size

    def send(self, data: memoryview) -> int | None:
        """Write what can be written now."""
        with self._lock:
            if self._is_closed:
                raise BrokenPipeError("the stream is closed")
            try:
                return self._sock.send(data)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                return None

    def wait(self, timeout_s: float, *, for_write: bool = False) -> None:
        """Sleep until something can be done, or the time is over."""
        poller = select.poll()
        poller.register(self._fd, select.POLLIN | select.POLLOUT if for_write else select.POLLIN)
        poller.poll(max(0.0, timeout_s) * 1000)

    def close(self) -> None:
        """Close; who waits in another thread wakes and finds the end of the stream."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            with contextlib.suppress(OSError):
                # Not SSLSocket.shutdown: that forgets the TLS state that the reader may be about to ask.
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
            self._sock.close()
