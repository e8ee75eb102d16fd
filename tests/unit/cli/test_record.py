"""`--record` and `--from` on the command line: which flags go together, and what a recording is told of its making."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from typer import Argument, Option, Typer
from typer.testing import CliRunner

from netinspect.cli.app import build_app, list_commands
from netinspect.cli.expand import expand
from netinspect.cli.flags import DebugPodFlags, OutputFlags
from netinspect.cli.record import describe_command, is_given
from netinspect.cli.session import OpenedNodes, describe_ways
from netinspect.cli.source_flags import SourceFlags
from netinspect.errors import UsageError
from netinspect.models.debug_pod import Privilege

READING = {
    *("pods", "services", "netns", "veth", "dns", "dataplane", "rules", "iptables", "nftables", "ipvs"),
    *("conntrack list", "conntrack top", "conntrack stale", "conntrack limit"),
}


def run(*arguments: str, env: dict[str, str] | None = None) -> Any:
    """Run the program in this process; return its result."""
    return CliRunner().invoke(
        build_app(arguments[:2]), list(arguments), prog_name="kubectl netinspect", env=env
    )


def has_flag(command: str, flag: str) -> bool:
    return f"{flag} FILE" in run(*command.split(), "--help").stdout


def test_commands_that_read_have_both_flags_and_no_other_has() -> None:
    """What changes, follows or runs something cannot be replayed."""
    for command in list_commands():
        is_reading = command in READING
        assert (has_flag(command, "--record"), has_flag(command, "--from")) == (is_reading, is_reading), (
            command
        )


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--record", "y"), "--record and --from exclude each other"),
        (("--context", "c"), "--context has no effect"),
        (("--kubeconfig", "k"), "--kubeconfig has no effect"),
        (("-s", "https://x"), "--server has no effect"),
        (("--token", "hidden"), "--token has no effect"),
        (("--image", "x"), "--image has no effect"),
        (("--keep", "1m"), "--keep has no effect"),
        (("--dry-run",), "--dry-run has no effect"),
        (("--privilege", "netadmin"), "--privilege has no effect"),
    ],
)
def test_flags_about_a_cluster_exclude_a_recording(flags: tuple[str, ...], named: str) -> None:
    """Each by its name, and without its value; before the recording is opened."""
    error = run("netns", "web-1", "--from", "/nowhere/x", *flags).exception
    assert isinstance(error, UsageError)
    assert error.message.startswith(named)
    assert "hidden" not in error.message


def test_what_the_environment_says_of_debug_pods_counts_for_nothing() -> None:
    """The image is a default there, not a wish: the recording is opened."""
    result = run("netns", "web-1", "--from", "/nowhere/x", env={"NETINSPECT_IMAGE": "tools"})
    assert not isinstance(result.exception, UsageError)
    assert result.exit_code == 1


@pytest.mark.parametrize("flag", ["--record", "--from"])
def test_an_empty_name_is_no_wish_for_the_live_cluster(flag: str) -> None:
    """A variable that is not set may not turn a recording into a cluster."""
    error = run("pods", flag, "").exception
    assert isinstance(error, UsageError)
    assert error.message == f"{flag} names no file"


def test_a_change_is_neither_recorded_nor_replayed() -> None:
    """`conntrack limit --apply` writes to a node."""
    for flag in ("--record", "--from"):
        arguments = ("--node", "a", "--set", "5", "--apply", flag, "x")
        error = run("conntrack", "limit", *arguments).exception
        assert isinstance(error, UsageError)
        assert error.message == "--apply changes a node: it excludes --record and --from"


def _described(*arguments: str) -> tuple[str, set[str]]:
    """What is written of a command line with these words, and which of its flags were given."""
    found: list[tuple[str, set[str]]] = []

    def rules(
        names: Annotated[list[str] | None, Argument()] = None,
        *,
        node: Annotated[list[str] | None, Option("--node")] = None,
        all_nodes: Annotated[bool, Option("--all-nodes")] = False,
        output: OutputFlags,
        debug_pod: DebugPodFlags,
        connection: SourceFlags,
    ) -> None:
        context = connection.invocation
        given = {each.name or "" for each in context.command.params if is_given(context, each.name or "")}
        found.append((describe_command(context), given))

    app = Typer()
    app.callback()(lambda: None)
    app.command("rules")(expand(rules))
    result = CliRunner().invoke(app, ["rules", *arguments], prog_name="kubectl netinspect")
    assert result.exit_code == 0, result.output
    (described,) = found
    return described


def test_a_recording_says_what_was_run() -> None:
    """With names and flags that ask for something."""
    described, given = _described("web", "a b", "--node", "x", "--node", "y", "-n", "shop", "-o", "json")
    assert described == "rules web 'a b' --node x --node y --output json --namespace shop"
    assert given == {"names", "node", "namespace", "output"}
    assert _described("--all-nodes", "--timeout", "9s")[0] == "rules --all-nodes --timeout 9s"


def test_a_recording_does_not_say_how_the_cluster_was_reached() -> None:
    """Neither secrets nor paths nor names of contexts."""
    connection = ("--token", "t0", "--context", "c0", "--kubeconfig", "k0", "--as", "u0", "--image", "i0")
    described, given = _described("web", *connection, "--record", "r0")
    assert described == "rules web"
    assert "token" in given


def test_nodes_are_named_by_the_way_they_were_read() -> None:
    """One sentence a way; a node that was not read is in none."""
    ways = {"a": "with privilege sysadmin", "b": "through pod x", "c": "with privilege sysadmin", "d": ""}
    opened = OpenedNodes(None, Privilege.SYSADMIN, ways.__getitem__, lambda: None)  # type: ignore[arg-type]
    assert describe_ways(opened, ways) == (
        "read with privilege sysadmin on a, c",
        "read through pod x on b",
    )
    assert describe_ways(opened, ()) == ()
