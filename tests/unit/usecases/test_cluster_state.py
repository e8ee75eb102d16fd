"""The API's lists, each known or missing for a reason, against the fake API server."""

from __future__ import annotations

import time

import pytest

from netinspect.cluster.client import ClusterClient
from netinspect.cluster.deadline import Deadline
from netinspect.errors import DeadlineError
from netinspect.models.fact import Known, Reason, Unavailable
from netinspect.usecases.cluster_state import gaps_of, read_cluster_state
from tests.fake import faults
from tests.fake.api import FakeApi

LISTS = ("pods", "services", "nodes", "endpointslices")


@pytest.fixture(autouse=True)
def world(fake_api: FakeApi) -> None:
    add = fake_api.store.add
    status = {"podIPs": [{"ip": "fd00::5"}, {"ip": "10.0.0.5"}]}
    add("pods", {"metadata": {"name": "web", "namespace": "demo"}, "status": status})
    add("pods", {"metadata": {"name": "dns", "namespace": "kube-system"}})
    add("services", {"metadata": {"name": "web", "namespace": "demo"}})
    add("nodes", {"metadata": {"name": "node-a"}})
    add("endpointslices", {"metadata": {"name": "web-x", "namespace": "demo"}, "addressType": "IPv6"})


def test_all_namespaces_are_listed(client: ClusterClient) -> None:
    """With the time at which that began, by our clock."""
    before = time.time()
    state = read_cluster_state(client)
    assert isinstance(state.pods, Known)
    assert [pod.metadata.name for pod in state.pods.value] == ["web", "dns"]
    assert list(map(str, state.pods.value[0].addresses)) == ["fd00::5", "10.0.0.5"]
    for fact in (state.services, state.slices, state.nodes):
        assert isinstance(fact, Known)
        assert len(fact.value) == 1
    assert before <= state.read_at <= time.time()
    assert (state.missing, gaps_of(state)) == ((), ())


def test_slices_that_are_not_asked_for_are_neither_read_nor_missed(
    client: ClusterClient, fake_api: FakeApi
) -> None:
    """Names do not need them."""
    fake_api.deny("list", "endpointslices")
    state = read_cluster_state(client, slices=False)
    assert (state.missing, gaps_of(state)) == ((), ())
    assert isinstance(state.slices, Unavailable)
    assert fake_api.seen("GET", "endpointslices") == []


@pytest.mark.parametrize("denied", LISTS)
def test_a_list_that_is_refused_is_a_gap_and_no_error(
    client: ClusterClient, fake_api: FakeApi, denied: str
) -> None:
    """The others are read; it is never empty instead."""
    fake_api.deny("list", denied)
    state = read_cluster_state(client)
    ((name, fact),) = state.missing
    assert (name, fact.reason) == (denied, Reason.PERMISSION_DENIED)
    (gap,) = gaps_of(state)
    assert (gap.subject, gap.fact) == ("cluster", f"the list of {denied}")
    assert f'cannot list resource "{denied}"' in gap.detail


def test_a_list_that_fails_is_a_gap_with_another_reason(client: ClusterClient, fake_api: FakeApi) -> None:
    """It is not for want of rights."""
    fake_api.faults.add(
        faults.answer(500, "InternalError", "it broke"), method="GET", path="/api/v1/services", times=99
    )
    (gap,) = gaps_of(read_cluster_state(client))
    assert (gap.fact, gap.reason) == ("the list of services", Reason.FAILED)


def test_a_time_that_is_up_ends_it(client: ClusterClient) -> None:
    """A deadline is the command's."""
    client.deadline = Deadline.after(0)
    with pytest.raises(DeadlineError):
        read_cluster_state(client)
