"""The flags of commands that read: kubectl's connection flags, and a recording to make or to read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from typer import Context, Option

from netinspect.cli.flags import ConnectionFlags, ConntrackConnectionFlags


@dataclass(frozen=True)
class SourceFlags(ConnectionFlags):
    """Where facts come from.

    Attributes:
        record: the file to write a recording to.
        from_: the file of the recording to read from, in place of a cluster.
        invocation: the command line as Typer sees it: which flags were given, and what is to be closed at the end.
    """

    record: Annotated[
        str, Option("--record", help="Write what is read to this file, for --from.", metavar="FILE")
    ] = ""
    from_: Annotated[
        str, Option("--from", help="Read from this recording: no cluster is asked.", metavar="FILE")
    ] = ""
    invocation: Context = None  # type: ignore[assignment]  # Typer gives it to every command


@dataclass(frozen=True)
class ConntrackSourceFlags(ConntrackConnectionFlags, SourceFlags):
    """The same, without -s for --server."""
