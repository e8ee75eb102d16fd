"""The near side of the machine's agent (guest/agent.sh): sends scripts, reads what came of them."""

from __future__ import annotations

import socket
import threading
import time
from typing import NamedTuple


class ShellResult(NamedTuple):
    """What a script said and how it ended. Exit code 124: it took longer than it was given (timeout(1))."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class Agent:
    """One request at a time, over a socket whose other end is a virtio port of the machine.

    Every method raises TimeoutError when no answer comes in time, and ConnectionError when the machine has ended. The
    agent is of no use after either: an answer that comes late would be taken for another's.
    """

    # The script's own time is measured in the machine, which may be slow to start it and to send much.
    PATIENCE_S = 30.0

    def __init__(self, port: socket.socket) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._rest = b""

    def wait_until_ready(self, timeout_s: float) -> str:
        """Wait for the agent's first words, and return the release of the kernel that runs there."""
        word, release = self._read_line(time.monotonic() + timeout_s).split()
        if word != "ready":
            raise ConnectionError(f"the agent began with {word!r}")
        return release

    def run(self, script: str, stdin: bytes, timeout_s: int) -> ShellResult:
        """Run a script as `sh -c SCRIPT` (at most 128 KiB: Linux, MAX_ARG_STRLEN) to its end."""
        text = script.encode()
        deadline = time.monotonic() + timeout_s + self.PATIENCE_S
        with self._lock:
            self._port.settimeout(timeout_s + self.PATIENCE_S)
            self._port.sendall(b"%d %d %d\n%s%s" % (timeout_s, len(text), len(stdin), text, stdin))
            exit_code, stdout_size, stderr_size = map(int, self._read_line(deadline).split())
            return ShellResult(
                exit_code, self._read(stdout_size, deadline), self._read(stderr_size, deadline)
            )

    def _read_line(self, deadline: float) -> str:
        while b"\n" not in self._rest:
            self._rest += self._receive(deadline)
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def _read(self, size: int, deadline: float) -> bytes:
        pieces, missing = [self._rest], size - len(self._rest)
        while missing > 0:
            pieces.append(self._receive(deadline))
            missing -= len(pieces[-1])
        data = b"".join(pieces)
        self._rest = data[size:]
        return data[:size]

    def _receive(self, deadline: float) -> bytes:
        self._port.settimeout(max(0.01, deadline - time.monotonic()))
        data = self._port.recv(1 << 16)
        if not data:
            raise ConnectionError("the machine has ended")
        return data
