"""API objects as servers send them: nulls, unknown fields, pages, watch lines, and what is none of these."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netinspect.errors import ParseError
from netinspect.models.address import parse_address
from netinspect.models.kubernetes import Endpoint, EndpointSlice, ListMeta, Pod, Service
from netinspect.parse.api import ApiList, WatchEvent, parse_list, parse_object, parse_watch_event

POD = b"""{"kind": "Pod", "metadata": {"name": "web-1", "annotations": {"a": "b"}, "managedFields": [{}]},
 "spec": {"nodeName": "node-a", "hostPID": true, "containers": [{"name": "app", "securityContext": {}}]},
 "status": {"phase": "Running", "podIPs": [{"ip": "fd00::7"}, {"ip": "10.0.0.7"}],
 "containerStatuses": [{"name": "app", "containerID": "cri-o://abc", "state": {"running": {"startedAt": "x"}}}]}}"""


def test_an_object_is_read_with_the_fields_that_we_judge() -> None:
    """camelCase with the API's own spelling of IPs, PID and ID; what we do not judge is passed over."""
    pod = parse_object(Pod, POD)
    assert pod.metadata.name == "web-1"
    assert (pod.spec.node_name, pod.spec.host_pid, pod.spec.host_network) == ("node-a", True, False)
    assert pod.addresses == (parse_address("fd00::7"), parse_address("10.0.0.7"))
    assert pod.container_ids == ("abc",)
    assert pod.status.container_statuses[0].state.running is not None


def test_null_is_the_same_as_absent_at_any_depth() -> None:
    """The API's own rule: each field then has its default, in lists of objects, too."""
    nulls = b"""{"metadata": {"name": "web-1", "labels": null, "uid": null}, "spec": {"containers": null},
     "status": {"podIPs": null, "containerStatuses": [{"name": "app", "state": null, "ready": null}]}}"""
    absent = (
        b'{"metadata": {"name": "web-1"}, "spec": {}, "status": {"containerStatuses": [{"name": "app"}]}}'
    )
    assert parse_object(Pod, nulls) == parse_object(Pod, absent)


def test_a_slice_without_endpoints_is_empty() -> None:
    """`endpoints: null` is what kube-apiserver itself sends."""
    data = b'{"metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": null, "ports": null}'
    assert parse_object(EndpointSlice, data).endpoints == ()


def test_a_condition_that_is_null_stays_unknown() -> None:
    """Three states: unknown is not false. The defaults are judged elsewhere."""
    endpoint = parse_object(
        Endpoint, b'{"addresses": ["10.0.0.7"], "conditions": {"ready": null, "terminating": true}}'
    )
    assert (endpoint.conditions.ready, endpoint.ready, endpoint.terminating) == (None, True, True)


def test_a_page_of_a_list() -> None:
    """Items in order, with where it goes on; `items: null` is an empty page."""
    data = (
        b'{"metadata": {"resourceVersion": "7", "continue": "abc"}, "items": [{"metadata": {"name": "a"}}]}'
    )
    page = parse_list(Service, data)
    assert [each.metadata.name for each in page.items] == ["a"]
    assert page.metadata == ListMeta(resource_version="7", continue_="abc")
    assert parse_list(Service, b'{"metadata": {}, "items": null}') == ApiList(ListMeta())


def test_a_watch_line_keeps_its_object_undecoded() -> None:
    """What it is depends on its type."""
    event = parse_watch_event(b'{"type": "ADDED", "object": {"metadata": {"name": "web-1"}}}')
    assert (event.type, parse_object(Pod, bytes(event.object)).metadata.name) == ("ADDED", "web-1")
    assert parse_watch_event(b'{"type": "BOOKMARK"}') == WatchEvent("BOOKMARK")


def test_a_target_port_is_a_number_or_a_name() -> None:
    """IntOrString stays what it is."""
    data = b'{"metadata": {}, "spec": {"ports": [{"port": 80, "targetPort": 8080}, {"port": 81, "targetPort": "web"}]}}'
    assert [port.target_port for port in parse_object(Service, data).spec.ports] == [8080, "web"]


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"<html>bad gateway</html>", "<html>bad gateway</html>"),
        (b"", "truncated"),
        (POD[:200], "truncated"),
        (b'{"metadata": {"name": 7}}', "$.metadata.name"),
        (b'{"spec": {}}', "missing required field `metadata`"),
        (b"null", "got `null`"),
        (b'{"metadata": {}, "status": {"podIPs": [{"ip": "10.0.0.999"}]}}', "10.0.0.999"),
        (b'{"metadata": {"name": "\xff"}}', "utf-8"),
    ],
)
def test_what_is_no_such_object_is_shown(data: bytes, shown: str) -> None:
    """With the object that it should be, the place and the beginning of what came."""
    with pytest.raises(ParseError, match="API object Pod") as caught:
        parse_object(Pod, data)
    assert shown.lower() in str(caught.value).lower()


def test_what_is_no_list_is_shown() -> None:
    """Named by what its items should be."""
    with pytest.raises(ParseError, match="API list of Pod"):
        parse_list(Pod, b"[]")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["metadata", "items", "name", "status", "podIPs", "ip", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.binary() | json_values.map(msgspec.json.encode))
def test_arbitrary_input_raises_nothing_else(data: bytes) -> None:
    """Any bytes, any JSON: an object or a ParseError."""
    for read in (
        lambda: parse_object(Pod, data),
        lambda: parse_list(Pod, data),
        lambda: parse_watch_event(data),
    ):
        with contextlib.suppress(ParseError):
            read()


@given(st.integers(1, 5000))
def test_deep_nesting_is_no_crash(depth: int) -> None:
    """A hostile server cannot end us by brackets."""
    for data in (
        b"[" * depth,
        b'{"metadata":' * depth,
        b'{"metadata": null, "x": ' + b"[" * depth + b"]" * depth + b"}",
    ):
        with contextlib.suppress(ParseError):
            parse_object(Pod, data)
