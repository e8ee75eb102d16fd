"""`diff` on the command line: what is refused, exit codes, and that two files need no cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from netinspect.errors import UsageError
from tests.unit.cli.test_record import run
from tests.unit.cli.test_recordings import NOWHERE

EXAMPLES = Path(__file__).parents[3] / "examples"
HEALTHY, FAULTY = (str(EXAMPLES / f"{name}.tar.gz") for name in ("healthy", "faulty"))


def diff(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it where there is no cluster, no configuration and no other program."""
    return subprocess.run(
        [sys.executable, "-m", "netinspect", "diff", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **NOWHERE},
        timeout=60,
    )


def test_no_difference_is_exit_code_0_and_no_output() -> None:
    done = diff(HEALTHY, HEALTHY)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("No differences\n")


def test_a_difference_is_exit_code_3() -> None:
    done = diff(HEALTHY, FAULTY, "-n", "demo")
    assert done.returncode == 3
    assert done.stdout.startswith("WHAT")
    assert "No differences" not in done.stderr


def test_gaps_alone_are_exit_code_4_and_beside_differences_3() -> None:
    alone = diff(FAULTY, FAULTY)
    assert (alone.returncode, alone.stdout) == (4, "")
    assert "gap: node/node-a: kube-proxy's mode" in alone.stderr
    assert "No differences" not in alone.stderr
    beside = diff(HEALTHY, FAULTY, "-o", "json")
    report = json.loads(beside.stdout)
    assert beside.returncode == 3
    assert report["kind"] == "DifferenceList"
    assert report["items"]
    assert report["gaps"]


def test_wide_tells_the_family_and_a_file_called_now_is_one(tmp_path: Path) -> None:
    (tmp_path / "now").write_bytes(Path(HEALTHY).read_bytes())
    done = diff(str(tmp_path / "now"), FAULTY, "-n", "demo", "-o", "wide")
    assert done.stdout.splitlines()[0].split() == ["WHAT", "NAME", "NODE", "FAMILY", "CHANGE", "DETAIL"]
    assert diff(HEALTHY, FAULTY, "--no-headers", "-n", "demo").stdout.startswith("pod ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("now", HEALTHY), "the first is the earlier"),
        (("", HEALTHY), "is empty"),
        ((HEALTHY, ""), "is empty"),
        ((HEALTHY, FAULTY, "--context", "c"), "--context has no effect with two recordings"),
        ((HEALTHY, FAULTY, "--dry-run"), "--dry-run has no effect with two recordings"),
        ((HEALTHY, FAULTY, "-o", "csv"), '--output "csv" is none of'),
    ],
)
def test_what_has_no_meaning_is_refused(arguments: tuple[str, ...], said: str) -> None:
    error = run("diff", *arguments).exception
    assert isinstance(error, UsageError)
    assert said in error.message


def test_what_is_no_recording_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "it").write_text("no")
    done = diff(HEALTHY, str(tmp_path / "it"))
    assert done.returncode == 1
    assert "is no recording that can be read" in done.stderr
    assert diff(HEALTHY).returncode == 1  # now: there is no cluster
