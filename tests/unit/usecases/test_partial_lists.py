"""Lists of the API of which only a part is known."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar

from netinspect.cluster.listing import ListResult
from netinspect.errors import NoApiError
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.models.kubernetes import Node, ObjectMeta, Pod
from netinspect.usecases.cluster_state import gaps_of, read_cluster_state

T = TypeVar("T")


class OneHost:
    """Knows itself and its pods."""

    namespace = "default"

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def get_object(self, type_: type[T], path: str) -> T:
        raise AssertionError(type_, path)

    def list_objects(
        self, type_: type[T], path: str, *, label_selector: str = "", field_selector: str = ""
    ) -> ListResult[T]:
        assert (label_selector, field_selector) == ("", "")
        if type_ not in (Pod, Node):
            raise NoApiError(f"{path} is not known")
        return ListResult((type_(metadata=ObjectMeta(name="one")),), "", missing="only those here")  # type: ignore[call-arg]


def test_a_partial_list_is_known_and_a_gap() -> None:
    """What is there is used for names; that there may be more is never silent."""
    state = read_cluster_state(OneHost())
    assert isinstance(state.pods, Known)
    assert [pod.metadata.name for pod in state.pods.value] == ["one"]
    assert isinstance(state.services, Unavailable)
    assert [(gap.fact, gap.reason, gap.detail) for gap in gaps_of(state)] == [
        ("the list of services", Reason.NO_API, "/api/v1/services is not known"),
        (
            "the list of endpointslices",
            Reason.NO_API,
            "/apis/discovery.k8s.io/v1/endpointslices is not known",
        ),
        ("all pods", Reason.NO_API, "only those here"),
        ("all nodes", Reason.NO_API, "only those here"),
    ]
