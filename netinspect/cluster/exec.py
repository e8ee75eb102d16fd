"""exec: a program in a container, its streams over one websocket.

Each binary message is one channel byte and data (k8s.io/apimachinery pkg/util/remotecommand constants.go, and
docs of `v5.channel.k8s.io`): 0 stdin, 1 stdout, 2 stderr, 3 the Status at the end, 4 terminal size, 255 (v5 only) "this
channel is closed". Only the Status says how the program ended; a stream without one was cut.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from netinspect.cluster.deadline import Deadline, waiting_for
from netinspect.cluster.errors import translated
from netinspect.cluster.exec_status import ExecStatus, parse_exec_status
from netinspect.cluster.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    FrameBuffer,
    FrameError,
)
from netinspect.cluster.wire import Wire

if TYPE_CHECKING:
    from netinspect.cluster.client import ClusterClient

__all__ = ["ExecStatus", "ExecStream", "Heartbeat", "open_exec", "parse_exec_status"]

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSED = 0, 1, 2, 3, 4, 255

HANDSHAKE_S = 30.0
_MAX_MESSAGE = 32 * 1024
"""Of stdin in one message: what client-go sends at most."""

_CLOSE_NORMAL = (1000).to_bytes(2, "big")


@dataclass(frozen=True)
class Heartbeat:
    """When the server is asked whether it is still there, and how long it may take to say so.

    client-go pings every 5 s and gives up after 60 s; load balancers cut what is silent for 60 s and more.
    """

    every_s: float = 10.0
    give_up_s: float = 60.0
    linger_s: float = 5.0
    """How long the server may take to close the stream once the Status is here."""


HEARTBEAT = Heartbeat()


def open_exec(client: ClusterClient, url: str, deadline: Deadline) -> ExecStream:
    """Open the websocket; a refusal of the handshake is raised as any other answer of the API server.

    Raises:
        ClusterError: refused, not reachable, or no websocket.
    """
    from netinspect.cluster.handshake import open_websocket

    what = "the API server to open the exec stream"

    def shake_hands(pool: Any, headers: Any) -> tuple[Any, str]:
        with waiting_for(what, deadline), translated(client.context.server, what):
            return open_websocket(pool, url, headers, HANDSHAKE_S)

    sock, protocol = client.authorized(shake_hands)
    return ExecStream(Wire(sock), protocol, deadline)


class ExecStream:
    """A running program. Iterate to the end for its output; then `status` says how it ended.

    One thread may read while others write. Output that nobody reads stops the program, and in the end our
    own writes too: read and write from different threads, or write little.

    Attributes:
        protocol: "v5.channel.k8s.io" or "v4.channel.k8s.io".
    """

    def __init__(
        self, wire: Wire, protocol: str, deadline: Deadline, heartbeat: Heartbeat = HEARTBEAT
    ) -> None:
        self.protocol = protocol
        self._wire = wire
        self._deadline = deadline
        self._heartbeat = heartbeat
        self._buffer = FrameBuffer()
        self._status_bytes = bytearray()
        self._status: ExecStatus | None = None
        self._channel: int | None = None
        self._heard = self._pinged = time.monotonic()
        self._is_waiting_for_pong = False
        self._outbox: deque[memoryview] = deque()
        self._send_lock = threading.Lock()

    @property
    def status(self) -> ExecStatus:
        """How the program ended; cut, as long as the end was not read."""
        return self._status or ExecStatus(None, "the stream was not read to its end", is_cut=True)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Yield `(channel, data)` with channel 1 or 2 until the program has ended or the stream is cut.

        Raises:
            DeadlineError: time is up; what came until then was yielded.
        """
        try:
            while self._status is None:
                frame = self._next_frame()
                if frame.opcode in (BINARY, TEXT, CONTINUATION):
                    yield from self._data_of(frame)
                elif self._is_over_after(frame):
                    self._status = self._read_status("the server closed the stream")
        except (_CutError, FrameError, OSError) as error:
            self._status = self._read_status(str(error) or type(error).__name__)
        # Not in a `finally`: whoever is interrupted may still end the program in good order and read on.
        self.close()

    def write_stdin(self, data: bytes) -> None:
        """Send `data` to the program's stdin; blocks while the server does not take it.

        Raises:
            ClusterError: the stream is over.
            DeadlineError: time is up.
        """
        view = memoryview(data)
        for start in range(0, len(view), _MAX_MESSAGE):
            self._write(bytes((STDIN,)) + view[start : start + _MAX_MESSAGE])

    def close_stdin(self) -> bool:
        """Tell the program that its stdin ends here; False where the server cannot (v4): it stays open."""
        if not self.protocol.startswith("v5"):
            return False
        self._write(bytes((CLOSED, STDIN)))
        return True

    def resize(self, cols: int, rows: int) -> None:
        """Tell the terminal its size, in characters."""
        self._write(bytes((RESIZE,)) + msgspec.json.encode({"Width": cols, "Height": rows}))

    def close(self) -> None:
        """Close the connection. A program that still runs is left to the container runtime."""
        self._post(CLOSE, _CLOSE_NORMAL)
        self._wire.close()

    def __enter__(self) -> ExecStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        self.close()
        return False

    def _data_of(self, frame: Frame) -> Iterator[tuple[int, bytes]]:
        """Yield a frame's part of stdout or stderr; keep the Status; pass by all else.

        A message may come in several frames, of which the first may be empty: the channel byte is the first of
        the message, not of the frame.
        """
        data = frame.payload
        if frame.opcode != CONTINUATION:
            self._channel = None
        if self._channel is None and data:
            self._channel, data = data[0], data[1:]
        if self._channel == ERROR:
            self._status_bytes += data
        elif data and self._channel in (STDOUT, STDERR):
            yield self._channel, data

    def _is_over_after(self, frame: Frame) -> bool:
        if frame.opcode == PING:
            self._post(PONG, frame.payload)
        return frame.opcode == CLOSE

    def _next_frame(self) -> Frame:
        while (frame := self._buffer.take()) is None:
            self._deadline.check("the output of the remote command")
            count = self._wire.receive_into(self._buffer.space())
            if count is None:
                self._wait()
            elif count == 0:
                raise _CutError("the connection was closed")
            else:
                self._buffer.received(count)
                self._heard, self._is_waiting_for_pong = time.monotonic(), False
        return frame

    def _wait(self) -> None:
        """Sleep one slice; keep the connection alive, and notice when it is dead."""
        now = time.monotonic()
        if self._status_bytes and now - self._heard > self._heartbeat.linger_s:
            raise _CutError("the server did not close the stream")
        if self._is_waiting_for_pong and now - self._pinged > self._heartbeat.give_up_s:
            raise _CutError(f"the server was silent for {now - self._heard:.0f}s")
        if not self._is_waiting_for_pong and now - max(self._heard, self._pinged) > self._heartbeat.every_s:
            self._pinged, self._is_waiting_for_pong = now, True
            self._post(PING, b"")
        self._flush()
        self._wire.wait(self._deadline.slice_s())

    def _read_status(self, reason: str) -> ExecStatus:
        """Read what came on the error channel; a half-sent Status is none."""
        return parse_exec_status(bytes(self._status_bytes)) or ExecStatus(None, reason, is_cut=True)

    def _write(self, message: bytes) -> None:
        """Send a data message, however long that takes."""
        what = "the remote command to take its input"
        with translated("", what), self._send_lock:
            self._outbox.append(_masked_frame(BINARY, message))
            while not self._send_some():
                self._deadline.check(what)
                self._wire.wait(self._deadline.slice_s(), for_write=True)

    def _post(self, opcode: int, payload: bytes) -> None:
        """Send a control frame when there is room: the reader must not wait for a writer that waits for the reader."""
        self._outbox.append(_masked_frame(opcode, payload))
        self._flush()

    def _flush(self) -> None:
        """Send what can be sent. A failure is left to the reader to meet: what came before it is still to be read."""
        if self._outbox and self._send_lock.acquire(blocking=False):
            try:
                self._send_some()
            except OSError:
                self._outbox.clear()
            finally:
                self._send_lock.release()

    def _send_some(self) -> bool:
        """Send from the head of the outbox (a frame that was begun comes first); whether all is sent."""
        while self._outbox:
            head = self._outbox[0]
            count = self._wire.send(head)
            if count is None:
                return False
            if count < len(head):
                self._outbox[0] = head[count:]
            else:
                self._outbox.popleft()
        return True


class _CutError(Exception):
    """The stream ended without the server saying so."""


def _masked_frame(opcode: int, payload: bytes) -> memoryview:
    from websocket import ABNF

    return memoryview(ABNF.create_frame(payload, opcode).format())
