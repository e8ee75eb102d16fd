"""Flags that say how to reach a cluster, where none is asked."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from netinspect.cli.flags import ConnectionFlags, DebugPodFlags
from netinspect.cli.record import is_given
from netinspect.errors import UsageError

if TYPE_CHECKING:
    from typer import Context

_IDLE = {"namespace", "timeout", "yes"}
"""Flags that mean something, or nothing at all, where no cluster is asked."""


def check_idle_flags(invocation: Context, source: str) -> None:
    """Make sure that no flag is given that has no effect with `source` (`--from`, `--local`).

    Raises:
        UsageError: one is.
    """
    useless = {each.name for each in (*fields(ConnectionFlags), *fields(DebugPodFlags))} - _IDLE
    for each in invocation.command.params:
        if each.name in useless and is_given(invocation, each.name):
            flag = max(each.opts, key=len)
            raise UsageError(
                f"{flag} has no effect with {source}: no cluster is asked, and no debug pod started"
            )
