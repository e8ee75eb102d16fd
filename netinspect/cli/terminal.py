"""This process's standard streams as one end of an exec: raw terminal, window size, pump for stdin."""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from netinspect.errors import NetinspectError

if TYPE_CHECKING:
    from netinspect.cluster.exec import ExecStream

_CHUNK = 65536
_DRAIN_S = 3.0
_LOOK_S = 0.2
_NO_END = "warning: this API server (exec v4) cannot pass on the end of stdin: end the command with Ctrl-C"
_STDOUT, _STDERR = 1, 2


@contextmanager
def raw_terminal() -> Iterator[None]:
    """Hand every key to the remote terminal while the block runs, and restore this one on every way out."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextmanager
def window_size(resize: Callable[[int, int], object]) -> Iterator[None]:
    """Tell the remote terminal this one's size, now and whenever it has changed.

    The size is looked at now and then: a handler of SIGWINCH could not tell it, as it may interrupt the very code that
    holds the locks which it would take.
    """
    over = threading.Event()

    def watch() -> None:
        told = None
        while True:
            size = os.get_terminal_size(sys.stdin.fileno())
            if size != told:
                told = size
                with suppress(NetinspectError):
                    resize(size.columns, size.lines)
            if over.wait(_LOOK_S):
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def pump_stdin(stream: ExecStream) -> None:
    """Send this process's stdin, in a thread of its own, until it ends."""
    threading.Thread(target=_pump, args=(stream,), daemon=True).start()


def copy_output(stream: ExecStream) -> None:
    """Write both outputs of the remote command as they come, byte for byte."""
    outputs = {_STDOUT: sys.stdout.buffer, _STDERR: sys.stderr.buffer}
    for channel, data in stream:
        output = outputs.get(channel)
        if output is not None:
            output.write(data)
            output.flush()


def drain(stream: ExecStream) -> None:
    """End a command that is tied to its stdin, and pass on what it still says: a capture's last packets."""
    with suppress(NetinspectError):
        if stream.close_stdin():
            timer = threading.Timer(_DRAIN_S, stream.close)
            timer.daemon = True
            timer.start()
            copy_output(stream)


def _pump(stream: ExecStream) -> None:
    with suppress(NetinspectError):  # the reader of the stream meets the same end, and reports it
        try:
            while data := _read_stdin():
                stream.write_stdin(data)
        finally:
            if not stream.close_stdin():
                print(_NO_END, file=sys.stderr)  # noqa: T201


def _read_stdin() -> bytes:
    """Return what stdin has next, b"" at its end. A closed one is at its end; a non-blocking one is waited for."""
    if sys.stdin is None:
        return b""
    while True:
        try:
            return os.read(sys.stdin.fileno(), _CHUNK)
        except BlockingIOError:
            select.select([sys.stdin.fileno()], [], [])
        except OSError:
            return b""
