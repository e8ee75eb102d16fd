"""Which pod a command is run in, and where its netns is."""

from __future__ import annotations

import pytest

from netinspect.errors import CommandError, TargetError
from netinspect.models.kubernetes import Pod
from netinspect.usecases.exec import check_can_enter, choose_pod, find_netns
from tests.unit.usecases.fake_node import FakeNode, answer, listings, pod, uid_of


@pytest.mark.parametrize(
    ("pods", "chosen"),
    [
        ([pod("b"), pod("a")], "a"),
        ([pod("a", phase="Pending"), pod("b")], "b"),
        ([pod("a", host_network=True), pod("b", phase="Pending")], "b"),
        ([pod("a", phase="Failed"), pod("b", ""), pod("c", phase="Pending")], "c"),
        ([pod("a", phase="Failed")], "a"),
    ],
)
def test_of_several_pods_one_that_can_be_entered_is_chosen(pods: list[Pod], chosen: str) -> None:
    """One that runs before one that does not; by name where there is a choice."""
    assert choose_pod(tuple(pods)).metadata.name == chosen


def test_no_pod_is_no_choice() -> None:
    """And an error that says so."""
    with pytest.raises(TargetError, match="no pod was found"):
        choose_pod(())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (pod("x", phase="Succeeded"), "cannot exec in a completed pod; current phase of x is Succeeded"),
        (
            pod("x", host_network=True),
            "pod x has no netns of its own: it uses that of node node-a (hostNetwork)",
        ),
        (pod("x", ""), "pod x is not bound to a node yet"),
    ],
)
def test_a_pod_without_a_netns_of_its_own_is_refused(given: Pod, message: str) -> None:
    """Before anything is created; in kubectl's words where it has them."""
    with pytest.raises(TargetError) as caught:
        check_can_enter(given)
    assert caught.value.message == message
    check_can_enter(pod("fine"))


def test_the_netns_is_found_through_the_pods_processes() -> None:
    """With the PIDs that lead there."""
    source = FakeNode(answer(*listings((11, f"/kubepods/pod{uid_of('web-1')}/{'ab' * 32}", 7))))
    netns = find_netns(source, pod("web-1"))
    assert (netns.inode, [each.pid for each in netns.processes]) == (7, [11])


def test_a_netns_that_is_not_found_is_an_error() -> None:
    """With what kept it from being found."""
    with pytest.raises(CommandError, match="the netns of pod web-1 was not found: "):
        find_netns(FakeNode(answer(*listings())), pod("web-1"))
