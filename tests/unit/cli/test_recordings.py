"""Commands as processes: with `--record` on a fake API server, and with `--from` where there is no server at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fake.api import FakeApi
from tests.unit.cli.test_conntrack_list import World, world

__all__ = ["world"]

NOWHERE = {"KUBECONFIG": "/nowhere/kubeconfig", "PATH": "/nowhere"}
"""Neither a configuration nor any program."""


def run(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "netinspect", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **env},
        timeout=60,
    )


def told(text: str) -> list[str]:
    """What stderr says of the answer: without the lines about the work."""
    work = ("recorded to ", "starting debug pods ", "waiting for ")
    return [line for line in text.splitlines() if not line.startswith(work)]


@pytest.mark.parametrize(
    "arguments",
    [
        ("pods", "-A"),
        ("pods", "tools", "-o", "json"),
        ("pods", "nosuch"),
        ("services", "-n", "demo", "-o", "wide"),
        ("conntrack", "list", "--all-nodes"),
        ("conntrack", "list", "tools", "-o", "json"),
        ("conntrack", "list", "--node", "nosuch"),
        ("conntrack", "top", "--node", "node-a", "-o", "json"),
    ],
)
def test_a_recording_answers_as_the_cluster_did(
    world: World, kubeconfig: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """The same on stdout, the same notes, gaps and errors, the same exit code."""
    file = str(tmp_path / "recording")
    live = run(*arguments, "--record", file, env={"KUBECONFIG": str(kubeconfig)})
    count = len(world.api.requests)
    again = run(*arguments, "--from", file, env=NOWHERE)
    assert live.returncode in (0, 1, 4), live.stderr
    assert (again.stdout, told(again.stderr)) == (live.stdout, told(live.stderr))
    assert again.returncode == live.returncode
    assert f"recorded to {file}\n" in live.stderr
    assert len(world.api.requests) == count


def test_a_dry_run_is_not_recorded(kubeconfig: Path, tmp_path: Path) -> None:
    """No node is read, so its recording would answer nothing."""
    flags = ("--dry-run", "--record", str(tmp_path / "recording"))
    done = run("netns", "web-1", *flags, env={"KUBECONFIG": str(kubeconfig)})
    assert done.returncode == 2
    assert "--dry-run and --record exclude each other" in done.stderr
    assert list(tmp_path.glob("*recording*")) == []


def test_no_client_of_kubernetes_is_imported_for_a_recording(
    fake_api: FakeApi, kubeconfig: Path, tmp_path: Path
) -> None:
    """It would be half of the time, and it could reach for a configuration."""
    file = str(tmp_path / "recording")
    assert run("pods", "-A", "--record", file, env={"KUBECONFIG": str(kubeconfig)}).returncode == 0
    code = (
        "import sys; from netinspect.cli.main import run; "
        f"code = run(['pods', '-A', '--from', {file!r}]); "
        "print(code, sorted({'kubernetes', 'urllib3', 'websocket', 'requests'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **NOWHERE},
    )
    assert done.stdout.splitlines()[-1] == "0 []"
    assert fake_api.requests


def test_what_a_recording_does_not_hold_is_an_error_or_a_gap(
    world: World, kubeconfig: Path, tmp_path: Path
) -> None:
    """Another question to it: whole where it can be, with a gap where it cannot, never smaller in silence."""
    file = str(tmp_path / "recording")
    env = {"KUBECONFIG": str(kubeconfig)}
    recorded = run("conntrack", "list", "--node", "node-a", "--record", file, env=env)
    assert recorded.returncode == 0, recorded.stderr
    pods = run("pods", "-n", "demo", "-o", "name", "--from", file, env=NOWHERE)
    assert (pods.returncode, pods.stdout) == (0, run("pods", "-n", "demo", "-o", "name", env=env).stdout)
    other = run("conntrack", "list", "--node", "node-b", "--from", file, env=NOWHERE)
    assert other.returncode == 1
    assert "error: the recording holds nothing of node node-b" in other.stderr
    assert 'hint: it was made by "conntrack list --node node-a" and holds ' in other.stderr
    rules = run("iptables", "--node", "node-a", "--from", file, env=NOWHERE)
    assert rules.returncode == 4
    assert "the recording does not hold iptables-nft-save (not-recorded)" in rules.stderr
    raw = run("iptables", "--node", "node-a", "--raw", "--from", file, env=NOWHERE)
    assert (raw.returncode, raw.stdout) == (4, "")
    assert "gap: node/node-a: the recording does not hold iptables-nft-save" in raw.stderr
    assert world.api.requests
