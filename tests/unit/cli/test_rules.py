"""The flags of `rules`, `iptables`, `nftables` and `ipvs`: what makes no sense ends before any request."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fake.api import FakeApi
from tests.unit.cli.test_main import cli


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("rules", "name one with --node, or all with --all-nodes"),
        ("rules --node a --all-nodes", "exclude each other"),
        ("rules pod/web --node a", "is neither a service nor an address"),
        ("rules web: --node a", "is neither a service nor an address"),
        ("rules web --node a --family 5", '--family "5" is none of: 4, 6'),
        ("rules web --node a -o csv", "--output"),
        ("iptables --node a --backend x", '--backend "x" is none of: nft, legacy'),
        ("rules web:70000 --node a", "port 70000 is not between 1 and 65535"),
        ("rules 10.96.0.300:53 --node a", 'invalid IP address "10.96.0.300"'),
        ("ipvs :0 --node a", "port 0 is not between 1 and 65535"),
        ("ipvs --node a --raw --family 6", "--family does not narrow it"),
        ("iptables web --node a --chain X", "not both"),
        ("iptables --node a --chain=", "a name is empty"),
        ("nftables --node a --table=", "a name is empty"),
        ("iptables --node a --chain X --raw", "--raw prints the tool's own text"),
        ("iptables web --node a --raw", "--raw prints the tool's own text"),
        ("iptables --node a --raw -o json", "--raw prints the tool's own text"),
        ("iptables --node a --raw --no-headers", "--raw prints the tool's own text"),
        ("iptables", "name one with --node"),
        ("nftables web --node a --table x", "not both"),
        ("nftables --node a --raw --family 4", "--family does not narrow it"),
        ("nftables", "name one with --node"),
        ("ipvs --node a --stats --rate", "exclude each other"),
        ("ipvs --node a --raw 10.96.0.1:443", "--raw prints the tool's own text"),
        ("ipvs", "name one with --node"),
    ],
)
def test_usage(words: str, said: str, kubeconfig: Path, fake_api: FakeApi) -> None:
    """Exit code 2, what is wrong, and nothing was asked of the API server."""
    done = cli(*words.split(), kubeconfig=kubeconfig)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert done.stdout == ""
    assert fake_api.requests == []


@pytest.mark.parametrize("command", ["rules", "iptables", "nftables", "ipvs"])
def test_help_names_what_is_taken(command: str) -> None:
    done = cli(command, "--help")
    assert "[SERVICE[:PORT]|IP[:PORT]|:NODEPORT]..." in " ".join(done.stdout.split())
