"""The scripts that ask nft, run by each shell and its tools, with an nft that answers what a test says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from netinspect.probes.plan import read_script
from tests.unit.probes.shells import SHELLS, new_shell, why_missing

SCRIPT, TABLES = read_script("iptables_nft.sh"), read_script("nft_tables.sh")
BASE = "\tchain INPUT {\n\t\ttype filter hook input priority 0; policy accept;\n\t}\n"
CHAINS = f"table ip filter {{\n\tchain x {{\n\t}}\n{BASE}}}\n"
BY_SET = '{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@s"}}'
BY_ADDRESS = BY_SET.replace("@s", "10.0.0.1")


class Lab:
    """A shell whose nft is ours."""

    def __init__(self, name: str, folder: Path) -> None:
        tools = folder / "tools"
        tools.mkdir()
        self._shell = new_shell(name, tools)
        self._nft = folder / "nft"

    def run(self, *answers: tuple[str, str, int], script: str = SCRIPT) -> subprocess.CompletedProcess[str]:
        """Run a script, before `echo saved`; nft answers commands by their last words."""
        cases = "".join(
            f"*{words!r}) printf '%s' {answer!r}; exit {code} ;;\n".replace("\\n", "\n").replace("\\t", "\t")
            for words, answer, code in answers
        )
        self._nft.write_text(f'#!/bin/sh\ncase "$*" in\n{cases}*) exit 9 ;;\nesac\n')
        self._nft.chmod(0o755)
        path = f"{self._nft.parent}:{self._shell.path}"
        argv = ["env", f"PATH={path}", *self._shell.argv, "-c", script, "netinspect", "ip", "echo", "saved"]
        return subprocess.run(argv, capture_output=True, text=True, check=False)


@pytest.fixture(params=SHELLS)
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Lab:
    """Each shell."""
    reason = why_missing(request.param)
    if reason:
        pytest.skip(reason)
    return Lab(request.param, tmp_path)


def rule(chain: str, *statements: str, table: str = "filter") -> str:
    """A rule as nft -j lists it."""
    place = f'"family": "ip", "table": "{table}", "chain": "{chain}", "handle": 4'
    return f'{{"rule": {{{place}, "expr": [{", ".join(statements)}]}}}}'


def listing(*rules: str) -> str:
    """A table as nft -j lists it."""
    return f'{{"nftables": [{", ".join(("{}", *rules))}]}}\n'


def test_rules_that_are_printed_wrongly_are_named_by_their_chains(lab: Lab) -> None:
    """Each chain once, before the tool is run."""
    text = listing(
        rule("INPUT", BY_SET, '{"drop": null}'),
        rule("x", BY_ADDRESS, '{"drop": null}'),
        rule("x y", BY_SET),
        rule("INPUT", BY_SET),
    )
    done = lab.run(("list chains ip", CHAINS, 0), ("list table ip filter", text, 0))
    line = "# Table `filter' holds rules in nft's own words that iptables-nft-save may print wrongly, in: INPUT x y"
    assert (done.returncode, done.stdout) == (0, f"{line}\nsaved\n")


def test_nothing_is_said_of_rules_that_are_printed_as_they_are(lab: Lab) -> None:
    """A rule, a table without rules, and no table."""
    for text in (listing(rule("INPUT", BY_ADDRESS)), listing()):
        done = lab.run(("list chains ip", CHAINS, 0), ("list table ip filter", text, 0))
        assert (done.returncode, done.stdout) == (0, "saved\n")
    assert lab.run(("list chains ip", "", 0)).stdout == "saved\n"


def test_a_table_of_another_name_is_not_asked_for(lab: Lab) -> None:
    """The tool does not print it."""
    done = lab.run(("list chains ip", CHAINS.replace("filter {", "kube-proxy {"), 0))
    assert (done.returncode, done.stdout) == (0, "saved\n")


def test_the_tool_is_not_run_where_nft_fails(lab: Lab) -> None:
    """What was not looked at is not known to be right."""
    assert (lab.run(("list chains ip", "", 7)).returncode, lab.run(("list chains ip", "", 7)).stdout) == (
        7,
        "",
    )
    done = lab.run(("list chains ip", CHAINS, 0), ("list table ip filter", "", 139))
    assert (done.returncode, done.stdout) == (1, "")
    assert "unreadable" in done.stderr or "could not list" in done.stderr


def test_half_a_line_of_an_nft_that_died_hides_nothing(lab: Lab) -> None:
    """It ends within a line, or within a string behind a backslash, as its buffer does."""
    half = CHAINS + "table ip kube-pro"
    assert lab.run(("list chains ip", half, 139)).returncode == 139
    done = lab.run(("list chains", half.replace("filter {", "other {"), 139), script=TABLES)
    assert done.returncode == 139
    assert lab.run(("list chains", "table ip oth", 139), script=TABLES).returncode == 139
    text = listing(rule("INPUT", BY_ADDRESS))[:-40] + '"comment": "a' + chr(92)
    done = lab.run(("list chains ip", CHAINS, 0), ("list table ip filter", text, 139))
    assert (done.returncode, done.stdout) == (1, "")


def test_of_very_many_chains_only_the_base_chains_are_listed(lab: Lab) -> None:
    """And the table is not."""
    many = CHAINS.replace("\tchain x {\n\t}\n", "".join(f"\tchain c{n} {{\n\t}}\n" for n in range(2000)))
    text = listing(rule("INPUT", BY_SET))
    done = lab.run(("list chains ip", many, 0), ("list chain ip filter INPUT", text, 0))
    assert (done.returncode, done.stdout.count("in: INPUT\nsaved\n")) == (0, 1)
    done = lab.run(("list chains ip", many, 0), ("list chain ip filter INPUT", "", 1))
    assert (done.returncode, done.stdout) == (1, "")
