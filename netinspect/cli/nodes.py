"""What commands that ask whole nodes have in common: one job a node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from netinspect.cli.flags import DebugPodFlags
from netinspect.cli.run import DEFAULT_TIMEOUT_S
from netinspect.cli.session import OpenedNodes, Session, describe_ways

if TYPE_CHECKING:
    from netinspect.models.debug_pod import Privilege
    from netinspect.models.fact import Gap
    from netinspect.probes.plan import Plan
    from netinspect.sources.interface import NodeSource

T = TypeVar("T")


def visit_nodes(
    session: Session,
    plans: Mapping[str, Plan],
    flags: DebugPodFlags,
    job: Callable[[NodeSource], T],
    *,
    privilege: Privilege,
    default_timeout_s: float = DEFAULT_TIMEOUT_S,
) -> tuple[dict[str, T], tuple[Gap, ...], tuple[str, ...]]:
    """Open each node and run a job there; with `--dry-run` print the debug pods and end.

    Args:
        session: where facts come from.
        plans: by node, what the job is going to ask (for `--dry-run`).
        flags: the wishes about debug pods.
        job: what to do with an open node; it runs in a thread of its own where there are several nodes.
        privilege: the least that serves, where the user did not choose.
        default_timeout_s: for the whole command.

    Returns:
        by node, what its job returned; gaps for the nodes that failed; notes on how they were read.
    """
    from netinspect.usecases.nodes import ask_nodes

    with session.open_nodes(plans, flags, privilege, default_timeout_s) as opened:
        jobs = {node: _job(opened, node, job) for node in plans}
        answers, gaps = ask_nodes(jobs, opened.cancel)
    return answers, (*gaps, *opened.gaps()), describe_ways(opened, answers)


def _job(opened: OpenedNodes, node: str, job: Callable[[NodeSource], T]) -> Callable[[], T]:
    def run() -> T:
        with opened.open(node, opened.privilege) as source:
            return job(source)

    return run
