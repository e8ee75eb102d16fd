"""Many nodes at once: bounded, ordered, and no failure takes another node with it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from netinspect.errors import (
    ClusterError,
    DeadlineError,
    DebugPodError,
    Interrupted,
    NetinspectError,
    NotRecordedError,
    UsageError,
)
from netinspect.models.fact import Gap, Reason
from netinspect.usecases.nodes import ASK_ABOVE, AT_A_TIME, ask_nodes, check_node_count


def fails(error: BaseException) -> Callable[[], str]:
    def job() -> str:
        raise error

    return job


def never() -> None:
    raise AssertionError("nothing was to be cancelled")


def test_many_privileged_pods_are_asked_about() -> None:
    """Above fifty nodes the user has to mean it."""
    check_node_count(ASK_ABOVE, yes=False)
    check_node_count(ASK_ABOVE + 1, yes=True)
    with pytest.raises(UsageError, match="privileged debug pods on 51 nodes") as caught:
        check_node_count(ASK_ABOVE + 1, yes=False)
    assert "--yes" in caught.value.hint


def test_answers_come_in_the_order_of_the_nodes() -> None:
    """Whichever is ready first."""
    first_may_end = threading.Event()

    def slow() -> str:
        assert first_may_end.wait(20)
        return "a"

    def fast() -> str:
        first_may_end.set()
        return "b"

    answers, gaps = ask_nodes({"node-a": slow, "node-b": fast}, never)
    assert (list(answers.items()), gaps) == ([("node-a", "a"), ("node-b", "b")], ())


def test_one_node_is_asked_in_this_thread() -> None:
    """Signals reach it at once there; its failure is the command's own."""
    answers, _ = ask_nodes({"node-a": threading.get_ident}, never)
    assert answers == {"node-a": threading.get_ident()}
    with pytest.raises(DebugPodError, match="refused"):
        ask_nodes({"node-a": fails(DebugPodError("refused"))}, never)


def test_no_nodes_have_no_answers() -> None:
    """And nothing fails."""
    assert ask_nodes({}, never) == ({}, ())


def test_a_node_that_fails_is_a_gap_beside_the_others_answers() -> None:
    """In the order of the nodes, with its reason."""
    jobs = {
        "node-a": fails(DeadlineError("too slow")),
        "node-b": lambda: "b",
        "node-c": fails(ClusterError("gone")),
    }
    answers, gaps = ask_nodes(jobs, never)
    assert answers == {"node-b": "b"}
    assert gaps == (
        Gap("node/node-a", "the node", Reason.TIMED_OUT, "too slow"),
        Gap("node/node-c", "the node", Reason.FAILED, "gone"),
    )


def test_where_all_nodes_fail_the_command_does() -> None:
    """With one of their errors, not with an empty answer."""
    jobs = {name: fails(ClusterError("gone")) for name in ("node-a", "node-b")}
    with pytest.raises(ClusterError, match="gone"):
        ask_nodes(jobs, never)


def test_of_many_failures_the_first_nodes_is_told_whichever_came_first() -> None:
    """A recording of the command has to end with the same words."""
    is_second_over = threading.Event()

    def first() -> str:
        assert is_second_over.wait(10)
        raise DebugPodError("the first node's")

    def second() -> str:
        try:
            raise ClusterError("the second node's")
        finally:
            is_second_over.set()

    with pytest.raises(DebugPodError, match="the first node's"):
        ask_nodes({"a": first, "b": second}, never)


def test_what_a_recording_does_not_hold_of_a_node_is_a_gap_of_that_name() -> None:
    """Beside the answers of the others."""
    jobs = {"a": lambda: "x", "b": fails(NotRecordedError("nothing of node b"))}
    _, gaps = ask_nodes(jobs, never)
    assert gaps == (Gap("node/b", "the node", Reason.NOT_RECORDED, "nothing of node b"),)


def test_no_more_than_so_many_are_asked_at_a_time() -> None:
    """Each is a privileged pod."""
    lock = threading.Lock()
    all_in = threading.Barrier(AT_A_TIME, timeout=20)
    inside, most = 0, 0

    def job() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        all_in.wait()
        with lock:
            inside -= 1

    ask_nodes({f"node-{index}": job for index in range(AT_A_TIME * 3)}, never)
    assert most == AT_A_TIME


@pytest.mark.parametrize("error", [ValueError("a bug"), Interrupted(2)])
def test_what_is_no_failure_of_a_node_ends_them_all(error: BaseException) -> None:
    """Jobs that run are told to stop and waited for, jobs that wait are not begun; the error is handed on."""
    stop = threading.Event()
    ended: list[str] = []

    def job() -> None:
        assert stop.wait(20)
        ended.append("cleaned up")

    jobs: dict[str, Callable[[], object]] = {f"node-{index}": job for index in range(AT_A_TIME * 2)}
    jobs["node-0"] = fails(error)
    with pytest.raises(type(error)) as caught:
        ask_nodes(jobs, stop.set)
    assert caught.value is error
    assert len(ended) in (AT_A_TIME - 1, AT_A_TIME)


def test_an_error_of_ours_is_needed_for_a_gap() -> None:
    """A bug in one node's job must not look like an unreachable node."""
    jobs: dict[str, Callable[[], str]] = {"node-a": fails(KeyError("bug")), "node-b": lambda: "b"}
    assert not issubclass(KeyError, NetinspectError)
    with pytest.raises(KeyError):
        ask_nodes(jobs, lambda: None)
