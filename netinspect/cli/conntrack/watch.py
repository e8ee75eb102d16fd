"""`kubectl netinspect conntrack watch`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Exit, Option

from netinspect.cli.flags import (
    ConntrackConnectionFlags,
    DebugPodFlags,
    FlowFilterFlags,
    ListFlags,
    TableNodeFlags,
)
from netinspect.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from netinspect.cluster.client import ClusterClient
    from netinspect.models.conntrack import FlowEventType
    from netinspect.models.debug_pod import DebugPodOptions
    from netinspect.models.flow_filter import FlowFilter
    from netinspect.models.flow_watch import NamedFlowEvent, WatchSetting
    from netinspect.render.output_format import StreamFormat
    from netinspect.usecases.conntrack_watch import WatchEnd, WatchLimits

_LIFETIME_S = 4 * 3600.0
"""A watch is not cut off by a deadline made for a listing; but nothing on a node is without one."""

_CLEAR = "\r\x1b[K"


def watch(
    names: Annotated[
        list[str] | None, Argument(metavar="POD|TYPE/NAME", help="Pods, or what leads to pods.")
    ] = None,
    *,
    event: Annotated[
        list[str] | None,
        Option(
            "--event", help="NEW, UPDATE, DESTROY: one, or several with commas (repeatable).", metavar="TYPES"
        ),
    ] = None,
    window: Annotated[
        str, Option("--for", help="End after so long (default: until Ctrl-C).", metavar="DURATION")
    ] = "",
    count: Annotated[int, Option("--count", help="End after so many events.", metavar="N")] = 0,
    output: Annotated[
        str, Option("--output", "-o", help="table, wide or jsonl.", metavar="FORMAT")
    ] = "table",
    no_headers: Annotated[bool, Option("--no-headers", help="Print the table without its header.")] = False,
    targets: ListFlags,
    nodes: TableNodeFlags,
    filters: FlowFilterFlags,
    debug_pod: DebugPodFlags,
    connection: ConntrackConnectionFlags,
) -> None:
    """Watch flows of pods, or of whole nodes, come and go: an event a line, with the names behind the addresses.

    Times are the node's, in UTC. What each node's nf_conntrack_events means is said at the start: where it is 2, the
    kernel's default, flows that began while nobody listened send no UPDATE and no DESTROY, so silence about them
    tells nothing. Events that the kernel had to drop are a gap. DESTROY comes when the entry is collected, which
    may be a minute after it expired. Pods are those that are there at the start; names of pods that come later are
    looked up as they appear (an address that changes hands keeps the old name for up to a
    minute). Without --for it ends with Ctrl-C (exit code 130), and at the latest after 4h (--timeout sets that).

    Examples:

      # What does this pod connect to, and what comes of it?
      kubectl netinspect conntrack watch mypod

      # New connections to a Service, in both families, for a minute
      kubectl netinspect conntrack watch svc/web -n shop --event NEW --for 1m

      # The next ten events of DNS on a node
      kubectl netinspect conntrack watch --node node-a --proto udp --dport 53 --count 10

      # Everything everywhere, for a program
      kubectl netinspect conntrack watch --all-nodes -o jsonl
    """
    from netinspect.cli.conntrack.filters import read_filter
    from netinspect.cli.run import connect, read_debug_pod_options, read_targets_wanted
    from netinspect.usecases.conntrack_list import choose_flows
    from netinspect.usecases.node_targets import resolve_flow_targets

    chosen, types, wanted = _read_format(output), _read_types(event or ()), read_filter(filters)
    limits = _read_limits(window, count)
    if debug_pod.transport != "exec":
        raise UsageError("events are watched live: that needs --transport exec")
    client = connect(connection)
    # A wrong flag ends it before any request.
    options = read_debug_pod_options(
        debug_pod, client.context.own_namespace, _default_timeout_s(debug_pod, limits)
    )
    found = resolve_flow_targets(client, read_targets_wanted(names, targets, nodes, connection))
    for note in found.notes:
        _say(note)
    printer = _Printer(chosen, found.nodes, has_header=not no_headers)
    by_node = choose_flows(found, wanted)
    raise Exit(_finish(_watch(client, by_node, types, limits, debug_pod, options, printer)))


def _watch(
    client: ClusterClient,
    by_node: dict[str, FlowFilter],
    types: tuple[FlowEventType, ...],
    limits: WatchLimits,
    flags: DebugPodFlags,
    options: DebugPodOptions,
    printer: _Printer,
) -> WatchEnd:
    import math
    from functools import partial

    from netinspect.cli.live import print_dry_run
    from netinspect.cli.run import open_live
    from netinspect.models.debug_pod import Privilege
    from netinspect.models.flow_watch import NodeWatch
    from netinspect.probes.conntrack_watch import WATCH_PLAN
    from netinspect.usecases.cluster_state import gaps_of, read_cluster_state
    from netinspect.usecases.conntrack_watch import Watch
    from netinspect.usecases.live_names import LiveNames
    from netinspect.usecases.nodes import check_node_count

    privilege = options.privilege or Privilege.NETADMIN
    if flags.dry_run:
        print_dry_run(client, options, dict.fromkeys(by_node, WATCH_PLAN), privilege)
    check_node_count(len(by_node), yes=flags.yes)
    if len(by_node) > 1 and not options.via:
        _say(f"starting debug pods on {len(by_node)} nodes, all at once")
    with open_live(client, flags, default_timeout_s=options.timeout_s) as live:
        read_state = partial(read_cluster_state, client, slices=False)
        state = read_state()
        watches = [NodeWatch(node=node, wanted=wanted, types=types) for node, wanted in by_node.items()]
        run = Watch(watches, LiveNames(state, read_state), limits, printer, gaps=gaps_of(state))
        return run.run(
            lambda node: live.nodes.open_exec(node, privilege),
            math.ceil(options.timeout_s),
            live.deadline.cancel,
        )


class _Printer:
    """Prints events as they come, the header before the first."""

    def __init__(self, output: StreamFormat, nodes: tuple[str, ...], *, has_header: bool) -> None:
        from netinspect.render.output_format import StreamFormat

        self._is_json = output is StreamFormat.JSONL
        self._is_wide = output is StreamFormat.WIDE
        self._node_width = max(map(len, nodes)) if len(nodes) > 1 else 0
        self._is_header_due = has_header and not self._is_json
        # A node that is still waited for is told on the terminal's last line: that has to go first.
        self._awaited = set(nodes) if sys.stderr.isatty() else set()

    def show(self, event: NamedFlowEvent) -> None:
        """Print an event, and have it seen at once."""
        from netinspect.render.conntrack_event import render_event, render_event_header, render_event_json

        wide, width = self._is_wide, self._node_width
        text = (
            render_event_json(event) if self._is_json else render_event(event, is_wide=wide, node_width=width)
        )
        if self._is_header_due:
            self._is_header_due = False
            text = render_event_header(is_wide=wide, node_width=width) + text
        self._clear()
        sys.stdout.write(text)
        sys.stdout.flush()

    def begin(self, setting: WatchSetting) -> None:
        """Tell of a node what to expect from it."""
        from netinspect.usecases.conntrack_watch import describe_setting

        self._clear()
        _say(describe_setting(setting))
        self._awaited.discard(setting.node)

    def warn(self, text: str) -> None:
        """Print a warning."""
        self._clear()
        _say(f"warning: {text}")

    def _clear(self) -> None:
        if self._awaited:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()


def _finish(end: WatchEnd) -> int:
    from netinspect.render.report import render_gap

    if not end.shown and not end.gaps and end.failure is None:
        _say("No events were seen")
    for gap in end.gaps:
        _say(f"gap: {render_gap(gap)}")
    if end.failure is not None:
        raise end.failure
    return int(ExitCode.INCOMPLETE if end.gaps else ExitCode.OK)


def _read_limits(window: str, count: int) -> WatchLimits:
    from netinspect.cli.run import read_duration
    from netinspect.usecases.conntrack_watch import WatchLimits

    if count < 0:
        raise UsageError(f"--count {count}: expected how many events, or 0 for no limit")
    return WatchLimits(for_s=read_duration("--for", window) if window else float("inf"), count=count)


def _default_timeout_s(flags: DebugPodFlags, limits: WatchLimits) -> float:
    """Return how long the command may take where --timeout does not say: a watch of a minute needs no pod for hours."""
    import math

    from netinspect.cli.run import read_duration
    from netinspect.usecases.conntrack_watch import START_S

    if math.isfinite(limits.for_s):
        return limits.for_s + 2 * START_S
    # A pod that is kept is kept as long as --keep says, also by a command that might have run longer.
    return read_duration("--keep", flags.keep) if flags.keep else _LIFETIME_S


def _read_format(text: str) -> StreamFormat:
    from netinspect.render.output_format import StreamFormat

    try:
        return StreamFormat(text)
    except ValueError as error:
        allowed = ", ".join(StreamFormat)
        raise UsageError(
            f'--output "{text}" is none of: {allowed}',
            "events are printed as they come: jsonl is for programs",
        ) from error


def _read_types(texts: list[str] | tuple[str, ...]) -> tuple[FlowEventType, ...]:
    from netinspect.models.conntrack import FlowEventType

    words = [word.strip().upper() for text in texts for word in text.split(",")]
    known = {each.value: each for each in FlowEventType}
    for word in words:
        if word not in known:
            raise UsageError(f'--event "{word}" is none of: {", ".join(known)}')
    return tuple(known[word] for word in dict.fromkeys(words))


def _say(text: str) -> None:
    from netinspect.cli.live import say
    from netinspect.render.sanitize import sanitize

    say(sanitize(text))
