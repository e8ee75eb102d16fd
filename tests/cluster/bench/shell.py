"""Run other programs, and say what they said when they fail."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class BenchError(Exception):
    """Something that stops the bench, worded for whoever ran it."""


def run(
    argv: Sequence[str | Path],
    *,
    stdin: str | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> str:
    """Run a program and return its standard output; a failure carries the program's own words."""
    try:
        done = subprocess.run(
            [str(word) for word in argv],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            cwd=cwd,
            env=env,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise BenchError(f"{_quoted(argv)}: no end within {timeout:g} s") from late
    except OSError as missing:
        raise BenchError(f"{_quoted(argv)}: {missing}") from missing
    if done.returncode != 0:
        words = "\n".join((done.stderr or done.stdout).strip().splitlines()[-20:])
        raise BenchError(f"{_quoted(argv)}: exit status {done.returncode}\n{words}")
    return done.stdout


def _quoted(argv: Sequence[str | Path]) -> str:
    return shlex.join(str(word) for word in argv)
