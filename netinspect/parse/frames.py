"""The stream of the node side -> command results.

Format (written by `probes/node.sh`): a line `hello VERSION NETNS`; for each probe a line
`probe KEY NETNS HOW NAME`, its stdout as one gzip member, and as a second member its stderr followed by a last line
`EXIT START END` (seconds of /proc/uptime); at the end a line `done COUNT`. A gzip member carries the CRC-32 and the
length of its content (RFC 1952, 2.3.1), so a result is whole exactly if both its members are.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

from netinspect.errors import ParseError
from netinspect.models.command import CommandResult, NodeAnswer

VERSION = "1"
_SOURCE = "node side"
_GZIP_WBITS = 31
_MAX_LINE = 4096
_CHUNK = 65536
_PIECE = 1 << 20

Sinks: TypeAlias = Mapping[tuple[str, str], Callable[[bytes], None]]
"""By key and name of a probe: what takes its stdout piece by piece, so that it is never held as a whole."""


def parse_frames(chunks: Iterable[bytes], sinks: Sinks | None = None) -> NodeAnswer:
    """Read the stream of the node side, however it is cut into chunks.

    Args:
        chunks: the stream.
        sinks: what takes the output of some probes while it comes; the `stdout` of such a result is empty. What a
            sink got counts only if its result turns out to be whole.

    Raises:
        ParseError: the stream is not of this format (a shell's complaint in its place, a broken gzip member).
    """
    reader = _Reader(iter(chunks))
    netns: int | None = None
    results: list[CommandResult] = []
    is_whole = False
    while (line := reader.line()) is not None:
        word, *values = line.split(" ")
        if word == "hello" and netns is None:
            netns = _read_hello(values, line)
        elif word == "probe" and len(values) == 4 and netns is not None and not is_whole:
            results.append(_read_probe(reader, values, sinks or {}))
        elif word == "done" and netns is not None and not is_whole:
            _check_count(values, results, line)
            is_whole = True
        else:
            raise ParseError("unexpected line", source=_SOURCE, line=line)
    return NodeAnswer(netns, tuple(results), is_whole)


def parse_log_frames(log: bytes, sinks: Sinks | None = None) -> NodeAnswer:
    """Read the stream from a pod's log, where it travels as base64 (a log is text, cut into lines by the runtime).

    Raises:
        ParseError: as `parse_frames`, or the log is no base64.
    """
    text = b"".join(log.split())
    try:
        # A log that was cut keeps its whole quads.
        data = base64.b64decode(text[: len(text) // 4 * 4], validate=True)
    except binascii.Error as error:
        raise ParseError(str(error), source="log of the debug pod", line=_show(log[:200])) from error
    return parse_frames((data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)), sinks)


def _read_hello(values: list[str], line: str) -> int:
    if len(values) != 2 or values[0] != VERSION:
        raise ParseError(f"expected protocol version {VERSION}", source=_SOURCE, line=line)
    return _read_inode(values[1])


def _read_inode(text: str) -> int:
    """Return a netns' inode; 0 where the node would not tell."""
    return int(text) if text.isdecimal() else 0


def _check_count(values: list[str], results: list[CommandResult], line: str) -> None:
    if values != [str(len(results))]:
        raise ParseError(f"{len(results)} results came before the end mark", source=_SOURCE, line=line)


def _read_probe(reader: _Reader, values: list[str], sinks: Sinks) -> CommandResult:
    key, netns, how, name = values
    inode = _read_inode(netns)
    stdout, whole = reader.member(sinks.get((key, name)))
    trailer, trailer_whole = reader.member() if whole else (b"", False)
    if not trailer_whole:
        return CommandResult(key, inode, how, name, None, stdout)
    stderr, _, last = trailer.rpartition(b"\n")
    try:
        exit_code, start, end = last.split(b" ")
        start_s, end_s = float(start), float(end)
        duration_s = max(0.0, end_s - start_s)
        return CommandResult(key, inode, how, name, int(exit_code), stdout, stderr, duration_s, start_s)
    except ValueError as error:
        raise ParseError("not a trailer", source=_SOURCE, line=last.decode("utf-8", "replace")) from error


class _Reader:
    """Reads lines and gzip members alternately from a stream of chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def line(self) -> str | None:
        """Return the next line without its end, or None at the end of the stream (a cut line is none)."""
        while (end := self._rest.find(b"\n")) < 0 and len(self._rest) <= _MAX_LINE:
            chunk = next(self._chunks, None)
            if chunk is None:
                return None
            self._rest += chunk
        if not 0 <= end <= _MAX_LINE:
            raise ParseError("a line without end", source=_SOURCE, line=_show(self._rest[:_MAX_LINE]))
        line, self._rest = self._rest[:end], self._rest[end + 1 :]
        return _show(line)

    def member(self, sink: Callable[[bytes], None] | None = None) -> tuple[bytes, bool]:
        """Return one gzip member's content (nothing where a sink took it), and whether it was whole."""
        content: list[bytes] = []
        take = sink or content.append
        inflate = zlib.decompressobj(_GZIP_WBITS)
        chunk: bytes | None = self._rest
        self._rest = b""
        while chunk is not None:
            # At the end of a member both `unused_data` and `unconsumed_tail` hold what follows it.
            while chunk and not inflate.eof:
                try:
                    piece = inflate.decompress(chunk, _PIECE)
                except zlib.error as error:
                    raise ParseError(f"broken gzip member ({error})", source=_SOURCE) from error
                if piece:
                    take(piece)
                chunk = inflate.unconsumed_tail
            if inflate.eof:
                self._rest = inflate.unused_data
                return b"".join(content), True
            chunk = next(self._chunks, None)
        return b"".join(content), False


def _show(line: bytes) -> str:
    return line.decode("utf-8", "replace")
