"""The output of a command on a live node, line by line while it runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from netinspect.errors import ClusterError
from netinspect.probes.watch import BEAT, BEAT_S

if TYPE_CHECKING:
    from netinspect.cluster.exec import ExecStream

_STDOUT, _STDERR = 1, 2
_MAX_STDERR = 65536
_MAX_LINE = 4096
_NO_PROGRAM = 127


class ExecLines:
    """A running command's lines: see `sources.interface.LiveStream`."""

    def __init__(self, stream: ExecStream) -> None:
        self._stream = stream
        self._stderr = bytearray()
        self._is_over = False

    def lines(self) -> Iterator[str]:
        """Yield whole lines as they come. What is longer than any line of a tool comes cut, and without its end.

        Raises:
            DeadlineError: time is up.
            ClusterError: the command is ending.
        """
        rest = b""
        for channel, data in self._stream:
            if channel == _STDERR:
                self._stderr += data[: _MAX_STDERR - len(self._stderr)]
            elif channel == _STDOUT:
                *lines, rest = (rest + data).split(b"\n")
                rest = rest[:_MAX_LINE]
                for line in lines:
                    yield line[:_MAX_LINE].decode("utf-8", "backslashreplace")
        self._is_over = True

    @property
    def exit_code(self) -> int | None:
        """The command's exit code; None where its end was not seen; 127 where the runtime could not start it."""
        status = self._stream.status
        if status.exit_code is None and not status.is_cut:
            return _NO_PROGRAM
        return status.exit_code

    @property
    def stderr(self) -> str:
        """What it complained about so far; after an end that is none of its own, also what came in its place."""
        said = self._stderr.decode("utf-8", "replace")
        status = self._stream.status
        return f"{said}{status.message}" if self._is_over and status.exit_code is None else said


@contextmanager
def listening(stream: ExecStream, every_s: float = BEAT_S) -> Iterator[None]:
    """Give signs of life on a command's stdin while the block runs: it ends without them (watch.sh)."""
    over = threading.Event()

    def beat() -> None:
        try:
            stream.write_stdin(BEAT)
            while not over.wait(every_s):
                stream.write_stdin(BEAT)
        except ClusterError:
            return  # the reader of the stream meets the same end, and reports it

    threading.Thread(target=beat, daemon=True).start()
    try:
        yield
    finally:
        over.set()
