"""What a snapshot holds, node by node."""

from __future__ import annotations

from netinspect.models.snapshot_entry import SnapshotEntry
from netinspect.render.table import Column

COLUMNS = (
    Column[SnapshotEntry]("NODE", lambda entry: entry.node),
    Column[SnapshotEntry]("PODS", lambda entry: str(entry.pods)),
    Column[SnapshotEntry]("NETNS", lambda entry: str(entry.netns)),
    Column[SnapshotEntry]("ANSWERS", lambda entry: str(entry.probes)),
    Column[SnapshotEntry]("FAILED", lambda entry: str(entry.unanswered)),
    Column[SnapshotEntry]("SIZE", lambda entry: show_size(entry.size_bytes)),
)


def name_of(entry: SnapshotEntry) -> str:
    """Return the name of a row."""
    return f"node/{entry.node}"


def show_size(size_bytes: int) -> str:
    """Return a size in the unit in which it is a number of one to four digits."""
    for unit, size in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size_bytes >= 10 * size:
            return f"{size_bytes // size} {unit}"
    return f"{size_bytes} B"
