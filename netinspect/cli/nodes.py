"""What commands that ask whole nodes have in common: one job a node, its debug pod around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from netinspect.cli.flags import DebugPodFlags
from netinspect.cli.live import print_dry_run, say
from netinspect.cli.run import DEFAULT_TIMEOUT_S, Live, open_live, read_debug_pod_options

if TYPE_CHECKING:
    from netinspect.cluster.client import ClusterClient
    from netinspect.models.debug_pod import Privilege
    from netinspect.models.fact import Gap
    from netinspect.probes.plan import Plan
    from netinspect.sources.interface import NodeSource

T = TypeVar("T")


def ask_nodes_live(
    client: ClusterClient,
    plans: Mapping[str, Plan],
    flags: DebugPodFlags,
    job: Callable[[NodeSource], T],
    *,
    privilege: Privilege,
    default_timeout_s: float = DEFAULT_TIMEOUT_S,
) -> tuple[dict[str, T], tuple[Gap, ...], tuple[str, ...]]:
    """Open each node and run a job there; with `--dry-run` print the debug pods and end.

    Args:
        client: the API server.
        plans: by node, what the job is going to ask (for `--dry-run`).
        flags: the wishes about debug pods.
        job: what to do with an open node; it runs in a thread of its own where there are several nodes.
        privilege: the least that serves, where the user did not choose.
        default_timeout_s: for the whole command.

    Returns:
        by node, what its job returned; gaps for the nodes that failed; notes on how they were read.
    """
    from netinspect.usecases.nodes import AT_A_TIME, ask_nodes, check_node_count

    options = read_debug_pod_options(flags, client.context.own_namespace, default_timeout_s)
    privilege = options.privilege or privilege
    if flags.dry_run:
        print_dry_run(client, options, plans, privilege)
    names = tuple(plans)
    check_node_count(len(names), yes=flags.yes)
    if len(names) > 1 and not options.via:
        say(f"starting debug pods on {len(names)} nodes, {min(AT_A_TIME, len(names))} at a time")
    with open_live(client, flags, default_timeout_s=default_timeout_s) as live:
        jobs = {node: _job(live, node, privilege, job) for node in names}
        answers, gaps = ask_nodes(jobs, live.deadline.cancel)
    how = f"through pod {options.via}" if options.via else f"with privilege {privilege.value}"
    return answers, gaps, (f"read {how} on {', '.join(answers)}",)


def _job(live: Live, node: str, privilege: Privilege, job: Callable[[NodeSource], T]) -> Callable[[], T]:
    def run() -> T:
        with live.nodes.open(node, privilege) as source:
            return job(source)

    return run
