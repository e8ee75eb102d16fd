"""The fault script: what goes wrong, with which request, and how many times.

A fault is a callable that is given the exchange and the request in place of the ordinary handling.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from tests.fake.messages import Request, Response, failure

if TYPE_CHECKING:
    from tests.fake.exchange import Exchange

Fault = Callable[["Exchange", Request], None]


@dataclass
class _Entry:
    fault: Fault
    method: str
    path: str
    times: int
    skip: int


@dataclass
class FaultScript:
    """Faults in order; each is spent after `times` requests."""

    _entries: list[_Entry] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, fault: Fault, *, method: str = "*", path: str = "*", times: int = 1, skip: int = 0) -> None:
        """Let `fault` happen to the next `times` matching requests, after `skip` that go well.

        `path` is a pattern with `*`; `method` may be WATCH or EXEC.
        """
        self._entries.append(_Entry(fault, method, path, times, skip))

    def take(self, request: Request) -> Fault | None:
        with self._lock:
            for entry in self._entries:
                if (
                    entry.times
                    and entry.method in ("*", _verb(request))
                    and fnmatchcase(request.path, entry.path)
                ):
                    if entry.skip:
                        entry.skip -= 1
                        continue
                    entry.times -= 1
                    return entry.fault
        return None


def _verb(request: Request) -> str:
    if request.is_exec:
        return "EXEC"
    return "WATCH" if request.is_true("watch") else request.method


def answer(code: int, reason: str = "", message: str = "", **headers: str) -> Fault:
    """An error status with a Status body."""
    response = failure(code, reason, message or reason, **headers)
    return lambda exchange, _: exchange.reply(response)


def answer_raw(code: int, body: bytes, content_type: str = "text/html") -> Fault:
    """An answer that is no Kubernetes object: a proxy's page, or broken JSON."""
    return lambda exchange, _: exchange.reply(Response(code, body, {"Content-Type": content_type}))


def reset() -> Fault:
    """The connection is reset before any answer."""
    return lambda exchange, _: exchange.reset()


def hang_up() -> Fault:
    """The connection is closed before any answer."""
    return lambda exchange, _: exchange.hang_up()


def stall(seconds: float = 60) -> Fault:
    """The request is taken and never answered (half open, as far as the client can see)."""
    return lambda exchange, _: exchange.sleep(seconds)


def drip(interval_s: float) -> Fault:
    """The right answer, one byte at a time."""

    def act(exchange: Exchange, request: Request) -> None:
        exchange.reply(exchange.handle(request), pause_s=interval_s)

    return act


def truncate(keep: int) -> Fault:
    """The right answer, cut off after `keep` bytes of its body."""

    def act(exchange: Exchange, request: Request) -> None:
        exchange.reply(exchange.handle(request), keep=keep)

    return act


def withhold(delay_s: float = 0, stall_s: float = 60) -> Fault:
    """The request is carried out (after `delay_s`, even if the client is gone), its answer never comes."""

    def act(exchange: Exchange, request: Request) -> None:
        def later() -> None:
            time.sleep(delay_s)
            exchange.handle(request)

        threading.Thread(target=later, daemon=True).start()
        exchange.sleep(stall_s)

    return act


def carry_out_and_reset() -> Fault:
    """The request is carried out, and the connection reset in place of its answer."""

    def act(exchange: Exchange, request: Request) -> None:
        exchange.handle(request)
        exchange.reset()

    return act


def watch_lines(*lines: bytes, then: str = "end") -> Fault:
    """A watch of exactly these lines; then "end" (well), "reset" or "stall"."""

    def act(exchange: Exchange, _: Request) -> None:
        exchange.begin_chunks()
        for line in lines:
            exchange.chunk(line)
        if then == "end":
            exchange.end_chunks()
        elif then == "reset":
            exchange.reset()
        else:
            exchange.sleep(60)

    return act
