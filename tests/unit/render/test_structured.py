"""JSON and YAML of reports: what is printed is what was meant, and what the schema promises."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from netinspect.models.address import Address
from netinspect.models.codec import decode_json
from netinspect.models.fact import Gap, Reason
from netinspect.models.listing import (
    EndpointCounts,
    EndpointEntry,
    Owner,
    PodEntry,
    PodReference,
    PortEntry,
    ServiceEntry,
)
from netinspect.models.report import Report
from netinspect.render.structured import render_json, render_schema, render_yaml

TEXT = st.text(max_size=8)
COUNT = st.integers(0, 2**31)
ADDRESSES = st.lists(st.ip_addresses(v=6) | st.ip_addresses(v=4), max_size=3).map(tuple)
GAPS = st.builds(Gap, TEXT, TEXT, st.sampled_from(Reason), TEXT)


def a_tuple(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, max_size=2).map(tuple)


COUNTS = st.builds(EndpointCounts, family=st.sampled_from(["IPv6", "IPv4", "FQDN"]))
PODS = st.builds(PodEntry, pod_ips=ADDRESSES, owner=st.none() | st.builds(Owner), restarts=COUNT)
PORTS = st.builds(
    PortEntry, target_port=COUNT | TEXT, endpoint_ports=a_tuple(COUNT), endpoints=a_tuple(COUNTS)
)
ENDPOINTS = st.builds(EndpointEntry, port=st.none() | COUNT, pod=st.none() | st.builds(PodReference))
SERVICES = st.builds(
    ServiceEntry,
    ports=a_tuple(PORTS),
    counts=a_tuple(COUNTS),
    endpoints=a_tuple(ENDPOINTS),
    warnings=a_tuple(TEXT),
)


def reports(items: st.SearchStrategy[Any], kind: str) -> st.SearchStrategy[Report[Any]]:
    return st.builds(
        Report, kind=st.just(kind), items=a_tuple(items), notes=a_tuple(TEXT), gaps=a_tuple(GAPS)
    )


@given(reports(PODS, "PodList"))
def test_json_of_pods_reads_back_as_the_same_report(report: Report[PodEntry]) -> None:
    """What a program reads with the published types is what we had."""
    assert decode_json(Report[PodEntry], render_json(report)) == report


@given(reports(SERVICES, "ServiceList"))
def test_json_of_services_reads_back_as_the_same_report(report: Report[ServiceEntry]) -> None:
    """As for pods."""
    assert decode_json(Report[ServiceEntry], render_json(report)) == report


@given(reports(PODS, "PodList"))
def test_yaml_holds_what_json_holds(report: Report[PodEntry]) -> None:
    """Addresses, empty lists and strange names survive both."""
    assert yaml.safe_load(render_yaml(report)) == json.loads(render_json(report))


def test_keys_keep_the_order_of_the_model() -> None:
    """apiVersion and kind first, as in every object of the API."""
    report: Report[PodEntry] = Report(kind="PodList", items=())
    assert list(json.loads(render_json(report))) == ["apiVersion", "kind", "items", "notes", "gaps"]
    assert render_yaml(report).startswith("apiVersion: netinspect/v1alpha1\nkind: PodList\n")


def test_addresses_are_text() -> None:
    """IPv6 in its canonical form."""
    assert render_json({"ip": ipaddress.ip_address("fd00:0::7")}) == '{\n    "ip": "fd00::7"\n}\n'


@given(TEXT)
def test_no_text_can_steer_a_terminal(text: str) -> None:
    """JSON and YAML are printable ASCII: what is not is escaped, and nothing is lost by it."""
    for render, parse in ((render_json, json.loads), (render_yaml, yaml.safe_load)):
        written = render({"name": text})
        assert all(" " <= each <= "~" or each == "\n" for each in written)
        assert parse(written) == {"name": text}


@pytest.mark.parametrize("type_", [Report[PodEntry], Report[ServiceEntry]])
def test_the_schema_has_camel_case_keys_and_describes_every_type(type_: Any) -> None:
    """The keys are the API's where the API has them: podIPs, clusterIPs, hostIP."""
    schema = json.loads(render_schema(type_))
    assert schema["$schema"].endswith("2020-12/schema")
    keys = {key for each in schema["$defs"].values() for key in each.get("properties", {})}
    assert all("_" not in key for key in keys)
    assert keys >= ({"podIPs", "hostIP"} if type_ is Report[PodEntry] else {"clusterIPs", "externalIPs"})
    assert set(_references(schema)) <= {f"#/$defs/{name}" for name in schema["$defs"]}


def test_the_schema_requires_the_keys_that_are_always_there() -> None:
    """A consumer need not test for a key: an entry leaves none out."""
    schema = json.loads(render_schema(Report[PodEntry]))
    entry = schema["$defs"]["PodEntry"]
    assert sorted(entry["required"]) == sorted(entry["properties"])
    assert entry["properties"]["podIPs"]["items"] == {
        "type": "string",
        "description": "an IPv4 or IPv6 address",
    }


def test_an_address_that_is_none_is_refused_when_read() -> None:
    """Reading checks: an archive or a tool that was altered does not pass."""
    with pytest.raises(msgspec.ValidationError):
        decode_json(list[Address], '["fd00::7", "fd00::zz"]')


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)
