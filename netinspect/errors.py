"""The errors that netinspect raises, and the exit codes they end with.

::

    NetinspectError            what was attempted, on what; `hint` says what to do next
    ├── UsageError             the command line asks for something that has no meaning   (exit 2)
    ├── TargetError            a name, selector or address that leads to nothing
    ├── ClusterError           the API server refused, failed or could not be reached
    │   ├── DeadlineError      an answer did not come in the time that it was given      (exit 124)
    │   ├── NotRecordedError   a recording does not hold the answer
    │   └── NoApiError         this host alone is read, and does not know the answer
    ├── DebugPodError          the debug pod was not admitted, did not start, or ended
    ├── CommandError           a program on the node could not do its work
    ├── RecordingError         a recording could not be written, or is none that can be read
    └── ParseError             output that is not in the format it should be in

    Interrupted                a signal asked us to stop (no error: a BaseException, as KeyboardInterrupt)

Every error but our own bugs is one of these; `cli.main` turns them into a message and an exit code.
"""

from __future__ import annotations

import signal
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every command (public interface, in docs/output.md)."""

    OK = 0
    ERROR = 1
    USAGE = 2
    FINDINGS = 3
    INCOMPLETE = 4
    DEADLINE = 124
    INTERRUPTED = 130
    TERMINATED = 143


class NetinspectError(Exception):
    """An expected failure.

    Attributes:
        message: one sentence: what was attempted and what came of it, in kubectl's wording where it has one.
        hint: what the user can do next; empty where nothing is known to help.
    """

    exit_code: ExitCode = ExitCode.ERROR

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(NetinspectError):
    """The command line itself makes no sense."""

    exit_code = ExitCode.USAGE


class TargetError(NetinspectError):
    """What the user named does not exist, or is nothing that the command can work on."""


class ClusterError(NetinspectError):
    """The API server could not be reached, or did not do what it was asked.

    Attributes:
        status: the HTTP status code, or None where no answer came.
        reason: the machine-readable reason of the API's Status object (`NotFound`, `Forbidden`, ...), or "".
    """

    def __init__(self, message: str, hint: str = "", *, status: int | None = None, reason: str = "") -> None:
        super().__init__(message, hint)
        self.status = status
        self.reason = reason


class DeadlineError(ClusterError):
    """Something took longer than `--timeout` or `--request-timeout` allows."""

    exit_code = ExitCode.DEADLINE


class NotRecordedError(ClusterError):
    """A recording is asked for what it does not hold: neither that it is there, nor that it is not."""


class NoApiError(ClusterError):
    """This host is read without an API server, and is asked for what only such a server knows."""


class DebugPodError(NetinspectError):
    """The debug pod was refused, did not come up, or was lost while it worked."""


class CommandError(NetinspectError):
    """A program on the node was missing, failed, or was cut off."""


class RecordingError(NetinspectError):
    """A file is no recording, or not a whole one; or none could be written."""


class ParseError(NetinspectError):
    """Text is not in the format that its source promises.

    Attributes:
        source: what printed the text, for example "ip -j addr".
        line: the offending line (or the start of it), without its line end.
        column: 0-based position in `line`, or None where no single place is to blame.
    """

    def __init__(self, message: str, *, source: str, line: str = "", column: int | None = None) -> None:
        self.source = source
        self.line = line
        self.column = column
        shown = f"{source}: {message}"
        if line:
            excerpt, caret = _excerpt(line, column)
            shown += f"\n  {excerpt}"
            if caret is not None:
                shown += f"\n  {' ' * caret}^"
        super().__init__(shown)


class Interrupted(BaseException):
    """A signal asked for the end. Raised in the main thread so that every `finally` runs.

    Attributes:
        signum: the signal's number; the exit code is 128 + signum, as shells count.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """128 + the signal's number: 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP."""
        return 128 + self.signum


_EXCERPT_WIDTH = 100


def _excerpt(line: str, column: int | None) -> tuple[str, int | None]:
    """Cut a long line to a window around the column, and say where in that window the column is."""
    if len(line) <= _EXCERPT_WIDTH:
        return line, column
    start = max(0, min((column or 0) - _EXCERPT_WIDTH // 2, len(line) - _EXCERPT_WIDTH))
    return line[start : start + _EXCERPT_WIDTH], None if column is None else column - start
