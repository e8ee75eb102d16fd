"""Signals as exceptions, and the one stretch in which they have to wait: deleting what we made.

The first of SIGINT, SIGTERM and SIGHUP raises `Interrupted` in the main thread, so that every `finally` on the way
runs; those that follow do not, so that no `finally` is cut short. Inside `shielded()` the first is only noted; each
further one calls `on_signal`, which can say what is being waited for. The fifth breaks through everything.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from netinspect.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


_PATIENCE = 4
"""The signal after so many breaks through the shield."""


class _State:
    """What the handler needs to know. One for the process, as signals are."""

    depth = 0
    pending: int | None = None
    count = 0
    on_signal: Callable[[], None] | None = None


_state = _State()


def install_handlers() -> None:
    """Turn the three signals that ask for the end into `Interrupted`; a SIGHUP that is ignored (nohup) stays so."""
    _state.depth, _state.pending, _state.count, _state.on_signal = 0, None, 0, None
    for signum in SIGNALS:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, _handle)


@contextmanager
def shielded(on_signal: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold signals back while the block runs; the first that came is raised when it is over.

    Outside the main thread this does nothing: Python runs signal handlers in the main thread only.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous, _state.on_signal = _state.on_signal, on_signal
    _state.depth += 1
    try:
        yield
    finally:
        _state.depth -= 1
        _state.on_signal = previous
        if _state.depth == 0 and _state.pending is not None:
            signum, _state.pending = _state.pending, None
            raise Interrupted(signum)


def _handle(signum: int, _frame: FrameType | None) -> None:
    _state.count += 1
    is_first = _state.count == 1
    if _state.count > _PATIENCE or (is_first and _state.depth == 0):
        raise Interrupted(signum)
    # Whoever sends two in a row (a supervisor, an impatient finger) must not cut short what the first set going.
    if is_first:
        _state.pending = signum
    elif _state.on_signal is not None:
        _state.on_signal()
