"""Publish the API server on this machine's loopback: copy bytes between two network namespaces.

Run as a program with the descriptor of a listening socket that was made in the machine's network namespace, while
this process is in the control plane's: what it accepts comes from the one, what it connects to is in the other.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading

# As large as the default limit of Linux's socket buffers, so that one wake-up moves all that waits.
CHUNK = 1 << 18


def serve(listener: socket.socket, target: tuple[str, int]) -> None:
    """Join every accepted connection to a new one to `target`."""
    while True:
        client, _ = listener.accept()
        threading.Thread(target=_join, args=(client, target), daemon=True).start()


def _join(client: socket.socket, target: tuple[str, int]) -> None:
    with client, contextlib.suppress(OSError), socket.create_connection(target) as server:
        for side in (client, server):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answers = threading.Thread(target=_copy, args=(server, client), daemon=True)
        answers.start()
        _copy(client, server)
        answers.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Copy until the source says it is done, then pass that on; the other direction may still be busy."""
    chunk = memoryview(bytearray(CHUNK))
    try:
        while size := source.recv_into(chunk):
            target.sendall(chunk[:size])
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # A reset on one side: reset the other as well, or its reader would wait for ever.
        for side in (source, target):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)


def main() -> None:
    """Arguments: the listening socket's descriptor, the target's host, the target's port."""
    descriptor, host, port = sys.argv[1:]
    serve(socket.socket(fileno=int(descriptor)), (host, int(port)))


if __name__ == "__main__":
    main()
