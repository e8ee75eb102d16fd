"""The node side's script itself, run in each shell that a node-tools image may have."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netinspect.collect import read_fact
from netinspect.models.command import CommandResult
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.parse.frames import parse_frames, parse_log_frames
from netinspect.probes.plan import Plan, Probe, build_log_command, encode_plan, node_script
from tests.unit.probes.shells import SHELLS, Shell, new_shell, results_of, run_plan, why_missing


@pytest.fixture(scope="module", params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    reason = why_missing(request.param)
    if reason is not None:
        pytest.skip(reason)
    return new_shell(request.param, tmp_path_factory.mktemp("applets"))


def run_one(shell: Shell, *argv: str, timeout_s: int = 10) -> CommandResult:
    """Run one probe on the node."""
    return results_of(run_plan(shell, Plan((Probe("probe", argv, timeout_s),))))["probe"]


def raw_text(raw: bytes) -> str:
    return raw.replace(b"\0", b"").decode("utf-8", "surrogateescape")


# Characters that mean something to a shell, to awk, to printf, or (above 0x7f) inside dash and bash themselves.
nasty = st.text("$`\"'\\()[]{};&|<>\n\r\t *?~#-!%=aé\u0081\x01\x7f🙂", max_size=12)
arguments = st.lists(
    nasty
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
    | st.binary().map(raw_text)
    | st.sampled_from(["$(id)", "`id`", "${PATH}", "-n", "--", "a\n\n\n", "", "\n", "'; exit 3; '", "END", "."]),
    max_size=30,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arguments)
def test_every_argument_arrives_byte_for_byte(shell: Shell, given_arguments: list[str]) -> None:
    """Whatever an argument holds, the program on the node is given that and nothing else: nothing is evaluated."""
    result = run_one(shell, "printf", "%s\\0", "first", *given_arguments)
    expected = b"".join(
        each.encode("utf-8", "surrogateescape") + b"\0" for each in ("first", *given_arguments)
    )
    assert (result.exit_code, result.stdout, result.stderr) == (0, expected, b"")


def test_both_outputs_come_apart_and_whole(shell: Shell) -> None:
    """stdout keeps its bytes, NULs included; stderr keeps its own, with all the newlines at its end."""
    result = run_one(shell, "sh", "-c", r"printf 'out\000\377\n\n'; printf 'err\n\n' >&2; exit 7")
    assert (result.exit_code, result.stdout, result.stderr) == (7, b"out\0\xff\n\n", b"err\n\n")


@pytest.mark.parametrize("stdout", [b"", b"\n", b"no end", b"done 1\n", b"\x1f\x8b\x08"])
def test_an_output_that_looks_like_the_frame_around_it_is_output(shell: Shell, stdout: bytes) -> None:
    """Output is carried, not interpreted: empty, without an end, or like a mark of the stream."""
    quoted = "".join(f"\\{byte:03o}" for byte in stdout)
    result = run_one(shell, "printf", quoted)
    assert (result.exit_code, result.stdout) == (0, stdout)


def test_the_places_of_the_exit_codes(shell: Shell) -> None:
    """A program's own code is passed on; none is mistaken for another's, whichever order they come in."""
    plan = Plan(tuple(Probe(f"exit-{code}", ("sh", "-c", f"exit {code}")) for code in (0, 1, 2, 3, 125, 255)))
    codes = {name: each.exit_code for name, each in results_of(run_plan(shell, plan)).items()}
    assert codes == {f"exit-{code}": code for code in (0, 1, 2, 3, 125, 255)}


def test_a_missing_tool_is_told_from_a_failing_one(shell: Shell, tmp_path: Path) -> None:
    """127 where there is no such program, 126 where it cannot be executed."""
    missing = read_fact(run_one(shell, "netinspect-no-such-tool"), bytes)
    assert isinstance(missing, Unavailable)
    assert missing.reason is Reason.TOOL_MISSING
    assert "netinspect-no-such-tool" in missing.detail
    file = tmp_path / "tool"
    file.touch(mode=0o644)
    refused = read_fact(run_one(shell, str(file)), bytes)
    assert isinstance(refused, Unavailable)
    assert refused.reason is Reason.PERMISSION_DENIED


@pytest.mark.parametrize("command", ["sleep 20", "trap '' TERM; while :; do sleep 1; done"])
def test_a_probe_is_ended_at_its_time_limit(shell: Shell, command: str) -> None:
    """Also one that does not listen to TERM; what it had printed by then is kept, and the next probe runs."""
    plan = Plan(
        (Probe("slow", ("sh", "-c", f"echo begun; {command}"), timeout_s=1), Probe("next", ("echo", "here")))
    )
    results = results_of(run_plan(shell, plan))
    fact = read_fact(results["slow"], bytes)
    assert isinstance(fact, Unavailable)
    assert fact.reason is Reason.TIMED_OUT
    assert results["slow"].stdout == b"begun\n"
    assert 0.9 < results["slow"].duration_s < 10
    assert read_fact(results["next"], bytes) == Known(b"here\n")


def test_a_probe_cannot_eat_the_plan(shell: Shell) -> None:
    """A program that reads its stdin finds it empty, and the probes behind it are still known."""
    plan = Plan((Probe("cat", ("cat",)), Probe("next", ("echo", "here"))))
    results = results_of(run_plan(shell, plan))
    assert (results["cat"].exit_code, results["cat"].stdout) == (0, b"")
    assert results["next"].stdout == b"here\n"


def test_many_probes_come_in_the_order_of_the_plan(shell: Shell) -> None:
    """Each once, in order, and the end mark counts them all."""
    plan = Plan(tuple(Probe(f"p{index}", ("echo", str(index))) for index in range(60)))
    answer = run_plan(shell, plan)
    assert answer.is_whole
    assert [(each.name, each.stdout) for each in answer.results] == [
        (f"p{index}", b"%d\n" % index) for index in range(60)
    ]


def test_an_empty_plan_has_a_whole_answer(shell: Shell) -> None:
    """Nothing asked, nothing answered, and both ends agree on it; the node's netns is named all the same."""
    answer = run_plan(shell, Plan())
    assert (answer.results, answer.is_whole) == ((), True)
    assert answer.netns == os.stat("/proc/self/ns/net").st_ino


