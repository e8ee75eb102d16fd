"""`kubectl netinspect veth`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typer import Argument, Exit, Option

from netinspect.cli.flags import DebugPodFlags, ListFlags, NodeFlags, OutputFlags
from netinspect.cli.source_flags import SourceFlags, or_host
from netinspect.errors import UsageError

if TYPE_CHECKING:
    from netinspect.models.kubernetes import Pod
    from netinspect.models.report import Report
    from netinspect.models.veth import PodAttachment
    from netinspect.probes.plan import Plan

_ASK_PODS_UP_TO = 20
"""Up to so many pods are also asked which netns their peer is in (a walk through /proc for each)."""


def veth(
    names: Annotated[
        list[str] | None, Argument(metavar="POD|TYPE/NAME", help="Pods, or what leads to pods.")
    ] = None,
    *,
    link: Annotated[
        str | None, Option("--link", help="Whose is this link of --node?", metavar="IFNAME")
    ] = None,
    ip: Annotated[str | None, Option("--ip", help="Whose is this address?", metavar="ADDRESS")] = None,
    targets: ListFlags,
    nodes: NodeFlags,
    output: OutputFlags,
    debug_pod: DebugPodFlags,
    connection: SourceFlags,
) -> None:
    """Find the node's end of pods' links: which veth is a pod's eth0, and back.

    A match is "confirmed" when both ends name each other and the kernel's own number for the pod's netns agrees.

    Examples:

      # Which veth of the node is this pod's eth0?
      kubectl netinspect veth mypod

      # For all pods of a Deployment, of a Service, of a node
      kubectl netinspect veth deploy/web
      kubectl netinspect veth svc/web -n shop
      kubectl netinspect veth --node node-a -o wide

      # And back: whose is this link, whose is this address?
      kubectl netinspect veth --link veth1a2b3c4d --node node-a
      kubectl netinspect veth --ip 10.244.0.7
    """
    if link is not None and ip is not None:
        raise UsageError("--link and --ip exclude each other")
    if link is not None:
        code = _veth_of_link(link.partition("@")[0], nodes, output, debug_pod, connection, names, targets)
    elif ip is not None:
        code = _veth_of_address(ip.partition("/")[0], output, debug_pod, connection, names, targets, nodes)
    else:
        code = _veth_of_pods(names, targets, nodes, output, debug_pod, connection)
    raise Exit(code)


def _veth_of_pods(
    names: list[str] | None,
    targets: ListFlags,
    nodes: NodeFlags,
    output: OutputFlags,
    debug_pod: DebugPodFlags,
    connection: SourceFlags,
) -> int:
    from netinspect.cli.live import read_targets
    from netinspect.cli.run import read_output
    from netinspect.usecases.veth import report_veth

    read_output(output)
    nodes = or_host(nodes, connection, names, targets.selector, targets.all_namespaces)
    readings, notes = read_targets(names, targets, nodes, debug_pod, connection, _plan)
    with_namespace = targets.all_namespaces or bool(nodes.node) or nodes.all_nodes
    return _finish(report_veth(readings, notes), output, with_namespace=with_namespace)


def _veth_of_address(
    ip: str,
    output: OutputFlags,
    debug_pod: DebugPodFlags,
    connection: SourceFlags,
    names: list[str] | None,
    targets: ListFlags,
    nodes: NodeFlags,
) -> int:
    from netinspect.cli.live import visit_pods
    from netinspect.cli.run import read_output
    from netinspect.cli.session import open_session
    from netinspect.models.address import parse_address
    from netinspect.usecases.targets import find_pod_by_address
    from netinspect.usecases.veth import report_veth

    if names or targets.selector or targets.all_namespaces or nodes.node or nodes.all_nodes:
        raise UsageError("--ip takes no other target")
    try:
        address = parse_address(ip)
    except ValueError as error:
        raise UsageError(f"--ip: {error}") from error
    read_output(output)
    session = open_session(connection)
    pod = find_pod_by_address(session.api, address)
    readings, notes = visit_pods(session, (pod,), debug_pod, _plan)
    return _finish(report_veth(readings, notes, address), output, with_namespace=True)


def _veth_of_link(
    link: str,
    nodes: NodeFlags,
    output: OutputFlags,
    debug_pod: DebugPodFlags,
    connection: SourceFlags,
    names: list[str] | None,
    targets: ListFlags,
) -> int:
    from netinspect.cli.live import read_targets
    from netinspect.cli.run import finish, read_output
    from netinspect.render.veth import OWNER_COLUMNS, owner_name_of, owner_rows_of
    from netinspect.usecases.veth import report_link_owner

    if not link:
        raise UsageError("--link needs the name of a link")
    if len(nodes.node or ()) != 1 or names or targets.selector or targets.all_namespaces:
        raise UsageError("--link names a link of one node: add --node NODE, and no other target")
    node = (nodes.node or [""])[0]
    chosen = read_output(output)
    # A link can be any pod's: -n would hide its owner.
    everywhere = SourceFlags(**{**vars(connection), "namespace": ""})
    readings, notes = read_targets(None, targets, nodes, debug_pod, everywhere, _plan)
    return finish(
        report_link_owner(readings, node, link, notes),
        OWNER_COLUMNS,
        owner_name_of,
        chosen,
        rows_of=owner_rows_of,
        has_headers=not output.no_headers,
    )


def _plan(pods: tuple[Pod, ...]) -> Plan:
    from netinspect.probes.catalog import build_veth_plan

    return build_veth_plan(pods, peers_of_pods=len(pods) <= _ASK_PODS_UP_TO)


def _finish(report: Report[PodAttachment], output: OutputFlags, *, with_namespace: bool) -> int:
    from msgspec.structs import replace

    from netinspect.cli.run import finish, read_output
    from netinspect.render.output_format import OutputFormat
    from netinspect.render.veth import columns, name_of, remarks, rows_of

    chosen = read_output(output)
    if chosen in (OutputFormat.TABLE, OutputFormat.WIDE):
        # A table has no room for sentences; JSON and YAML hold them in the items.
        report = replace(report, notes=(*report.notes, *remarks(report.items)))
    return finish(
        report,
        columns(with_namespace=with_namespace),
        name_of,
        chosen,
        rows_of=rows_of,
        has_headers=not output.no_headers,
    )
