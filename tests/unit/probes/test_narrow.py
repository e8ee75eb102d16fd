"""narrow.sh in each shell, alone and behind the node side: it narrows, and never hides a failure."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from netinspect.models.address import parse_address
from netinspect.models.command import CommandResult
from netinspect.probes.catalog import LINKS
from netinspect.probes.conntrack import FLOWS, build_flow_plan, build_flow_probes, build_sample_plan
from netinspect.probes.plan import Plan, Probe, read_script
from tests.unit.flow_world import LINES, NEIGHBOUR_V4, NODE_PORT_V4, TCP_V4, TCP_V6
from tests.unit.probes.shells import SHELLS, Shell, new_shell, results_of, run_plan, why_missing

NARROW = read_script("narrow.sh")
WORDS = "=10.244.1.5 \n=fd00:244:1::3 "


@pytest.fixture(scope="module", params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    reason = why_missing(request.param)
    if reason is not None:
        pytest.skip(reason)
    return new_shell(request.param, tmp_path_factory.mktemp("applets"))


def narrowed(shell: Shell, words: str, *command: str, path: str = "") -> subprocess.CompletedProcess[bytes]:
    """Run a command behind narrow.sh."""
    return subprocess.run(
        [*shell.argv, "-c", NARROW, "netinspect", words, *command],
        capture_output=True,
        env={"PATH": path or shell.path, "LC_ALL": "C"},
        timeout=20,
        check=False,
    )


def printing(*lines: str, code: int = 0) -> tuple[str, ...]:
    """A command that prints lines, a word on stderr, and ends with a code."""
    return ("sh", "-c", f'printf "%s\\n" "$@"; echo 9 shown >&2; exit {code}', "tool", *lines)


def test_only_lines_with_a_word_pass_as_they_are(shell: Shell) -> None:
    """The blank and the = around an address make it whole: 10.244.1.50 and 110.244.1.5 stay back."""
    near = (NEIGHBOUR_V4, TCP_V4.replace("10.244.1.3", "110.244.1.5"))
    mine = TCP_V4.replace("10.244.1.3", "10.244.1.5")
    done = narrowed(shell, WORDS, *printing(*near, mine, TCP_V6))
    assert done.stdout.decode().splitlines() == [mine, TCP_V6]
    assert (done.returncode, done.stderr) == (0, b"9 shown\n")


def test_words_are_no_patterns(shell: Shell) -> None:
    """A dot is a dot."""
    done = narrowed(shell, "=10.0.0.1 ", *printing("src=10a0b0c1 ", "src=10.0.0.1 "))
    assert done.stdout == b"src=10.0.0.1 \n"


@pytest.mark.parametrize("code", [0, 1, 2, 127, 137])
def test_the_exit_code_is_the_commands(shell: Shell, code: int) -> None:
    """Whether a line passes or none does: a listing that failed must not look empty."""
    for line in (TCP_V6, TCP_V4):
        assert narrowed(shell, WORDS, *printing(line, code=code)).returncode == code


def test_a_program_that_is_missing_is_told(shell: Shell) -> None:
    """By the shell's own code."""
    done = narrowed(shell, WORDS, "no-such-program")
    assert (done.returncode, done.stdout) == (127, b"")


@pytest.mark.parametrize("broken", [2, 127, 139])
def test_a_filter_that_fails_is_told_too(shell: Shell, tmp_path: Path, broken: int) -> None:
    """What it kept back is not known: that the command did well is no comfort."""
    tools = tmp_path / "bin"
    tools.mkdir()
    grep = tools / "grep"
    grep.write_text(f"#!/bin/sh\ncat >/dev/null\nexit {broken}\n")
    grep.chmod(0o755)
    if "busybox" in shell.argv[0]:
        pytest.skip("busybox runs its own grep, whatever PATH says")
    done = narrowed(shell, WORDS, *printing(TCP_V6), path=f"{tools}:{os.environ['PATH']}")
    assert done.returncode != 0


def test_long_listings_pass_without_a_jam(shell: Shell) -> None:
    """More than any pipe holds, and a command that goes on after its last line."""
    count = 20_000
    script = f"i=0; while [ $i -lt {count} ]; do echo 'src=fd00:244:1::3 x'; echo other; i=$((i+1)); done"
    done = narrowed(shell, WORDS, "sh", "-c", script)
    assert (done.returncode, done.stdout.count(b"\n")) == (0, count)


def through_node(shell: Shell, *command: str, words: str = WORDS, timeout_s: int = 10) -> CommandResult:
    """Run a narrowed command as the node side does."""
    probe = Probe("flows", ("sh", "-c", NARROW, "netinspect", words, *command), timeout_s)
    return results_of(run_plan(shell, Plan((probe,))))["flows"]


def test_the_node_side_passes_words_code_and_stderr_on(shell: Shell) -> None:
    """Blanks at the words' ends, and line ends between them, survive the way."""
    outcome = through_node(shell, *printing(*LINES, code=3))
    wanted = [line for line in LINES if "=fd00:244:1::3 " in line]
    assert outcome.stdout.decode().splitlines() == wanted
    assert len(wanted) == 4
    assert (outcome.exit_code, outcome.stderr.strip()) == (3, b"9 shown")


def test_a_command_that_does_not_end_is_ended(shell: Shell) -> None:
    """With a code that says so. (busybox' timeout ends the script alone: the answer comes with the command's end.)"""
    outcome = through_node(shell, "sleep", "4", timeout_s=1)
    assert outcome.exit_code in (124, 137, 143)


def test_without_addresses_the_whole_table_is_asked_for() -> None:
    """Both families by name, with the links of the node first."""
    assert build_flow_plan() == Plan((LINKS, *FLOWS))
    assert [probe.argv for probe in FLOWS] == [
        ("conntrack", "-L", "-f", "ipv4", "-o", "extended,id"),
        ("conntrack", "-L", "-f", "ipv6", "-o", "extended,id"),
    ]


def test_with_addresses_each_family_is_narrowed() -> None:
    """The command itself stays as it is behind the script."""
    probes = build_flow_probes([parse_address("fd00::1"), parse_address("10.0.0.1")])
    for probe, bare in zip(probes, FLOWS, strict=True):
        assert probe.name == bare.name
        assert probe.argv == ("sh", "-c", NARROW, "netinspect", "=fd00::1 \n=10.0.0.1 ", *bare.argv)


@pytest.mark.parametrize("address", ["::ffff:10.0.0.1", "::10.0.0.1", "0:0:1::1", "::1"])
def test_an_address_that_has_two_spellings_is_not_looked_for(address: str) -> None:
    """Then all flows travel, and none is lost."""
    assert build_flow_probes([parse_address("10.0.0.1"), parse_address(address)]) == FLOWS


def test_a_sample_lists_twice_with_a_pause_between() -> None:
    """The second listing is known by its suffix."""
    plan = build_sample_plan(7, [parse_address("fd00::1")])
    names = [probe.name for probe in plan.node_probes]
    assert names == ["links", "flows-ipv4", "flows-ipv6", "pause", "flows-ipv4-again", "flows-ipv6-again"]
    pause = plan.node_probes[3]
    assert (pause.argv, pause.timeout_s) == (("sleep", "7"), 12)
    assert plan.node_probes[1].argv == plan.node_probes[4].argv


def test_node_port_lines_are_found_by_their_last_address() -> None:
    """The word of an address occurs in each of the four places, by the format's own blanks."""
    for address in ("10.244.1.3", "10.99.0.11", "10.244.2.7", "10.244.1.1"):
        assert f"={address} " in NODE_PORT_V4
