"""The table of `netns`."""

from __future__ import annotations

from netinspect.models.netns_entry import NetnsEntry
from netinspect.render.table import Column


def columns(*, with_namespace: bool) -> tuple[Column[NetnsEntry], ...]:
    """Return the columns; the namespace is shown where pods of several can be listed."""
    return (
        Column("NAMESPACE", lambda entry: entry.namespace, is_wide=not with_namespace),
        Column("POD", lambda entry: entry.name),
        Column("NODE", lambda entry: entry.node),
        Column("NETNS", lambda entry: str(entry.netns.inode) if entry.netns else ""),
        Column("FOUND BY", lambda entry: entry.netns.source.value if entry.netns else ""),
        Column("PIDS", _pids),
        Column("PROCESSES", _processes, is_wide=True),
        Column("ADDRESSES", lambda entry: ",".join(map(str, entry.addresses)), is_wide=True),
        Column("REMARK", lambda entry: entry.explanation),
    )


def name_of(entry: NetnsEntry) -> str:
    """Return the entry's resource name, as `-o name` prints it."""
    return f"pod/{entry.name}"


def _pids(entry: NetnsEntry) -> str:
    return ",".join(str(process.pid) for process in entry.netns.processes) if entry.netns else ""


def _processes(entry: NetnsEntry) -> str:
    processes = entry.netns.processes if entry.netns else ()
    return ",".join(f"{process.pid}({process.comm or '?'})" for process in processes)
