"""What changed between recordings: two real snapshots, and one of them with single answers changed."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from msgspec.structs import replace

from netinspect.archive.reader import read_recording
from netinspect.errors import ExitCode
from netinspect.models.difference import Difference
from netinspect.models.fact import Gap, Reason
from netinspect.models.recording import RecordedError, RecordedResult, RecordedTrip, Recording
from netinspect.models.report import Report
from netinspect.probes.conntrack import LIMITS
from netinspect.probes.plan import NODE
from netinspect.sources.held_recording import HeldRecording
from netinspect.usecases.differences import list_nodes, merge_gaps, report_differences

EXAMPLES = Path(__file__).parents[3] / "examples"


@cache
def example(name: str) -> Recording:
    return read_recording(EXAMPLES / f"{name}.tar.gz")


def with_results(
    recording: Recording, change: Callable[[RecordedResult], RecordedResult], node: str = "node-b"
) -> Recording:
    """The recording with a node's results changed."""
    trips = (
        replace(trip, results=tuple(map(change, trip.results))) if trip.node == node else trip
        for trip in recording.trips
    )
    return replace(recording, trips=tuple(trips))


def with_trips(recording: Recording, change: Callable[[RecordedTrip], RecordedTrip | None]) -> Recording:
    return replace(recording, trips=tuple(filter(None, map(change, recording.trips))))


def printing(old: bytes, new: bytes) -> Callable[[RecordedResult], RecordedResult]:
    """Changes the first place in each output of the node's own netns."""

    def change(result: RecordedResult) -> RecordedResult:
        if result.outcome.key != NODE:
            return result
        return replace(
            result, outcome=replace(result.outcome, stdout=result.outcome.stdout.replace(old, new, 1))
        )

    return change


def rows(report: Report[Difference]) -> list[str]:
    return [
        " ".join(filter(None, (each.what, each.pod, each.name, each.node, each.at, each.change)))
        for each in report.items
    ]


def test_a_snapshot_differs_in_nothing_from_itself() -> None:
    report = report_differences(example("healthy"), example("healthy"))
    assert (report.kind, report.items, report.gaps) == ("DifferenceList", (), ())
    assert report.exit_code is ExitCode.OK


def test_what_was_broken_between_two_snapshots_is_told() -> None:
    """The faults of examples/README.md, but for the stale flows: these are no change of the network."""
    report = report_differences(example("healthy"), example("faulty"), "demo")
    names = re.compile(r"web-[0-9a-f]{6,10}-\w{5}|10\.96\.\d+\.\d+")  # of the day on which they were made
    assert [names.sub("X", each) for each in rows(report) if not each.startswith("endpoint")] == [
        "pod demo/X node-a changed",
        "rules demo/web:http node-b X:80/tcp removed",
        "link demo/X eth0 node-a changed",
    ]
    assert report.gaps == ()
    everything = report_differences(example("healthy"), example("faulty"))
    assert "rules kube-system/kube-dns:dns node-a 10.96.0.10:53/udp changed" in rows(everything)
    assert {each.fact for each in everything.gaps} == {"kube-proxy's mode (port 10249, /proxyMode) (after)"}
    assert {each.what for each in everything.items} == {"pod", "endpoint", "rules", "link"}


def test_back_again_is_the_same_turned_round() -> None:
    there = report_differences(example("healthy"), example("faulty"))
    back = report_differences(example("faulty"), example("healthy"))
    turned = {"added": "removed", "removed": "added", "changed": "changed"}

    def key(each: Difference) -> tuple[str, ...]:
        return each.what, each.pod, each.name, each.node, each.at, str(each.family)

    assert {key(each): each.change for each in there.items} == {
        key(each): turned[each.change] for each in back.items
    }


def test_counters_and_timers_are_no_change() -> None:
    def move(result: RecordedResult) -> RecordedResult:
        out = re.sub(rb"\[\d+:\d+\]", b"[77:7777]", result.outcome.stdout)
        out = re.sub(rb'("(?:packets|bytes)": ?)\d+', rb"\g<1>7777", out)
        out = re.sub(rb"(nf_conntrack_count\D+)\d+", rb"\g<1>77", out)
        moved.append(out != result.outcome.stdout)
        return replace(result, outcome=replace(result.outcome, stdout=out, duration_s=9.0, start_s=1e6))

    moved: list[bool] = []
    old = example("healthy")
    new = with_results(with_results(old, move), move, "node-a")
    assert sum(moved) > 6
    report = report_differences(old, replace(new, made_at="2027-01-01T00:00:00Z", clock=(9e9,)))
    assert (report.items, report.gaps) == ((), ())


