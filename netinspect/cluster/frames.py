"""RFC 6455 frames from a server, cut out of a buffer that the socket reads into.

Not websocket-client's own reader: its calls hold a lock while they block, so that a writer in another thread would
share the TLS connection with it unprotected, and it asks the socket for header, length and payload one by one.
Measured over TLS on loopback: the same for frames of 32 KiB, 2 to 3 times the CPU time for frames of 1 to 4 KiB,
which is what programs that print lines make. Only what a client must read is here (section 5): server frames are
never masked.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
CONTINUATION = 0x0

_FIN, _RESERVED, _OPCODE, _MASKED, _LENGTH = 0x80, 0x70, 0x0F, 0x80, 0x7F
_START_SIZE = 256 * 1024
_MAX_FRAME = 64 << 20


class FrameError(Exception):
    """The bytes are no websocket frames; caught in exec.py."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. `payload` is a copy of its own."""

    opcode: int
    is_final: bool
    payload: bytes


class FrameBuffer:
    """Bytes go in through `space` and `received`, frames come out of `take`."""

    def __init__(self) -> None:
        self._data = bytearray(_START_SIZE)
        self._view = memoryview(self._data)
        self._start = 0
        self._end = 0
        self._wanted = 0

    def space(self) -> memoryview:
        """Return the part of the buffer to receive into; never empty."""
        free = len(self._data) - self._end
        if self._start and (free == 0 or self._start + self._wanted > len(self._data)):
            self._move_to_front()
        if self._wanted > len(self._data) or self._end == len(self._data):
            self._grow(max(self._wanted, 2 * len(self._data)))
        return self._view[self._end :]

    def received(self, size: int) -> None:
        """Say that `size` bytes were put into `space`."""
        self._end += size

    def take(self) -> Frame | None:
        """Cut off the next frame; None while it is not whole.

        Raises:
            FrameError: these are no frames that a server may send.
        """
        header = self._header()
        if header is None:
            return None
        first, offset, length = header
        end = offset + length
        if end > self._end:
            self._wanted = end - self._start
            return None
        payload = bytes(self._view[offset:end])
        self._start, self._wanted = end, 0
        if end == self._end:
            self._start = self._end = 0
        return Frame(first & _OPCODE, bool(first & _FIN), payload)

    def _header(self) -> tuple[int, int, int] | None:
        """Return the first byte, where the payload starts, and its length."""
        have = self._end - self._start
        if have < 2:
            return None
        first, second = self._data[self._start], self._data[self._start + 1]
        if first & _RESERVED or second & _MASKED:
            raise FrameError("the server sent a frame that no extension was agreed on for, or a masked one")
        offset, length = self._start + 2, second & _LENGTH
        if length >= 126:
            form, size = ("!H", 2) if length == 126 else ("!Q", 8)
            if have < 2 + size:
                return None
            length = struct.unpack_from(form, self._data, offset)[0]
            offset += size
        if length > _MAX_FRAME:
            raise FrameError(f"the server sent a frame of {length} bytes")
        return first, offset, length

    def _move_to_front(self) -> None:
        size = self._end - self._start
        self._data[:size] = self._data[self._start : self._end]
        self._start, self._end = 0, size

    def _grow(self, size: int) -> None:
        larger = bytearray(size)
        larger[: self._end] = self._view[: self._end]
        self._data, self._view = larger, memoryview(larger)
