"""What commands have in common between their flags and their use case: connect, open nodes, print the report."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from netinspect.cli.flags import (
    ConnectionFlags,
    DebugPodFlags,
    ListFlags,
    NodeFlags,
    OutputFlags,
    TableNodeFlags,
)
from netinspect.errors import UsageError

if TYPE_CHECKING:
    from netinspect.cluster.client import ClusterClient
    from netinspect.cluster.deadline import Deadline
    from netinspect.models.debug_pod import DebugPodOptions
    from netinspect.models.finding import Severity
    from netinspect.models.report import JudgedReport, Report
    from netinspect.render.output_format import OutputFormat
    from netinspect.render.table import Column
    from netinspect.sources.live import LiveNodes
    from netinspect.usecases.targets import Targets

T = TypeVar("T")

DEFAULT_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Live:
    """A cluster that can be asked, and its nodes.

    Attributes:
        client: the API server.
        nodes: opens nodes.
        deadline: the end of the command's time.
        notify: says what a node is waited for.
        warn: prints a warning.
    """

    client: ClusterClient
    nodes: LiveNodes
    deadline: Deadline
    notify: Callable[[str, str], None]
    warn: Callable[[str], None]


def connect(flags: ConnectionFlags) -> ClusterClient:
    """Resolve the context as kubectl does and return the way to its API server.

    Raises:
        ClusterError: there is no usable configuration.
        UsageError: a flag has no meaning.
    """
    from netinspect.cluster.client import connect as connect_client
    from netinspect.cluster.options import ConnectionOptions
    from netinspect.cluster.signals import install_handlers

    install_handlers()
    timeout_s = read_duration("--request-timeout", flags.request_timeout)
    return connect_client(
        ConnectionOptions(
            kubeconfig=flags.kubeconfig,
            context=flags.context,
            namespace=flags.namespace,
            cluster=flags.cluster,
            user=flags.user,
            server=flags.server,
            token=flags.token,
            as_=flags.as_user,
            as_group=tuple(flags.as_group or ()),
            as_uid=flags.as_uid,
            as_user_extra=tuple(flags.as_user_extra or ()),
            certificate_authority=flags.certificate_authority,
            client_certificate=flags.client_certificate,
            client_key=flags.client_key,
            insecure_skip_tls_verify=flags.insecure_skip_tls_verify,
            tls_server_name=flags.tls_server_name,
            disable_compression=flags.disable_compression,
            request_timeout_s=timeout_s or None,
        )
    )


@contextmanager
def open_live(
    client: ClusterClient,
    flags: DebugPodFlags,
    *,
    default_timeout_s: float = DEFAULT_TIMEOUT_S,
    log: Callable[[str], None] | None = None,
) -> Iterator[Live]:
    """Give the way onto the nodes, with a spinner on stderr, for as long as the block runs.

    Args:
        client: the API server.
        flags: the wishes about debug pods.
        default_timeout_s: for the whole command, where `--timeout` does not say.
        log: takes what is said of the work.
    """
    from netinspect.cli.progress import Progress
    from netinspect.cluster.access import NodeAccess
    from netinspect.cluster.deadline import Deadline
    from netinspect.sources.live import LiveNodes

    threading.Thread(target=_preload, daemon=True).start()
    options = read_debug_pod_options(flags, client.context.own_namespace, default_timeout_s)
    deadline = client.deadline = Deadline.after(options.timeout_s)
    progress = Progress(log)
    with progress.running():
        access = NodeAccess(client, options, deadline, progress.notify, progress.warn)
        swept = access.sweep()
        if swept:
            progress.warn(f"deleted debug pods of yours that were past their time: {', '.join(swept)}")
        nodes = LiveNodes(client, access, deadline)
        yield Live(client, nodes, deadline, progress.notify, progress.warn)


def _preload() -> None:
    """Import what comes after the trip to the node while the trip is under way: it is mostly waiting."""
    for name in ("netinspect.usecases.veth", "netinspect.render.report", "tabulate"):
        importlib.import_module(name)


def read_debug_pod_options(
    flags: DebugPodFlags, context_namespace: str, default_timeout_s: float = DEFAULT_TIMEOUT_S
) -> DebugPodOptions:
    """Check the flags of the debug pod.

    Raises:
        UsageError: a flag has no meaning.
    """
    from netinspect.models.debug_pod import DebugPodOptions, Privilege, Transport

    if flags.image_pull_policy not in ("", "Always", "IfNotPresent", "Never"):
        raise UsageError(
            f'--image-pull-policy "{flags.image_pull_policy}" is none of Always, IfNotPresent, Never'
        )
    if flags.keep and (flags.via or flags.transport != Transport.EXEC):
        raise UsageError(
            "--keep keeps the pod that --transport exec makes: --via and logs leave none to keep"
        )
    return DebugPodOptions(
        image=flags.image,
        image_pull_policy=flags.image_pull_policy or None,
        image_pull_secrets=tuple(flags.image_pull_secret or ()),
        namespace=flags.debug_namespace or context_namespace,
        privilege=_read_choice("--privilege", flags.privilege, Privilege) if flags.privilege else None,
        timeout_s=read_duration("--timeout", flags.timeout) if flags.timeout else default_timeout_s,
        keep_s=read_duration("--keep", flags.keep) if flags.keep else None,
        via=flags.via or None,
        transport=_read_choice("--transport", flags.transport, Transport),
    )


def read_duration(flag: str, text: str) -> float:
    """Read a duration, or say which flag has none."""
    from netinspect.parse.duration import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from error


def read_window(text: str, least_s: int = 1) -> int:
    """Read `--for` where it is a time between two samples, which nodes wait in whole seconds.

    Raises:
        UsageError: it is no such time, or too short.
    """
    seconds = read_duration("--for", text)
    if seconds < least_s or seconds != int(seconds):
        raise UsageError(f"--for {text}: name whole seconds, at least {least_s}")
    return int(seconds)


def read_targets_wanted(
    names: Sequence[str] | None,
    lists: ListFlags,
    nodes: NodeFlags | TableNodeFlags,
    connection: ConnectionFlags,
) -> Targets:
    """Put together what the command line names."""
    from netinspect.usecases.targets import Targets

    return Targets(
        names=tuple(names or ()),
        namespace=connection.namespace,
        selector=lists.selector,
        all_namespaces=lists.all_namespaces,
        nodes=tuple(nodes.node or ()),
        all_nodes=nodes.all_nodes,
    )


def read_output(flags: OutputFlags) -> OutputFormat:
    """Read `-o`."""
    from netinspect.render.output_format import OutputFormat

    return _read_choice("--output", flags.output, OutputFormat)


def finish(
    report: Report[T],
    columns: Sequence[Column[Any]],
    name_of: Callable[[T], str],
    output: OutputFormat,
    *,
    has_headers: bool,
    rows_of: Callable[[T], Iterable[Any]] | None = None,
    table_of: Callable[[Any], str] | None = None,
    empty: str = "No resources found",
) -> int:
    """Print a report: results to stdout, notes and gaps to stderr. Return the exit code.

    `table_of` writes the whole report where one table cannot hold it; the columns then count for nothing.
    """
    from netinspect.render.output_format import OutputFormat
    from netinspect.render.report import render_gap, render_report
    from netinspect.render.sanitize import sanitize

    if table_of is not None and output in (OutputFormat.TABLE, OutputFormat.WIDE):
        text = table_of(report)
    else:
        text = render_report(report, columns, name_of, output, rows_of=rows_of, has_headers=has_headers)
    sys.stdout.write(text + _findings_text(report, output))
    sys.stdout.flush()
    if not report.items and not report.gaps:
        print(sanitize(empty), file=sys.stderr)  # noqa: T201
    for note in report.notes:
        print(sanitize(note), file=sys.stderr)  # noqa: T201
    for gap in report.gaps:
        print(f"gap: {render_gap(gap)}", file=sys.stderr)  # noqa: T201
    return int(report.exit_code)


def finish_judged(report: JudgedReport[T], fail_on: str, *arguments: Any, **options: Any) -> int:
    """Print a report that judges, as `finish` does; return 3 where a finding is at or above `--fail-on`.

    Raises:
        UsageError: `--fail-on` names no severity (ask `read_severity` before any work is done).
    """
    from netinspect.errors import ExitCode
    from netinspect.models.finding import is_at_least

    code = finish(report, *arguments, **options)
    limit = read_severity(fail_on)
    is_failed = limit is not None and any(is_at_least(each.severity, limit) for each in report.findings)
    return int(ExitCode.FINDINGS) if is_failed else code


def read_severity(text: str) -> Severity | None:
    """Read `--fail-on`; None where it was not given.

    Raises:
        UsageError: there is no such severity.
    """
    from netinspect.models.finding import Severity

    return _read_choice("--fail-on", text, Severity) if text else None


def _findings_text(report: Report[T], output: OutputFormat) -> str:
    """Return the findings as text; JSON and YAML hold them already, and names are of items."""
    from netinspect.models.report import JudgedReport
    from netinspect.render.findings import render_findings
    from netinspect.render.output_format import OutputFormat

    if not isinstance(report, JudgedReport) or output not in (OutputFormat.TABLE, OutputFormat.WIDE):
        return ""
    text = render_findings(report.findings)
    return text if report.items else text.removeprefix("\n")


_E = TypeVar("_E")


def _read_choice(flag: str, text: str, choices: Callable[[str], _E]) -> _E:
    try:
        return choices(text)
    except ValueError as error:
        allowed = ", ".join(str(each.value) for each in choices)  # type: ignore[attr-defined]
        raise UsageError(f'{flag} "{text}" is none of: {allowed}') from error
