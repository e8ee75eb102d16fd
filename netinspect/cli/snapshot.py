"""`kubectl netinspect snapshot`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from typer import Context, Exit, Option

from netinspect.cli.flags import ConnectionFlags, DebugPodFlags
from netinspect.errors import UsageError

_TIMEOUT_S = 600.0
"""Rules of a large cluster take minutes to print on each node."""


def snapshot(
    *,
    invocation: Context,
    file: Annotated[
        str,
        Option(
            "--output",
            "-o",
            help="The file to write (default: netinspect-snapshot-TIME.tar.gz here).",
            metavar="FILE",
        ),
    ] = "",
    node: Annotated[
        list[str] | None, Option("--node", help="Ask this node (repeatable).", metavar="NAME")
    ] = None,
    all_nodes: Annotated[bool, Option("--all-nodes", help="Ask all Linux nodes (default).")] = False,
    all_namespaces: Annotated[
        bool, Option("--all-namespaces", "-A", help="Objects of all namespaces (default).")
    ] = False,
    debug_pod: DebugPodFlags,
    connection: ConnectionFlags,
) -> None:
    """Record what all reading commands read, once, in one file; each of them reads it again with --from.

    From the API: pods, Services, EndpointSlices, nodes, NetworkPolicies, workloads, events, the ConfigMaps of DNS and
    kube-proxy. From each node, in one trip: links, rules, virtual servers, tables of flows and counters twice, and each
    pod's netns; then answers of the cluster's DNS. No Secrets, no environment, no command lines (docs/recording.md).
    What fails, a list or a node, is named and left out. With -n NAMESPACE objects and pods of that namespace and of
    kube-system only.

    Examples:

      # The whole cluster, to be read elsewhere
      kubectl netinspect snapshot -o shop.tar.gz
      kubectl netinspect rules web -n shop --all-nodes --from shop.tar.gz

      # One node, and one namespace
      kubectl netinspect snapshot --node node-a -n shop
    """
    from netinspect.cli.live import say
    from netinspect.cli.live_session import LiveSession
    from netinspect.cli.record import is_given, start_recording
    from netinspect.cli.run import connect, finish, read_debug_pod_options
    from netinspect.models.debug_pod import Privilege
    from netinspect.probes.snapshot import build_snapshot_plan
    from netinspect.render.output_format import OutputFormat
    from netinspect.render.snapshot import COLUMNS, name_of
    from netinspect.usecases.node_targets import resolve_nodes
    from netinspect.usecases.snapshot import SnapshotWish, take_snapshot

    if all_namespaces and connection.namespace:
        raise UsageError("--namespace and --all-namespaces exclude each other")
    if not file and is_given(invocation, "file"):
        raise UsageError("--output names no file", "is the variable set that it comes from?")
    client = connect(connection)
    read_debug_pod_options(debug_pod, client.context.own_namespace, _TIMEOUT_S)
    targets = resolve_nodes(client, node or (), all_nodes=all_nodes or not node)
    plans = {each: build_snapshot_plan(()) for each in targets.nodes}
    if debug_pod.dry_run:
        with LiveSession(client).open_nodes(plans, debug_pod, Privilege.SYSADMIN, _TIMEOUT_S):
            raise AssertionError
    path = file or f"netinspect-snapshot-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz"
    writer = start_recording(invocation, path, client.namespace, is_snapshot=True)

    def tell(text: str) -> None:
        say(text)
        writer.add_log(text)

    session = LiveSession(client, writer)
    wish = SnapshotWish(nodes=targets.nodes, namespace=connection.namespace)
    with session.open_nodes(plans, debug_pod, Privilege.SYSADMIN, _TIMEOUT_S) as opened:
        report = take_snapshot(session.api, opened.open, wish, opened.cancel, tell)
    raise Exit(finish(report, COLUMNS, name_of, OutputFormat.TABLE, has_headers=True))
