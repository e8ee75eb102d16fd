"""The flags of `conntrack limit`: what makes no sense ends before any request, with what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fake.api import FakeApi
from tests.unit.cli.test_main import cli


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--node a --apply", "--apply needs a value"),
        ("--set 5 --apply", "name it with --node"),
        ("--set 5 --apply --all-nodes", "name it with --node"),
        ("--set 5 --apply --node a --node b", "name it with --node"),
        ("--set 5 --apply --node a --dry-run", "exclude each other"),
        ("--set 5 --below-count --node a", "--below-count is for --apply"),
        ("--set 0 --node a", "name a number from 1"),
        ("--set -1 --node a", "name a number from 1"),
        ("--set 2147483648 --node a", "name a number from 1 to 2147483647"),
        ("--set many --node a", "--set"),
        ("--node a --for 0s", "whole seconds"),
        ("--node a --for 1.5s", "whole seconds"),
        ("--node a --for x", "--for"),
        ("--node a --for 1m --timeout 60s", "not longer than --for"),
        ("--node a --fail-on awful", "--fail-on"),
        ("--node a -o table,wide", "--output"),
        ("", "--all-nodes"),
    ],
)
def test_usage(flags: str, words: str, kubeconfig: Path, fake_api: FakeApi) -> None:
    """Exit code 2, the flag that is wrong, and nothing was asked of the API server."""
    done = cli("conntrack", "limit", *flags.split(), kubeconfig=kubeconfig)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""
    assert fake_api.requests == []


def test_the_same_node_twice_is_one(kubeconfig: Path, fake_api: FakeApi) -> None:
    """It is the API server that says that there is none."""
    done = cli(
        *["conntrack", "limit", "--set", "5", "--apply", "--node", "a", "--node", "a"], kubeconfig=kubeconfig
    )
    assert done.returncode == 1
    assert "NotFound" in done.stderr
