"""Names that the kubelet gives to logs."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.models.local_host import ContainerLog, PodLogFolder
from netinspect.parse.pod_logs import parse_container_log, parse_pod_log_folder

ID = "0c2c885650ee3fe4c62520a6bccd06bebd22c149cebee7b70500145096fa6be9"
labels = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=63)
names = st.lists(labels, min_size=1, max_size=3).map(".".join)


@given(labels, names, st.uuids().map(str) | st.uuids().map(lambda each: each.hex))
def test_a_folder_is_read_back(namespace: str, name: str, uid: str) -> None:
    """Names may hold dots and dashes, and the UID of a static pod is 32 digits."""
    assert parse_pod_log_folder(f"{namespace}_{name}_{uid}") == PodLogFolder(namespace, name, uid)


@given(labels, names, labels)
def test_a_container_is_read_back(namespace: str, pod: str, container: str) -> None:
    """The id is what stands behind the last dash, whatever dashes the container's name has."""
    log = parse_container_log(f"{pod}_{namespace}_{container}-{ID}.log")
    assert log == ContainerLog(namespace=namespace, pod=pod, container=container, id=ID)


@pytest.mark.parametrize(
    "name", ["", "lost+found", "demo_web", "a_b_c_d", "demo__1234", "demo_we b_12", "a_b_c\n"]
)
def test_a_folder_of_another_form_is_no_pods(name: str) -> None:
    """What others put there is left alone."""
    assert parse_pod_log_folder(name) is None


@pytest.mark.parametrize("name", ["", "a_b_c.log", f"a_b_c-{ID[1:]}.log", f"a_b_c-{ID}", f"b_c-{ID}.log"])
def test_a_link_of_another_form_is_no_containers(name: str) -> None:
    """Without a whole id nothing is joined by it."""
    assert parse_container_log(name) is None
