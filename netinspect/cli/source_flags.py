"""The flags of commands that read: kubectl's connection flags, a recording to make or to read from, or this host."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, TypeVar

from typer import Context, Option

from netinspect.cli.flags import ConnectionFlags, ConntrackConnectionFlags, NodeFlags, TableNodeFlags

N = TypeVar("N", NodeFlags, TableNodeFlags)


@dataclass(frozen=True)
class SourceFlags(ConnectionFlags):
    """Where facts come from.

    Attributes:
        record: the file to write a recording to.
        from_: the file of the recording to read from, in place of a cluster.
        local: whether this host is read, in place of a cluster.
        invocation: the command line as Typer sees it: which flags were given, and what is to be closed at the end.
    """

    record: Annotated[
        str, Option("--record", help="Write what is read to this file, for --from.", metavar="FILE")
    ] = ""
    from_: Annotated[
        str, Option("--from", help="Read from this recording: no cluster is asked.", metavar="FILE")
    ] = ""
    local: Annotated[
        bool,
        Option("--local", help="Read this host, as root: no API server is asked, no debug pod started."),
    ] = False
    invocation: Context = None  # type: ignore[assignment]  # Typer gives it to every command


@dataclass(frozen=True)
class ConntrackSourceFlags(ConntrackConnectionFlags, SourceFlags):
    """The same, without -s for --server."""


def or_host(nodes: N, source: SourceFlags, *others: object) -> N:
    """Return the nodes that are meant: with `--local`, where nothing at all is named, all that there are: this host.

    Args:
        nodes: the nodes that are named.
        source: where facts come from.
        others: what else names something.
    """
    if not source.local or nodes.node or any(others):
        return nodes
    return replace(nodes, all_nodes=True)
