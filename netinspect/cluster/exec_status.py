"""How a remote program ended: the Status that comes on the error channel.

Source: client-go tools/remotecommand v4.go and cri-streaming exec.go (the cause "ExitCode", its code as text).
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec


@dataclass(frozen=True)
class ExecStatus:
    """How a remote program ended.

    Attributes:
        exit_code: of the program; None where it did not run to its end, or we did not learn of it.
        message: what the API server says, or why the stream was cut.
        is_cut: whether no Status came: output may be missing, and the program may still run.
    """

    exit_code: int | None
    message: str = ""
    is_cut: bool = False


class _Cause(msgspec.Struct, frozen=True):
    reason: str = ""
    message: str = ""


class _Details(msgspec.Struct, frozen=True):
    causes: tuple[_Cause, ...] | None = ()


class _ExecEnd(msgspec.Struct, frozen=True):
    """The Status, with the field that says which of the two it is."""

    status: str = ""
    reason: str = ""
    message: str = ""
    details: _Details | None = None


def parse_exec_status(data: bytes) -> ExecStatus | None:
    """Read the Status of channel 3 (client-go tools/remotecommand v4.go); None where it is not whole.

    Success is exit code 0; a Failure tells the code as text in a cause "ExitCode"; any other Failure means that the
    program did not start, or that nobody knows how it ended.
    """
    try:
        end = msgspec.json.decode(data, type=_ExecEnd)
    except msgspec.DecodeError:
        return None
    if end.status == "Success":
        return ExecStatus(0)
    if end.status != "Failure":
        return None
    return ExecStatus(_exit_code(end) if end.reason == "NonZeroExitCode" else None, end.message)


def _exit_code(end: _ExecEnd) -> int | None:
    causes = (end.details or _Details()).causes or ()
    codes = (cause.message for cause in causes if cause.reason == "ExitCode")
    return next((int(code) for code in codes if code.isdecimal()), None)
