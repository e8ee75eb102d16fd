"""The program run on a node itself, as root does there: only where nodes are the bench's sandboxes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import netinspect
from tests.cluster.bench import sandbox
from tests.cluster.kit import Ran

_ROOT = Path(netinspect.__file__).resolve().parents[1]
_BARE = {
    "PATH": "/usr/bin:/bin",
    "PYTHONPATH": str(_ROOT),
    "PYTHONDONTWRITEBYTECODE": "1",
    "LC_ALL": "C.UTF-8",
    # There is none: whoever looks for a cluster fails.
    "KUBECONFIG": "/nowhere/kubeconfig",
}


def enter_node(node: str) -> tuple[str, ...] | None:
    """Return the words in front of a command that is to run on a node; None where it cannot be entered."""
    found = sandbox.find(node)
    if found is None:
        return None
    into = ("nsenter", "--target", str(found.pid), "--all", "--")
    # A node has its own /etc, /var and /run; all else is the machine's, most checkouts and interpreters included.
    seen = subprocess.run([*into, "test", "-x", sys.executable, "-a", "-d", str(_ROOT / "netinspect")])
    return into if seen.returncode == 0 else None


def netinspect_on_node(node: str, *arguments: str) -> Ran:
    """Run the program on a node, without any variable of ours."""
    into = enter_node(node)
    assert into is not None
    variables = [f"{key}={value}" for key, value in _BARE.items()]
    command = [*into, "env", "-i", *variables, sys.executable, "-m", "netinspect", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=180)
    return Ran(done.returncode, done.stdout, done.stderr)
