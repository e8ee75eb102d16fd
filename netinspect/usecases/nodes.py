"""Ask many nodes at once: bounded, paced, and so that one node's failure does not sink the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from netinspect.cluster.signals import shielded
from netinspect.errors import DeadlineError, NetinspectError, NotRecordedError, UsageError
from netinspect.models.fact import Gap, Reason

T = TypeVar("T")

AT_A_TIME = 8
"""Debug pods that run at the same time, at most."""

ASK_ABOVE = 50
"""Nodes above which the user has to say `--yes`."""


def check_node_count(count: int, *, yes: bool) -> None:
    """Make sure that starting so many privileged pods is meant.

    Raises:
        UsageError: the count is high and `--yes` was not given.
    """
    if count > ASK_ABOVE and not yes:
        raise UsageError(
            f"this would start privileged debug pods on {count} nodes",
            "add --yes if that is meant, or name fewer nodes",
        )


def ask_nodes(
    jobs: Mapping[str, Callable[[], T]], cancel: Callable[[], None]
) -> tuple[dict[str, T], tuple[Gap, ...]]:
    """Run one job a node, at most `AT_A_TIME` at once.

    A single job runs in this thread, so that signals reach it at once, and its failure is the command's. Of
    several, a failed one becomes a gap, unless all fail: then the first node's failure is the command's.

    Args:
        jobs: by node, what to do there.
        cancel: tells running jobs to come to their end; called when this thread is interrupted.
    """
    if len(jobs) <= 1:
        return {node: job() for node, job in jobs.items()}, ()
    answers: dict[str, T] = {}
    failures: dict[str, NetinspectError] = {}
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        pending: dict[Future[T], str] = {pool.submit(job): node for node, job in jobs.items()}
        try:
            for future in _as_completed(pending):
                try:
                    answers[pending[future]] = future.result()
                except NetinspectError as error:
                    failures[pending[future]] = error
        except BaseException:
            # The jobs delete what they made on their way out: no second Ctrl-C may cut that short.
            with shielded():
                cancel()
                pool.shutdown(wait=True, cancel_futures=True)
            raise
    if failures and not answers:
        raise next(failures[node] for node in jobs if node in failures)
    ordered = {node: answers[node] for node in jobs if node in answers}
    return ordered, tuple(_gap(node, failures[node]) for node in jobs if node in failures)


def _as_completed(pending: Mapping[Future[T], str]) -> Iterator[Future[T]]:
    """Yield futures as they end. Waits in short turns: a signal is handled between two of them."""
    left = set(pending)
    while left:
        done, left = wait(left, timeout=0.5, return_when=FIRST_COMPLETED)
        yield from done


def _gap(node: str, error: NetinspectError) -> Gap:
    reason = Reason.TIMED_OUT if isinstance(error, DeadlineError) else Reason.FAILED
    if isinstance(error, NotRecordedError):
        reason = Reason.NOT_RECORDED
    return Gap(f"node/{node}", "the node", reason, error.message)