@pytest.mark.parametrize(
    ("pattern", "new", "row"),
    [
        (rb'"mtu":1500,', b'"mtu":1400,', "link eth0 node-b changed"),
        (rb"nf_conntrack_max\D+\d+", rb"\g<0>0", "conntrack node-b node-b changed"),
    ],
)
def test_one_answer_that_is_another_is_one_row(pattern: bytes, new: bytes, row: str) -> None:
    texts = (each.outcome.stdout for trip in example("healthy").trips for each in trip.results)
    found = next(filter(None, (re.search(pattern, text) for text in texts)))
    changed = with_results(example("healthy"), printing(found[0], found.expand(new)))
    assert rows(report_differences(example("healthy"), changed)) == [row]


def test_a_node_that_one_of_both_does_not_hold_is_a_gap_and_no_change() -> None:
    less = with_trips(example("healthy"), lambda trip: trip if trip.node == "node-a" else None)
    report = report_differences(example("healthy"), less)
    assert (report.items, report.exit_code) == ((), ExitCode.INCOMPLETE)
    assert [(each.subject, each.fact, each.reason) for each in report.gaps] == [
        ("node/node-b", "the node (after)", Reason.NOT_RECORDED)
    ]
    (before,) = report_differences(less, example("healthy")).gaps
    assert before.fact == "the node (before)"


def test_a_node_that_failed_is_a_gap_with_what_was_said() -> None:
    def fail(trip: RecordedTrip) -> RecordedTrip:
        error = RecordedError(kind="DebugPodError", message="no image")
        return replace(trip, results=(), error=error) if trip.node == "node-b" else trip

    report = report_differences(example("healthy"), with_trips(example("healthy"), fail))
    assert [(each.fact, each.detail) for each in report.gaps] == [("the node (after)", "no image")]
    assert report.items == ()


def test_a_node_that_failed_on_the_way_is_a_gap_for_each_fact_that_is_not_there() -> None:
    def fail(trip: RecordedTrip) -> RecordedTrip:
        error = RecordedError(kind="DeadlineError", message="time is up")
        kept = tuple(each for each in trip.results if each.outcome.name == LIMITS.name)
        return replace(trip, results=kept, error=None if kept else error) if trip.node == "node-b" else trip

    report = report_differences(example("healthy"), with_trips(example("healthy"), fail))
    assert report.items == ()
    assert {(each.subject, each.reason) for each in report.gaps} == {("node/node-b", Reason.TIMED_OUT)}
    assert [each.fact for each in report.gaps] == [
        "the rules (after)",
        "the links (after)",
        "the dataplane (after)",
    ]


def test_an_answer_that_was_cut_is_a_gap_and_nothing_is_taken_for_gone() -> None:
    def cut(trip: RecordedTrip) -> RecordedTrip:
        return replace(trip, results=trip.results[:3], is_whole=False) if trip.node == "node-b" else trip

    report = report_differences(example("healthy"), with_trips(example("healthy"), cut))
    assert report.items == ()
    assert report.exit_code is ExitCode.INCOMPLETE
    assert all(each.fact.endswith(" (after)") for each in report.gaps)


def test_a_list_that_is_not_held_is_a_gap() -> None:
    old = example("healthy")
    less = replace(old, requests=tuple(each for each in old.requests if "endpointslices" not in each.path))
    report = report_differences(old, less)
    assert report.items == ()
    assert [each.fact for each in report.gaps] == ["the list of endpointslices (after)"]


def test_a_node_that_is_gone_from_the_cluster_is_one_row() -> None:
    old = example("healthy")
    requests = tuple(
        replace(each, body=each.body.replace(b'"name":"node-b"', b'"name":"node-c"'))
        if each.path == "/api/v1/nodes"
        else each
        for each in old.requests
    )
    new = with_trips(replace(old, requests=requests), lambda trip: trip if trip.node == "node-a" else None)
    report = report_differences(old, new)
    assert rows(report) == ["node node-b node-b removed", "node node-c node-c added"]
    assert report.gaps == ()


def test_of_a_namespace_nothing_of_nodes_is_told() -> None:
    changed = with_results(example("healthy"), printing(b'"mtu":1500,', b'"mtu":1400,'))
    assert report_differences(example("healthy"), changed).items != ()
    report = report_differences(example("healthy"), changed, "demo")
    assert (report.items, report.gaps) == ((), ())


def test_gaps_say_of_which_side_they_are() -> None:
    one, other = (Gap("node/a", fact, Reason.FAILED, "x") for fact in ("this", "that"))
    assert [each.fact for each in merge_gaps((one, other, one), (other,))] == [
        "this (before)",
        "that (before and after)",
    ]
    assert [each.fact for each in merge_gaps((), (one,))] == ["this (after)"]


def test_a_recording_that_is_held_is_what_was_taken() -> None:
    old = example("healthy")
    held = HeldRecording()
    for request in old.requests:
        held.add_request(request)
    for trip in old.trips:
        held.add_trip(trip)
    for seconds in old.clock:
        held.add_time(seconds)
    held.add_log("read node node-a")
    built = held.build(made_at=old.made_at, made_by=old.made_by, namespace=old.namespace)
    assert built == replace(old, command="", log=("read node node-a",))
    assert sorted(list_nodes(built)) == ["node-a", "node-b"]
