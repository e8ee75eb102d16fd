"""What a recording answers in nodes' place."""

from __future__ import annotations

import pytest

from netinspect.collect.facts import read_fact
from netinspect.errors import CommandError, DebugPodError, NotRecordedError
from netinspect.models.command import CommandResult, NodeAnswer
from netinspect.models.debug_pod import Privilege
from netinspect.models.fact import Reason, Unavailable
from netinspect.models.recording import RecordedError, RecordedTrip
from netinspect.probes.catalog import LINKS, NAMESPACES
from netinspect.probes.plan import NODE, Plan, PodScope, Probe
from netinspect.sources.recorded_nodes import RecordedNodes
from tests.unit.sources.recordings import recording, trip
from tests.unit.usecases.fake_node import NODE_NETNS, result

LISTED = tuple(((), result(name)) for name in ("cgroups", "netns", "comms"))


def links(stdout: bytes = b"[]", **where: str | int) -> tuple[tuple[str, ...], CommandResult]:
    return LINKS.argv, result("links", stdout, **where)  # type: ignore[arg-type]


def ask(nodes: RecordedNodes, plan: Plan) -> NodeAnswer:
    with nodes.open("node-a", Privilege.NETADMIN) as source:
        return source.run(plan)


def nodes_of(*trips: RecordedTrip) -> RecordedNodes:
    return RecordedNodes(recording(trips=trips))


def failed(kind: str, message: str) -> RecordedTrip:
    error = RecordedError(kind=kind, message=message, hint="h")
    return RecordedTrip(node="node-a", privilege=Privilege.NETADMIN, error=error)


def is_missing(outcome: CommandResult) -> bool:
    fact = read_fact(outcome, bytes)
    return isinstance(fact, Unavailable) and fact.reason is Reason.NOT_RECORDED


def test_an_answer_comes_back_whole_and_in_its_order() -> None:
    """With listings first, the node's probes, then the pods' in each netns that was tried."""
    pod = PodScope("uid-1", ("needle-needle",), (LINKS, NAMESPACES))
    results = (
        *LISTED,
        links(),
        links(key="uid-1", netns=7, how="process"),
        links(key="uid-1", netns=8, how="process"),
        (NAMESPACES.argv, result("namespaces", key="uid-1", netns=7, how="process")),
        (NAMESPACES.argv, result("namespaces", key="uid-1", netns=8, how="process")),
    )
    answer = ask(nodes_of(trip(*results, pods=("uid-1",))), Plan((LINKS,), (pod,)))
    assert answer == NodeAnswer(NODE_NETNS, tuple(outcome for _, outcome in results), is_whole=True)


def test_the_nth_trip_gets_the_nth_answer() -> None:
    """And later ones the last."""
    nodes = nodes_of(trip(links(b"1")), trip(links(b"2")))
    assert [ask(nodes, Plan((LINKS,))).results[0].stdout for _ in range(3)] == [b"1", b"2", b"2"]


def test_the_argv_tells_questions_of_one_name_apart() -> None:
    """A probe with other arguments was not run."""
    nodes = nodes_of(trip((("dig", "a"), result("dns", b"a")), (("dig", "b"), result("dns", b"b"))))
    assert ask(nodes, Plan((Probe("dns", ("dig", "b")),))).results[0].stdout == b"b"
    assert is_missing(ask(nodes, Plan((Probe("dns", ("dig", "c")),))).results[0])


def test_what_was_not_asked_is_said_so_for_each_place() -> None:
    """Of a pod in each netns that was tried, of the node once; the rest is there."""
    pod = PodScope("uid-1", ("needle-needle",), (LINKS, NAMESPACES))
    held = (*LISTED, links(key="uid-1", netns=7, how="process"), links(key="uid-1", netns=8, how="process"))
    answer = ask(nodes_of(trip(*held, pods=("uid-1",))), Plan((LINKS,), (pod,)))
    missing = [(each.key, each.netns, each.name) for each in answer.results if is_missing(each)]
    assert missing == [(NODE, NODE_NETNS, "links"), ("uid-1", 7, "namespaces"), ("uid-1", 8, "namespaces")]
    assert len(answer.results) == 8


def test_a_pod_that_was_not_found_then_has_no_results_now() -> None:
    """It was looked for: that is not the same as not recorded."""
    pod = PodScope("uid-1", ("needle-needle",), (LINKS,))
    answer = ask(nodes_of(trip(*LISTED, pods=("uid-1",))), Plan((), (pod,)))
    assert [each.name for each in answer.results] == ["cgroups", "netns", "comms"]


def test_listings_about_other_pods_do_not_count() -> None:
    """They hold the processes of the pods that were looked for only."""
    pod = PodScope("uid-2", ("needle-needle",), (LINKS,))
    answer = ask(nodes_of(trip(*LISTED, pods=("uid-1",))), Plan((), (pod,)))
    assert [each.name for each in answer.results if is_missing(each)] == [
        "cgroups",
        "netns",
        "comms",
        "links",
    ]
    both = trip(*LISTED, pods=("uid-1", "uid-2"))
    answer = ask(nodes_of(trip(*LISTED, pods=("uid-1",)), both), Plan((), (pod,)))
    assert not any(is_missing(each) for each in answer.results)


def test_a_cut_answer_is_cut_again() -> None:
    """What did not come is not "not recorded": no answer came to it."""
    nodes = nodes_of(trip(links(), is_whole=False))
    answer = ask(nodes, Plan((LINKS, NAMESPACES)))
    assert [each.name for each in answer.results] == ["links"]
    assert not answer.is_whole


def test_a_sink_gets_what_is_its() -> None:
    """Before the answer is there, and the result is without it."""
    pieces: list[bytes] = []
    with nodes_of(trip(links(b"x"))).open("node-a", Privilege.NETADMIN) as source:
        answer = source.run(Plan((LINKS,)), {(NODE, "links"): pieces.append})
    assert (pieces, answer.results[0].stdout) == ([b"x"], b"")


def test_a_node_that_failed_fails_again() -> None:
    """As it did: when it is opened, or when it is asked for what did not come then."""
    with (
        pytest.raises(DebugPodError, match="no pod"),
        nodes_of(failed("DebugPodError", "no pod")).open("node-a", Privilege.NETADMIN),
    ):
        pass
    nodes = nodes_of(trip(links()), failed("CommandError", "lost"))
    assert ask(nodes, Plan((LINKS,))).results[0].stdout == b"[]"
    with pytest.raises(CommandError, match="lost"):
        ask(nodes, Plan((LINKS, NAMESPACES)))


def test_a_node_that_was_not_visited_is_not_recorded() -> None:
    """The hint says which were."""
    nodes = nodes_of(trip(links(), node="node-b"))
    with pytest.raises(NotRecordedError, match="the recording holds nothing of node node-a") as caught:
        ask(nodes, Plan((LINKS,)))
    assert "node node-b" in caught.value.hint
    assert nodes.way_of("node-a") == ""


def test_the_way_and_the_privilege_are_those_of_then() -> None:
    """Whatever would be asked for now; of several trips that on which most was seen."""
    nodes = nodes_of(trip(links(), privilege=Privilege.NETADMIN), trip(links()))
    assert nodes.way_of("node-a") == "with privilege sysadmin"
    with nodes.open("node-a", Privilege.NETADMIN) as source:
        assert (source.node, source.privilege) == ("node-a", Privilege.SYSADMIN)
