"""What it takes to read `iptables-save` of 700,000 lines: time beside `str.split`, and memory.

`python -m bench.iptables_save [LINES]`: the text is made up in kube-proxy's own form (bench/iptables_text.py), parsed,
and walked into a service map. Each run is a process of its own, so that its peak is that of nothing else; it holds the
text, too. `str.split` cuts the same text into words.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import NamedTuple

from bench.iptables_text import write_save
from netinspect.analyze.iptables.service_map import read_iptables_map
from netinspect.parse.iptables_save import parse_iptables_save

LINES = 700_000
ROUNDS = 3
LIMIT_MIB = 700


class Run(NamedTuple):
    """What a run took, and how much it found: words, rules or entries of the map."""

    seconds: float
    found: int
    peak_mib: float


def split(text: str) -> int:
    """Return the number of words."""
    return len(text.split())


def parse(text: str) -> int:
    """Return the number of rules."""
    tables = parse_iptables_save(text).tables.values()
    return sum(len(chain.rules) for table in tables for chain in table.chains.values())


def read_map(text: str) -> int:
    """Return the number of entries of the map."""
    return len(read_iptables_map("node-a", 4, parse_iptables_save(text), [IPv4Address("192.0.2.11")]).entries)


STAGES: dict[str, Callable[[str], int]] = {"str.split": split, "parse": parse, "map": read_map}
NAMES = {"str.split": "`str.split`", "parse": "`parse_iptables_save`", "map": "the same, and the service map"}


def main() -> None:
    """Print a line for each stage."""
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else LINES
    with tempfile.TemporaryDirectory(prefix="netinspect-bench-") as folder:
        path = Path(folder) / "save.txt"
        write_save(path, lines)
        print(f"{lines} lines, {path.stat().st_size / 1e6:.0f} MB\n")
        print("| | found | s | ratio | peak, MiB |\n| --- | --- | --- | --- | --- |")
        # Alternately, so that what else the machine does hits all alike.
        rounds = [{stage: measure_apart(stage, path) for stage in STAGES} for _ in range(ROUNDS)]
    base = min(each["str.split"].seconds for each in rounds)
    for stage in STAGES:
        best = min((each[stage] for each in rounds), key=lambda run: run.seconds)
        ratio = best.seconds / base
        print(f"| {NAMES[stage]} | {best.found} | {best.seconds:.2f} | {ratio:.1f} | {best.peak_mib:.0f} |")
        if best.peak_mib > LIMIT_MIB and lines <= LINES:
            sys.exit(f"more than {LIMIT_MIB} MiB")


def measure_apart(stage: str, path: Path) -> Run:
    """Run a stage in a process of its own."""
    argv = [sys.executable, "-m", "bench.iptables_save", "--measure", stage, str(path)]
    done = subprocess.run(argv, check=True, capture_output=True)
    return Run(*json.loads(done.stdout))


def measure(stage: str, path: Path) -> Run:
    """Run a stage here. Time is the processor's: it does not see other load."""
    text = path.read_text()
    begin = time.process_time()
    found = STAGES[stage](text)
    seconds = time.process_time() - begin
    return Run(seconds, found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(sys.argv[2], Path(sys.argv[3]))))
    else:
        main()
