"""The command line as a process: exit codes, what is said on the way out, and what start-up may cost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from netinspect import __version__
from netinspect.cli.app import list_commands
from tests.fake import faults, pods
from tests.fake.api import FakeApi

NAMES = list_commands()
SECRET = "hunter2-secret-value"


def cli(
    *arguments: str, kubeconfig: Path | str = "/nonexistent", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the program as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "netinspect", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KUBECONFIG": str(kubeconfig), **environment},
        timeout=60,
    )


def run_with(raising: str) -> subprocess.CompletedProcess[str]:
    """Run a command whose first word to stdout raises: whatever breaks in a command ends at one boundary."""
    program = f"""
    import sys
    from netinspect import errors
    from netinspect.cli.main import run

    class Stdout:
        def write(self, text):
            {SECRET.replace("-", "_")} = {SECRET!r}
            raise {raising}

        def flush(self):
            pass

    sys.stdout = Stdout()
    code = run(["options"])
    sys.stdout = sys.__stdout__
    sys.exit(code)
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("raising", "code", "stderr"),
    [
        ("errors.NetinspectError('it broke')", 1, "error: it broke\n"),
        ("errors.UsageError('no such flag', 'try another')", 2, "error: no such flag\nhint: try another\n"),
        ("errors.TargetError('no pod')", 1, "error: no pod\n"),
        (
            "errors.ClusterError('Error from server (NotFound): pods \"x\" not found', status=404)",
            1,
            'Error from server (NotFound): pods "x" not found\n',
        ),
        (
            "errors.ClusterError('The connection to the server a:1 was refused - did you specify the ...?')",
            1,
            "The connection to the server a:1 was refused - did you specify the ...?\n",
        ),
        (
            "errors.ClusterError('Unable to connect to the server: x')",
            1,
            "Unable to connect to the server: x\n",
        ),
        (
            "errors.ClusterError('error: You must be logged in to the server (Unauthorized)', status=401)",
            1,
            "error: You must be logged in to the server (Unauthorized)\n",
        ),
        ("errors.DeadlineError('timed out')", 124, "error: timed out\n"),
        ("errors.DebugPodError('refused', 'a\\nb')", 1, "error: refused\nhint: a\nb\n"),
        ("errors.CommandError('no tool')", 1, "error: no tool\n"),
        (
            "errors.ParseError('no number', source='ip addr', line='a b', column=2)",
            1,
            "error: ip addr: no number\n  a b\n    ^\n",
        ),
        ("errors.NetinspectError('red \\x1b[31m \\u202e')", 1, "error: red \ufffd[31m \ufffd\n"),
        ("errors.Interrupted(2)", 130, ""),
        ("errors.Interrupted(15)", 143, ""),
        ("errors.Interrupted(1)", 129, ""),
        ("KeyboardInterrupt", 130, ""),
    ],
)
def test_each_way_to_fail_has_its_exit_code_and_its_words(raising: str, code: int, stderr: str) -> None:
    """kubectl's own texts are left as they are, others get its prefix; hints and escapes are seen to."""
    done = run_with(raising)
    assert (done.returncode, done.stderr.lstrip("\n")) == (code, stderr)
    assert done.stdout == ""


def test_our_own_bug_is_reported_without_any_value() -> None:
    """Where it broke, in which release, ready to be pasted: no message, no variable, no directory of the user."""
    done = run_with(f"ValueError({SECRET!r})")
    assert done.returncode == 1
    assert "netinspect has a bug: ValueError" in done.stderr
    assert f"netinspect {__version__}, Python " in done.stderr
    assert "netinspect/cli/info.py:" in done.stderr
    assert " in options\n" in done.stderr
    assert SECRET not in done.stderr
    assert str(Path.cwd()) not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_is_no_failure_to_talk_about() -> None:
    """`| head` closes it: no traceback, no bug report."""
    reader, writer = os.pipe()
    os.close(reader)
    for arguments in (["options"], ["version"], ["--help"], ["schema", "veth"]):
        done = subprocess.run(
            [sys.executable, "-m", "netinspect", *arguments],
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
        )
        assert (done.returncode, done.stderr) == (1, b""), arguments
    os.close(writer)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself(name: str) -> None:
    """Usage and, where there is more than one way to call it, examples that are commands of this program."""
    for flag in ("--help", "-h"):
        done = cli(*name.split(), flag)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"Usage: kubectl netinspect {name}" in done.stdout
    if name != "options":
        assert f"kubectl netinspect {name}" in done.stdout.split("Examples:")[1]


def test_the_program_explains_itself() -> None:
    """With every command, in its order."""
    done = cli("--help")
    assert (done.returncode, done.stderr) == (0, "")
    words = dict.fromkeys(name.split()[0] for name in NAMES)
    places = [done.stdout.index(f"\n  {word} ") for word in words]
    assert places == sorted(places)


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["veth", "--no-such-flag"],
        ["exec", "web-1"],
        ["schema"],
        ["schema", "nope"],
        ["veth"],
        ["veth", "--link", "veth1"],
        ["veth", "--link", "veth1", "--ip", "10.0.0.1"],
        ["veth", "--ip", "10.0.0.999"],
        ["veth", "--ip", "10.0.0.1", "web-1"],
        ["netns", "web-1", "--timeout", "soon"],
        ["netns", "web-1", "--transport", "ssh"],
        ["netns", "web-1", "--request-timeout", "soon"],
        ["exec", "web-1", "--transport", "logs", "--", "true"],
        ["exec", "web-1", "--privilege", "netadmin", "--", "true"],
        *(
            [*name.split(), *(["x"] if name == "netns" else []), "-o", "bogus"]
            for name in NAMES
            if name not in ("exec", "schema", "options", "snapshot")
        ),
    ],
    ids=" ".join,
)
def test_a_command_line_without_meaning_is_exit_code_2(arguments: list[str], kubeconfig: Path) -> None:
    """Said on stderr, with nothing on stdout."""
    done = cli(*arguments, kubeconfig=kubeconfig)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr != ""
    assert "bug" not in done.stderr


