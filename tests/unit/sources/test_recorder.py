"""A command that is recorded, and the same command on the recording: the same report."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from netinspect.cluster.client import ClusterClient
from netinspect.errors import ClusterError, CommandError, DebugPodError, NetinspectError
from netinspect.models.command import NodeAnswer
from netinspect.models.debug_pod import Privilege
from netinspect.models.kubernetes import Pod
from netinspect.parse.frames import Sinks
from netinspect.probes.catalog import LINKS, build_veth_plan
from netinspect.probes.plan import NODE, Plan
from netinspect.sources.interface import ApiSource, OpenNode
from netinspect.sources.recorded_api import RecordedApi
from netinspect.sources.recorded_nodes import RecordedNodes
from netinspect.sources.recorder import RecordingApi, RecordingNodes
from netinspect.usecases.pods import list_pods
from netinspect.usecases.readings import read_pods
from netinspect.usecases.targets import Targets, resolve_pods
from netinspect.usecases.veth import report_veth
from tests.fake import faults
from tests.fake.api import FakeApi
from tests.fake.plugin import pod
from tests.unit.sources.recordings import MemorySink
from tests.unit.usecases.fake_node import LO, FakeNode, FakeNodes, answer, listings, result

LISTING = "/api/v1/namespaces/demo/pods"


def as_it_is(value: dict[str, Any]) -> dict[str, Any]:
    return value


def without_secret(value: dict[str, Any]) -> dict[str, Any]:
    metadata = {**value["metadata"], "labels": {}}
    return {**value, "metadata": metadata}


def plain(_: str, output: bytes) -> bytes:
    return output


def starred(_: str, output: bytes) -> bytes:
    return output.replace(b"secret", b"***")


def test_pods_are_listed_from_a_recording_as_they_were_live(client: ClusterClient, fake_api: FakeApi) -> None:
    """The report is equal, also of names that lead nowhere."""
    for name in ("web-1", "web-2"):
        fake_api.store.add("pods", pod(name, app="web"))
    sink = MemorySink()
    live = RecordingApi(client, sink, as_it_is)
    wanted = Targets(selector="app=web", namespace="demo")
    shown = list_pods(live, wanted)
    with pytest.raises(ClusterError) as refused:
        list_pods(live, Targets(names=("none",)))
    again = RecordedApi(sink.recording)
    assert list_pods(again, wanted) == shown
    assert len(shown.items) == 2
    with pytest.raises(ClusterError) as caught:
        list_pods(again, Targets(names=("none",)))
    assert (caught.value.message, caught.value.status) == (refused.value.message, 404)


def test_veth_on_a_recording_reports_what_it_reported_live(client: ClusterClient, fake_api: FakeApi) -> None:
    """Two nodes, one of which fails."""
    added = fake_api.store.add("pods", pod("web-1"))
    fake_api.store.add("pods", {**pod("web-2"), "spec": {"nodeName": "node-b", "containers": []}})
    uid = added["metadata"]["uid"]
    process = (11, f"/kubepods/pod{uid}/x", 7)
    places: tuple[dict[str, Any], ...] = ({}, {"key": uid, "netns": 7, "how": "process"})
    said = [result("links", LO, **place) for place in places]
    said += [result("namespaces", code=127, stderr=b"lsns: not found", **place) for place in places]
    nodes = FakeNodes(
        {
            "node-a": answer(*listings(process), *said),
            "node-b": DebugPodError("it did not start", "look"),
        }
    )
    sink = MemorySink()

    def report(api: ApiSource, open_node: OpenNode) -> Any:
        pods = resolve_pods(api, Targets(selector="", all_namespaces=True))
        plan = lambda pods: build_veth_plan(pods, peers_of_pods=True)  # noqa: E731
        return report_veth(read_pods(pods, open_node, plan, lambda: None), ())

    recorded = RecordingNodes(nodes.open, "with privilege sysadmin", sink, plain)
    shown = report(RecordingApi(client, sink, as_it_is), recorded.open)
    assert [gap.detail for gap in shown.gaps if gap.subject == "node/node-b"] == ["it did not start"]
    replay = RecordedNodes(sink.recording)
    assert report(RecordedApi(sink.recording), replay.open) == shown
    assert replay.way_of("node-a") == replay.way_of("node-b") == "with privilege sysadmin"


def test_the_command_gets_only_what_is_recorded(client: ClusterClient, fake_api: FakeApi) -> None:
    """What is left out of the recording does not reach the command either, of a list and of an object."""
    fake_api.store.add("pods", pod("web-1", app="secret"))
    sink = MemorySink()
    api = RecordingApi(client, sink, without_secret)
    assert api.list_objects(Pod, LISTING).items[0].metadata.labels == {}
    assert api.get_object(Pod, f"{LISTING}/web-1").metadata.labels == {}
    assert len(sink.requests) == 2
    assert all(b"secret" not in each.body for each in sink.requests)


def test_long_lists_are_recorded_whole_and_items_say_what_they_are(
    client: ClusterClient, fake_api: FakeApi
) -> None:
    """Pages are joined; the API says the kind of the list only, and what is left out depends on it."""
    for number in range(7):
        fake_api.store.add("pods", pod(f"web-{number}"))
    seen: list[tuple[str, str]] = []

    def look(value: dict[str, Any]) -> dict[str, Any]:
        seen.append((value["apiVersion"], value["kind"]))
        return value

    class SmallPages(ClusterClient):
        def list_objects(self, *arguments: Any, **options: Any) -> Any:
            return super().list_objects(*arguments, **options, limit=3)

    paged = SmallPages(client.context, client.options, client.deadline)
    sink = MemorySink()
    listed = RecordingApi(paged, sink, look).list_objects(Pod, LISTING)
    paged.close()
    assert len(listed.items) == len(RecordedApi(sink.recording).list_objects(Pod, LISTING).items) == 7
    assert (listed.kind, set(seen)) == ("PodList", {("v1", "Pod")})
    assert len(sink.requests) == 1


def test_what_is_no_answer_of_an_api_server_is_recorded_as_that(
    client: ClusterClient, fake_api: FakeApi
) -> None:
    """A proxy's page: the same words again."""
    fake_api.faults.add(faults.answer_raw(200, b"<html>", "text/html"))
    sink = MemorySink()
    with pytest.raises(NetinspectError) as caught:
        RecordingApi(client, sink, as_it_is).list_objects(Pod, LISTING)
    with pytest.raises(type(caught.value)) as again:
        RecordedApi(sink.recording).list_objects(Pod, LISTING)
    assert again.value.message == caught.value.message


