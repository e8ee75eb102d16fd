"""What is being waited for, on stderr: a spinner on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_TICK_S = 0.1
_QUIET_S = 5.0
"""Where stderr is no terminal, a wait is told only once it has lasted this long."""


class Progress:
    """Collects what each node waits for, and shows it while `running`."""

    def __init__(self, log: Callable[[str], None] | None = None) -> None:
        """Prepare it.

        Args:
            log: takes what is told, too.
        """
        self._log = log or (lambda _: None)
        self._lock = threading.RLock()  # a signal handler may warn while this thread draws
        self._waits: dict[str, str] = {}
        self._stop = threading.Event()
        self._is_terminal = sys.stderr.isatty()
        self._is_drawn = False

    def notify(self, node: str, waiting_for: str) -> None:
        """Say what `node` waits for; an empty text ends its wait."""
        with self._lock:
            if waiting_for:
                if self._waits.get(node) != waiting_for:
                    self._log(f"waiting for {waiting_for}")
                self._waits[node] = waiting_for
            else:
                self._waits.pop(node, None)

    def warn(self, text: str) -> None:
        """Print a warning on a line of its own."""
        from netinspect.render.sanitize import sanitize

        self._log(f"warning: {text}")
        with self._lock:
            self._clear()
            print(f"warning: {sanitize(text)}", file=sys.stderr)  # noqa: T201

    @contextmanager
    def running(self) -> Iterator[None]:
        """Show the waits while the block runs, and leave no trace of them on the terminal."""
        thread = threading.Thread(target=self._show, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(timeout=1)
            with self._lock:
                self._clear()

    def _show(self) -> None:
        begin = time.monotonic()
        told = ""
        for frame in itertools.cycle(_FRAMES):
            if self._stop.wait(_TICK_S):
                return
            elapsed = time.monotonic() - begin
            with self._lock:
                text = self._text()
                if self._is_terminal and text:
                    self._draw(f"{frame} {text} ({elapsed:.0f}s)")
                elif self._is_terminal:
                    self._clear()
                elif text and text != told and elapsed > _QUIET_S:
                    told = text
                    print(text, file=sys.stderr)  # noqa: T201

    def _text(self) -> str:
        from netinspect.render.sanitize import sanitize

        if not self._waits:
            return ""
        _, waiting_for = next(iter(self._waits.items()))
        more = f" and {len(self._waits) - 1} more nodes" if len(self._waits) > 1 else ""
        return sanitize(f"waiting for {waiting_for}{more}").replace("\n", " ")

    def _draw(self, text: str) -> None:
        # One line, cut to the terminal, so that clearing it clears it all.
        width = max(20, _terminal_width() - 1)
        sys.stderr.write(f"\r\x1b[K{text[:width]}")
        sys.stderr.flush()
        self._is_drawn = True

    def _clear(self) -> None:
        # Only what was drawn: the line may be somebody's prompt by now (exec -it).
        if self._is_drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._is_drawn = False


def _terminal_width() -> int:
    import shutil

    return shutil.get_terminal_size().columns
