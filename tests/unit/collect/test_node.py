"""From a node's answer to facts: what is known, what is missing, and why."""

from __future__ import annotations

import pytest

from netinspect.collect.facts import read_fact
from netinspect.collect.node import collect, read_answer
from netinspect.errors import ParseError
from netinspect.models.command import CommandResult, NodeAnswer
from netinspect.models.fact import Gap, Known, Reason, Unavailable
from netinspect.models.netns import ProcessCgroup, ProcessTable
from netinspect.models.snapshot import NetnsSnapshot
from netinspect.probes.plan import Plan
from tests.unit.usecases.fake_node import LO, NODE_NETNS, FakeNode, answer, listings, pod, result, uid_of

APP = "a1b2c3d4" * 8


def parse_word(stdout: bytes) -> str:
    if not stdout.isalpha():
        raise ParseError("no word", source="test", line=stdout.decode())
    return stdout.decode()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (result("x", b"word"), Known("word")),
        (result("x", b"word", stderr=b"a warning"), Known("word")),
        (None, Unavailable(Reason.TRUNCATED, "no answer came")),
        (result("x", b"word", code=None), Unavailable(Reason.TRUNCATED, "x: the stream was cut")),
        (
            result("x", code=127, stderr=b"x: not found\n"),
            Unavailable(Reason.TOOL_MISSING, "x ended with exit code 127: x: not found"),
        ),
        (result("x", b"word", code=124), Unavailable(Reason.TIMED_OUT, "x ended with exit code 124")),
        (result("x", b"word", code=137), Unavailable(Reason.TIMED_OUT, "x ended with exit code 137")),
        (result("x", b"word", code=143), Unavailable(Reason.TIMED_OUT, "x ended with exit code 143")),
        (result("x", code=126), Unavailable(Reason.PERMISSION_DENIED, "x ended with exit code 126")),
        (
            result("x", code=1, stderr=b"open: Operation not permitted"),
            Unavailable(Reason.PERMISSION_DENIED, "x ended with exit code 1: open: Operation not permitted"),
        ),
        (
            result("x", code=1, stderr=b"Permission denied"),
            Unavailable(Reason.PERMISSION_DENIED, "x ended with exit code 1: Permission denied"),
        ),
        (
            result("x", b"word", code=1, stderr=b"\xff"),
            Unavailable(Reason.FAILED, "x ended with exit code 1: \ufffd"),
        ),
        (result("x", b"17"), Unavailable(Reason.UNPARSABLE, "test: no word\n  17")),
    ],
)
def test_an_outcome_is_known_or_missing_for_a_reason(given: CommandResult | None, expected: object) -> None:
    """Known exactly where the frame is whole, the program ended well, and the text parses."""
    assert read_fact(given, parse_word) == expected


def test_the_nodes_own_netns_and_that_of_pods_are_told_apart() -> None:
    """By key, inode and how each was found; a pod may have been tried in several."""
    links = (
        result("links", LO, key="uid-1", netns=7, how="process"),
        result("links", LO, key="uid-1", netns=8, how="pinned:/x"),
    )
    snapshot = read_answer("node-a", answer(result("links", LO), *links), ())
    assert (snapshot.node, snapshot.own.inode, snapshot.own.how) == ("node-a", NODE_NETNS, "node")
    assert isinstance(snapshot.own.links, Known)
    tried = snapshot.pods["uid-1"]
    assert [(each.inode, each.how, each.pinned_path) for each in tried] == [
        (7, "process", None),
        (8, "pinned:/x", "/x"),
    ]
    assert [type(each.links) for each in tried] == [Known, Known]


def test_processes_come_from_three_listings() -> None:
    """Which pod, which netns, which name; the node's own inode is kept beside them."""
    uid = uid_of("web-1")
    cgroup = f"/kubepods/pod{uid}/{APP}"
    snapshot = read_answer(
        "node-a", answer(*listings((11, cgroup, 7), (12, cgroup, 7))), (pod("web-1", container=APP),)
    )
    table = ProcessTable(
        (ProcessCgroup(11, uid, APP), ProcessCgroup(12, uid, APP)),
        {1: NODE_NETNS, 11: 7, 12: 7},
        {11: "app", 12: "app"},
        NODE_NETNS,
    )
    assert snapshot.processes == Known(table)


def test_without_processes_of_pods_the_table_is_empty_and_known() -> None:
    """grep found nothing: that is an answer."""
    assert read_answer("node-a", answer(*listings()), ()).processes == Known(
        ProcessTable((), {1: NODE_NETNS}, {}, NODE_NETNS)
    )


def test_a_proc_without_any_process_was_not_read() -> None:
    """There is always one that looks."""
    cgroups, _, comms = listings()
    processes = read_answer("node-a", answer(cgroups, result("netns", b"\n"), comms), ()).processes
    assert isinstance(processes, Unavailable)
    assert processes.reason is Reason.UNPARSABLE


@pytest.mark.parametrize("missing", ["cgroups", "netns"])
def test_processes_are_missing_where_a_listing_is(missing: str) -> None:
    """Half a table would say "no such process" for the other half."""
    cut = tuple(each for each in listings((11, "/x", 7)) if each.name != missing)
    processes = read_answer("node-a", answer(*cut), ()).processes
    assert processes == Unavailable(Reason.TRUNCATED, "no answer came")


def test_names_of_processes_are_not_needed() -> None:
    """They only make the answer nicer."""
    cut = tuple(
        each for each in listings((11, f"/kubepods/pod{uid_of('web-1')}/{APP}", 7)) if each.name != "comms"
    )
    processes = read_answer("node-a", answer(*cut), ()).processes
    assert isinstance(processes, Known)
    assert processes.value.comms == {}


def test_a_cut_answer_is_a_gap_of_the_node() -> None:
    """What did come is used all the same."""
    snapshot = read_answer("node-a", answer(result("links", LO), is_whole=False), ())
    assert isinstance(snapshot.own.links, Known)
    assert snapshot.gaps == (
        Gap(
            "node/node-a",
            "the end of the node's answer",
            Reason.TRUNCATED,
            "the stream was cut before its end mark",
        ),
    )
    assert read_answer("node-a", answer(), ()).gaps == ()


def test_an_answer_that_is_empty_leaves_every_fact_missing() -> None:
    """Not one of them is taken for "none"."""
    snapshot = read_answer("node-a", NodeAnswer(None, (), is_whole=False), ())
    gone = Unavailable(Reason.TRUNCATED, "no answer came")
    assert snapshot.own == NetnsSnapshot(inode=0, how="node", links=gone, namespaces=gone)
    assert (snapshot.processes, snapshot.pods) == (gone, {})


def test_one_trip_is_made() -> None:
    """The plan goes out once, as it is."""
    source = FakeNode(answer(result("links", LO)))
    plan = Plan()
    assert collect(source, plan, ()).node == "node-a"
    assert source.plans == [plan]