def test_a_command_that_is_ending_records_no_failure(client: ClusterClient) -> None:
    """That it was told to stop says nothing of the cluster."""
    sink = MemorySink()
    client.deadline.cancel()
    with pytest.raises(ClusterError):
        RecordingApi(client, sink, as_it_is).get_object(Pod, f"{LISTING}/web-1")
    assert sink.requests == []


def test_the_time_is_recorded_exactly(client: ClusterClient) -> None:
    """What the command was told, to the last digit."""
    sink = MemorySink()
    told = [RecordingApi(client, sink, as_it_is).now() for _ in range(50)]
    replay = RecordedApi(sink.recording)
    assert [replay.now() for _ in told] == told


class Sunk(FakeNode):
    """A node whose answers are poured in two pieces."""

    def run(self, plan: Plan, sinks: Sinks | None = None) -> NodeAnswer:
        for (_, name), sink in (sinks or {}).items():
            whole = next(each.stdout for each in self.answer.results if each.name == name)
            sink(whole[:3])
            sink(whole[3:])
        return answer(*(result(each.name) for each in self.answer.results))


def test_what_a_sink_takes_is_recorded_as_well() -> None:
    """Joined; the command's own result stays empty."""
    sink, pieces = MemorySink(), list[bytes]()
    source = Sunk(answer(result("links", b"a long text")))
    nodes = RecordingNodes(_opener(source), "w", sink, plain)
    with nodes.open("node-a", Privilege.NETADMIN) as opened:
        got = opened.run(Plan((LINKS,)), {(NODE, "links"): pieces.append})
    assert (pieces, got.results[0].stdout) == ([b"a l", b"ong text"], b"")
    (trip,) = sink.trips
    assert [(each.argv, each.outcome.stdout) for each in trip.results] == [(LINKS.argv, b"a long text")]
    assert (trip.node, trip.how, trip.privilege, trip.is_whole) == ("node-a", "w", Privilege.SYSADMIN, True)


def test_output_is_without_what_is_never_recorded() -> None:
    """Also for the command."""
    sink = MemorySink()
    source = FakeNode(answer(result("links", b"a secret", stderr=b"secret")))
    with RecordingNodes(_opener(source), "w", sink, starred).open("node-a", Privilege.NETADMIN) as opened:
        got = opened.run(Plan((LINKS,)))
    assert (got.results[0].stdout, got.results[0].stderr) == (b"a ***", b"***")
    assert sink.trips[0].results[0].outcome == got.results[0]


def test_trips_that_fail_or_ask_nothing_are_recorded() -> None:
    """Each as what it was."""

    class Broken(FakeNode):
        def run(self, plan: Plan, sinks: Sinks | None = None) -> NodeAnswer:
            raise CommandError("no shell", "another image")

    sink = MemorySink()
    with (
        pytest.raises(CommandError),
        RecordingNodes(_opener(Broken(answer())), "w", sink, plain).open("a", Privilege.NETADMIN) as opened,
    ):
        opened.run(Plan((LINKS,)))
    with RecordingNodes(_opener(FakeNode(answer())), "w", sink, plain).open("b", Privilege.NETADMIN):
        pass
    failed, idle = sink.trips
    assert failed.error is not None
    assert (failed.error.kind, failed.error.hint) == ("CommandError", "another image")
    assert (idle.node, idle.error, idle.is_whole, idle.results) == ("b", None, True, ())


def _opener(source: FakeNode) -> OpenNode:
    return lambda _node, _privilege: nullcontext(source)
