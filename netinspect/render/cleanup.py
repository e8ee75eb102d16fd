"""The table of `cleanup`."""

from __future__ import annotations

from netinspect.models.debug_pod_entry import DebugPodEntry
from netinspect.render.table import Column

COLUMNS: tuple[Column[DebugPodEntry], ...] = (
    Column("NAMESPACE", lambda entry: entry.namespace),
    Column("NAME", lambda entry: entry.name),
    Column("NODE", lambda entry: entry.node),
    Column("USER", lambda entry: entry.user),
    Column("STATE", lambda entry: entry.state.value),
    Column("EXPIRES", lambda entry: entry.expires),
    Column("OUTCOME", lambda entry: entry.outcome),
)


def name_of(entry: DebugPodEntry) -> str:
    """Return the entry's resource name, as `-o name` prints it."""
    return f"pod/{entry.name}"
