"""The flags of `dataplane`: what makes no sense ends before any request, with what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fake.api import FakeApi
from tests.unit.cli.test_main import cli


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("", "name one with --node, or all with --all-nodes"),
        ("--node a --all-nodes", "exclude each other"),
        ("--node a --fail-on awful", "--fail-on"),
        ("--node a -o csv", "--output"),
        ("node-a", "unexpected"),
    ],
)
def test_usage(flags: str, words: str, kubeconfig: Path, fake_api: FakeApi) -> None:
    """Exit code 2, the flag that is wrong, and nothing was asked of the API server."""
    done = cli("dataplane", *flags.split(), kubeconfig=kubeconfig)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""
    assert fake_api.requests == []


def test_a_dry_run_shows_the_least_privilege(kubeconfig: Path, fake_api: FakeApi) -> None:
    """The node's own tables take no processes of the node."""
    fake_api.store.add("nodes", {"metadata": {"name": "node-a"}})
    done = cli("dataplane", "--node", "node-a", "--dry-run", kubeconfig=kubeconfig)
    assert done.returncode == 0, done.stderr
    assert "NET_ADMIN" in done.stdout
    assert "hostPID: true" not in done.stdout
    assert fake_api.seen("POST", "pods") == []
