"""From a command's outcome to a fact: known, or missing for a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from netinspect.errors import ParseError
from netinspect.models.command import CommandResult
from netinspect.models.fact import Fact, Known, Reason, Unavailable

T = TypeVar("T")

# As shells and coreutils' and busybox' timeout say it: not found, not executable, killed at the time limit.
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
_TIMED_OUT = (124, 137, 143)


def read_fact(result: CommandResult | None, parser: Callable[[bytes], T]) -> Fact[T]:
    """Turn a command's outcome into a fact: known exactly if it is whole, ended well and parses."""
    if result is None:
        return Unavailable(Reason.TRUNCATED, "no answer came")
    if not result.is_recorded:
        return Unavailable(Reason.NOT_RECORDED, f"the recording does not hold {result.name}")
    if result.exit_code is None:
        return Unavailable(Reason.TRUNCATED, f"{result.name}: the stream was cut")
    if result.exit_code != 0:
        return Unavailable(_reason_of(result), _complaint(result))
    try:
        return Known(parser(result.stdout))
    except ParseError as error:
        return Unavailable(Reason.UNPARSABLE, str(error))


def _reason_of(result: CommandResult) -> Reason:
    code, stderr = result.exit_code, result.stderr
    # nsenter and timeout report a missing program as 127; a shell-less pod's runtime says it in words.
    if code == _NOT_FOUND:
        return Reason.TOOL_MISSING
    if code in _TIMED_OUT:
        return Reason.TIMED_OUT
    if code == _NOT_EXECUTABLE or b"ermission denied" in stderr or b"not permitted" in stderr:
        return Reason.PERMISSION_DENIED
    return Reason.FAILED


def _complaint(result: CommandResult) -> str:
    text = result.stderr.decode("utf-8", "replace").strip()
    return f"{result.name} ended with exit code {result.exit_code}" + (f": {text}" if text else "")
