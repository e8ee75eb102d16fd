"""`kubectl netinspect dns`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Exit, Option

from netinspect.cli.flags import DebugPodFlags, JudgeFlags, OutputFlags
from netinspect.cli.source_flags import SourceFlags
from netinspect.errors import UsageError

if TYPE_CHECKING:
    from netinspect.cli.session import Session
    from netinspect.models.dns_report import DnsReport
    from netinspect.models.kubernetes import Pod
    from netinspect.usecases.dns_servers import SeriesWish
    from netinspect.usecases.dns_wish import DnsWish


def dns(
    names: Annotated[
        list[str] | None, Argument(metavar="NAME", help="Names, as an application would look them up.")
    ] = None,
    *,
    pod: Annotated[
        str,
        Option("--pod", help="Ask from this pod's netns, with its resolv.conf.", metavar="POD|TYPE/NAME"),
    ] = "",
    node: Annotated[
        str, Option("--node", help="Ask from this node (default: the first that is Ready).", metavar="NAME")
    ] = "",
    record_type: Annotated[
        list[str] | None,
        Option("--type", help="Record type to ask for (repeatable; default: A and AAAA).", metavar="TYPE"),
    ] = None,
    servers: Annotated[
        bool, Option("--servers", help="Ask each server many times, endpoints past the Service too.")
    ] = False,
    count: Annotated[
        int | None,
        Option(help="With --servers: questions of a kind to each server (default: 10).", metavar="N"),
    ] = None,
    rate: Annotated[
        float | None, Option(help="With --servers: questions a second at most (default: 50).", metavar="N")
    ] = None,
    output: OutputFlags,
    judge: JudgeFlags,
    debug_pod: DebugPodFlags,
    connection: SourceFlags,
) -> None:
    """Ask the cluster's DNS from where it matters, show what a resolver really asks, and say what is wrong.

    A name is asked for as getaddrinfo would: through the search list, for A and AAAA, in the order shown as the plan.
    From a node, that of a pod in the namespace -n is taken, at all addresses of the DNS Service; with --pod, the pod's
    own resolv.conf and its name servers, from the pod's network namespace.

    Examples:

      # Does the cluster's DNS answer, by UDP and TCP, in both families?
      kubectl netinspect dns
      kubectl netinspect dns --node node-a

      # Why does this pod not find that Service?
      kubectl netinspect dns web.shop --pod mypod
      kubectl netinspect dns web example.com --pod deploy/api -n shop

      # Which server is slow, dead, or says something else? Each CoreDNS pod is asked by itself
      kubectl netinspect dns --servers
      kubectl netinspect dns --servers --count 100 --pod mypod

      # Another record type; a script that fails where something is wrong
      kubectl netinspect dns _https._tcp.kubernetes.default.svc --type SRV
      kubectl netinspect dns --fail-on high -o json
    """
    if not servers and (count is not None or rate is not None):
        raise UsageError("--count and --rate are for --servers")
    series = None
    if servers:
        from netinspect.cli.dns_servers import read_series_wish

        series = read_series_wish(count, rate, debug_pod.timeout)
    raise Exit(
        _look_up(
            tuple(names or ()), pod, node, record_type or [], output, judge, debug_pod, connection, series
        )
    )


def _look_up(
    names: tuple[str, ...],
    pod: str,
    node: str,
    types: list[str],
    output: OutputFlags,
    judge: JudgeFlags,
    debug_pod: DebugPodFlags,
    connection: SourceFlags,
    series: SeriesWish | None,
) -> int:
    from netinspect.cli.nodes import visit_nodes
    from netinspect.cli.run import read_debug_pod_options, read_output, read_severity
    from netinspect.cli.session import open_session
    from netinspect.usecases.dns import look_up
    from netinspect.usecases.dns_targets import read_dns_cluster
    from netinspect.usecases.dns_wish import choose_privilege, design_first_plan

    read_output(output)
    read_severity(judge.fail_on)
    if pod and node:
        raise UsageError("--pod and --node exclude each other: a pod is asked from on its own node")
    session = open_session(connection)
    read_debug_pod_options(debug_pod, session.own_namespace)
    wish = _read_wish(session, names, pod, node, types, connection)
    if series is not None:
        from netinspect.cli.dns_servers import ask_servers

        return ask_servers(session, wish, series, output, judge, debug_pod)
    cluster = read_dns_cluster(session.api)
    privilege = choose_privilege(wish, cluster)
    if wish.pod is not None and debug_pod.privilege not in ("", privilege.value):
        raise UsageError("a pod's netns is entered with --privilege sysadmin only")
    answers, _, notes = visit_nodes(
        session,
        {wish.node: design_first_plan(wish, cluster)},
        debug_pod,
        lambda source: look_up(session.api, source, wish, cluster),
        privilege=privilege,
    )
    return _finish(answers[wish.node], notes, output, judge)


def _read_wish(
    session: Session,
    names: tuple[str, ...],
    pod: str,
    node: str,
    types: list[str],
    flags: SourceFlags,
) -> DnsWish:
    from netinspect.usecases.dns_targets import choose_node
    from netinspect.usecases.dns_wish import build_wish
    from netinspect.usecases.node_targets import resolve_nodes

    target = _choose_pod(session, pod, flags.namespace) if pod else None
    if target is not None:
        place = target.spec.node_name
    elif node or flags.local:
        place = resolve_nodes(session.api, (node,) if node else (), all_nodes=not node).nodes[0]
    else:
        place = choose_node(session.api)
    namespace = target.metadata.namespace if target is not None else flags.namespace or session.api.namespace
    return build_wish(names=names, types=types, namespace=namespace, node=place, pod=target)


def _choose_pod(session: Session, name: str, namespace: str) -> Pod:
    from netinspect.cli.live import say
    from netinspect.usecases.dns_wish import choose_pod
    from netinspect.usecases.targets import Targets, resolve_pods

    pods = resolve_pods(session.api, Targets(names=(name,), namespace=namespace))
    chosen = choose_pod(pods)
    if len(pods) > 1:
        say(f"Found {len(pods)} pods, using pod/{chosen.metadata.name}")
    return chosen


def _finish(report: DnsReport, notes: tuple[str, ...], output: OutputFlags, judge: JudgeFlags) -> int:
    from msgspec.structs import replace

    from netinspect.cli.run import finish_judged, read_output
    from netinspect.render.dns import name_of, render_lookups
    from netinspect.render.output_format import OutputFormat

    chosen = read_output(output)
    return finish_judged(
        replace(report, notes=(*report.notes, *notes)),
        judge.fail_on,
        (),
        name_of,
        chosen,
        has_headers=not output.no_headers,
        table_of=partial(
            render_lookups, is_wide=chosen is OutputFormat.WIDE, has_headers=not output.no_headers
        ),
    )
