"""`kubectl netinspect diff`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Context, Exit

from netinspect.cli.flags import ConnectionFlags, DebugPodFlags, OutputFlags
from netinspect.errors import UsageError

if TYPE_CHECKING:
    from netinspect.models.recording import Recording

NOW = "now"
_TIMEOUT_S = 600.0


def diff(
    before: Annotated[str, Argument(metavar="BEFORE", help="The recording to compare with.")],
    after: Annotated[
        str, Argument(metavar="AFTER", help="A later recording, or `now`: the cluster as it is.")
    ] = NOW,
    *,
    invocation: Context,
    output: OutputFlags,
    debug_pod: DebugPodFlags,
    connection: ConnectionFlags,
) -> None:
    """Say what changed between two snapshots, or between one and now: pods, Services, endpoints, rules, links.

    Nodes, their dataplane and how full their conntrack tables are, too. Counters, timers, ages and flows always move
    and are no changes; routes are not recorded. Ends with 3 where something changed, with 0 where nothing did, with 4
    where nothing did as far as could be read. For `now` the nodes of the recording are read again; nothing is written
    down.

    Examples:

      # What changed meanwhile?
      kubectl netinspect snapshot -o before.tar.gz
      kubectl netinspect diff before.tar.gz

      # Between two files, of one namespace, with no cluster
      kubectl netinspect diff before.tar.gz after.tar.gz -n shop
    """
    from netinspect.archive.reader import read_recording
    from netinspect.cli.idle_flags import check_idle_flags
    from netinspect.cli.run import finish, read_output
    from netinspect.errors import ExitCode
    from netinspect.render.differences import COLUMNS, WIDE_COLUMNS, name_of
    from netinspect.render.output_format import OutputFormat
    from netinspect.usecases.differences import report_differences

    chosen = read_output(output)
    if not before or not after:
        raise UsageError("the name of a recording is empty", "is the variable set that it comes from?")
    if before == NOW:
        raise UsageError("the first is the earlier: name a recording", "a file of this name is ./now")
    if after != NOW:
        check_idle_flags(invocation, "two recordings")
    old = read_recording(Path(before))
    new = _read_now(old, debug_pod, connection) if after == NOW else read_recording(Path(after))
    code = finish(
        report := report_differences(old, new, connection.namespace),
        WIDE_COLUMNS if chosen is OutputFormat.WIDE else COLUMNS,
        name_of,
        chosen,
        has_headers=not output.no_headers,
        empty="No differences",
    )
    raise Exit(int(ExitCode.FINDINGS) if report.items else code)


def _read_now(old: Recording, debug_pod: DebugPodFlags, connection: ConnectionFlags) -> Recording:
    """Take a snapshot of the nodes that a recording has and that are still there, and hold it in memory."""
    from netinspect import __version__
    from netinspect.cli.live import say
    from netinspect.cli.live_session import LiveSession
    from netinspect.cli.run import connect, read_debug_pod_options
    from netinspect.models.debug_pod import Privilege
    from netinspect.probes.snapshot import build_snapshot_plan
    from netinspect.sources.held_recording import HeldRecording
    from netinspect.usecases.differences import list_nodes
    from netinspect.usecases.node_targets import resolve_nodes
    from netinspect.usecases.snapshot import SnapshotWish, take_snapshot

    client = connect(connection)
    read_debug_pod_options(debug_pod, client.context.own_namespace, _TIMEOUT_S)
    present = resolve_nodes(client, (), all_nodes=True).nodes
    nodes = tuple(each for each in list_nodes(old) if each in present)
    made_at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    held = HeldRecording()
    session = LiveSession(client, held)
    plans = {each: build_snapshot_plan(()) for each in nodes}
    wish = SnapshotWish(nodes=nodes, namespace=connection.namespace)
    with session.open_nodes(plans, debug_pod, Privilege.SYSADMIN, _TIMEOUT_S) as opened:
        take_snapshot(session.api, opened.open, wish, opened.cancel, say)
    return held.build(made_at=made_at, made_by=__version__, namespace=client.namespace)
