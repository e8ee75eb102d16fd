"""`kubectl netinspect dataplane`."""

from __future__ import annotations

from typer import Exit

from netinspect.cli.flags import DebugPodFlags, JudgeFlags, OutputFlags, TableNodeFlags
from netinspect.cli.source_flags import SourceFlags, or_host


def dataplane(
    *,
    nodes: TableNodeFlags,
    judge: JudgeFlags,
    output: OutputFlags,
    debug_pod: DebugPodFlags,
    connection: SourceFlags,
) -> None:
    """Say which dataplane nodes really use for Services, in each family, and what others left behind.

    The mode that kube-proxy tells, the chains of both iptables backends, tables of nft, IPVS and links are looked at;
    what works in eBPF or Open vSwitch (Cilium, Calico, OVN-Kubernetes, Antrea) is named, but not read.

    Examples:

      # Which dataplane has each node, and is there only one?
      kubectl netinspect dataplane --all-nodes

      # With what shows it, and whose rules else meet the same packets
      kubectl netinspect dataplane --node node-a -o wide
    """
    from functools import partial

    from netinspect.cli.nodes import visit_nodes
    from netinspect.cli.run import finish_judged, read_output, read_severity
    from netinspect.cli.session import open_session
    from netinspect.collect.dataplane import collect_dataplane
    from netinspect.models.debug_pod import Privilege
    from netinspect.probes.dataplane import build_dataplane_plan
    from netinspect.render.dataplane import COLUMNS, name_of
    from netinspect.usecases.dataplane import read_cluster_hints, report_dataplanes
    from netinspect.usecases.node_targets import resolve_nodes

    chosen = read_output(output)
    read_severity(judge.fail_on)
    session = open_session(connection)
    nodes = or_host(nodes, connection)
    targets = resolve_nodes(session.api, nodes.node or (), all_nodes=nodes.all_nodes)
    plan = build_dataplane_plan()
    readings, gaps, notes = visit_nodes(
        session,
        dict.fromkeys(targets.nodes, plan),
        debug_pod,
        partial(collect_dataplane, plan=plan),
        privilege=Privilege.NETADMIN,
    )
    report = report_dataplanes(read_cluster_hints(session.api), readings, gaps, (*targets.notes, *notes))
    raise Exit(
        finish_judged(report, judge.fail_on, COLUMNS, name_of, chosen, has_headers=not output.no_headers)
    )
