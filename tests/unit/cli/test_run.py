"""What commands share: flags into values, and a report into text and exit code."""

from __future__ import annotations

from typing import Any

import pytest

from netinspect.cli.flags import DEFAULT_IMAGE, ConnectionFlags, DebugPodFlags, OutputFlags
from netinspect.cli.run import finish, read_debug_pod_options, read_duration, read_output
from netinspect.errors import ExitCode, UsageError
from netinspect.models.debug_pod import DebugPodOptions, Privilege, Transport
from netinspect.models.fact import Gap, Reason
from netinspect.models.report import Report
from netinspect.render.output_format import OutputFormat
from netinspect.render.table import Column


def test_without_flags_a_debug_pod_is_as_documented() -> None:
    """In the context's namespace, two minutes, not kept, by exec, with the least privilege."""
    assert read_debug_pod_options(DebugPodFlags(), "demo") == DebugPodOptions(
        image=DEFAULT_IMAGE, namespace="demo", timeout_s=120.0
    )


def test_each_flag_of_the_debug_pod_has_its_place() -> None:
    """All at once."""
    flags = DebugPodFlags(
        image="tools",
        image_pull_policy="Never",
        image_pull_secret=["a", "b"],
        debug_namespace="debug",
        privilege="netadmin",
        timeout="1m30s",
        keep="10m",
    )
    assert read_debug_pod_options(flags, "demo", 7.0) == DebugPodOptions(
        image="tools",
        image_pull_policy="Never",
        image_pull_secrets=("a", "b"),
        namespace="debug",
        privilege=Privilege.NETADMIN,
        timeout_s=90.0,
        keep_s=600.0,
    )
    elsewhere = DebugPodFlags(via="kube-system/x", transport="logs")
    assert read_debug_pod_options(elsewhere, "demo") == DebugPodOptions(
        image=DEFAULT_IMAGE, namespace="demo", timeout_s=120.0, via="kube-system/x", transport=Transport.LOGS
    )


def test_a_commands_own_time_holds_where_none_is_given() -> None:
    """A terminal's is longer than a listing's."""
    assert read_debug_pod_options(DebugPodFlags(), "demo", 7.0).timeout_s == 7.0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            {"image_pull_policy": "never"},
            '--image-pull-policy "never" is none of Always, IfNotPresent, Never',
        ),
        ({"privilege": "root"}, '--privilege "root" is none of: netadmin, sysadmin'),
        ({"transport": "ssh"}, '--transport "ssh" is none of: exec, logs'),
        ({"timeout": "soon"}, '--timeout: invalid duration "soon": write 30s, 5m or 1h30m'),
        ({"keep": "-1s"}, '--keep: invalid duration "-1s": write 30s, 5m or 1h30m'),
        ({"timeout": "9" * 30}, f'--timeout: invalid duration "{"9" * 30}": write 30s, 5m or 1h30m'),
    ],
)
def test_a_flag_without_meaning_is_named(flags: dict[str, Any], message: str) -> None:
    """With what it takes."""
    with pytest.raises(UsageError) as caught:
        read_debug_pod_options(DebugPodFlags(**flags), "demo")
    assert caught.value.message == message


@pytest.mark.parametrize("name", ["table", "wide", "json", "yaml", "name"])
def test_every_format_is_taken(name: str) -> None:
    """By its name."""
    assert read_output(OutputFlags(output=name)).value == name


@pytest.mark.parametrize("name", ["", "JSON", "jsonpath={.x}"])
def test_no_other_format_is(name: str) -> None:
    """And the ones that there are, are listed."""
    with pytest.raises(UsageError) as caught:
        read_output(OutputFlags(output=name))
    assert caught.value.message == f'--output "{name}" is none of: table, wide, json, yaml, name'


def test_a_duration_is_named_by_its_flag() -> None:
    """There are several."""
    assert read_duration("--request-timeout", ConnectionFlags().request_timeout) == 0
    with pytest.raises(UsageError, match=r"^--request-timeout: "):
        read_duration("--request-timeout", "x")


COLUMNS = (Column[str]("NAME", lambda item: item),)
GAP = Gap("pod/demo/web-1", "its links", Reason.TIMED_OUT, "ip ended\x1b[31m")


def finished(report: Report[str], output: OutputFormat = OutputFormat.TABLE, **wishes: Any) -> int:
    return finish(report, COLUMNS, lambda item: f"pod/{item}", output, **{"has_headers": True, **wishes})


def test_results_go_to_stdout_and_nothing_else_does(capsys: pytest.CaptureFixture[str]) -> None:
    """Notes and gaps are for the reader, not for the next program; a gap makes the exit code 4."""
    report = Report(kind="X", items=("web-1",), notes=("a note\x07",), gaps=(GAP,))
    assert finished(report) == ExitCode.INCOMPLETE
    out, err = capsys.readouterr()
    assert out == "NAME\nweb-1\n"
    assert err == (
        "a note\ufffd\ngap: pod/demo/web-1: its links could not be read: ip ended\ufffd[31m (timed-out)\n"
    )


def test_nothing_missing_is_exit_code_0(capsys: pytest.CaptureFixture[str]) -> None:
    """And silence on stderr."""
    assert finished(Report(kind="X", items=("web-1",))) == ExitCode.OK
    assert capsys.readouterr().err == ""


def test_an_empty_answer_is_said_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """As kubectl does; not where something could not be read, which is said instead."""
    assert finished(Report(kind="X", items=()), empty="No pods.") == ExitCode.OK
    assert capsys.readouterr() == ("", "No pods.\n")
    assert finished(Report(kind="X", items=(), gaps=(GAP,))) == ExitCode.INCOMPLETE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("gap: ")


def test_an_empty_answer_for_a_program_is_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON is JSON also then."""
    finished(Report(kind="X", items=()), OutputFormat.JSON)
    assert '"items": []' in capsys.readouterr().out
