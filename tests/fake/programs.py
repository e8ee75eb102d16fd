"""What an exec runs: a call object, and ready-made programs."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from tests.fake.messages import Object, Request
from tests.fake.websocket import CLOSE, Cut, ServerSocket

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSED = 0, 1, 2, 3, 4, 255


@dataclass
class ExecCall:
    """A running exec: the request, and the streams."""

    request: Request
    socket: ServerSocket
    protocol: str
    sizes: list[Object] = field(default_factory=list)
    _stdin: queue.Queue[bytes | None] = field(default_factory=queue.Queue)

    @property
    def argv(self) -> list[str]:
        return self.request.query.get("command", [])

    def write(self, channel: int, data: bytes) -> None:
        self.socket.send(bytes((channel,)) + data)

    def stdin(self) -> Iterator[bytes]:
        """Yield what the client sends, until it closes the channel or is gone."""
        while (data := self._stdin.get()) is not None:
            yield data

    def finish(self, code: int = 0, *, message: str = "") -> None:
        """Send the Status of an ended program."""
        if code == 0:
            self.send_status({"metadata": {}, "status": "Success"})
            return
        self.send_status(
            {
                "metadata": {},
                "status": "Failure",
                "message": message or f"command terminated with non-zero exit code: {code}",
                "reason": "NonZeroExitCode",
                "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
            }
        )

    def send_status(self, status: Object) -> None:
        self.write(ERROR, json.dumps(status).encode())

    def pump(self) -> None:
        """Read the client's messages until it goes away."""
        while (message := self.socket.receive()) is not None:
            channel, data = message[0], message[1:]
            if channel == STDIN:
                self._stdin.put(data)
            elif channel == CLOSED and data[:1] == bytes((STDIN,)) and self.protocol.startswith("v5"):
                self._stdin.put(None)
            elif channel == RESIZE:
                self.sizes.append(json.loads(data))
        self._stdin.put(None)


Program = Callable[[ExecCall], None]


def run_exec(call: ExecCall, program: Program) -> None:
    """Run a program to its end, then close the websocket as the kubelet does."""
    threading.Thread(target=call.pump, daemon=True).start()
    with contextlib.suppress(Cut, OSError, ValueError):
        for channel in (STDOUT, STDERR, ERROR):
            call.write(channel, b"")  # "established"
        program(call)
        call.socket.send((1000).to_bytes(2, "big"), CLOSE)


def says(stdout: bytes = b"", stderr: bytes = b"", code: int = 0, *, chunk: int = 32768) -> Program:
    """A program that prints and ends."""

    def program(call: ExecCall) -> None:
        for channel, data in ((STDOUT, stdout), (STDERR, stderr)):
            for start in range(0, len(data), chunk):
                call.write(channel, data[start : start + chunk])
        call.finish(code)

    return program


def echo_stdin(call: ExecCall) -> None:
    """`cat`."""
    for data in call.stdin():
        call.write(STDOUT, data)
    call.finish()


def refuses(message: str) -> Program:
    """A program that the container runtime cannot start."""
    return lambda call: call.send_status(
        {"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500}
    )


def no_status(stdout: bytes = b"") -> Program:
    """A stream that ends without a Status."""
    return lambda call: call.write(STDOUT, stdout)


def run_locally(call: ExecCall) -> None:
    """Run the argv on this host."""
    try:
        process = subprocess.Popen(
            call.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
    except OSError as error:
        refuses(f"exec failed: {error}")(call)
        return
    assert process.stdin
    threading.Thread(target=_feed, args=(call, process.stdin), daemon=True).start()
    readers = [
        threading.Thread(target=_forward, args=(call, channel, pipe))
        for channel, pipe in ((STDOUT, process.stdout), (STDERR, process.stderr))
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    call.finish(process.wait())


def _feed(call: ExecCall, pipe: IO[bytes]) -> None:
    with contextlib.suppress(OSError):
        if call.request.is_true("stdin"):
            for data in call.stdin():
                pipe.write(data)
        pipe.close()


def _forward(call: ExecCall, channel: int, pipe: Any) -> None:
    with contextlib.suppress(Cut, OSError, ValueError):
        while data := pipe.read(32768):
            call.write(channel, data)
