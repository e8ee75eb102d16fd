"""The shells and tool sets that a node side may meet, and one way to run its script in each."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from netinspect.models.command import CommandResult, NodeAnswer
from netinspect.parse.frames import parse_frames
from netinspect.probes.plan import Plan, encode_plan, node_script

SHELLS = ("dash", "bash", "busybox")
"""Debian's sh, Red Hat's sh, and Alpine's: the last with every tool from busybox, too."""


@dataclass(frozen=True)
class Shell:
    """A shell, and where its tools come from."""

    argv: tuple[str, ...]
    path: str

    def command(self) -> list[str]:
        """The node side's command line: what an exec would run."""
        return ["env", f"PATH={self.path}", *self.argv, "-c", node_script()]


def why_missing(name: str) -> str | None:
    """Say why a shell cannot be tested here; None where it can."""
    return None if shutil.which(name) else f"{name} is not installed"


def new_shell(name: str, applets: Path) -> Shell:
    """Return a shell by its name; busybox brings its own tools, linked in `applets`."""
    found = shutil.which(name)
    assert found is not None
    if name != "busybox":
        return Shell((found,), os.environ["PATH"])
    subprocess.run([found, "--install", "-s", str(applets)], check=True)
    return Shell((found, "sh"), str(applets))


def run_plan(shell: Shell, plan: Plan | bytes, within: Sequence[str] = ()) -> NodeAnswer:
    """Run the node side on a plan, in whatever `within` enters first, and read its answer."""
    sent = plan if isinstance(plan, bytes) else encode_plan(plan)
    done = subprocess.run(
        [*within, *shell.command()],
        input=sent,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return parse_frames([done.stdout])


def results_of(answer: NodeAnswer, key: str = "node") -> dict[str, CommandResult]:
    """The results of one place, by the probe's name. The answer has to be whole."""
    assert answer.is_whole
    return {each.name: each for each in answer.results if each.key == key}