def test_a_large_output_comes_whole(shell: Shell) -> None:
    """50 MB of rules are nothing out of the ordinary."""
    last = 6_500_000
    result = run_one(shell, "seq", str(last), timeout_s=120)
    expected = hashlib.sha256()
    for start in range(1, last + 1, 100_000):
        stop = min(start + 100_000, last + 1)
        expected.update("".join(f"{number}\n" for number in range(start, stop)).encode())
    assert result.exit_code == 0
    assert len(result.stdout) > 50_000_000
    assert hashlib.sha256(result.stdout).digest() == expected.digest()


def test_output_is_streamed_while_the_probe_runs(shell: Shell, tmp_path: Path) -> None:
    """The node side holds nothing back: a probe's output is on its way before the probe has ended."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    # Random bytes cannot be compressed: what arrives is as much as was printed.
    command = 'head -c 1000000 /dev/urandom; read -r word <"$1"; echo "$word"'
    plan = encode_plan(Plan((Probe("slow", ("sh", "-c", command, "sh", str(gate)), timeout_s=30),)))
    with subprocess.Popen(shell.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(plan)
        process.stdin.close()
        early = process.stdout.read(900_000)
        gate.write_text("passed\n")
        answer = parse_frames([early, process.stdout.read()])
    assert answer.results[0].exit_code == 0
    assert answer.results[0].stdout.endswith(b"passed\n")


def test_each_result_is_sent_before_the_next_probe_ends(shell: Shell, tmp_path: Path) -> None:
    """A trip that is cut off late has brought home everything that was ready by then."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    slow = ("sh", "-c", 'read -r word <"$1"', "sh", str(gate))
    plan = encode_plan(Plan((Probe("fast", ("echo", "here")), Probe("slow", slow, timeout_s=30))))
    with subprocess.Popen(shell.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(plan)
        process.stdin.close()
        received = b""
        while not (results := parse_frames([received]).results) or results[0].exit_code is None:
            chunk = process.stdout.read1(4096)
            assert chunk, "the stream ended without the first result"
            received += chunk
        gate.write_text("go\n")
        answer = parse_frames([received, process.stdout.read()])
    assert results[0].stdout == b"here\n"
    assert [each.exit_code for each in answer.results] == [0, 0]


def test_a_plan_that_was_cut_is_never_answered_as_if_it_were_whole(shell: Shell) -> None:
    """Wherever the plan ends early, so does the answer: no end mark, and no probe with half of its arguments."""
    probes = (Probe("one", ("printf", "%s", "first\nsecond")), Probe("two", ("printf", "%s", "third")))
    sent = encode_plan(Plan(probes))
    whole = results_of(run_plan(shell, sent))
    assert [each.stdout for each in whole.values()] == [b"first\nsecond", b"third"]
    for length in range(len(sent)):
        answer = run_plan(shell, sent[:length])
        assert not answer.is_whole, sent[:length]
        assert [each.stdout for each in answer.results] == [whole[each.name].stdout for each in answer.results]


def test_the_plan_in_a_pods_own_command_answers_through_its_log(shell: Shell) -> None:
    """The transport by logs: base64 lines, byte-exact again at this end."""
    argv = ("printf", "%s\\0", "$(id)", "a\nb\n", "")
    command = build_log_command(Plan((Probe("x", argv),)))
    done = subprocess.run(
        ["env", f"PATH={shell.path}", *shell.argv, *command[1:]], stdout=subprocess.PIPE, check=True
    )
    answer = parse_log_frames(done.stdout)
    assert results_of(answer)["x"].stdout == b"$(id)\0a\nb\n\0\0"


def test_the_script_fits_into_the_url_of_an_exec() -> None:
    """It travels as a query parameter, and proxies cut URLs off at 8 KB: some of that must stay for the rest."""
    assert len(quote_plus(node_script())) < 7000


def test_the_script_is_plain_ascii_and_holds_no_tabs() -> None:
    """What an image's locale would read otherwise, or a log's reader could trip over, is not in it."""
    assert node_script().isascii()
    assert "\t" not in node_script()
    assert "\r" not in node_script()


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """A command line that runs another where no file can be written anywhere, as in our pod."""
    script = (
        "mount --make-rprivate / && mount -o remount,bind,ro / && "
        'for dir in /tmp /var/tmp /dev/shm "$PWD"; do mount -t tmpfs -o ro none "$dir" || exit 9; done; exec "$@"'
    )
    prefix = ("unshare", "--mount", "sh", "-c", script, "sh")
    probe = subprocess.run([*prefix, "true"], cwd=tmp_path, capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"no mount namespace can be made: {probe.stderr.decode().strip()}")
    writes = subprocess.run([*prefix, "touch", "/tmp/x", "/x", "/dev/shm/x"], capture_output=True, check=False)
    assert writes.returncode != 0
    yield prefix
