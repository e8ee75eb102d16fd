"""What a recording answers in the API's place: what was asked, what follows from that, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from netinspect.errors import ClusterError, DeadlineError, NotRecordedError, ParseError
from netinspect.models.kubernetes import Node, Pod, Workload
from netinspect.models.recording import RecordedError, RecordedRequest
from netinspect.sources.recorded_api import RecordedApi
from netinspect.sources.recorded_error import record_error, restore_error
from tests.unit.sources.recordings import held_list, held_object, obj, recording

ALL, DEMO = "/api/v1/pods", "/api/v1/namespaces/demo/pods"


def names(api: RecordedApi, path: str, labels: str = "", fields: str = "") -> list[str]:
    listed = api.list_objects(Pod, path, label_selector=labels, field_selector=fields)
    return [f"{pod.metadata.namespace}/{pod.metadata.name}" for pod in listed.items]


def test_the_nth_question_gets_the_nth_answer_and_later_ones_the_last() -> None:
    """A command that looks twice sees what changed meanwhile."""
    api = RecordedApi(recording(held_list(ALL, obj("a")), held_list(ALL, obj("b"), version="2")))
    assert [names(api, ALL) for _ in range(3)] == [["demo/a"], ["demo/b"], ["demo/b"]]
    again = RecordedApi(
        recording(held_object(f"{DEMO}/a", obj("a", node="x")), held_object(f"{DEMO}/a", obj("a")))
    )
    nodes = [again.get_object(Pod, f"{DEMO}/a").spec.node_name for _ in range(3)]
    assert nodes == ["x", "node-a", "node-a"]


def test_a_list_has_its_version_and_kind() -> None:
    """As from the API server."""
    listed = RecordedApi(recording(held_list(ALL, version="77"))).list_objects(Pod, ALL)
    assert (listed.resource_version, listed.kind, listed.api_version) == ("77", "PodList", "v1")


@pytest.mark.parametrize(
    ("path", "labels", "fields", "expected"),
    [
        (DEMO, "", "", ["demo/a", "demo/b"]),
        (ALL, "app=web", "", ["demo/a", "other/c"]),
        (ALL, "app in (web),tier!=x", "spec.nodeName=node-b", ["other/c"]),
        (DEMO, "", "metadata.name=b", ["demo/b"]),
        ("/api/v1/namespaces/none/pods", "", "", []),
    ],
)
def test_a_wider_list_answers_narrower_questions(
    path: str, labels: str, fields: str, expected: list[str]
) -> None:
    """Of all namespaces and without selectors: it holds every other list."""
    items = (obj("a", app="web"), obj("b"), obj("c", "other", node="node-b", app="web"))
    api = RecordedApi(recording(held_list(ALL, *items)))
    assert names(api, path, labels, fields) == expected


def test_narrower_questions_go_on_with_the_wider_lists() -> None:
    """What was listed before and after is found before and after."""
    api = RecordedApi(recording(held_list(ALL, obj("a")), held_list(ALL, obj("b"))))
    assert [names(api, DEMO) for _ in range(3)] == [["demo/a"], ["demo/b"], ["demo/b"]]


@pytest.mark.parametrize(
    ("path", "labels", "fields"),
    [
        (ALL, "", ""),
        ("/api/v1/namespaces/other/pods", "app=web", ""),
        (DEMO, "app=api", ""),
        (DEMO, "", ""),
        (DEMO, "app=web", "spec.nodeName=node-a"),
    ],
)
def test_a_narrower_list_answers_no_wider_question(path: str, labels: str, fields: str) -> None:
    """That nothing more was there is not known. The last case is a narrower question, and is answered."""
    api = RecordedApi(recording(held_list(DEMO, obj("a", app="web"), labels="app=web")))
    if fields:
        assert names(api, path, labels, fields) == ["demo/a"]
        return
    with pytest.raises(NotRecordedError) as caught:
        names(api, path, labels, fields)
    assert "the recording does not hold " in caught.value.message
    assert caught.value.hint == 'it was made by "veth web-1" and holds pods of namespace demo with app=web'


def test_an_object_is_found_in_a_list_that_holds_it() -> None:
    """Even in a narrow one; the latest counts."""
    older = held_list(ALL, obj("a", node="old"))
    api = RecordedApi(recording(older, held_list(DEMO, obj("a"), labels="app=web")))
    assert api.get_object(Pod, f"{DEMO}/a").spec.node_name == "node-a"
    nodes = held_list("/api/v1/nodes", {"metadata": {"name": "node-a"}})
    assert RecordedApi(recording(nodes)).get_object(Node, "/api/v1/nodes/node-a").metadata.name == "node-a"


def test_an_object_that_a_whole_list_lacks_is_not_there() -> None:
    """In the API server's own words; one of another namespace is another."""
    deployments = held_list("/apis/apps/v1/namespaces/demo/deployments")
    api = RecordedApi(recording(held_list(ALL, obj("web", "other")), deployments))
    for path, type_, what in (
        (f"{DEMO}/web", Pod, 'pods "web"'),
        ("/apis/apps/v1/namespaces/demo/deployments/web", Workload, 'deployments.apps "web"'),
    ):
        with pytest.raises(ClusterError) as caught:
            api.get_object(type_, path)
        assert caught.value.message == f"Error from server (NotFound): {what} not found"
        assert (caught.value.status, caught.value.reason) == (404, "NotFound")


