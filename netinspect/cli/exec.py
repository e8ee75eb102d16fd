"""`kubectl netinspect exec`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Exit, Option

from netinspect.cli.flags import ConnectionFlags, DebugPodFlags
from netinspect.errors import CommandError, Interrupted, UsageError

if TYPE_CHECKING:
    from netinspect.cluster.exec import ExecStatus, ExecStream
    from netinspect.models.kubernetes import Pod
    from netinspect.sources.live import ExecNode

_LIFETIME_S = 4 * 3600.0
"""A terminal is not cut off by a deadline made for a listing; after 4 h the kubelet ends an idle stream anyway."""


def exec_(
    pod: Annotated[str, Argument(metavar="POD|TYPE/NAME", help="The pod.")],
    command: Annotated[list[str], Argument(metavar="-- COMMAND", help="What to run.")],
    *,
    stdin: Annotated[bool, Option("--stdin", "-i", help="Pass stdin to the command.")] = False,
    tty: Annotated[bool, Option("--tty", "-t", help="Give the command a terminal.")] = False,
    debug_pod: DebugPodFlags,
    connection: ConnectionFlags,
) -> None:
    """Run a tool of the debug image in a pod's network namespace, with the pod's own resolv.conf and hosts.

    The pod itself needs no tool and no shell. The exit code is the command's. Mind that only the network, resolv.conf
    and hosts are the pod's: the command runs as root in the node's PID namespace and sees the node's processes.

    Examples:

      # Ask what the pod would ask, from where it would ask
      kubectl netinspect exec mypod -- dig +search web
      kubectl netinspect exec -n shop deploy/web -- ss -tn

      # A shell there, and a capture from there
      kubectl netinspect exec -it mypod -- bash
      kubectl netinspect exec mypod -- tcpdump -i eth0 -U -w - > mypod.pcap
    """
    from netinspect.cli.live import print_dry_run
    from netinspect.cli.run import connect, open_live, read_debug_pod_options, read_duration
    from netinspect.models.debug_pod import Privilege
    from netinspect.probes.catalog import build_netns_plan
    from netinspect.usecases.exec import check_can_enter, choose_pod
    from netinspect.usecases.targets import Targets, resolve_pods

    if debug_pod.transport != "exec":
        raise UsageError("a command's streams need --transport exec")
    if debug_pod.privilege not in ("", "sysadmin"):
        raise UsageError("a pod's netns is entered with --privilege sysadmin only")
    # A pod that is kept is kept as long as --keep says, also by a command that might have run longer.
    default_timeout_s = read_duration("--keep", debug_pod.keep) if debug_pod.keep else _LIFETIME_S
    client = connect(connection)
    targets = Targets(names=(pod,), namespace=connection.namespace)
    pods = resolve_pods(client, targets)
    target = choose_pod(pods)
    if len(pods) > 1:
        print(f"Found {len(pods)} pods, using pod/{target.metadata.name}", file=sys.stderr)  # noqa: T201
    check_can_enter(target)
    node = target.spec.node_name
    if debug_pod.dry_run:
        options = read_debug_pod_options(debug_pod, client.context.own_namespace, default_timeout_s)
        print_dry_run(client, options, {node: build_netns_plan((target,))}, Privilege.SYSADMIN)
    with (
        open_live(client, debug_pod, default_timeout_s=default_timeout_s) as live,
        live.nodes.open_exec(node, Privilege.SYSADMIN) as source,
    ):
        live.notify(node, "")
        code = _run(source, target, tuple(command), stdin=stdin, tty=tty)
    raise Exit(code)


def _run(source: ExecNode, pod: Pod, command: tuple[str, ...], *, stdin: bool, tty: bool) -> int:
    from netinspect.cli.terminal import copy_output, drain, pump_stdin, raw_terminal, window_size
    from netinspect.probes.enter import build_enter_argv
    from netinspect.render.sanitize import sanitize
    from netinspect.usecases.exec import find_netns

    if tty and not (stdin and sys.stdin is not None and sys.stdin.isatty()):
        print("Unable to use a TTY - input is not a terminal or the right kind of file", file=sys.stderr)  # noqa: T201
        tty = False
    handle = source.handle
    if handle.expires and not handle.is_new:
        print(f"using kept debug pod {handle.name}, which ends at {handle.expires}", file=sys.stderr)  # noqa: T201
    netns = find_netns(source, pod)
    for warning in netns.warnings:
        print(f"warning: {sanitize(warning)}", file=sys.stderr)  # noqa: T201
    argv = build_enter_argv(netns, command, is_tied=not stdin)
    with ExitStack() as stack:
        # Without -i the stream is open all the same: when it ends, so does the command.
        stream: ExecStream = stack.enter_context(source.exec(argv, stdin=True, tty=tty))
        if tty:
            stack.enter_context(raw_terminal())
            stack.enter_context(window_size(stream.resize))
        if stdin:
            pump_stdin(stream)
        try:
            copy_output(stream)
        except Interrupted:
            if not stdin:
                drain(stream)
            raise
        status = stream.status
    return _exit_code(status)


def _exit_code(status: ExecStatus) -> int:
    if status.exit_code is None:
        raise CommandError(f"the command's end was not seen: {status.message or 'the connection was cut'}")
    return status.exit_code