def test_an_unknown_format_is_refused_before_anything_is_asked(fake_api: FakeApi, kubeconfig: Path) -> None:
    """No request is spent on an answer that could not be printed."""
    for arguments in (
        ["pods"],
        ["services"],
        ["netns", "x"],
        ["veth", "x"],
        ["veth", "--ip", "10.0.0.1"],
        ["cleanup"],
    ):
        assert cli(*arguments, "-o", "bogus", kubeconfig=kubeconfig).returncode == 2
    assert fake_api.requests == []


def test_a_server_that_is_not_there_is_told_as_kubectl_does(fake_api: FakeApi, kubeconfig: Path) -> None:
    """With its address."""
    fake_api.stop()
    done = cli("pods", kubeconfig=kubeconfig)
    assert done.returncode == 1
    server = f"127.0.0.1:{fake_api.port}"
    said = f"The connection to the server {server} was refused - did you specify the right host or port?\n"
    assert done.stderr == said


def test_a_refusal_is_the_servers_own(fake_api: FakeApi, kubeconfig: Path) -> None:
    """Word for word."""
    fake_api.deny("list", "pods")
    done = cli("pods", kubeconfig=kubeconfig)
    assert done.returncode == 1
    assert done.stderr.startswith(
        'Error from server (Forbidden): pods is forbidden: User "alice" cannot list resource "pods"'
    )


def test_a_command_that_takes_too_long_is_exit_code_124(fake_api: FakeApi, kubeconfig: Path) -> None:
    """The pod that it waited for is gone."""
    add_web(fake_api)
    fake_api.evolve = pods.stays_pending
    done = cli("netns", "web-1", "--timeout", "1s", kubeconfig=kubeconfig)
    assert done.returncode == 124, done.stderr
    assert fake_api.store.names("pods") == ["web-1"]


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interrupted_command_deletes_its_pod(
    fake_api: FakeApi, kubeconfig: Path, signum: signal.Signals, code: int
) -> None:
    """And ends as shells expect, without a word of ours on stdout."""
    add_web(fake_api)
    fake_api.evolve = pods.stays_pending
    process = subprocess.Popen(
        [sys.executable, "-m", "netinspect", "netns", "web-1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
    )
    wait_for_watch(fake_api)
    process.send_signal(signum)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (code, b"")
    assert b"Traceback" not in err
    assert fake_api.store.names("pods") == ["web-1"]


def test_an_interruption_before_anything_was_asked_is_one_too(fake_api: FakeApi, kubeconfig: Path) -> None:
    """Ctrl-C while the server does not answer."""
    fake_api.faults.add(faults.stall(20), times=9)
    process = subprocess.Popen(
        [sys.executable, "-m", "netinspect", "pods"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "KUBECONFIG": str(kubeconfig)},
    )
    wait_until(lambda: bool(fake_api.requests))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"")


def add_web(api: FakeApi) -> None:
    ready = {"type": "Ready", "status": "True"}
    api.store.add("nodes", {"metadata": {"name": "node-a"}, "status": {"conditions": [ready]}})
    spec = {"nodeName": "node-a"}
    api.store.add(
        "pods",
        {"metadata": {"name": "web-1", "namespace": "demo"}, "spec": spec, "status": {"phase": "Running"}},
    )


def wait_for_watch(api: FakeApi) -> None:
    wait_until(lambda: any(each.is_true("watch") for each in api.requests))


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


HEAVY = (
    "kubernetes",
    "requests",
    "urllib3",
    "websocket",
    "yaml",
    "tabulate",
    "msgspec",
    "pydantic",
    "rich",
    "asyncio",
)


def modules_of(*arguments: str) -> set[str]:
    """Run the program, and return which of the heavy libraries it has imported at the end."""
    program = f"""
    import sys
    from netinspect.cli.main import run
    sys.stdout = open("/dev/null", "w")
    code = run({list(arguments)!r})
    print(*sorted({{name.partition(".")[0] for name in sys.modules}}), file=sys.stderr)
    sys.exit(code)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stderr.split()) & set(HEAVY)


def modules_of_typer() -> set[str]:
    """What the least program that is built with Typer imports."""
    program = """
    import sys, typer
    app = typer.Typer()

    @app.command()
    def main(count: int = typer.Option(1)) -> None: ...

    app(args=["--count", "2"], standalone_mode=False)
    print(*{name.partition(".")[0] for name in sys.modules})
    """
    argv = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split()) & set(HEAVY)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["veth", "--help"], ["version"], ["options"]], ids=" ".join
)
def test_start_up_imports_no_library_that_it_does_not_need(arguments: list[str]) -> None:
    """Each costs tens of milliseconds, the Kubernetes client hundreds; what Typer itself imports is its own affair."""
    assert modules_of(*arguments) <= modules_of_typer()


def test_the_versions_are_those_that_are_installed() -> None:
    """For bug reports, in each form."""
    shown = json.loads(cli("version", "-o", "json").stdout)
    assert shown["netinspect"] == __version__
    assert {"python", "kubernetes", "typer", "tabulate", "msgspec", "websocket-client"} < set(shown)
    assert cli("version").stdout.splitlines()[0] == f"netinspect {__version__}"
