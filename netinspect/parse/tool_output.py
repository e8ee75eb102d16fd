"""What parsers of a tool's output share: one way to decode JSON, one way to cut lines, one way to complain."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from netinspect.errors import ParseError

T = TypeVar("T")

_EXCERPT_BYTES = 200
# RecursionError: JSON nested deeper than the interpreter's stack, which no tool prints.
_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode_output(decoder: msgspec.json.Decoder[T], stdout: bytes, source: str) -> T:
    """Decode a tool's whole output.

    Raises:
        ParseError: there is none (no tool here prints nothing for "none"), it is no JSON, is cut, or has
            another shape; `source` names the command in the message.
    """
    if not stdout.strip():
        raise ParseError("no output, not even an empty list", source=source)
    return decode_part(decoder, stdout, source)


def decode_part(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw, source: str) -> T:
    """Decode a part of a tool's output.

    Raises:
        ParseError: as `decode_output`; the message quotes the part.
    """
    try:
        return decoder.decode(data)
    except _FAULTS as error:
        raise ParseError(str(error), source=source, line=excerpt(data)) from error


def excerpt(data: bytes | msgspec.Raw) -> str:
    """Return the first line of some output, for an error message."""
    return bytes(data)[:_EXCERPT_BYTES].decode("utf-8", "backslashreplace").partition("\n")[0]


def output_lines(stdout: bytes) -> list[str]:
    """Cut output into its lines, without empty ones.

    Only the line feed ends a line: names of processes, cgroups and mounts may hold any other byte. What is no UTF-8
    is written as an escape, so that it can be printed, also as JSON.
    """
    return [line for line in stdout.decode("utf-8", "backslashreplace").split("\n") if line]
