"""`--record`: write down what a command reads, and finish the recording however the command ends."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from netinspect import __version__
from netinspect.cli.flags import ConnectionFlags, DebugPodFlags
from netinspect.cli.live import say
from netinspect.cli.source_flags import SourceFlags
from netinspect.errors import UsageError

if TYPE_CHECKING:
    from typer import Context

    from netinspect.archive.writer import RecordingWriter

_UNTOLD = {"record", "from_", *(each.name for each in (*fields(ConnectionFlags), *fields(DebugPodFlags)))} - {
    "namespace",
    "timeout",
}
"""Flags that say how a cluster is reached, not what is asked; some are secret."""


def check_files(flags: SourceFlags) -> None:
    """Make sure that a file is named where one is meant: with an empty name another source would be read.

    Raises:
        UsageError: a name is empty.
    """
    for name, flag, value in (("record", "--record", flags.record), ("from_", "--from", flags.from_)):
        if not value and is_given(flags.invocation, name):
            raise UsageError(f"{flag} names no file", "is the variable set that it comes from?")


def start_recording(
    invocation: Context, path: str, namespace: str, *, is_snapshot: bool = False
) -> RecordingWriter:
    """Begin to write a recording; it is finished when the command ends.

    Args:
        invocation: the command line.
        path: of the file.
        namespace: in which the command looks for names.
        is_snapshot: whether it is going to hold a cluster at large.

    Raises:
        UsageError: nothing is going to be read.
        RecordingError: it cannot be written there.
    """
    if is_given(invocation, "dry_run") and not is_snapshot:
        raise UsageError("--dry-run and --record exclude each other: no node is read")
    from netinspect.archive.writer import RecordingWriter

    writer = RecordingWriter(
        Path(path),
        made_at=datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        made_by=__version__,
        command=describe_command(invocation),
        is_snapshot=is_snapshot,
        namespace=namespace,
    )
    invocation.with_resource(_finishing(writer, path))
    return writer


def describe_command(invocation: Context) -> str:
    """Return what was run, without the program's name and without how the cluster was reached."""
    words = invocation.command_path.split(" ")
    words = words[len((invocation.find_root().info_name or "").split(" ")) :]
    for each in invocation.command.params:
        name = each.name or ""
        if name in _UNTOLD or not is_given(invocation, name):
            continue
        value = invocation.params[name]
        values = value if isinstance(value, list | tuple) else [value]
        is_flag = each.param_type_name == "option"
        for one in values:
            words += [each.opts[0]] if is_flag else []
            words += [] if one is True else [str(one)]
    return shlex.join(words)


def is_given(invocation: Context, name: str) -> bool:
    """Whether a flag or an argument stands on the command line: neither its default nor of the environment."""
    source = invocation.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


@contextmanager
def _finishing(writer: RecordingWriter, path: str) -> Iterator[None]:
    try:
        yield
    finally:
        writer.finish()
        say(f"recorded to {path}")