@pytest.mark.parametrize(
    "held",
    [
        (),
        (held_list(DEMO, obj("b", app="web"), labels="app=web"),),
        (held_list("/api/v1/namespaces/other/pods", obj("a", "other")),),
        (held_list("/api/v1/services", obj("a")),),
        (RecordedRequest(path=ALL, is_list=True, error=RecordedError(kind="ClusterError", message="no")),),
    ],
)
def test_an_object_of_which_no_list_would_tell_is_not_recorded(held: tuple[RecordedRequest, ...]) -> None:
    """Nobody asked: neither that it is there nor that it is not."""
    with pytest.raises(NotRecordedError, match="the recording does not hold pods/a of namespace demo"):
        RecordedApi(recording(*held)).get_object(Pod, f"{DEMO}/a")


def test_failures_come_again_in_their_turn() -> None:
    """Of the same class, with the same words."""
    failed = RecordedRequest(
        path=ALL,
        is_list=True,
        error=RecordedError(
            kind="DeadlineError", message="too late", hint="wait", status=504, reason="Timeout"
        ),
    )
    api = RecordedApi(recording(failed, held_list(ALL, obj("a"))))
    with pytest.raises(DeadlineError) as caught:
        names(api, ALL)
    assert record_error(caught.value) == failed.error
    assert names(api, ALL) == ["demo/a"]
    # A list that was refused once is no answer to a narrower question.
    assert names(RecordedApi(recording(failed, held_list(ALL, obj("a")))), DEMO) == ["demo/a"]


def test_a_parse_error_comes_again_as_it_was() -> None:
    """It has its source and its line within its message."""
    error = ParseError("no JSON", source="API list of Pod", line="<html>", column=1)
    restored = restore_error(record_error(error))
    assert isinstance(restored, ParseError)
    assert restored.message == error.message


def test_a_failure_of_an_unknown_kind_is_still_one() -> None:
    """A recording of a later version may have such."""
    assert restore_error(RecordedError(kind="NewError", message="so")).message == "so"


def test_a_selector_that_is_none_is_refused_as_by_the_server() -> None:
    """Where it was not asked for when the recording was made."""
    api = RecordedApi(recording(held_list(ALL, obj("a"))))
    with pytest.raises(ClusterError) as caught:
        names(api, ALL, "app=(")
    assert (caught.value.status, caught.value.reason) == (400, "BadRequest")


def test_the_clock_is_that_of_the_recorded_command() -> None:
    """In its order; without one it is the time at which the recording was begun."""
    api = RecordedApi(recording(clock=(1.5, 2.25)))
    assert [api.now().timestamp() for _ in range(3)] == [1.5, 2.25, 2.25]
    assert RecordedApi(recording()).now() == datetime(2026, 11, 27, 5, tzinfo=UTC)


def test_the_namespace_is_the_recordings_unless_one_is_named() -> None:
    """As with a context."""
    assert RecordedApi(recording()).namespace == "demo"
    assert RecordedApi(recording(), "shop").namespace == "shop"


def test_many_holdings_are_counted() -> None:
    """A snapshot says that it is one, and a few of the things that it holds."""
    lists = [held_list(f"/api/v1/namespaces/n{number}/pods") for number in range(9)]
    api = RecordedApi(replace(recording(*lists), is_snapshot=True))
    with pytest.raises(NotRecordedError) as caught:
        names(api, ALL)
    assert caught.value.hint.startswith("it is a snapshot and holds pods of namespace n0, ")
    assert caught.value.hint.endswith("pods of namespace n5, 3 more")
