"""What `conntrack top` takes for a table of a million entries: time beside `wc -l`, memory beside a small table.

`python -m bench.conntrack_top [ENTRIES]`: a listing is made up in conntrack-tools' own form (all protocols, both
families, DNAT, SNAT, more peers than are counted one by one), framed and compressed as the node side does it, and
replayed through the package's own way: frames, scanner, counts, report. `wc -l` reads the same lines, once from the
compressed stream (through gzip) and once from a plain file. Peak memory is that of a process of its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ENTRIES = 1_000_000
SMALL = 10_000
ROUNDS = 3


class Times(NamedTuple):
    """What something took: by the clock, and of the processor."""

    wall_s: float
    cpu_s: float


def main() -> None:
    """Print the numbers of the README."""
    entries = int(sys.argv[1]) if len(sys.argv) > 1 else ENTRIES
    with tempfile.TemporaryDirectory(prefix="netinspect-bench-") as folder:
        small, large = (make(Path(folder), count) for count in (SMALL, entries))
        runs = [replay(large) for _ in range(ROUNDS)]
        small_run = replay(small)
        plain = best_of(f"wc -l < {large}.txt")
        packed = best_of(f"gzip -dc {large}.gz | wc -l")
        sizes = [Path(f"{large}.{suffix}").stat().st_size / 1e6 for suffix in ("txt", "gz")]
    if (runs[0]["entries"], small_run["entries"]) != (entries, SMALL):
        sys.exit(f"expected {entries} and {SMALL} entries to be counted: {runs[0]}, {small_run}")
    own = Times(min(run["seconds"] for run in runs), min(run["cpu_s"] for run in runs))
    peak, small_peak = (
        run["peak_kib"] / 1024 for run in (max(runs, key=lambda run: run["peak_kib"]), small_run)
    )
    print(f"{entries} entries: {sizes[0]:.0f} MB of lines, {sizes[1]:.0f} MB as they travel")
    print(f"conntrack top: {own.wall_s:.2f} s ({own.cpu_s:.2f} s of processor time)")
    print_ratio("wc -l of the same stream (gzip -dc | wc -l)", packed, own)
    print_ratio("wc -l of the same lines in a plain file", plain, own)
    print(
        f"peak memory: {peak:.0f} MiB; with {SMALL} entries {small_peak:.0f} MiB: {peak / small_peak:.2f} times as much"
    )
    print(f"peers: {runs[0]['peers']} kept; one that is not has {runs[0]['folded']} entries at most")


def print_ratio(what: str, theirs: Times, ours: Times) -> None:
    """Print what another program took, and how many times that we took. Processor time does not see other load."""
    print(
        f"{what}: {theirs.wall_s:.2f} s ({theirs.cpu_s:.2f} s), "
        f"ratio {ours.wall_s / theirs.wall_s:.1f} ({ours.cpu_s / theirs.cpu_s:.1f})"
    )


def make(folder: Path, entries: int) -> str:
    """Make a listing in a process of its own, and return its path without suffix."""
    path = str(folder / str(entries))
    subprocess.run([sys.executable, "-m", "bench.conntrack_listing", path, str(entries)], check=True)
    return path


def replay(path: str) -> dict[str, float]:
    """Count a listing in a process of its own: what this one holds would be in its peak."""
    argv = [sys.executable, "-m", "bench.conntrack_replay", f"{path}.frames"]
    result: dict[str, float] = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    return result


def best_of(command: str) -> Times:
    """Return the shortest times of a few runs of a shell command: the others were disturbed."""
    runs = [time_command(command) for _ in range(ROUNDS)]
    return Times(min(run.wall_s for run in runs), min(run.cpu_s for run in runs))


def time_command(command: str) -> Times:
    """Run a shell command and return what it took, its children included."""
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)
    wall_s, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Times(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


if __name__ == "__main__":
    main()
