"""What the import of the Kubernetes client costs, in CPU seconds: as it is, and as `cluster/library.py` does it.

Each figure is the median over fresh interpreters; ratios are to the bare interpreter. Other work on the machine
changes elapsed time, not so much CPU time.
"""

from __future__ import annotations

import compileall
import resource
import statistics
import subprocess
import sys
from pathlib import Path

import netinspect

ROUNDS = 15
CASES = {
    "python -c pass": "pass",
    "import kubernetes, and what the door uses of it": (
        "import kubernetes; from kubernetes.client import ApiClient; from kubernetes.config import kube_config"
    ),
    "netinspect.cluster.library.load_library()": (
        "from netinspect.cluster.library import load_library; load_library()"
    ),
}


def cpu_seconds(code: str) -> float:
    """Return the CPU time of a fresh interpreter that runs `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def main() -> None:
    """Print a table, the cases run in turns."""
    # With PYTHONDONTWRITEBYTECODE set, each run would compile the package anew.
    compileall.compile_dir(Path(netinspect.__file__).parent, quiet=1)
    seconds: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(ROUNDS):
        for name, code in CASES.items():
            seconds[name].append(cpu_seconds(code))
    bare = statistics.median(seconds["python -c pass"])
    print("| what | CPU s | times the bare interpreter |")
    print("| --- | --- | --- |")
    for name, figures in seconds.items():
        median = statistics.median(figures)
        print(f"| `{name}` | {median:.3f} | {median / bare:.1f} |")


if __name__ == "__main__":
    main()
